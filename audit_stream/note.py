"""Signed notes (C2SP signed-note) and cosignatures (C2SP tlog-cosignature), without any crypto.

A note is text, an empty line, and signature lines. `parse` accepts exactly what `format_note`
emits, so a note has one spelling. Signing and verifying Ed25519 is left to whoever holds the keys:
`Signer` is all that a key file, a KMS or an HSM must offer, `Verify` all that a checker needs.

Two kinds of signature are known, told apart by the algorithm byte of the key: plain Ed25519 by
a log (0x01) and timestamped Ed25519 cosignatures by a witness (0x04). Lines by other keys are
kept and ignored, as the format demands; one by a known key that does not verify spoils the note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeAlias

from audit_stream.encoding import MAX_NUMBER, from_base64, to_base64
from audit_stream.errors import InputError, MalformedError, SignatureError

ED25519 = 0x01
"""Signature type: Ed25519 over the note's text (signed-note, "Signature types")."""

COSIGNATURE_V1 = 0x04
"""Signature type: timestamped Ed25519 witness cosignature (tlog-cosignature, "Format")."""

# signed-note, "Format": at least 16 signatures must be taken; 100 is the limit of Go's package.
MAX_SIGNATURES = 100
MAX_NOTE_BYTES = 1 << 20

_EM_DASH = "\N{EM DASH}"
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_KEY_HASH = re.compile(r"[0-9a-f]{8}")

Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) → whether it is a valid Ed25519 signature (RFC 8032)."""


class Signer(Protocol):
    """What the holder of an Ed25519 private key must offer."""

    @property
    def public_key(self) -> bytes:
        """32 bytes (RFC 8032, section 5.1.5)."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032, section 5.1.6)."""


class VerifierKey(NamedTuple):
    """A public key under a name. `str()` gives the form `name+hash+base64` (signed-note)."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || LF || algorithm || public key)[:4] (signed-note, "Signatures")."""
        return sha256(b"%s\n%c%s" % (self.name.encode(), self.algorithm, self.public_key)).digest()[
            :4
        ]

    def __str__(self) -> str:
        material = to_base64(bytes([self.algorithm]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{material}"


class Signature(NamedTuple):
    """One signature line: who claims to have signed, and the bytes of the claim."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_EM_DASH} {self.name} {to_base64(self.key_id + self.value)}\n"


class Note(NamedTuple):
    """A parsed note. `text` is the signed bytes, its final LF included."""

    text: bytes
    signatures: tuple[Signature, ...]


class Verified(NamedTuple):
    """A key whose signature was checked. `time`: of a cosignature, in POSIX seconds."""

    key: VerifierKey
    time: int | None


def check_name(name: str) -> None:
    """A key name has no Unicode spaces, no plus, no control characters, and is not empty.

    Raises `MalformedError`.
    """
    if not name or "+" in name or any(char.isspace() or char < " " for char in name):
        raise MalformedError(f"{name!a} is not a key name: it must have no spaces and no plus")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise MalformedError(f"{name!a} is not a key name: it is not valid Unicode") from None


def make_key(name: str, algorithm: int, public_key: bytes) -> VerifierKey:
    """A checked verifier key. Raises `MalformedError`."""
    check_name(name)
    if algorithm not in (ED25519, COSIGNATURE_V1):
        raise MalformedError(f"the key {name!a} has an unsupported algorithm (0x{algorithm:02x})")
    if len(public_key) != 32:
        raise MalformedError(f"the key {name!a} should have 32 bytes, not {len(public_key)}")
    return VerifierKey(name, algorithm, public_key)


def parse_key(text: str) -> VerifierKey:
    """Reads `name+hash+base64` (signed-note, "Verifier keys"). Raises `MalformedError`."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_HASH.fullmatch(parts[1]):
        raise MalformedError("a verifier key looks like name+hash+base64")
    material = from_base64(parts[2], "the verifier key")
    if not material:
        raise MalformedError("the verifier key is empty")
    key = make_key(parts[0], material[0], material[1:])
    if str(key) != text:
        raise MalformedError(f"the verifier key {key.name!a} does not match its hash")
    return key


def parse(data: bytes) -> Note:
    """Reads a signed note (signed-note, "Format"). Raises `MalformedError`."""
    if len(data) > MAX_NOTE_BYTES:
        raise MalformedError(f"a note has at most {MAX_NOTE_BYTES} bytes")
    if _CONTROL.search(data):
        raise MalformedError("a note has no control characters")
    text, blank, lines = data.rpartition(b"\n\n")
    if not blank or not lines.endswith(b"\n"):
        raise MalformedError("a note ends in an empty line and whole signature lines")
    signatures = tuple(_parse_signature(line) for line in _decode(lines)[:-1].split("\n"))
    note = Note(text + b"\n", signatures)
    # Finds whatever the parsing above lets pass, such as a line that starts with another dash.
    if format_note(note) != data:
        raise MalformedError("the note is not in its canonical form")
    return note


def format_note(note: Note) -> bytes:
    """The bytes of a note. Raises `MalformedError` for one that could not be read back."""
    _decode(note.text)
    if not note.text.endswith(b"\n") or _CONTROL.search(note.text):
        raise MalformedError("the text of a note ends in LF and has no other control characters")
    if not 1 <= len(note.signatures) <= MAX_SIGNATURES:
        raise MalformedError(f"a note has 1 to {MAX_SIGNATURES} signatures")
    for signature in note.signatures:
        check_name(signature.name)
        if len(signature.key_id) != 4 or not signature.value:
            raise MalformedError("a signature has a key id of 4 bytes and a value")
    data = note.text + b"\n" + "".join(map(str, note.signatures)).encode()
    if len(data) > MAX_NOTE_BYTES:
        raise MalformedError(f"a note has at most {MAX_NOTE_BYTES} bytes")
    return data


def parse_signatures(data: bytes) -> tuple[Signature, ...]:
    """Reads signature lines alone, as a witness answers them. Raises `MalformedError`."""
    note = parse(b"\n\n" + data)
    if note.text != b"\n":
        raise MalformedError("signature lines have no empty line between them")
    return note.signatures


def sign(text: bytes, key: VerifierKey, signer: Signer, timestamp: int | None = None) -> Signature:
    """Signs `text` as `key` says. A cosignature needs `timestamp`, in POSIX seconds.

    Raises `InputError` when the signer does not hold that key.
    """
    if signer.public_key != key.public_key:
        raise InputError(f"the signer does not hold the key {key.name!a}")
    if key.algorithm == ED25519:
        return Signature(key.name, key.key_id, signer.sign(text))
    if timestamp is None or not 0 <= timestamp <= MAX_NUMBER:
        raise InputError("a cosignature needs the time as POSIX seconds")
    value = timestamp.to_bytes(8, "big") + signer.sign(cosigned_message(text, timestamp))
    return Signature(key.name, key.key_id, value)


def cosigned_message(text: bytes, timestamp: int) -> bytes:
    """What a witness signs (tlog-cosignature, "Ed25519 signed message")."""
    return b"cosignature/v1\ntime %d\n%s" % (timestamp, text)


def check_signatures(note: Note, keys: Iterable[VerifierKey], verify: Verify) -> list[Verified]:
    """The known keys that signed the note, in the order of its lines; possibly none.

    Signatures by unknown keys are passed over (signed-note, "Signatures"). Raises
    `SignatureError` when one by a known key does not verify, and `InputError` when two different
    keys share name and id.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) != key:
            raise InputError(f"two different keys are called {key.name!a}+{key.key_id.hex()}")
    verified: list[Verified] = []
    for signature in note.signatures:
        match = known.get((signature.name, signature.key_id))
        if match is not None:
            verified.append(_check(note.text, signature, match, verify))
    return verified


def _check(text: bytes, signature: Signature, key: VerifierKey, verify: Verify) -> Verified:
    message, value, timestamp = text, signature.value, None
    if key.algorithm == COSIGNATURE_V1:
        timestamp = int.from_bytes(value[:8], "big")
        message, value = cosigned_message(text, timestamp), value[8:]
    if len(value) != 64 or not verify(key.public_key, message, value):
        raise SignatureError(f"the signature by {key.name!a}+{key.key_id.hex()} is not valid")
    if timestamp is not None and timestamp > MAX_NUMBER:
        raise SignatureError(f"the cosignature by {key.name!a} has a time beyond 2^63-1")
    return Verified(key, timestamp)


def _parse_signature(line: str) -> Signature:
    _, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    blob = from_base64(encoded, "a signature")
    return Signature(name, blob[:4], blob[4:])


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedError("a note is valid UTF-8") from None

"""Ed25519 keys in software: the one place that imports `cryptography` to sign or verify.

The package is an optional extra; nothing here touches it before a key is used, so importing this
module costs nothing and fails never. A private key is written in the signed-note form

    PRIVATE+KEY+<name>+<hash>+<base64 of the algorithm byte and the 32-byte seed>

with the hash of the public key. The algorithm byte says what the key is for: 0x01 signs a log's
checkpoints, 0x04 a witness's cosignatures. One key never does both: a cosignature is a signature
over text too, and what one says must not be mistaken for the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_stream.encoding import from_base64, to_base64
from audit_stream.errors import MalformedError, MissingExtraError
from audit_stream.note import ED25519, check_name, make_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX = "PRIVATE+KEY+"


class PrivateKey:
    """A named Ed25519 private key held in memory; a `note.Signer`. Its repr shows no secret."""

    __slots__ = ("_private", "key")

    def __init__(self, name: str, algorithm: int, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = make_key(name, algorithm, private.public_key().public_bytes_raw())

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self.key.public_key

    def sign(self, message: bytes) -> bytes:
        """64 bytes: the Ed25519 signature of `message` (RFC 8032)."""
        return self._private.sign(message)

    def export(self) -> str:
        """The secret in its text form, without LF. Anyone who reads it can sign."""
        seed = to_base64(bytes([self.key.algorithm]) + self._private.private_bytes_raw())
        return f"{_PREFIX}{self.key.name}+{self.key.key_id.hex()}+{seed}"

    def __repr__(self) -> str:
        return f"<PrivateKey {self.key.name!a}+{self.key.key_id.hex()}>"


def generate(name: str, algorithm: int = ED25519) -> PrivateKey:
    """A new key from the system's randomness. Raises `MalformedError`, `MissingExtraError`."""
    check_name(name)
    return PrivateKey(name, algorithm, _ed25519().Ed25519PrivateKey.generate())


def parse_private_key(text: str) -> PrivateKey:
    """Reads the text form, without LF. No error message repeats any of it.

    Raises `MalformedError`, `MissingExtraError`.
    """
    parts = text.removeprefix(_PREFIX).split("+", 2)
    if not text.startswith(_PREFIX) or len(parts) != 3:
        raise MalformedError("a private key looks like PRIVATE+KEY+name+hash+base64")
    check_name(parts[0])
    material = from_base64(parts[2], "the private key", 33)
    private = _ed25519().Ed25519PrivateKey.from_private_bytes(material[1:])
    key = PrivateKey(parts[0], material[0], private)
    if key.export() != text:
        raise MalformedError("the private key does not match its hash")
    return key


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is a valid Ed25519 signature (RFC 8032): a `note.Verify`.

    Raises `MissingExtraError`.
    """
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtraError(
            "signing and checking signatures needs: pip install 'audit-stream[sign]'"
        ) from None
    return ed25519

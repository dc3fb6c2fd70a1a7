"""Ed25519 keys: the published ones, keys that read back, and a plain word without the extra."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from audit_stream import note, signing
from audit_stream.errors import MalformedError, MissingExtraError
from audit_stream.note import COSIGNATURE_V1, ED25519
from tests.signed import LOG, flips

GO = json.loads((Path(__file__).parent / "known" / "notes.json").read_text())["go"]
SECRET = GO["peter_private_key"]


def test_the_published_private_key_has_the_published_public_key() -> None:
    key = signing.parse_private_key(SECRET)
    assert str(key.key) == GO["peter_key"]
    assert key.export() == SECRET


@pytest.mark.parametrize("algorithm", [ED25519, COSIGNATURE_V1])
def test_new_keys_sign_verify_and_read_back(algorithm: int) -> None:
    key = signing.generate("example.org/new", algorithm)
    again = signing.parse_private_key(key.export())
    assert again.key == key.key
    signature = again.sign(b"message")
    assert signing.verify(key.public_key, b"message", signature)
    assert not signing.verify(key.public_key, b"massage", signature)
    assert key.public_key != signing.generate("example.org/new", algorithm).public_key


def test_the_rfc_s_own_example_verifies() -> None:
    """RFC 8032, section 7.1, test 2."""
    public_key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert signing.verify(public_key, b"\x72", signature)
    assert not signing.verify(public_key, b"\x73", signature)
    assert not signing.verify(public_key[:31], b"\x72", signature)
    assert not signing.verify(public_key, b"\x72", signature[:63])


def test_no_part_of_a_private_key_is_one() -> None:
    for start in range(len(SECRET) + 1):
        for end in range(start, len(SECRET) + 1):
            if (start, end) != (0, len(SECRET)):
                with pytest.raises(MalformedError):
                    signing.parse_private_key(SECRET[start:end])


def test_no_altered_private_key_is_one() -> None:
    for altered in flips(SECRET.encode()):
        with pytest.raises((MalformedError, UnicodeDecodeError)):
            signing.parse_private_key(altered.decode())


def test_a_secret_never_shows() -> None:
    key = signing.parse_private_key(SECRET)
    seed = SECRET.rpartition("+")[2]
    assert seed not in repr(key)
    assert seed not in str(key)
    with pytest.raises(MalformedError) as caught:
        signing.parse_private_key(SECRET.replace("c74f20a3", "c74f20a4"))
    assert seed not in str(caught.value)


def test_a_name_that_breaks_notes_gets_no_key() -> None:
    with pytest.raises(MalformedError):
        signing.generate("two words")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    for use in (
        lambda: signing.generate("example.org"),
        lambda: signing.parse_private_key(SECRET),
        lambda: signing.verify(bytes(32), b"", bytes(64)),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'audit-stream\[sign\]'"):
            use()


def test_a_private_key_is_a_signer() -> None:
    signer: note.Signer = LOG
    assert note.sign(b"text\n", LOG.key, signer).key_id == LOG.key.key_id

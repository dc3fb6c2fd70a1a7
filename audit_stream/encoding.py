"""The two encodings that every text format of the transparency logs shares, read strictly.

Each reader accepts exactly what the writer beside it emits: Python's own decoders also take stray
bits in the last base64 digit, signs, underscores, leading zeros and foreign digits, and each of
those would let one artefact be written in two ways.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode

from audit_stream.errors import MalformedError

MAX_NUMBER = 2**63 - 1
"""The largest number that the other implementations of these formats can hold."""


def to_base64(data: bytes) -> str:
    """RFC 4648, section 4, with padding."""
    return b64encode(data).decode("ascii")


def from_base64(text: str, what: str, length: int | None = None) -> bytes:
    """The bytes of `text`, `length` of them when given; `what` names it in a `MalformedError`."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError(f"{what} is not base64") from None
    if to_base64(data) != text:
        raise MalformedError(f"{what} is not canonical base64")
    if length is not None and len(data) != length:
        raise MalformedError(f"{what} should have {length} bytes, not {len(data)}")
    return data


def from_decimal(text: str, what: str) -> int:
    """A number from 0 to 2^63−1 in ASCII digits without leading zeros."""
    if not (text.isascii() and text.isdecimal()) or (text[0] == "0" and text != "0"):
        raise MalformedError(f"{what} is not a decimal number")
    # Twenty digits are always too many, and int() refuses thousands with an error of its own.
    if len(text) > 19 or int(text) > MAX_NUMBER:
        raise MalformedError(f"{what} is beyond 2^63-1")
    return int(text)


def hash_lines(hashes: tuple[bytes, ...]) -> str:
    """One base64 hash a line, each ending in LF, as every proof format lists them."""
    return "".join(f"{to_base64(node)}\n" for node in hashes)


def from_hash_lines(lines: list[str]) -> tuple[bytes, ...]:
    """The SHA-256 hashes of `lines`; at most 63, more than any tree has levels."""
    if len(lines) > 63:
        raise MalformedError("a proof has at most 63 hashes")
    return tuple(from_base64(line, "a hash of the proof", 32) for line in lines)

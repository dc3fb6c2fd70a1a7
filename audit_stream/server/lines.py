"""What the server reads off a stored line without parsing its payload.

In a canonical line `event_id` comes first and `hash` second, at fixed places (see the format).
"""

from __future__ import annotations

import re

import msgspec

_START = re.compile(rb'\{"event_id":([1-9][0-9]{0,15}),"hash":"([0-9a-f]{64})"')


class Envelope(msgspec.Struct, gc=False):
    """A stored line's members, the payload unread."""

    event_id: int
    hash: str
    kind: str
    payload: msgspec.Raw
    prev_hash: str
    source: str
    timestamp: str


_decoder = msgspec.json.Decoder(Envelope)


def event_id_of(line: bytes) -> int | None:
    """Return the event_id that a line starts with, None when it does not."""
    found = _START.match(line)
    return int(found[1]) if found else None


def hash_of(line: bytes) -> str | None:
    """Return the hash that a line names, None when it does not."""
    found = _START.match(line)
    return found[2].decode() if found else None


def last_event_id(lines: bytes) -> int:
    """Return the id that the last of several whole lines that names one has, 0 when none does."""
    end = len(lines)
    while end > 0:
        start = lines.rfind(b"\n", 0, end - 1) + 1
        found = _START.match(lines, start)
        if found:
            return int(found[1])
        end = start
    return 0


def envelopes_of(lines: list[bytes]) -> list[Envelope]:
    """Read valid stored lines (without LF)."""
    return _decoder.decode_lines(b"\n".join(lines))


def read_quickly(data: bytes) -> tuple[list[Envelope], list[bytes]] | None:
    """Read whole lines that look right: one envelope each, and nothing in them that could end a
    message's line early. None where one does not; what is wrong with it is found out elsewhere.

    Hashes are not looked at: just committed lines are nearly all that comes this way, and proving
    the chain is verification's job.
    """
    lines = data[:-1].split(b"\n")
    # The decoder reads a stream, in which an event may span lines; in JSON only the end of a whole
    # object can stand before `LF {`.
    if b"\r" in data or data.count(b"}\n{") != len(lines) - 1:
        return None
    try:
        envelopes = _decoder.decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return (envelopes, lines) if len(envelopes) == len(lines) else None

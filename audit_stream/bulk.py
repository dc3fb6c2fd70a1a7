"""The answers of `event` and `chain`, for thousands of lines at once.

Everything here is an accelerator: it either gives what the exact code would give, or says None
("ask the exact code"). It may be wrong in one direction only. What makes it safe:

* msgspec decodes a block of lines into typed envelopes and encodes them again; equal bytes mean
  no whitespace, no duplicate or unknown member, sorted names, shortest escapes, valid UTF-8;
* the three places where msgspec is not RFC 8785 are taken out beforehand: numbers with a point
  or exponent reach a hook as text, integers of 16 digits or more and lines with characters
  beyond U+FFFF (whose order differs in UTF-16) go to the exact code;
* the hash is computed from the bytes in the file, never from the re-encoded ones.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from operator import gt
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from audit_stream import event, timestamps
from audit_stream.canonical import MAX_DEPTH, MAX_SAFE_INTEGER, number_text
from audit_stream.errors import InvalidEventError
from audit_stream.vocabulary import KIND_PATTERN, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_stream.timestamps import Instant

_ZERO_HASH = "0" * 64
_HASH_MEMBER = len('"hash":"",') + 64
_EVENT_ID_PREFIX = len('{"event_id":')

# A number starts after one of `:,[-`; 16 digits are the first length that can exceed 2^53 - 1.
_NUMBER_SHAPE = bytes(
    ord("0") if chr(b).isascii() and chr(b).isdigit() else ord(":") if b in b":,[-" else ord(" ")
    for b in range(256)
)
_LONG_NUMBER = b":" + b"0" * 16
_ALL_BUT_BRACKETS = bytes(b for b in range(256) if b not in b"{}[]\n")
_ALL_BUT_ASTRAL_LEADS = bytes(b for b in range(256) if not 0xF0 <= b <= 0xF4)

_WRITERS_TIMES = re.compile(
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}\+00:00)+"
)
_TIME_LENGTH = len("2026-01-31T12:00:00.000000+00:00")


class StoredEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The envelope as msgspec reads it; field order is canonical order."""

    event_id: int
    hash: str
    kind: str
    payload: dict[str, Any]
    prev_hash: str
    source: str
    timestamp: str


class BlockFacts(NamedTuple):
    """What a good block says: its events' hashes, instants at both ends, and clock steps back."""

    hashes: list[str]
    first_instant: Instant
    last_instant: Instant
    regressions: int


def _canonical_number(text: str) -> msgspec.Raw:
    if number_text(float(text)) != text:
        raise ValueError("not the canonical text of this number")
    return msgspec.Raw(text.encode())


_decoder = msgspec.json.Decoder(StoredEvent, float_hook=_canonical_number)
_encoder = msgspec.json.Encoder(order="sorted")


def check_block(block: bytes, head: Any) -> BlockFacts | None:
    """Check whole lines, each ending in LF, as successors of `head` (`count`, `hash`).

    Returns None when any of them is not certain to be good.
    """
    events = _decode_canonical(block)
    if events is None:
        return None
    lines = block.split(b"\n")
    hashes = [stored.hash for stored in events]
    if [stored.event_id for stored in events] != list(
        range(head.count + 1, head.count + 1 + len(events))
    ):
        return None
    previous = [head.hash, *hashes]
    previous.pop()
    if [stored.prev_hash for stored in events] != previous:
        return None
    if not _hashes_match(lines, hashes, head.count + 1) or not _fields_hold(events):
        return None
    return _instants(hashes, [stored.timestamp for stored in events])


def _decode_canonical(block: bytes) -> list[StoredEvent] | None:
    """Decode lines that are certain to be what encoding them gives again."""
    if not is_plain(block):
        return None
    try:
        events = _decoder.decode_lines(block)
        return events if _encoder.encode_lines(events) == block else None
    except (msgspec.MsgspecError, ValueError, InvalidEventError, RecursionError):
        return None


def is_plain(block: bytes) -> bool:
    """Whether msgspec's reading and writing of these lines is RFC 8785 (floats aside), and no
    line can nest deeper than MAX_DEPTH. Sees through no white space outside strings."""
    if _LONG_NUMBER in block.translate(_NUMBER_SHAPE):
        return False
    if not block.isascii() and block.translate(None, _ALL_BUT_ASTRAL_LEADS):
        return False
    openers = block.count(b"{") + block.count(b"[")
    # A stored line has two openers (envelope, payload); so while the block has fewer than
    # MAX_DEPTH more than its lines need, none of them can be too deep.
    if openers < 2 * block.count(b"\n") + MAX_DEPTH - 1:
        return True
    brackets = block.translate(None, _ALL_BUT_BRACKETS)
    return all(line.count(b"{") + line.count(b"[") <= MAX_DEPTH for line in brackets.split(b"\n"))


def _hashes_match(lines: list[bytes], hashes: list[str], first_id: int) -> bool:
    digits = len(str(first_id))
    cut = _EVENT_ID_PREFIX + digits + 1
    grows_at = 10**digits
    number = first_id
    for line, expected in zip(lines, hashes, strict=False):
        if number == grows_at:
            cut += 1
            grows_at *= 10
        number += 1
        digest = sha256(line[:cut])
        digest.update(line[cut + _HASH_MEMBER :])
        if digest.hexdigest() != expected:
            return False
    return True


def _fields_hold(events: list[StoredEvent]) -> bool:
    try:
        return all(map(_kind_holds, {stored.kind for stored in events})) and all(
            map(_source_holds, {stored.source for stored in events})
        )
    except InvalidEventError:
        return False


@lru_cache(maxsize=1024)
def _kind_holds(kind: str) -> bool:
    return re.fullmatch(KIND_PATTERN, kind) is not None


@lru_cache(maxsize=1024)
def _source_holds(source: str) -> bool:
    event.check_source(source)
    return True


@lru_cache(maxsize=1024)
def _day_holds(day: str) -> bool:
    timestamps.parse(day + "T00:00:00Z")
    return True


def in_writers_form(times: list[str]) -> bool:
    """Whether all are valid and in the writer's form (so that text order is time order)."""
    joined = "".join(times)
    if len(joined) != _TIME_LENGTH * len(times) or not _WRITERS_TIMES.fullmatch(joined):
        return False
    # No text can hold part of another's time: at a shifted place no day would be read here.
    try:
        return all(map(_day_holds, {time[:10] for time in times}))
    except InvalidEventError:
        return False


def _instants(hashes: list[str], times: list[str]) -> BlockFacts | None:
    if in_writers_form(times):
        regressions = sum(map(gt, times, times[1:]))
        return BlockFacts(
            hashes, timestamps.parse(times[0]), timestamps.parse(times[-1]), regressions
        )
    try:
        instants = [timestamps.parse(time) for time in times]
    except InvalidEventError:
        return None
    regressions = sum(earlier > later for earlier, later in pairwise(instants))
    return BlockFacts(hashes, instants[0], instants[-1], regressions)


def read_block(block: bytes) -> list[StoredEvent] | None:
    """Read whole lines that stand for themselves (any lines, in any order): each is a canonical,
    valid event whose hash is right. Returns None when any of them is not certain to be.

    Numbers with a point or exponent come as `msgspec.Raw`.
    """
    events = _decode_canonical(block)
    if events is None or not _fields_hold(events):
        return None
    for line, stored in zip(block.split(b"\n"), events, strict=False):
        cut = line.index(b'"hash":"')
        digest = sha256(line[:cut])
        digest.update(line[cut + _HASH_MEMBER :])
        if digest.hexdigest() != stored.hash or not _place_holds(stored):
            return None
        try:
            timestamps.parse(stored.timestamp)
        except InvalidEventError:
            return None
    return events


_is_hash = re.compile("[0-9a-f]{64}").fullmatch


def _place_holds(stored: StoredEvent) -> bool:
    if stored.event_id <= 1:
        return stored.event_id == 1 and stored.prev_hash == _ZERO_HASH
    return _is_hash(stored.prev_hash) is not None


class _SentDraft(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    kind: str | msgspec.UnsetType = msgspec.UNSET
    payload: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    timestamp: str | msgspec.UnsetType | None = msgspec.UNSET


def _door_number(text: str) -> msgspec.Raw:
    value = float(text)
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise ValueError("beyond 2^53-1")
    return msgspec.Raw(number_text(value).encode())


_draft_decoder = msgspec.json.Decoder(_SentDraft, float_hook=_door_number)


class DraftReader:
    """Turns drafts sent as JSON into `event.Draft`, several times faster than the exact code."""

    def __init__(self, vocabulary: Vocabulary, defaults: Mapping[str, str] | None = None) -> None:
        self._vocabulary = vocabulary
        self._defaults = dict(defaults or {})
        self._fronts: dict[str, bytes] = {}
        self._backs: dict[str, bytes] = {}

    def read(self, text: bytes) -> event.Draft:
        """Return the checked draft. Raises as `event.draft_from_json`."""
        return self._read_quickly(text) or event.draft_from_json(
            text, vocabulary=self._vocabulary, defaults=self._defaults
        )

    def _read_quickly(self, text: bytes) -> event.Draft | None:
        # An escape `\u0022` would upset the count of quotes below. And a draft, unlike a stored
        # line, may have white space and line ends anywhere; both would blind `is_plain`.
        if b"\\u" in text or not is_plain(text.translate(None, b" \t\r\n")):
            return None
        try:
            sent = _draft_decoder.decode(text)
            # A duplicate name is dropped in silence by the decoder, and with it at least two
            # quotes: what is encoded again has as many quotes as the text only if none was.
            if _encoder.encode(sent).count(b'"') != text.count(b'"'):
                return None
            payload = b"{}" if sent.payload is msgspec.UNSET else _encoder.encode(sent.payload)
        except (msgspec.MsgspecError, ValueError, InvalidEventError, RecursionError):
            return None
        kind = self._defaults.get("kind") if sent.kind is msgspec.UNSET else sent.kind
        source = self._defaults.get("source") if sent.source is msgspec.UNSET else sent.source
        if kind is None or source is None:
            return None
        time = None if sent.timestamp is msgspec.UNSET else sent.timestamp
        try:
            front = self._fronts.get(kind) or self._front(kind)
            back = self._backs.get(source) or self._back(source)
            if time is not None:
                time = timestamps.normalize(time)
        except InvalidEventError:
            return None
        return event.Draft(kind, source, front + payload, back, time)

    def _front(self, kind: str) -> bytes:
        self._vocabulary.check(kind)
        front = b'"kind":"%b","payload":' % kind.encode()
        if len(self._fronts) < 4096:
            self._fronts[kind] = front
        return front

    def _back(self, source: str) -> bytes:
        event.check_source(source)
        back = b'"source":' + _encoder.encode(source)
        if len(self._backs) < 4096:
            self._backs[source] = back
        return back

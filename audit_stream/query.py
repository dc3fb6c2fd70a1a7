"""Filters, compiled once and applied to raw lines where possible.

A scan goes over blocks of whole lines. What can be looked for in the bytes (kind, source, text,
time) narrows a block down to candidates; every candidate is then read in full, checked as far as
a line can be checked by itself (canonical form, envelope, hash), and matched exactly: a payload
name `kind` looks like a kind in the bytes. Lines that are passed over are checked for their
outer form only. Proving the whole chain is verification's job.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from audit_stream import bulk, canonical, timestamps
from audit_stream.chain import last_line_head
from audit_stream.errors import InputError, InvalidEventError
from audit_stream.storage.snapshot import event_id_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_stream.storage.snapshot import Block
    from audit_stream.timestamps import Instant

_WRITERS_TIME = re.compile(rb'"timestamp":"([0-9T:.-]{26})\+00:00"\}$')
_SEAM = b'"}\n{"event_id":'
"""Between any two stored lines."""

_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_POSITION = re.compile("[0-9]{1,9}")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Damage(NamedTuple):
    """A complete line that is not a valid event: where it starts (bytes), and why."""

    offset: int
    event_id: int | None
    reason: str

    def __str__(self) -> str:
        named = f"event {self.event_id}" if self.event_id is not None else "a line"
        return f"{named} at byte {self.offset} is damaged: {self.reason}"


class Found(NamedTuple):
    """What a block holds of what was asked for: the stored lines (without LF), in order."""

    lines: list[bytes]
    damaged: list[Damage]


def parse_when(text: str, now: int) -> Instant:
    """Return the instant of an RFC 3339 time, or of `15m`, `2h`, `3d` before `now` (ns).

    Raises:
        InputError: neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        seconds = int(ago[1]) * _UNIT_SECONDS[ago[2]]
        return timestamps.parse(timestamps.stamp(max(now - seconds * 10**9, _YEAR_ONE)))
    try:
        return timestamps.parse(text)
    except InvalidEventError as error:
        raise InputError(f"{text!a}: {error}; or a time ago, like 15m, 2h or 3d") from None


_YEAR_ONE = -62135596800 * 10**9


class Where(NamedTuple):
    """`path` in the payload must hold `text`, taken as JSON or as the string itself."""

    path: tuple[str, ...]
    text: str

    @classmethod
    def parse(cls, condition: str) -> Where:
        """Read `PATH=VALUE`, with dots between the names. Raises InputError."""
        path, equals, text = condition.partition("=")
        if not equals or not path:
            raise InputError(f"{condition!a}: expected PATH=VALUE, like actor.name=alice")
        return cls(tuple(path.split(".")), text)

    def matches(self, payload: Any) -> bool:
        """Whether the payload (as `canonical.decode_stored` gives it) fulfils the condition."""
        value = payload
        for name in self.path:
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and _POSITION.fullmatch(name) and int(name) < len(value):
                value = value[int(name)]
            else:
                return False
        return value == self.text or self._is_json_of(value)

    def _is_json_of(self, value: Any) -> bool:
        try:
            wanted = canonical.encode_stored(canonical.decode_stored(self.text.encode()))
            return canonical.encode_stored(value, max_depth=1000) == wanted
        except (InvalidEventError, UnicodeEncodeError):
            return False


class Filter:
    """Which events are wanted. Kinds OR together, sources too; different conditions AND.

    Args:
        kinds, sources: any of these; empty for all.
        since: instants from here on (inclusive).
        until: instants before this (exclusive).
        contains: text that the stored line contains.
        where: conditions on the payload.
    """

    def __init__(
        self,
        *,
        kinds: Iterable[str] = (),
        sources: Iterable[str] = (),
        since: Instant | None = None,
        until: Instant | None = None,
        contains: str = "",
        where: Iterable[Where] = (),
    ) -> None:
        self.kinds = frozenset(kinds)
        self.sources = frozenset(sources)
        self.since = since
        self.until = until
        self.where = tuple(where)
        try:
            self._contains = contains.encode()
        except UnicodeEncodeError:
            raise InputError("the text to look for is not valid Unicode") from None
        self._needles = self._most_telling_needles()
        self._since_text = _instant_text(since)
        self._until_text = _instant_text(until)

    @property
    def is_empty(self) -> bool:
        """Whether every event matches."""
        return not (
            self.kinds or self.sources or self.where or self._contains or self.since or self.until
        )

    def _most_telling_needles(self) -> list[bytes]:
        """Return bytes of which every matching line has at least one; empty when there are none.

        In a canonical line the envelope's `kind` is followed by `payload`, and its `source` by
        `timestamp`.
        """
        if self._contains and b"\n" not in self._contains:
            return [self._contains]
        if self.kinds:
            return [b'"kind":%b,"payload":{' % canonical.encode(k) for k in sorted(self.kinds)]
        if self.sources:
            return [
                b'"source":%b,"timestamp":"' % canonical.encode(s) for s in sorted(self.sources)
            ]
        return []

    def scan(self, block: Block) -> Found:
        """Return the matching lines of a block, and the damaged lines met on the way."""
        data = block.data
        damaged = _out_of_place(block)
        starts = _starts_with_needle(data, self._needles) if self._needles else _line_starts(data)
        if damaged:
            known = {damage.offset - block.offset for damage in damaged}
            starts = [start for start in starts if start not in known]
        lines = [data[start : data.index(b"\n", start)] for start in starts]
        if self.since is not None or self.until is not None:
            kept = [self._time_may_match(line) for line in lines]
            lines = [line for line, keep in zip(lines, kept, strict=True) if keep]
            starts = [start for start, keep in zip(starts, kept, strict=True) if keep]
        if not lines:
            return Found([], damaged)
        matching = self._check_and_match(lines, starts, block.offset, damaged)
        return Found(matching, sorted(damaged))

    def _check_and_match(
        self, lines: list[bytes], starts: list[int], base: int, damaged: list[Damage]
    ) -> list[bytes]:
        events = bulk.read_block(b"\n".join(lines) + b"\n")
        if events is not None:
            return [
                line
                for line, stored in zip(lines, events, strict=True)
                if self._matches(line, stored.kind, stored.source, stored.timestamp)
            ]
        matching = []
        for line, start in zip(lines, starts, strict=True):
            reason = damage_of(line)
            if reason is not None:
                damaged.append(Damage(base + start, event_id_of(line), reason))
                continue
            members = json.loads(line)
            if self._matches(line, members["kind"], members["source"], members["timestamp"]):
                matching.append(line)
        return matching

    def matches(self, line: bytes) -> bool:
        """Whether a stored line (without LF) that is known to be valid matches."""
        members = json.loads(line)
        return self._matches(line, members["kind"], members["source"], members["timestamp"])

    def _matches(self, line: bytes, kind: str, source: str, timestamp: str) -> bool:
        if self.kinds and kind not in self.kinds:
            return False
        if self.sources and source not in self.sources:
            return False
        if self._contains and self._contains not in line:
            return False
        if self.since is not None or self.until is not None:
            instant = timestamps.parse(timestamp)
            if self.since is not None and instant < self.since:
                return False
            if self.until is not None and instant >= self.until:
                return False
        if self.where:
            # Not json.loads: a number beyond 2^53 is a double, whatever its text looks like.
            payload = canonical.decode_stored(line)["payload"]
            return all(condition.matches(payload) for condition in self.where)
        return True

    def _time_may_match(self, line: bytes) -> bool:
        """Compare a timestamp in the writer's form as text; let all others through."""
        written = _WRITERS_TIME.search(line, len(line) - 48 if len(line) > 48 else 0)
        if written is None:
            return True
        text = written[1]
        return not (
            (self.since is not None and text < self._since_text)
            or (self.until is not None and text > self._until_text)
        )


def _instant_text(instant: Instant | None) -> bytes:
    """Return the writer's form up to the microsecond, which no text on the other side passes."""
    return b"" if instant is None else timestamps.text_of(instant).encode()


def _line_starts(data: bytes) -> list[int]:
    starts, position = [], 0
    while position < len(data):
        starts.append(position)
        position = data.index(b"\n", position) + 1
    return starts


def _starts_with_needle(data: bytes, needles: list[bytes]) -> list[int]:
    """Return the starts of the lines that hold any of the needles, in order."""
    starts: set[int] = set()
    for needle in needles:
        hit = data.find(needle)
        while hit >= 0:
            starts.add(data.rfind(b"\n", 0, hit) + 1)
            hit = data.find(needle, data.index(b"\n", hit))
    return sorted(starts)


def _out_of_place(block: Block) -> list[Damage]:
    """Return the lines of a block that do not even look like stored lines, and the repeated ones.

    Quick when the block has as many seams between stored lines as its first and last event_id
    say.
    """
    data = block.data
    first = event_id_of(data)
    last = event_id_of(data[data.rfind(b"\n", 0, -1) + 1 :])
    if (
        first is not None
        and last is not None
        and data.count(_SEAM) == last - first
        and data.endswith(b'"}\n')
    ):
        return []
    found: list[Damage] = []
    seen: set[bytes] = set()
    for start in _line_starts(data):
        line = data[start : data.index(b"\n", start)]
        named = event_id_of(line)
        if line in seen:
            found.append(Damage(block.offset + start, named, "it repeats an earlier line"))
        elif named is None or not line.endswith(b'"}'):
            reason = damage_of(line)
            if reason is not None:
                found.append(Damage(block.offset + start, named, reason))
        seen.add(line)
    return found


def damage_of(line: bytes) -> str | None:
    """Say what is wrong with a stored line (without LF) by itself, or None."""
    try:
        last_line_head(line)
    except InvalidEventError as error:
        return str(error)
    return None

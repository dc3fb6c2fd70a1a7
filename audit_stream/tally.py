"""Counting a ledger's events: by kind, by source, and over time. Grows with the ledger.

A tally is fed blocks of whole lines and can be fed more later, so that a server counts every
event once. It reads the envelope only; payloads are skipped unparsed, and no hash is computed: a
line counts when its envelope can be read and its timestamp is one. What counts does not depend
on how the lines are cut into blocks.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from audit_stream import bulk, timestamps
from audit_stream.errors import InvalidEventError
from audit_stream.query import Damage, damage_of
from audit_stream.storage.snapshot import event_id_of

if TYPE_CHECKING:
    from audit_stream.storage.snapshot import Block


class _Envelope(msgspec.Struct, gc=False):
    event_id: int
    hash: str
    kind: str
    payload: msgspec.Raw
    prev_hash: str
    source: str
    timestamp: str


_decoder = msgspec.json.Decoder(_Envelope)
_NOT_COUNTED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidEventError)


class Tally:
    """Counts of the events fed so far.

    `minutes` counts by (`YYYY-MM-DDTHH:MM` in UTC, kind). `damaged` lists the lines that could
    not be counted, at most `DAMAGED_LIMIT` of them; `damaged_count` is how many there were.
    """

    DAMAGED_LIMIT = 1000

    def __init__(self) -> None:
        self.count = 0
        self.by_kind: Counter[str] = Counter()
        self.by_source: Counter[str] = Counter()
        self.minutes: Counter[tuple[str, str]] = Counter()
        self.first_timestamp: str | None = None
        self.last_timestamp: str | None = None
        self.last_event_id = 0
        self.latest_hash: str | None = None
        self.damaged: list[Damage] = []
        self.damaged_count = 0

    def add(self, block: Block) -> None:
        """Count the lines of a block."""
        try:
            self._add(_one_a_line(block.data))
        except _NOT_COUNTED:
            self._add_one_by_one(block)

    def _add_one_by_one(self, block: Block) -> None:
        offset = block.offset
        for line in block.data[:-1].split(b"\n"):
            try:
                self._add([_decoder.decode(line)])
            except _NOT_COUNTED as error:
                self.damaged_count += 1
                if len(self.damaged) < self.DAMAGED_LIMIT:
                    reason = damage_of(line) or str(error)
                    self.damaged.append(Damage(offset, event_id_of(line), reason))
            offset += len(line) + 1

    def _add(self, events: list[_Envelope]) -> None:
        if not events:
            return
        kinds = [stored.kind for stored in events]
        times = _in_utc([stored.timestamp for stored in events])
        sources = [stored.source for stored in events]
        self._spread(times, kinds, sources)
        self.by_kind.update(kinds)
        self.by_source.update(sources)
        self.count += len(events)
        if self.first_timestamp is None:
            self.first_timestamp = events[0].timestamp
        self.last_timestamp = events[-1].timestamp
        self.last_event_id = events[-1].event_id
        self.latest_hash = events[-1].hash

    def _spread(self, times: list[str], kinds: list[str], sources: list[str]) -> None:
        """Count over time; a subclass may want it finer."""
        self.minutes.update(zip([time[:16] for time in times], kinds, strict=True))

    def members(self) -> dict[str, Any]:
        """Return the counts as `stats` reports them."""
        return {
            "count": self.count,
            "last_event_id": self.last_event_id,
            "latest_hash": self.latest_hash,
            "first_timestamp": self.first_timestamp,
            "last_timestamp": self.last_timestamp,
            "by_kind": dict(self.by_kind.most_common()),
            "by_source": dict(self.by_source.most_common()),
        }


def _one_a_line(data: bytes) -> list[_Envelope]:
    events = _decoder.decode_lines(data)
    # The decoder reads a stream: it would pass over blank lines, take two events from one line,
    # or one from two. In JSON only the end of a whole object can stand before `LF {`.
    lines = data.count(b"\n")
    if len(events) != lines or data.count(b"}\n{") != lines - 1 or not data.endswith(b"}\n"):
        raise InvalidEventError("not one event a line")
    return events


def _in_utc(times: list[str]) -> list[str]:
    if bulk.in_writers_form(times):
        return times
    return [timestamps.text_of(timestamps.parse(time)) for time in times]

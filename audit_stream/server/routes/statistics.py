"""`GET /stats`: how many events, of what kinds, from where and when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from audit_stream import timestamps
from audit_stream.server import parameters
from audit_stream.server.aggregate import (
    DAY,
    MOST_BUCKETS,
    OverTime,
    TooManyBucketsError,
    Wanted,
)
from audit_stream.server.lines import envelopes_of
from audit_stream.server.problems import bad_parameter

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from audit_stream.ledger import Ledger
    from audit_stream.query import Filter
    from audit_stream.server.service import Service
    from audit_stream.timestamps import Instant

_BUCKETS = {"minute": 60, "hour": 3600, "day": DAY}
_LONGEST_BUCKET = 366 * DAY
_CATCH_UP_SECONDS = 2.0
_BLOCK_LINES = 512


class Statistics:
    """Counts events."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def get(self, request: Request) -> Response:
        """The counts; with `bucket` also over time. Times are taken to the whole second."""
        query = request.query_params
        ledger = self._service.ledger
        wanted = parameters.wanted(query, ledger)
        bucket = _bucket(query.get("bucket"))
        await self._catch_up()
        if query.get("contains"):
            members = await self._service.counting.ask(_of_all)
            members |= await asyncio.to_thread(_scan, ledger, wanted, bucket)
        else:
            members = await self._service.counting.ask(
                lambda tally: _of_all(tally) | _of_some(tally, _to_count(wanted), bucket)
            )
        members["bytes"] = self._service.feed.size
        return JSONResponse(members)

    async def _catch_up(self) -> None:
        """Wait until what was committed before this request is counted."""
        service = self._service
        head = await asyncio.to_thread(_head_id, service.ledger)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CATCH_UP_SECONDS
        while service.feed.head_id < head and loop.time() < deadline:
            service.poke()
            await asyncio.sleep(0.002)


def _head_id(ledger: Ledger) -> int:
    with ledger.snapshot() as snapshot:
        return snapshot.last_event_id()


def _of_all(tally: OverTime) -> dict[str, Any]:
    members = tally.members()
    if tally.damaged_count:
        members["damaged_lines"] = tally.damaged_count
    return members


def _of_some(tally: OverTime, wanted: Wanted, bucket: tuple[int | None] | None) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if wanted != Wanted():
        members["by_kind"], members["by_source"] = tally.totals(wanted)
    if bucket is not None:
        try:
            members["over_time"] = tally.buckets(wanted, bucket[0])
        except TooManyBucketsError as error:
            raise bad_parameter(
                "bucket",
                f"that makes {error.buckets} buckets; at most {MOST_BUCKETS} are given out, so "
                "take a longer one or narrow since and until",
            ) from None
    return members


def _scan(ledger: Ledger, wanted: Filter, bucket: tuple[int | None] | None) -> dict[str, Any]:
    """Count what has to be looked for in the lines themselves."""
    tally = OverTime()
    lines: list[bytes] = []
    for line in ledger.select(wanted):
        lines.append(line)
        if len(lines) >= _BLOCK_LINES:
            tally.add_read(envelopes_of(lines))
            lines = []
    if lines:
        tally.add_read(envelopes_of(lines))
    everything = Wanted(since=_second(wanted.since), until=_second(wanted.until, up=True))
    by_kind, by_source = tally.totals(Wanted())
    return {"by_kind": by_kind, "by_source": by_source} | _of_some(tally, everything, bucket)


def _to_count(wanted: Filter) -> Wanted:
    return Wanted(
        wanted.kinds, wanted.sources, _second(wanted.since), _second(wanted.until, up=True)
    )


def _second(instant: Instant | None, *, up: bool = False) -> int | None:
    if instant is None:
        return None
    return timestamps.seconds_of(instant) + (1 if up and instant[2] else 0)


def _bucket(text: str | None) -> tuple[int | None] | None:
    """Return the width in seconds, wrapped; (None,) for `auto`, None when none is asked for."""
    if text is None:
        return None
    if text == "auto":
        return (None,)
    if text in _BUCKETS:
        return (_BUCKETS[text],)
    if text.isascii() and text.isdigit() and len(text) <= 8 and 0 < int(text) <= _LONGEST_BUCKET:
        return (int(text),)
    raise bad_parameter("bucket", "expected auto, minute, hour, day or a number of seconds")

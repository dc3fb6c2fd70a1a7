"""`GET /events` and `GET /events/{id}`: stored lines, byte for byte."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from audit_stream.query import damage_of
from audit_stream.server import parameters
from audit_stream.server.lines import hash_of
from audit_stream.server.paging import Ask, Page
from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

    from audit_stream.server.service import Service

NDJSON = "application/x-ndjson"
DEFAULT_LIMIT = 1000
MOST = 100_000
FILTERS = ("kind", "source", "since", "until", "contains", "limit")


class Reading:
    """Gives out events."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def many(self, request: Request) -> Response:
        """One page of events, oldest first."""
        query = request.query_params
        ledger = self._service.ledger
        ask = Ask(
            parameters.wanted(query, ledger),
            parameters.limit(query, DEFAULT_LIMIT, MOST),
            parameters.integer(query, "after"),
            parameters.integer(query, "before"),
        )
        page = await asyncio.to_thread(Page, ledger, ask)
        as_lines = parameters.prefers(request, NDJSON, "application/json")
        headers = {"Vary": "Accept"}
        if page.more:
            kept = [(name, value) for name, value in query.multi_items() if name in FILTERS]
            headers["Link"] = f'</events?{urlencode([*kept, *page.next_query()])}>; rel="next"'
        if page.damaged:
            headers["Audit-Stream-Damaged-Lines"] = str(page.damaged)
        media_type = NDJSON if as_lines else "application/json"
        pieces = page.pieces(as_lines=as_lines)
        if page.is_small:
            body = await asyncio.to_thread(lambda: b"".join(pieces))
            return Response(body, 200, headers, media_type)
        return StreamingResponse(_off_the_loop(pieces), 200, headers, media_type)

    async def one(self, request: Request) -> Response:
        """One event; it never changes, so it may be cached for ever."""
        text = request.path_params["event_id"]
        event_id = parameters.event_id(text)
        line = None
        if event_id is not None:
            line = await asyncio.to_thread(self._line, event_id)
        if line is None:
            raise Problem(404, "no_such_event", f"there is no event {text[:40]}")
        damage = damage_of(line)
        if damage is not None:
            raise Problem(500, "damaged_event", f"event {text} is damaged ({damage}); run verify")
        etag = f'"{hash_of(line)}"'
        headers = {"ETag": etag, "Cache-Control": "private, max-age=31536000, immutable"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        return Response(line, 200, headers, "application/json")

    def _line(self, event_id: int) -> bytes | None:
        with self._service.ledger.snapshot() as snapshot:
            return snapshot.event_line(event_id)


async def _off_the_loop(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Draw from an iterator that reads files, in a worker thread."""
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()

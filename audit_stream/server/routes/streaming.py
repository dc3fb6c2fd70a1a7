"""`GET /stream` and `GET /events/stream`: events as they come, and first those that were missed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from audit_stream.server import parameters
from audit_stream.server.feed import Form
from audit_stream.server.lines import hash_of
from audit_stream.server.problems import Problem
from audit_stream.server.stream import KEEP_ALIVE_SECONDS, EventStream, Subscriber

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from audit_stream.server.service import Service


class Streaming:
    """Opens event streams."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def named(self, request: Request) -> Response:
        """Messages with an `event:` field, the event's kind."""
        return await self._open(request, named=True)

    async def unnamed(self, request: Request) -> Response:
        """Messages without, for `EventSource.onmessage`."""
        return await self._open(request, named=False)

    async def _open(self, request: Request, *, named: bool) -> Response:
        service = self._service
        if service.feed.closing:
            raise Problem(503, "shutting_down", "the server is shutting down")
        if service.feed.subscribers >= service.options.settings.serve.max_subscribers:
            raise Problem(503, "too_many_subscribers", "too many open streams; try again")
        query = request.query_params
        wanted = service.ledger.filter(kinds=query.getlist("kind"), sources=query.getlist("source"))
        form = Form(named, wanted.kinds, wanted.sources)
        asked = self._asked_position(request)
        self._count(1)
        try:
            head = await asyncio.to_thread(self._head)
            after, reset_to = head[0], None
            if asked is not None:
                if asked <= head[0]:
                    after = asked
                else:
                    reset_to = head
            subscriber = Subscriber(
                service.feed, lambda: service.ledger, form, wanted, after, reset_to
            )
        except BaseException:
            self._count(-1)
            raise
        return EventStream(subscriber.writes(), lambda: self._count(-1), KEEP_ALIVE_SECONDS)

    def _count(self, change: int) -> None:
        self._service.feed.subscribers += change
        self._service.metrics.subscribers.inc(change)

    def _head(self) -> tuple[int, str | None]:
        with self._service.ledger.snapshot() as snapshot:
            last = snapshot.last_event_id()
            line = snapshot.last_line() if last else None
        return last, None if line is None else hash_of(line)

    def _asked_position(self, request: Request) -> int | None:
        """Return the id behind which the client wants to go on, None for "from now on".

        The header wins: a browser sends it when it reconnects to an address with `after`. An id
        that we cannot have given out is one of another ledger.
        """
        header = request.headers.get("last-event-id", "").strip()
        if header:
            if header.isascii() and header.isdigit() and len(header) <= 16:
                return int(header)
            return 2**63
        return parameters.integer(request.query_params, "after")

"""What is about the service itself: `/`, health, readiness, metrics, kinds, verify, reopen."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from audit_stream import __version__
from audit_stream.server import parameters, readiness
from audit_stream.server.auth import READ, check_role
from audit_stream.server.gate import CALLER
from audit_stream.server.stream import KEEP_ALIVE_SECONDS, EventStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request

    from audit_stream.server.pages import Pages
    from audit_stream.server.service import Service


class General:
    """Answers about the service."""

    def __init__(self, service: Service, pages: Pages, endpoints: Sequence[str]) -> None:
        self._service = service
        self._pages = pages
        self._endpoints = list(endpoints)

    async def root(self, request: Request) -> Response:
        """The console for whoever prefers HTML, which anybody may load; else what this is."""
        if self._pages.has_console and parameters.prefers(request, "text/html", "application/json"):
            return self._pages.console_page()
        check_role(request.scope[CALLER], READ)
        return JSONResponse(
            {
                "name": "audit-stream",
                "version": __version__,
                "description": "An append-only, hash-chained audit ledger.",
                "endpoints": self._endpoints,
            },
            headers={"Vary": "Accept"},
        )

    async def healthz(self, _: Request) -> Response:
        """The process lives."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Whether an append would be accepted, and the last verdict on the ledger."""
        found = await asyncio.to_thread(readiness.check, self._service.commits)
        last = self._service.verifying.last
        return JSONResponse(
            {
                "status": found.status,
                "detail": found.detail,
                "verification": None if last is None else last.summary(),
            },
            200 if found.is_ready else 503,
            {} if found.is_ready else {"Retry-After": "5"},
        )

    async def metrics(self, _: Request) -> Response:
        """Prometheus' text format."""
        service = self._service
        service.metrics.queue_depth.set(service.commits.pending)
        service.metrics.head_event_id.set(service.feed.head_id)
        service.metrics.ledger_bytes.set(service.feed.size)
        latched = getattr(service.ledger.engine, "latched", None)
        service.metrics.latched.set(latched is not None)
        body = await asyncio.to_thread(service.metrics.render)
        return Response(body, 200, {"Content-Type": CONTENT_TYPE_LATEST})

    async def kinds(self, _: Request) -> Response:
        """The vocabulary in force."""
        vocabulary = self._service.ledger.vocabulary
        kinds = [
            {"kind": kind, "source": source} for kind, source in sorted(vocabulary.origins.items())
        ]
        return JSONResponse({"any": vocabulary.any_kind, "kinds": kinds})

    async def verify(self, request: Request) -> Response:
        """The verdict on the whole ledger; as a stream, progress first."""
        if not parameters.prefers(request, "text/event-stream", "application/json"):
            return JSONResponse(await self._service.verifying.result())
        return EventStream(self._reports(), lambda: None, KEEP_ALIVE_SECONDS)

    async def _reports(self) -> AsyncIterator[bytes]:
        async for event, members in self._service.verifying.reports():
            yield b"event: %b\ndata: %b\n\n" % (event.encode(), json.dumps(members).encode())

    async def reopen(self, request: Request) -> Response:
        """Open the ledger anew, which leaves the latched state."""
        await self._service.commits.reopen()
        return await self.readyz(request)

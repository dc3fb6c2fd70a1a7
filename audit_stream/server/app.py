"""The assembly: the table of paths, the error handlers, the gate around it all."""

from __future__ import annotations

import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit_stream.errors import AuditStreamError
from audit_stream.server import problems, service_log
from audit_stream.server.auth import ADMIN, APPEND, READ
from audit_stream.server.gate import Gate
from audit_stream.server.openapi import document
from audit_stream.server.pages import Pages
from audit_stream.server.resource import OPEN, Method, Resource
from audit_stream.server.routes.appending import Appending
from audit_stream.server.routes.general import General
from audit_stream.server.routes.proofs import Proofs
from audit_stream.server.routes.reading import Reading
from audit_stream.server.routes.session import Session
from audit_stream.server.routes.statistics import Statistics
from audit_stream.server.routes.streaming import Streaming
from audit_stream.server.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from audit_stream.server.options import Options

ENDPOINTS = (
    "GET /",
    "GET /healthz",
    "GET /readyz",
    "POST /events",
    "GET /events",
    "GET /events/{event_id}",
    "GET /stream",
    "GET /events/stream",
    "GET /verify",
    "GET /checkpoint",
    "GET /checkpoints",
    "GET /events/{event_id}/proof",
    "GET /proof/consistency",
    "GET /stats",
    "GET /kinds",
    "GET /metrics",
    "GET /session",
    "POST /session",
    "DELETE /session",
    "POST /admin/reopen",
    "GET /openapi.json",
    "GET /docs",
)


class Application:
    """The ASGI application of one server process; `service` is what it serves."""

    def __init__(self, options: Options) -> None:
        self.service = Service(options)
        serve = options.settings.serve
        middleware = []
        if serve.cors_origins:
            middleware.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=list(serve.cors_origins),
                    allow_methods=["GET", "POST", "DELETE"],
                    allow_headers=["Authorization", "Content-Type", "If-Match", "Last-Event-ID"],
                    expose_headers=["ETag", "Link", "Location", "Retry-After"],
                )
            )
        appending = Appending(self.service)
        inner = Starlette(
            routes=_routes(self.service, appending),
            middleware=middleware,
            exception_handlers={
                problems.Problem: problems.on_problem,
                AuditStreamError: problems.on_ledger_error,
                HTTPException: problems.on_http_exception,
                ClientDisconnect: _on_nobody,
                Exception: _on_anything,
            },
            lifespan=self._lifespan,
        )
        inner.router.redirect_slashes = False
        self.app = Gate(
            inner,
            self.service.hosts,
            self.service.guard,
            None if serve.cors_origins else appending,  # CORS headers are a middleware's to add
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self.service.start()
        gc.freeze()  # what there is now stays; the collector need not look at it again
        try:
            yield
        finally:
            await self.service.close()


async def _on_nobody(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # for the books: the client has gone


async def _on_anything(request: Request, error: Exception) -> Response:
    service_log.error("internal_error", path=request.url.path, error=type(error).__name__)
    return problems.Problem(500, "internal", "the server failed; its log says why").response()


def _routes(service: Service, appending: Appending) -> list[Route]:
    pages = Pages()
    general = General(service, pages, ENDPOINTS)
    reading, streaming = Reading(service), Streaming(service)
    session, statistics = Session(service), Statistics(service)

    proofs = Proofs(service)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document(secured=service.guard.required))

    table: list[tuple[str, Mapping[str, Method]]] = [
        (
            "/events",
            {"POST": Method(APPEND, None, appending), "GET": Method(READ, reading.many)},
        ),
        ("/", {"GET": Method(OPEN, general.root)}),
        ("/healthz", {"GET": Method(OPEN, general.healthz)}),
        ("/readyz", {"GET": Method(OPEN, general.readyz)}),
        ("/stream", {"GET": Method(READ, streaming.named)}),
        ("/events/stream", {"GET": Method(READ, streaming.unnamed)}),
        ("/events/{event_id}", {"GET": Method(READ, reading.one)}),
        ("/verify", {"GET": Method(READ, general.verify)}),
        ("/checkpoint", {"GET": Method(READ, proofs.latest)}),
        ("/checkpoints", {"GET": Method(READ, proofs.many)}),
        ("/events/{event_id}/proof", {"GET": Method(READ, proofs.event)}),
        ("/proof/consistency", {"GET": Method(READ, proofs.consistency)}),
        ("/stats", {"GET": Method(READ, statistics.get)}),
        ("/kinds", {"GET": Method(READ, general.kinds)}),
        ("/metrics", {"GET": Method(READ, general.metrics)}),
        (
            "/session",
            {
                "GET": Method(OPEN, session.get),
                "POST": Method(OPEN, session.post),
                "DELETE": Method(OPEN, session.delete),
            },
        ),
        ("/admin/reopen", {"POST": Method(ADMIN, general.reopen)}),
        ("/openapi.json", {"GET": Method(READ, openapi)}),
        ("/docs", {"GET": Method(READ, pages.docs_page)}),
        ("/docs/{name:path}", {"GET": Method(READ, pages.docs_file)}),
        ("/console/{name:path}", {"GET": Method(OPEN, pages.console_file)}),
    ]
    return [Route(path, Resource(methods)) for path, methods in table]

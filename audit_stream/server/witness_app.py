"""The witness over HTTP (C2SP tlog-witness): one POST, decided by `witness_keeper`.

It needs no tokens: a request is worth what the log's signature on it is worth. Requests are bounded
in size, time (`protocol`) and number, so that a stranger can cost little.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from audit_stream.errors import AuditStreamError
from audit_stream.note import MAX_NOTE_BYTES
from audit_stream.witness import TEXT

if TYPE_CHECKING:
    from starlette.requests import Request

    from audit_stream.witness_keeper import Keeper

PATH = "/add-checkpoint"
MAX_BODY_BYTES = MAX_NOTE_BYTES + 4096
"""A note, and a proof of 63 hashes before it."""

_log = logging.getLogger("audit_stream.witness")


def application(keeper: Keeper) -> Starlette:
    """The ASGI application."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            body = await _body(request)
        except ClientDisconnect:
            return _text(400, "the request was cut off")
        if body is None:
            return _text(413, f"a request has at most {MAX_BODY_BYTES} bytes")
        try:
            answer = await run_in_threadpool(keeper.answer, body)
        except AuditStreamError as error:
            # Ours and not the log's fault; the words are for whoever runs the witness.
            _log.error("%s", error)
            return _text(500, "the witness cannot answer now")
        return Response(answer.body, answer.status, {"Content-Type": answer.content_type})

    return Starlette(routes=[Route(PATH, add_checkpoint, methods=["POST"])])


def run(keeper: Keeper, host: str, port: int) -> None:
    """Serves until it is told to stop."""
    import uvicorn

    from audit_stream.server.protocol import LimitedProtocol

    uvicorn.run(
        application(keeper),
        host=host,
        port=port,
        http=LimitedProtocol,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=100,
        timeout_graceful_shutdown=5,
    )


async def _body(request: Request) -> bytes | None:
    """The body, or None when it is too long."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _text(status: int, reason: str) -> Response:
    return Response(f"{reason}\n", status, {"Content-Type": TEXT})

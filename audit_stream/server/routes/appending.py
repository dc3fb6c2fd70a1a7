"""`POST /events`: one event, or a batch of them, answered once durable.

Plain ASGI, reached straight from the gate: Starlette's request, response and routing objects would
cost as much again as checking, hashing and writing the event do.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from audit_stream.errors import AuditStreamError, InvalidEventError
from audit_stream.server import parameters, service_log
from audit_stream.server.auth import APPEND, check_role
from audit_stream.server.gate import CALLER, FIELDS, NOSNIFF
from audit_stream.server.problems import Problem, from_error

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from audit_stream.event import Draft
    from audit_stream.server.service import Service
    from audit_stream.storage import Commit

NDJSON = b"application/x-ndjson"
_JSON = (b"content-type", b"application/json")
_SLICE = 128


class Appending:
    """Takes events."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Append what the body holds. An ASGI application that answers everything itself."""
        try:
            body, headers = await self._append(scope, receive)
        except ClientDisconnect:
            return
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        except AuditStreamError as error:
            await from_error(error).response()(scope, receive, send)
            return
        except Exception:
            service_log.exception("internal_error", path="/events")
            failure = Problem(500, "internal", "the server failed; its log says why")
            await failure.response()(scope, receive, send)
            return
        headers += ((b"content-length", b"%d" % len(body)), _JSON, NOSNIFF)
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _append(
        self, scope: Scope, receive: Receive
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        caller = check_role(scope[CALLER], APPEND)
        fields = scope[FIELDS]
        kind = parameters.media_type(fields)
        is_batch = kind == NDJSON
        if not is_batch and not parameters.is_json(kind):
            raise Problem(
                415,
                "unsupported_media_type",
                f"send application/json, or {NDJSON.decode()} for a batch",
                headers={"Accept": f"application/json, {NDJSON.decode()}"},
            )
        expected = parameters.expected_head(fields)
        body = await self._service.bodies.read(fields, receive)
        drafts = await self._read_batch(body) if is_batch else [self._service.read_draft(body)]
        if caller.sources is not None:
            caller.check_sources(drafts)
        commit = await self._commit(drafts, expected, len(body))
        head = commit.head
        etag = (b"etag", b'"%b"' % head.hash.encode())
        if is_batch:
            return _summary(commit), [etag]
        return commit.lines[0][:-1], [(b"location", b"/events/%d" % head.count), etag]

    async def _read_batch(self, body: bytes) -> list[Draft]:
        """Check all lines, in slices: others want the loop too. Blank lines are skipped."""
        drafts: list[Draft] = []
        read = self._service.read_draft
        for index, line in enumerate(body.split(b"\n")):
            if line.strip():
                try:
                    drafts.append(read(line))
                except InvalidEventError as error:
                    raise _on_line(error, index + 1) from None
                if len(drafts) % _SLICE == 0:
                    await asyncio.sleep(0)
        if not drafts:
            raise Problem(422, "empty_batch", "the body has no events")
        return drafts

    async def _commit(self, drafts: list[Draft], expected: str | None, size: int) -> Commit:
        service = self._service
        began = time.perf_counter()
        commit = await service.commits.submit(drafts, expected, size)
        service.metrics.append_seconds.observe(time.perf_counter() - began)
        return commit


def _summary(commit: Commit) -> bytes:
    return json.dumps(
        {
            "count": len(commit.lines),
            "first_event_id": commit.before.count + 1,
            "last_event_id": commit.head.count,
            "latest_hash": commit.head.hash,
        }
    ).encode()


def _on_line(error: InvalidEventError, number: int) -> Problem:
    problem = from_error(error)
    problem.detail = f"line {number}: {problem.detail}"
    problem.members["line"] = number
    return problem

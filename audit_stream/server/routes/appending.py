"""`POST /events`: one event, or a batch of them, answered once durable."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from audit_stream.errors import InvalidEventError
from audit_stream.server import parameters
from audit_stream.server.problems import Problem, from_error
from audit_stream.server.resource import caller_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from audit_stream.event import Draft
    from audit_stream.server.service import Service
    from audit_stream.storage import Commit

NDJSON = "application/x-ndjson"
_SLICE = 128


class Appending:
    """Takes events."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def post(self, request: Request) -> Response:
        """Append what the body holds."""
        kind = parameters.media_type(request)
        if kind == NDJSON:
            return await self._batch(request)
        if not parameters.is_json(kind):
            raise Problem(
                415,
                "unsupported_media_type",
                f"send application/json, or {NDJSON} for a batch",
                headers={"Accept": f"application/json, {NDJSON}"},
            )
        return await self._one(request)

    async def _one(self, request: Request) -> Response:
        expected = parameters.expected_head(request)
        body = await self._service.bodies.read(request)
        draft = self._service.read_draft(body)
        caller_of(request).check_sources((draft,))
        commit = await self._commit([draft], expected, len(body))
        line = commit.lines[0][:-1]
        return Response(
            line,
            201,
            {"Location": f"/events/{commit.head.count}", "ETag": f'"{commit.head.hash}"'},
            "application/json",
        )

    async def _batch(self, request: Request) -> Response:
        expected = parameters.expected_head(request)
        body = await self._service.bodies.read(request)
        drafts = await self._read_batch(body)
        caller_of(request).check_sources(drafts)
        commit = await self._commit(drafts, expected, len(body))
        return JSONResponse(
            {
                "count": len(drafts),
                "first_event_id": commit.before.count + 1,
                "last_event_id": commit.head.count,
                "latest_hash": commit.head.hash,
            },
            201,
            {"ETag": f'"{commit.head.hash}"'},
        )

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
        service.metrics.appended(drafts)
        return commit


def _on_line(error: InvalidEventError, number: int) -> Problem:
    problem = from_error(error)
    problem.detail = f"line {number}: {problem.detail}"
    problem.members["line"] = number
    return problem

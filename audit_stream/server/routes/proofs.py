"""`/checkpoint`, `/checkpoints`, and the proofs that go with them.

Text forms are the files that the command line reads: what `/checkpoint` answers goes to `verify
--checkpoint`, a proof to `check-proof`. Nothing here has to be believed; that is the point of it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import JSONResponse, Response

from audit_stream.checkpoints import END
from audit_stream.encoding import to_base64
from audit_stream.errors import NotSignedError, ProofError
from audit_stream.server import parameters
from audit_stream.server.problems import Problem, bad_parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from audit_stream.checkpoints import Checkpoints
    from audit_stream.server.service import Service

DEFAULT_LIMIT = 100
MOST = 10_000
TEXT = "text/plain"
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_REFUSED_SECONDS = 60.0

_T = TypeVar("_T")


class Proofs:
    """Gives out what was signed, and proofs against it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # A ledger that is not the one that was signed costs a walk over all of it before that is
        # known for certain: one walk at a time, and the answer holds for a while.
        self._one = asyncio.Lock()
        self._refused: tuple[float, ProofError] | None = None

    @property
    def _checkpoints(self) -> Checkpoints:
        return self._service.ledger.checkpoints

    async def latest(self, _: Request) -> Response:
        """The last signed checkpoint."""
        data = await asyncio.to_thread(self._checkpoints.latest)
        if data is None:
            raise NotSignedError("no checkpoint was signed yet")
        return Response(data, 200, _HEADERS, TEXT)

    async def many(self, request: Request) -> Response:
        """The most recent checkpoints, oldest first, in the form in which they are kept."""
        limit = parameters.limit(request.query_params, DEFAULT_LIMIT, MOST)
        found = await asyncio.to_thread(self._checkpoints.newest, limit)
        return Response(b"".join(data + END for data in found), 200, _HEADERS, TEXT)

    async def event(self, request: Request) -> Response:
        """The proof of one event against the last checkpoint, as a file for `check-proof`."""
        text = request.path_params["event_id"]
        event_id = parameters.event_id(text)
        if event_id is None:
            raise Problem(404, "no_such_event", f"there is no event {text[:40]}")
        checkpoints = self._checkpoints
        data = await self._made(lambda: checkpoints.prove(event_id))
        return Response(data, 200, _HEADERS, TEXT)

    async def consistency(self, request: Request) -> Response:
        """The proof that one size of the ledger extends another: JSON for any two sizes, text, as
        a file for `check-proof`, for two that were signed."""
        query = request.query_params
        old = parameters.integer(query, "from")
        if old is None:
            raise bad_parameter("from", "missing; how many events the older ledger has")
        new = parameters.integer(query, "to")
        checkpoints = self._checkpoints
        found = await self._made(lambda: checkpoints.consistency(old, new))
        if parameters.prefers(request, TEXT, "application/json"):
            return await self._file(checkpoints, found.old_size, found.new_size)
        members = {
            "from": found.old_size,
            "to": found.new_size,
            "from_root": to_base64(found.old_root),
            "to_root": to_base64(found.new_root),
            "hashes": [to_base64(node) for node in found.hashes],
        }
        return JSONResponse(members, headers={**_HEADERS, "Vary": "Accept"})

    async def _file(self, checkpoints: Checkpoints, old: int, new: int) -> Response:
        notes = [await asyncio.to_thread(checkpoints.of_size, size) for size in (old, new)]
        for size, data in zip((old, new), notes, strict=True):
            if data is None:
                raise NotSignedError(f"no checkpoint was signed at {size} events")
        first, second = (data or b"" for data in notes)
        text = await self._made(lambda: checkpoints.prove_extension(first, second))
        return Response(text, 200, {**_HEADERS, "Vary": "Accept"}, TEXT)

    async def _made(self, make: Callable[[], _T]) -> _T:
        async with self._one:
            if self._refused is not None and time.monotonic() < self._refused[0]:
                raise self._refused[1]
            try:
                return await asyncio.to_thread(make)
            except ProofError as error:
                self._refused = time.monotonic() + _REFUSED_SECONDS, error
                raise

"""Reading a request body within limits: one body's size, and what all bodies together may hold.

Slow bodies are the protocol's to end (`protocol.py`); it sees them even when nobody reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

_BUDGET_BODIES = 16


class BodyReader:
    """Reads bodies of at most `max_bytes`; all that are being read share a budget of sixteen such
    bodies, past which a request is told to come back later."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._budget = max(max_bytes * _BUDGET_BODIES, 64 << 20)
        self._held = 0

    async def read(
        self, fields: Mapping[bytes, bytes], receive: Receive, at_most: int | None = None
    ) -> bytes:
        """Return the body of a request with the headers `fields`.

        Raises Problem (413 too large, 503 too much is being read at once) and ClientDisconnect.
        """
        limit = self.max_bytes if at_most is None else at_most
        length = fields.get(b"content-length")
        # The protocol has seen to it that Content-Length is a number.
        if length is not None and int(length) > limit:
            raise _too_large(limit)
        # The usual case: everything came with the headers, in one message.
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > limit:
                raise _too_large(limit)
            return body
        return await self._read_on(receive, body, limit)

    async def _read_on(self, receive: Receive, first: bytes, limit: int) -> bytes:
        parts, size, more = [first], len(first), True
        self._held += size
        try:
            while more:
                if size > limit:
                    raise _too_large(limit)
                if self._held > self._budget:
                    raise Problem(503, "busy", "too many large bodies at once; try again")
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part = message.get("body", b"")
                more = message.get("more_body", False)
                parts.append(part)
                size += len(part)
                self._held += len(part)
            if size > limit:
                raise _too_large(limit)
            return b"".join(parts)
        finally:
            self._held -= size


def _too_large(limit: int) -> Problem:
    return Problem(413, "body_too_large", f"the body is larger than {limit} bytes")

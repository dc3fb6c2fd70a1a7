"""One subscriber: a cursor over the ledger, and the response that sends what lies behind it.

A subscriber holds no queue. When it is woken it sends everything between its cursor and the end
of the feed's ring in one write; when the ring has moved on without it, it reads the file at its
own pace until it meets the ring again. So a slow one loses nothing and slows no one.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse, SendTimeoutError

from audit_stream.errors import AuditStreamError
from audit_stream.server import service_log
from audit_stream.server.feed import POLL_SECONDS, entries_of, frame
from audit_stream.server.lines import last_event_id
from audit_stream.server.protocol import UNREAD_SECONDS, abort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from audit_stream.ledger import Ledger
    from audit_stream.query import Filter
    from audit_stream.server.feed import Chunk, Feed, Form

KEEP_ALIVE_SECONDS = 15
WRITE_BYTES = 256 * 1024
"""About how much goes out in one write at most; also what is read from the file at a time."""


class Subscriber:
    """A position in the ledger, and in the ring where that holds it.

    Args:
        after: the id of the last event that the client has; sending goes on behind it.
        reset_to: the head (event_id, hash) to announce first, because the client has seen another
            ledger; sending goes on behind that.
    """

    def __init__(
        self,
        feed: Feed,
        ledger: Callable[[], Ledger],
        form: Form,
        wanted: Filter,
        after: int,
        reset_to: tuple[int, str | None] | None = None,
    ) -> None:
        self._feed = feed
        self._ledger = ledger
        self._form = form
        self._wanted = wanted
        self._after = after
        self._reset_to = reset_to
        self._generation = feed.generation
        self._number = feed.number_behind(after)

    async def writes(self) -> AsyncIterator[bytes]:
        """Yield what to send, one write after the other, until the server closes."""
        feed = self._feed
        if self._reset_to is not None:
            yield reset_frame(*self._reset_to)
        while not feed.closing:
            data = self._from_ring() if self._number is not None else b""
            if data:
                yield data
                continue
            if self._number is not None and self._number >= feed.next_number:
                if self._generation == feed.generation:
                    await feed.more()
                else:
                    yield self._start_over()
            elif self._number is None:
                if self._generation != feed.generation:
                    yield self._start_over()
                    continue
                before = self._after
                data = await asyncio.to_thread(self._from_file)
                if data:
                    yield data
                self._number = feed.number_behind(self._after)
                if self._number is None and self._after == before:
                    await asyncio.sleep(POLL_SECONDS)  # the file was cut, and the feed lags

    def _from_ring(self) -> bytes:
        """Return everything pending, up to a write's size; empty when there is nothing, or when
        the ring does not hold the cursor's chunk any more (`_number` is None then)."""
        assert self._number is not None  # noqa: S101 - the caller's condition
        parts: list[bytes] = []
        size = 0
        while self._number < self._feed.next_number and size < WRITE_BYTES:
            chunk = self._feed.chunk(self._number)
            if chunk is None:
                self._number = None
                break
            if chunk.generation != self._generation:
                if not parts:
                    parts.append(self._start_over(chunk))
                    continue
                break
            part = chunk.framed(self._form, self._after)
            self._after = max(self._after, chunk.last)
            self._number += 1
            size += len(part)
            parts.append(part)
        return b"".join(parts)

    def _start_over(self, chunk: Chunk | None = None) -> bytes:
        """Go on with the ledger that took the place of the one followed, from its start, which
        is `chunk` if the ring holds it."""
        self._after = 0
        if chunk is None:
            self._generation = self._feed.generation
            self._number = self._feed.number_behind(0)
        else:
            self._generation = chunk.generation
            self._number = chunk.number
        return reset_frame(0, None)

    def _from_file(self) -> bytes:
        """Read and frame the next events from the file. Moves the cursor."""
        parts: list[bytes] = []
        size = 0
        with self._ledger().snapshot() as snapshot:
            for block in snapshot.between(self._after):
                found = self._wanted.scan(block)
                part = frame(entries_of(found.lines), self._form) if found.lines else b""
                parts.append(part)
                size += len(part)
                self._after = max(self._after + 1, last_event_id(block.data))
                # Where few lines match, reading on costs time and no memory; but the feed may
                # have started over meanwhile.
                if size >= WRITE_BYTES or len(parts) >= 256:
                    break
        return b"".join(parts)


def reset_frame(event_id: int, latest_hash: str | None) -> bytes:
    """Tell a client that the ledger is not the one it knew; what follows continues this head."""
    head = json.dumps({"last_event_id": event_id, "latest_hash": latest_hash})
    return b"event: reset\nid: %d\ndata: %b\n\n" % (event_id, head.encode())


def _keep_alive() -> ServerSentEvent:
    return ServerSentEvent(comment="keep-alive", sep="\n")


class EventStream(EventSourceResponse):
    """A stream that ends by itself when the server closes, and is cut off when its client does
    not read for 30 s. `on_end` is called once, however it ends."""

    def __init__(
        self, writes: AsyncIterator[bytes], on_end: Callable[[], None], ping: float
    ) -> None:
        super().__init__(
            writes,
            ping=ping,
            ping_message_factory=_keep_alive,
            send_timeout=UNREAD_SECONDS,
            sep="\n",
        )
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            service_log.info("subscriber_let_go", reason="it stopped reading")
            abort(scope)
        except AuditStreamError as error:
            service_log.error("stream_failed", code=error.code, detail=str(error))
            abort(scope)
        finally:
            self._on_end()

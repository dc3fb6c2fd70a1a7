"""HTTP/1.1 as uvicorn and httptools speak it, with the limits that they lack.

- headers, all together: 64 KiB, else 431;
- headers not complete 10 s after their first byte (or after the connection was made): 408;
- a body that brings less than 16 KiB in 10 s and is not complete: 408;
- a client whose kernel does not take any data for 30 s is let go (`TCP_USER_TIMEOUT`), also when
  there is too little to send for the write buffer to notice.

httptools itself refuses a request that has both Content-Length and Transfer-Encoding, or several
of either (RFC 9112 section 6.3: request smuggling).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

HEADER_SECONDS = 10.0
BODY_SECONDS = 10.0
BODY_BYTES = 16 * 1024
"""What a body must bring in every BODY_SECONDS."""
MAX_HEADER_BYTES = 64 * 1024
UNREAD_SECONDS = 30.0
"""How long a client may leave what was sent to it unread."""

EXTENSION = "audit_stream.abort"
"""The ASGI extension through which an application drops the connection at once."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection, which is always in one of three phases: idle, headers, body. The latter two
    have a timer; a request that comes whole in one read, as most do, passes without one.
    """

    _phase = "idle"
    _timed_phase = ""
    _timer: TimerHandle | None = None
    _header_bytes = 0
    _body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit_unread(transport.get_extra_info("socket"))
        self._time("nothing yet", HEADER_SECONDS, self._headers_overdue)

    def _limit_unread(self, connection: Any) -> None:
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None and connection is not None:
            with contextlib.suppress(OSError):  # not TCP
                connection.setsockopt(socket.IPPROTO_TCP, option, int(UNREAD_SECONDS * 1000))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._phase != "body":
            self._header_bytes += len(data)
        super().data_received(data)
        if self._phase == "headers" and self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(431, "the headers are larger than 64 KiB")
        elif self._phase == self._timed_phase:
            pass  # its time is running
        elif self._phase == "headers":
            self._time("headers", HEADER_SECONDS, self._headers_overdue)
        elif self._phase == "body":
            self._time("body", BODY_SECONDS, self._body_overdue)
        else:
            self._stop()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = "headers"

    def on_headers_complete(self) -> None:
        self._phase = "body"
        self._header_bytes = self._body_bytes = 0
        self.scope["extensions"] = {EXTENSION: {"abort": self.transport.abort}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = "idle"
        super().on_message_complete()

    # -- timers ------------------------------------------------------------------------------

    def _time(self, phase: str, seconds: float, overdue: Callable[[], None]) -> None:
        self._stop()
        self._timed_phase = phase
        self._timer = self.loop.call_later(seconds, overdue)

    def _stop(self) -> None:
        self._timed_phase = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _headers_overdue(self) -> None:
        if self._phase == "headers":
            self._refuse(408, "the headers did not come within 10 s")
        else:
            self.transport.close()  # nothing at all was sent

    def _body_overdue(self) -> None:
        answered = self.cycle is not None and self.cycle.response_complete
        if answered:
            self.transport.close()  # refused long ago, and the rest of the body still comes
        elif self.flow.read_paused or self._body_bytes >= BODY_BYTES:
            self._body_bytes = 0
            self._time("body", BODY_SECONDS, self._body_overdue)
        else:
            self._refuse(408, "the body came too slowly")

    # -- refusing before there is an application to do it ------------------------------------

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "not a valid HTTP request")

    def _refuse(self, status: int, detail: str) -> None:
        self._stop()
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.close()
                return
            # The handler that waits for the rest of the body learns that the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        phrase = HTTPStatus(status).phrase
        body = json.dumps(
            {
                "type": f"urn:audit-stream:problem:{HTTPStatus(status).name.lower()}",
                "title": phrase,
                "status": status,
                "detail": detail,
                "code": HTTPStatus(status).name.lower(),
            }
        ).encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status, phrase.encode(), len(body), body)
        )
        self.transport.close()


def abort(scope: Any) -> None:
    """Drop the connection of a request at once, with whatever was not sent yet."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is not None:
        extension["abort"]()

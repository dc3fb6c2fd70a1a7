"""What every request passes before any handler: Host, Origin, who is calling, response headers.

Plain ASGI, and the order is fixed: a request for a host that is not ours is not even told whether
a token is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from audit_stream.server.auth import Guard
    from audit_stream.server.hosts import HostCheck

CALLER = "audit_stream.caller"
"""Where in the ASGI scope the caller stands (`auth.Caller`, or None for nobody we know)."""

FIELDS = "audit_stream.headers"
"""Where in the ASGI scope the headers stand as a dict; of a repeated one the last."""

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_OWN_SITE = frozenset((b"same-origin", b"none"))

NOSNIFF = (b"x-content-type-options", b"nosniff")
HEADERS = [
    NOSNIFF,
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""On every response but that to an append, which is no document and comes by the thousand."""

_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE = (b"cache-control", b"no-store")


class Gate:
    """Wraps the application.

    Args:
        append: takes `POST /events` without going through the application's layers: that request
            is what throughput is measured by.
    """

    def __init__(
        self, app: ASGIApp, hosts: HostCheck, guard: Guard, append: ASGIApp | None
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._guard = guard
        self._append = append

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._admit(scope)
        except Problem as problem:
            await problem.response()(scope, receive, _with_headers(send))
            return
        if self._append is not None and scope["method"] == "POST" and scope["path"] == "/events":
            await self._append(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))

    def _admit(self, scope: Scope) -> None:
        """Put the headers and the caller into the scope. Raises Problem."""
        listed = scope["headers"]
        fields = scope[FIELDS] = dict(listed)
        if len(fields) != len(listed):
            _join_repeated(listed, fields)
        host = fields.get(b"host")
        if host is None and scope["http_version"] != "1.0":
            raise Problem(400, "bad_host", "there is no Host header")
        if host is not None and not self._hosts.host_is_known(host):
            raise Problem(
                400, "bad_host", "this server is not known by that Host; see serve.allowed_hosts"
            )
        origin = fields.get(b"origin")
        if origin is not None:
            if not self._hosts.origin_is_known(origin, host or b""):
                raise Problem(
                    403,
                    "foreign_origin",
                    "this origin may not call; serve.cors_origins names those that may",
                )
        elif (
            fields.get(b"sec-fetch-site", b"none") not in _OWN_SITE
            and scope["method"] not in _SAFE_METHODS
        ):
            raise Problem(403, "foreign_origin", "a page on another site may not change anything")
        scope[CALLER] = self._guard.identify(fields.get(b"authorization"), fields.get(b"cookie"))


def _join_repeated(listed: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]) -> None:
    """Handle repeated headers. Raises Problem for two Hosts (RFC 9112 section 3.2)."""
    names = [name for name, _ in listed]
    if names.count(b"host") > 1:
        raise Problem(400, "bad_host", "expected exactly one Host header")
    if names.count(b"cookie") > 1:  # RFC 9113 section 8.2.3 lets a proxy split it
        fields[b"cookie"] = b"; ".join(value for name, value in listed if name == b"cookie")


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = message["headers"]
            names = {name for name, _ in own}
            extra = list(HEADERS)
            if b"cache-control" not in names:
                extra.append(_NO_STORE)
            if b"content-security-policy" not in names:
                extra.append(_CSP)
            message["headers"] = [*own, *extra]
        await send(message)

    return send_with_headers

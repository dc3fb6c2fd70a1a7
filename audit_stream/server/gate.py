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

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_OWN_SITE = frozenset((b"same-origin", b"none"))

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""On every response. A page sets its own Content-Security-Policy; nothing else is one."""

_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE = (b"cache-control", b"no-store")


class Gate:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, hosts: HostCheck, guard: Guard) -> None:
        self._app = app
        self._hosts = hosts
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

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

        try:
            self._admit(scope)
        except Problem as problem:
            await problem.response()(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _admit(self, scope: Scope) -> None:
        """Put the caller into the scope. Raises Problem."""
        hosts: list[bytes] = []
        origin = authorization = cookie = site = None
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origin = value
            elif name == b"authorization":
                authorization = value
            elif name == b"cookie":
                cookie = value if cookie is None else cookie + b"; " + value
            elif name == b"sec-fetch-site":
                site = value
        host = self._host(hosts, scope["http_version"])
        if origin is not None and not self._hosts.origin_is_known(origin.decode("latin-1"), host):
            raise Problem(
                403, "foreign_origin", "this origin may not call; serve.cors_origins names those"
            )
        caller = self._guard.identify(authorization, cookie)
        if (
            site is not None
            and origin is None
            and site not in _OWN_SITE
            and scope["method"] not in _SAFE_METHODS
        ):
            raise Problem(403, "foreign_origin", "a page on another site may not change anything")
        scope[CALLER] = caller

    def _host(self, hosts: list[bytes], version: str) -> str:
        # RFC 9112 section 3.2: exactly one, from HTTP/1.1 on.
        if len(hosts) != 1:
            if not hosts and version == "1.0":
                return ""
            raise Problem(400, "bad_host", "expected exactly one Host header")
        host = hosts[0].decode("latin-1")
        if not self._hosts.host_is_known(host):
            raise Problem(
                400, "bad_host", "this server is not known by that Host; see serve.allowed_hosts"
            )
        return host

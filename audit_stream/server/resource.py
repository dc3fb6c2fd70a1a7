"""One path: its methods, the role that each needs, and its handlers.

One object for a path, so that `Allow` (RFC 9110 section 10.2.1) names all of its methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request

from audit_stream.server.auth import check_role
from audit_stream.server.gate import CALLER
from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    Handler = Callable[[Request], Awaitable[Response]]

OPEN = ""
"""In the place of a role: everybody may."""


class Method(NamedTuple):
    """A method's handler, and the role that it needs; or an ASGI application that sees to all
    that by itself."""

    role: str
    handler: Handler | None
    app: ASGIApp | None = None


class Resource:
    """An ASGI application for one path."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods["HEAD"] = methods["GET"]
        self._allow = ", ".join(sorted(self._methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = self._methods.get(scope["method"])
        if method is None:
            raise Problem(
                405,
                "method_not_allowed",
                f"{scope['path']} takes {self._allow}",
                headers={"Allow": self._allow},
            )
        if method.app is not None:
            await method.app(scope, receive, send)
            return
        if method.role != OPEN:
            check_role(scope[CALLER], method.role)
        assert method.handler is not None  # noqa: S101 - it is the one or the other
        response = await method.handler(Request(scope, receive, send))
        await response(scope, receive, send)

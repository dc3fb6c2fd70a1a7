"""One path: its methods, the role that each needs, and its handlers.

One object for a path, so that `Allow` (RFC 9110 section 10.2.1) names all of its methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from starlette.requests import Request

from audit_stream.server.auth import Caller, check_role
from audit_stream.server.gate import CALLER
from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    Handler = Callable[[Request], Awaitable[Response]]

OPEN = ""
"""In the place of a role: everybody may."""


class Method(NamedTuple):
    """A method's handler, and the role that it needs."""

    role: str
    handler: Handler


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
        if method.role != OPEN:
            check_role(scope[CALLER], method.role)
        response = await method.handler(Request(scope, receive, send))
        await response(scope, receive, send)


def caller_of(request: Request) -> Caller:
    """Return who sent a request that has passed its role check."""
    return cast("Caller", request.scope[CALLER])

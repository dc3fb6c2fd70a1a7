"""The console's sign-in: a token is exchanged for a cookie that scripts cannot read.

`EventSource` cannot send headers, hence the cookie.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from audit_stream.server import parameters, service_log
from audit_stream.server.auth import COOKIE, SESSION_SECONDS
from audit_stream.server.gate import CALLER, FIELDS
from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from audit_stream.server.service import Service

_BODY_BYTES = 4096


class Session:
    """Signs in and out."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def get(self, request: Request) -> Response:
        """Whether a sign-in is needed, and who is signed in."""
        caller = request.scope[CALLER]
        required = self._service.guard.required
        return JSONResponse(
            {
                "required": required,
                "signed_in": required and caller is not None,
                "name": None if caller is None else caller.name,
                "roles": [] if caller is None else sorted(caller.roles),
            }
        )

    async def post(self, request: Request) -> Response:
        """Exchange a token for a cookie."""
        if not parameters.is_json(parameters.media_type(request.scope[FIELDS])):
            raise Problem(415, "unsupported_media_type", "send application/json")
        token = _token(
            await self._service.bodies.read(request.scope[FIELDS], request.receive, _BODY_BYTES)
        )
        value = self._service.guard.sign_in(token)
        if value is None:
            service_log.warning("sign_in_refused", client=_client(request))
            raise Problem(
                401,
                "unauthorized",
                "this token is not known",
                headers={"WWW-Authenticate": 'Bearer realm="audit-stream"'},
            )
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE,
            value,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=_is_secure(request),
        )
        return response

    async def delete(self, request: Request) -> Response:
        """Sign out."""
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_secure(request))
        return response


def _token(body: bytes) -> str:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(422, "invalid_json", "the body is not JSON") from None
    token = members.get("token") if isinstance(members, dict) else None
    if not isinstance(token, str) or set(members) != {"token"}:
        raise Problem(422, "invalid_session", 'expected {"token": "…"}', member="token")
    return token


def _is_secure(request: Request) -> bool:
    # The header may be forged, and then only makes the cookie of the forger useless.
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return request.url.scheme == "https" or forwarded == "https"


def _client(request: Request) -> str | None:
    return None if request.client is None else request.client.host

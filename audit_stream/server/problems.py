"""Errors as RFC 9457 problem documents. The one table from error codes to HTTP statuses is here.

`detail` is a sentence for people and what the clients of old read. `code` is stable, for programs.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from audit_stream.errors import AuditStreamError, HeadMismatchError, InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

STATUS_BY_CODE = {
    "input": 400,
    "invalid_event": 422,
    "unknown_kind": 422,
    "event_too_large": 413,
    "not_signed": 404,
    "not_found": 503,
    "unreadable": 503,
    "damaged_tail": 503,
    "head_mismatch": 412,
    "storage": 503,
    "storage_full": 507,
    "storage_latched": 503,
    "lock_timeout": 503,
}
"""HTTP status by `AuditStreamError.code`; anything else is ours to explain (500)."""

RETRY_AFTER = "2"
"""Seconds after which a client that was answered 503 may try again."""


class Problem(Exception):  # noqa: N818 - it is named for the document it becomes
    """A request that is refused: raised anywhere in a handler, answered as a problem document.

    `members` are extension members of the document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.setdefault("Retry-After", RETRY_AFTER)

    def response(self) -> Response:
        """Return the problem document."""
        document = {
            "type": f"urn:audit-stream:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.members,
        }
        return JSONResponse(
            document, self.status, self.headers, media_type="application/problem+json"
        )


def bad_parameter(name: str, detail: str) -> Problem:
    """A query parameter, path parameter or header that cannot be used (400)."""
    return Problem(400, "bad_parameter", f"{name}: {detail}", parameter=name)


def from_error(error: AuditStreamError) -> Problem:
    """Return the problem that an error of the ledger becomes."""
    status = STATUS_BY_CODE.get(error.code, 500)
    members: dict[str, Any] = {}
    headers: dict[str, str] = {}
    detail = str(error)
    if isinstance(error, InvalidEventError):
        if error.member is not None:
            members["member"] = error.member
            detail = f"{error.member}: {detail}"
        if error.index is not None:
            members["index"] = error.index
    if isinstance(error, HeadMismatchError):
        members["head_hash"] = error.head_hash
        headers["ETag"] = f'"{error.head_hash}"'
    return Problem(status, error.code, detail, headers=headers, **members)


async def on_problem(_: Request, error: Exception) -> Response:
    """Starlette's handler for `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class only
    return error.response()


async def on_ledger_error(_: Request, error: Exception) -> Response:
    """Starlette's handler for `AuditStreamError`."""
    assert isinstance(error, AuditStreamError)  # noqa: S101 - registered for this class only
    return from_error(error).response()


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own exceptions (404, 405, a client that went away)."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    code = HTTPStatus(error.status_code).name.lower()
    detail = f"there is nothing at {request.url.path}" if code == "not_found" else error.detail
    return Problem(error.status_code, code, detail, headers=error.headers).response()

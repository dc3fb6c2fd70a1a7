"""One small HTTP request, as timestamping authorities and witnesses are asked.

Whoever answers is a stranger: the answer is bounded in size and time, and believed only for the
signature that it carries. No redirect is followed, since a request names whom it is meant for.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from audit_stream.errors import InputError, TransportError

TIMEOUT = 10.0
"""Seconds without a byte before a request is given up."""

MAX_ANSWER_BYTES = 1 << 20


class Reply(NamedTuple):
    """An answer, whatever its status."""

    status: int
    content_type: str
    body: bytes


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def host_of(url: str) -> str:
    """The host that an http or https URL names. Raises `InputError` for any other."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts.hostname
    except ValueError:
        pass
    raise InputError(f"{url!a}: expected an http or https URL")


def post(url: str, body: bytes, content_type: str) -> Reply:
    """Sends `body`, and returns the answer. Raises `InputError`, `TransportError`."""
    host_of(url)
    request = Request(url, body, {"Content-Type": content_type}, method="POST")  # noqa: S310
    try:
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as response:
            return _read(url, response)
    except HTTPError as error:
        with error:
            return _read(url, error)
    except (URLError, OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise TransportError(f"{url}: {reason}") from None


def _read(url: str, response: object) -> Reply:
    body: bytes = response.read(MAX_ANSWER_BYTES + 1)  # type: ignore[attr-defined]
    if len(body) > MAX_ANSWER_BYTES:
        raise TransportError(f"{url}: the answer is longer than {MAX_ANSWER_BYTES} bytes")
    content_type = response.headers.get("Content-Type") or ""  # type: ignore[attr-defined]
    return Reply(response.status, content_type, body)  # type: ignore[attr-defined]

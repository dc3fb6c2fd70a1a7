"""Query parameters and headers, read strictly: what cannot be used is refused by name (400)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from audit_stream.errors import InvalidEventError, UnknownKindError
from audit_stream.server.problems import bad_parameter, from_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from audit_stream.ledger import Ledger
    from audit_stream.query import Filter

_DIGITS = 16
_is_hash = re.compile("[0-9a-f]{64}").fullmatch


def integer(query: QueryParams, name: str, default: int | None = None) -> int | None:
    """Return a parameter that is an integer from 0 on. Raises Problem."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text.lstrip("0")) <= _DIGITS):
        raise bad_parameter(name, "expected a whole number, 0 or more")
    return int(text)


def limit(query: QueryParams, default: int, most: int) -> int:
    """Return the `limit` parameter. Raises Problem."""
    value = integer(query, "limit", default)
    if value is None or not 1 <= value <= most:
        raise bad_parameter("limit", f"expected a number from 1 to {most}")
    return value


def wanted(query: QueryParams, ledger: Ledger) -> Filter:
    """Compile the filters `kind`, `source`, `since`, `until` and `contains`.

    Raises Problem: 422 for a kind that is not in force, 400 for a time that cannot be read.
    """
    contains = query.get("contains", "")
    if "\0" in contains:
        raise bad_parameter("contains", "a NUL cannot occur in an event")
    try:
        return ledger.filter(
            kinds=query.getlist("kind"),
            sources=query.getlist("source"),
            since=query.get("since"),
            until=query.get("until"),
            contains=contains,
        )
    except (UnknownKindError, InvalidEventError) as error:
        raise from_error(error) from None


def media_type(fields: Mapping[bytes, bytes]) -> bytes:
    """Return a request's Content-Type without parameters, lower-case; empty without one."""
    return fields.get(b"content-type", b"").partition(b";")[0].strip().lower()


def is_json(kind: bytes) -> bool:
    """Whether a media type is JSON (RFC 8259, RFC 6839 `+json`).

    None of them is among the types that a form, or any page on another site, may send without
    asking first.
    """
    return kind == b"application/json" or (
        kind.startswith(b"application/") and kind.endswith(b"+json")
    )


def prefers(request: Request, kind: str, to: str) -> bool:
    """Whether the Accept header names `kind`, and not after `to` (RFC 9110 section 12.5.1)."""
    accepted = _accepted(request.headers.get("accept", ""))
    quality = accepted.get(kind, 0.0)
    return quality > 0 and quality >= accepted.get(to, 0.0)


def _accepted(header: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in header.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        found[kind] = quality
    return found


def expected_head(fields: Mapping[bytes, bytes]) -> str | None:
    """Return the head hash of an If-Match header (RFC 9110 section 13.1.1), None for any.

    The hash may also come without quotes. Raises Problem (400) for what is not one hash; a weak
    tag, which never matches, is one of these.
    """
    header = fields.get(b"if-match")
    if header is None or header.strip() == b"*":
        return None
    head = header.decode("latin-1").strip().strip('"').lower()
    if _is_hash(head) is None:
        raise bad_parameter("If-Match", "expected the head's hash: 64 hex digits in quotes")
    return head


def event_id(text: str) -> int | None:
    """Return the event id in a path, None when it cannot be one."""
    if text.isascii() and text.isdigit() and text[:1] != "0" and len(text) <= _DIGITS:
        return int(text)
    return None

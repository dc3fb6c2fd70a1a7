"""The OpenAPI 3.1 document: paths written down here, schemas taken from the pydantic models."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from audit_stream import __version__
from audit_stream.server import models
from audit_stream.server.aggregate import MOST_BUCKETS
from audit_stream.server.routes.proofs import DEFAULT_LIMIT as DEFAULT_CHECKPOINTS
from audit_stream.server.routes.proofs import MOST as MOST_CHECKPOINTS
from audit_stream.server.routes.reading import DEFAULT_LIMIT, MOST, NDJSON

if TYPE_CHECKING:
    from pydantic import BaseModel

_LARGEST = 10**15

_INSTANT = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "15m"]}


@cache
def document(*, secured: bool) -> dict[str, Any]:
    """Return the document; `secured` says whether tokens are configured."""
    _, schemas = models_json_schema(
        [(model, "serialization") for model in models.ALL if model is not models.Draft]
        + [(models.Draft, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "audit-stream",
            "version": __version__,
            "description": "An append-only, hash-chained audit ledger over REST and Server-Sent "
            "Events. Every event that is answered with 201 is durable.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "events", "description": "Appending and reading."},
            {"name": "streams", "description": "Server-Sent Events."},
            {"name": "ledger", "description": "The ledger as a whole."},
            {"name": "proofs", "description": "What was signed, and proofs against it."},
            {"name": "service", "description": "The server itself."},
            {"name": "console", "description": "The sign-in of the console."},
        ],
        "paths": _paths(secured=secured),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "audit_stream_session"},
            },
        },
    }


# -- building blocks -----------------------------------------------------------------------------


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(description: str, schema: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/json": {"schema": schema}},
    }
    if headers:
        answer["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return answer


def _text(description: str, media_type: str, **schema: Any) -> dict[str, Any]:
    return {
        "description": description,
        "content": {media_type: {"schema": {"type": "string", **schema}}},
    }


_PROBLEMS = {
    400: "A parameter or header that cannot be used, or a Host that is not this server's.",
    401: "A token is needed, or this one is not known.",
    403: "The token lacks the role, or may not speak for that source; or a foreign Origin.",
    404: "There is no such thing.",
    405: "Not with this method; `Allow` names those there are.",
    408: "The request came too slowly.",
    412: "The head is not the one in `If-Match`; `head_hash` is the present one.",
    413: "The body, or an event in it, is too large.",
    415: "Not a content type that is taken here.",
    422: "An invalid event, or malformed JSON; `member` names what is wrong.",
    431: "The headers are too large.",
    500: "The ledger is damaged there, or the server failed.",
    503: "Not now: the queue is full, or the ledger takes no appends. See `detail`.",
    507: "The disk is full; nothing was recorded.",
}


def _problems(*statuses: int) -> dict[str, Any]:
    return {
        str(status): {
            "description": _PROBLEMS[status],
            "content": {"application/problem+json": {"schema": _ref(models.Problem)}},
        }
        for status in sorted(statuses)
    }


def _query(name: str, description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


_KIND = _query(
    "kind",
    "Only these kinds. Repeatable.",
    {"type": "array", "items": {"type": "string"}},
    explode=True,
)
_SOURCE = _query(
    "source",
    "Only these sources. Repeatable.",
    {"type": "array", "items": {"type": "string"}},
    explode=True,
)
_ID = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
_FILTERS = [
    _KIND,
    _SOURCE,
    _query("since", "RFC 3339, or a time ago like `15m`; inclusive.", _INSTANT),
    _query("until", "As `since`; exclusive.", _INSTANT),
    _query("contains", "Text that the stored line contains.", {"type": "string"}),
]
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "Append only if the ledger's head has this hash (64 zeros when empty).",
    "schema": {"type": "string", "pattern": '^"[0-9a-f]{64}"$'},
}


class _Operations:
    """Writes operations, with what all have in common."""

    def __init__(self, *, secured: bool) -> None:
        self._secured = secured

    def operation(
        self,
        name: str,
        tag: str,
        summary: str,
        responses: dict[str, Any],
        *problems: int,
        role: str | None = "read",
        **more: Any,
    ) -> dict[str, Any]:
        statuses = {*problems, 400, 403, 405, 408, 431}
        if role is not None and self._secured:
            statuses.add(401)
        operation: dict[str, Any] = {
            "operationId": name,
            "tags": [tag],
            "summary": summary,
            "responses": {**responses, **_problems(*statuses)},
            **more,
        }
        if role is not None:
            operation["description"] = f"Role: `{role}`."
            if self._secured:
                operation["security"] = [{"token": []}, {"session": []}]
        return operation


def _paths(*, secured: bool) -> dict[str, Any]:
    op = _Operations(secured=secured).operation
    return {
        **_event_paths(op),
        **_stream_paths(op),
        **_ledger_paths(op),
        **_proof_paths(op),
        **_service_paths(op),
        **_console_paths(op),
    }


def _event_paths(op: Any) -> dict[str, Any]:
    event = _ref(models.Event)
    appended = _json("Durable.", {"anyOf": [event, _ref(models.BatchAppended)]})
    appended["headers"] = {
        "Location": {
            "description": "Where the event is (a single one only).",
            "schema": {"type": "string"},
        },
        "ETag": {"description": "The new head's hash.", "schema": {"type": "string"}},
    }
    page = _json("Oldest first.", {"type": "array", "items": event})
    page["content"][NDJSON] = {
        "schema": {"type": "string", "description": "The stored lines, byte for byte."}
    }
    page["headers"] = {
        "Link": {"description": 'The next page: `rel="next"`.', "schema": {"type": "string"}}
    }
    return {
        "/events": {
            "post": op(
                "append",
                "events",
                "Append one event, or a batch: all or nothing.",
                {"201": appended},
                412,
                413,
                415,
                422,
                503,
                507,
                role="append",
                parameters=[_IF_MATCH],
                requestBody={
                    "required": True,
                    "content": {
                        "application/json": {"schema": _ref(models.Draft)},
                        NDJSON: {
                            "schema": {
                                "type": "string",
                                "description": "One draft a line; blank lines are skipped.",
                            }
                        },
                    },
                },
            ),
            "get": op(
                "list_events",
                "events",
                "The most recent events, or with `after` the first ones behind it.",
                {"200": page},
                422,
                503,
                parameters=[
                    *_FILTERS,
                    _query("after", "Only events with a larger id; the first `limit`.", _ID),
                    _query("before", "Only events with a smaller id.", _ID),
                    _query(
                        "limit",
                        "How many at most.",
                        {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST,
                            "default": DEFAULT_LIMIT,
                        },
                    ),
                ],
            ),
        },
        "/events/{event_id}": {
            "get": op(
                "get_event",
                "events",
                "One event; it never changes.",
                {
                    "200": _json("The event.", event, ETag="Its hash."),
                    "304": {"description": "The client has it already (`If-None-Match`)."},
                },
                404,
                500,
                503,
                parameters=[
                    {
                        "name": "event_id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "integer", "minimum": 1, "maximum": _LARGEST},
                    }
                ],
            )
        },
    }


def _stream_paths(op: Any) -> dict[str, Any]:
    parameters = [
        _KIND,
        _SOURCE,
        _query("after", "First everything behind this event, then live.", _ID),
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "As `after`, and wins over it; browsers send it on reconnect.",
            "schema": {"type": "string"},
        },
    ]
    described = (
        "Messages: `id:` the event id, `data:` the stored line; comments keep the connection "
        "alive. `event: reset` says that the client has seen another ledger, and gives the head "
        "(`last_event_id`, `latest_hash`) behind which the stream goes on."
    )
    stream = {"200": _text(described, "text/event-stream")}
    return {
        "/stream": {
            "get": op(
                "stream",
                "streams",
                "Events as they are appended, named by kind (`event:`).",
                stream,
                422,
                503,
                parameters=parameters,
            )
        },
        "/events/stream": {
            "get": op(
                "stream_unnamed",
                "streams",
                "The same without `event:` fields, for `EventSource.onmessage`.",
                stream,
                422,
                503,
                parameters=parameters,
            )
        },
    }


def _ledger_paths(op: Any) -> dict[str, Any]:
    verified = _json("The verdict, whatever it is.", _ref(models.VerifyResult))
    verified["content"]["text/event-stream"] = {
        "schema": {
            "type": "string",
            "description": "`event: progress` with `checked`, `bytes` and `total_bytes`, then "
            "`event: result` with the verdict.",
        }
    }
    return {
        "/verify": {
            "get": op("verify", "ledger", "Check every line.", {"200": verified}, 500, 503)
        },
        "/stats": {
            "get": op(
                "stats",
                "ledger",
                "How many events, of what kinds, from where and when.",
                {"200": _json("The counts.", _ref(models.Stats))},
                422,
                503,
                parameters=[
                    *_FILTERS,
                    _query(
                        "bucket",
                        "Also count over time: `auto`, `minute`, `hour`, `day` or a number of "
                        f"seconds. At most {MOST_BUCKETS} buckets.",
                        {"type": "string", "pattern": "^(auto|minute|hour|day|[1-9][0-9]{0,6})$"},
                    ),
                ],
            )
        },
        "/kinds": {
            "get": op(
                "kinds",
                "ledger",
                "The vocabulary in force.",
                {"200": _json("The kinds.", _ref(models.Vocabulary))},
            )
        },
    }


def _proof_paths(op: Any) -> dict[str, Any]:
    joined = _json("Hashes and roots in base64.", _ref(models.ConsistencyProof))
    joined["content"]["text/plain"] = {
        "schema": {
            "type": "string",
            "description": "A file for `check-proof`, where both sizes were signed.",
        }
    }
    size = {**_ID, "examples": [1000]}
    return {
        "/checkpoint": {
            "get": op(
                "checkpoint",
                "proofs",
                "The last signed checkpoint.",
                {"200": _text("A signed note (C2SP tlog-checkpoint).", "text/plain")},
                404,
                503,
            )
        },
        "/checkpoints": {
            "get": op(
                "list_checkpoints",
                "proofs",
                "The most recent checkpoints, oldest first.",
                {"200": _text("Signed notes, each followed by two empty lines.", "text/plain")},
                503,
                parameters=[
                    _query(
                        "limit",
                        "How many at most.",
                        {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST_CHECKPOINTS,
                            "default": DEFAULT_CHECKPOINTS,
                        },
                    )
                ],
            )
        },
        "/events/{event_id}/proof": {
            "get": op(
                "prove_event",
                "proofs",
                "The proof of one event against the last checkpoint.",
                {"200": _text("A C2SP tlog-proof, for `check-proof`.", "text/plain")},
                404,
                500,
                503,
                507,
                parameters=[
                    {
                        "name": "event_id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "integer", "minimum": 1, "maximum": _LARGEST},
                    }
                ],
            )
        },
        "/proof/consistency": {
            "get": op(
                "prove_consistency",
                "proofs",
                "The proof that one size of the ledger extends another (RFC 6962).",
                {"200": joined},
                404,
                500,
                503,
                507,
                parameters=[
                    _query("from", "How many events the older ledger has.", size, required=True),
                    _query("to", "And the newer; what was signed last if not given.", size),
                ],
            )
        },
    }


def _service_paths(op: Any) -> dict[str, Any]:
    not_ready = _json("Not ready, and why.", _ref(models.Readiness), Retry_After="Seconds.")
    ready = {"200": _json("Appends are accepted.", _ref(models.Readiness)), "503": not_ready}
    info = _json("What this is.", _ref(models.ServiceInfo))
    info["content"]["text/html"] = {"schema": {"type": "string"}}
    html = {"200": _text("A page.", "text/html")}
    return {
        "/": {"get": op("root", "service", "Service info, or the console.", {"200": info})},
        "/healthz": {
            "get": op(
                "healthz",
                "service",
                "The process lives.",
                {"200": _json("It does.", _ref(models.Health))},
                role=None,
            )
        },
        "/readyz": {
            "get": op("readyz", "service", "Would an append be accepted?", ready, role=None)
        },
        "/metrics": {
            "get": op(
                "metrics",
                "service",
                "Prometheus metrics.",
                {"200": _text("The text format.", "text/plain")},
            )
        },
        "/admin/reopen": {
            "post": op(
                "reopen",
                "service",
                "Open the ledger anew: after a failed fsync it takes no appends until then.",
                ready,
                role="admin",
            )
        },
        "/openapi.json": {
            "get": op(
                "openapi",
                "service",
                "This document.",
                {"200": _json("It.", {"type": "object"})},
            )
        },
        "/docs": {"get": op("docs", "service", "This document, readable.", html, 404)},
    }


def _console_paths(op: Any) -> dict[str, Any]:
    done = {"204": {"description": "Done."}}
    return {
        "/session": {
            "get": op(
                "session",
                "console",
                "Who is signed in.",
                {"200": _json("The state.", _ref(models.SessionState))},
                role=None,
            ),
            "post": op(
                "sign_in",
                "console",
                "Exchange a token for a cookie.",
                done,
                401,
                413,
                415,
                422,
                503,
                role=None,
                requestBody={
                    "required": True,
                    "content": {"application/json": {"schema": _ref(models.SignIn)}},
                },
            ),
            "delete": op("sign_out", "console", "Sign out.", done, role=None),
        }
    }

"""`append`: one event from flags, or many from NDJSON."""

from __future__ import annotations

import os

from audit_stream.cli import exits
from audit_stream.cli.opening import open_ledger
from audit_stream.cli.streams import Output
from audit_stream.errors import InputError, InvalidEventError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from audit_stream.cli.append_options import AppendRequest
    from audit_stream.storage import Commit

# The options that make sense with a single event only.
_SINGLE_ONLY = ("payload", "payload_file", "set", "timestamp", "expect_head")


def run_append(request: AppendRequest) -> int:
    """Do what `request` asks for and return the exit code. Raises AuditStreamError."""
    if request.batch is not None:
        for field in _SINGLE_ONLY:
            if getattr(request, field) not in (None, ()):
                raise InputError(f"--{field.replace('_', '-')} does not go with --batch")
        from audit_stream.cli.batch import run_batch

        return run_batch(request)
    if request.skip_invalid:
        raise InputError("--skip-invalid goes with --batch only")
    for field, example in (("kind", "request_denied"), ("source", "policy-as-code-engine")):
        if getattr(request, field) is None:
            raise InputError(f"--{field} is missing; give it, like --{field} {example}")
    payload = _payload(request)
    with open_ledger(
        request.ledger, request.config, request.allow_kind, any_kind=request.any_kind
    ) as ledger:
        draft = ledger.draft(request.kind, request.source, payload, timestamp=request.timestamp)
        committed = ledger.commit([draft], expect_head=_hash(request.expect_head))
    warn_of_healing(committed)
    if not request.quiet:
        output = Output(all_the_same="; the event is recorded all the same")
        output.lines([committed.lines[0][:-1]])
    return exits.OK


def warn_of_healing(committed: Commit) -> None:
    """Say so when an unterminated tail was moved out of the way."""
    if committed.healed is not None:
        exits.warn(
            "the ledger ended in an append that was cut off before it was acknowledged; "
            f"its bytes are in {committed.healed}"
        )


def _hash(text: str | None) -> str | None:
    if text is not None and (len(text) != 64 or text.strip("0123456789abcdefABCDEF")):
        raise InputError("--expect-head: expected 64 hex digits")
    return text


def _payload(request: AppendRequest) -> Any:
    given = [
        f"--{field.replace('_', '-')}"
        for field in ("payload", "payload_file", "set")
        if getattr(request, field) not in (None, ())
    ]
    if len(given) > 1:
        raise InputError(f"{given[0]} and {given[1]} do not go together; use one of them")
    if request.set:
        return _assembled(request.set)
    text = request.payload
    if request.payload_file is not None:
        text = read_input(request.payload_file)
    if text is None:
        return None
    from audit_stream import canonical, event

    try:
        payload = canonical.decode(os.fsencode(text))
    except InvalidEventError as error:
        raise InvalidEventError(error.args[0], "payload") from None
    if not isinstance(payload, dict):
        raise InvalidEventError(
            f"expected a JSON object, got {event.json_type(payload)}", "payload"
        )
    return payload


def read_input(path: str) -> bytes:
    """Return what a file (or '-', stdin) holds. Raises InputError."""
    try:
        if path == "-":
            with open(0, "rb", closefd=False) as stdin:
                return stdin.read()
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: cannot read it: {why}") from None


def _assembled(settings: tuple[str, ...]) -> dict[str, Any]:
    """Build a payload from `key=value` settings; dots in the key nest."""
    payload: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        names = path.split(".")
        if not equals or "" in names:
            raise InputError(f"--set {setting!a}: expected KEY=VALUE, like actor.name=alice")
        place = payload
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {setting!a}: {name} already has a value of its own")
        if names[-1] in place:
            raise InputError(f"--set {setting!a}: {path} is set already")
        place[names[-1]] = _value(path, text)
    return payload


def _value(path: str, text: str) -> Any:
    """Return `text` as JSON if it is JSON, else as the string itself."""
    from audit_stream import canonical

    try:
        return canonical.decode(text)
    except InvalidEventError as error:
        if error.args[0].startswith("not JSON") or text in ("NaN", "Infinity", "-Infinity"):
            return text
        raise InvalidEventError(error.args[0], f"payload.{path}") from None

"""The Typer command `append`, built from the table of `append_options`."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from audit_stream.cli import app as application
from audit_stream.cli.append import run_append
from audit_stream.cli.append_options import (
    CONFIG_VARIABLE,
    LEDGER_HELP,
    LEDGER_VARIABLE,
    LOCK_VARIABLE,
    OPTIONS,
    AppendRequest,
    Option,
)
from audit_stream.cli.parameters import complete_kind

_EPILOG = f"""\
Examples:
  audit-stream append ledger.jsonl --kind request_denied --source gateway \\
      --set rule=7 --set actor.name=alice
  audit-stream append ledger.jsonl --kind other --source me --payload '{{"n":1}}'
  producer | audit-stream append ledger.jsonl --batch - >stored.jsonl

Exit codes:
  0 recorded; 1 the head is not the expected one, or the last line is damaged;
  2 refused, nothing written; 4 disk full, I/O error, or no lock within 30 s
  ({LOCK_VARIABLE} sets other seconds)."""


def register(app: typer.Typer) -> None:
    """Add `append` to the application."""

    def append(**values: Any) -> int:
        return run_append(request_of(values))

    append.__doc__ = "Append one event, or many, durably, and print the stored lines."
    parameters = [_ledger(), *map(_parameter, OPTIONS)]
    append.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    append.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(rich_help_panel=application.RECORD, epilog=_EPILOG)(append)


def request_of(values: dict[str, Any]) -> AppendRequest:
    """Return the request for the values that Typer parsed."""
    ledger = values.pop("ledger")
    return AppendRequest(
        ledger,
        {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        | {option.field: tuple(values[option.field] or ()) for option in OPTIONS if option.many},
    )


def _ledger() -> inspect.Parameter:
    argument = typer.Argument(metavar="LEDGER", help=LEDGER_HELP, envvar=LEDGER_VARIABLE)
    return _keyword("ledger", Annotated[str, argument], inspect.Parameter.empty)


def _parameter(option: Option) -> inspect.Parameter:
    names = [option.name, option.short] if option.short else [option.name]
    extra: dict[str, Any] = {}
    if option.name == "--config":
        extra = {"envvar": CONFIG_VARIABLE, "show_envvar": False}
    if option.name == "--kind":
        extra = {"autocompletion": complete_kind}
    extra |= {"help": option.help, "rich_help_panel": option.panel}
    if option.flag:
        return _keyword(option.field, Annotated[bool, typer.Option(*names, **extra)], False)
    declared = typer.Option(*names, metavar=option.metavar, **extra)
    if option.many:
        return _keyword(option.field, Annotated[list[str] | None, declared], None)
    return _keyword(option.field, Annotated[str | None, declared], None)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )

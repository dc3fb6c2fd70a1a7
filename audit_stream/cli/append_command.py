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
    OPTIONS,
    AppendRequest,
    Option,
)
from audit_stream.cli.parameters import complete_kind


def register(app: typer.Typer) -> None:
    """Add `append` to the application."""

    def append(**values: Any) -> int:
        return run_append(request_of(values))

    append.__doc__ = "Append one event, or a batch of them, durably, and print what was stored."
    parameters = [_ledger(), *map(_parameter, OPTIONS)]
    append.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    append.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(rich_help_panel=application.RECORD)(append)


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
    if option.flag:
        return _keyword(
            option.field, Annotated[bool, typer.Option(*names, help=option.help)], False
        )
    declared = typer.Option(*names, help=option.help, metavar=option.metavar, **extra)
    if option.many:
        return _keyword(option.field, Annotated[list[str] | None, declared], None)
    return _keyword(option.field, Annotated[str | None, declared], None)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )

"""The Typer application: one command family a file, each registering itself here.

Typer prints its own errors in boxes; here they become the one `error: …` line that scripts and
people expect. Commands return their exit code.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream import __version__
from audit_stream.cli import exits

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "audit-stream"
RECORD, READ, CHECK, RUN = "Record", "Read", "Check", "Run"
"""The groups of `--help`."""

# Typer carries a Click of its own from 0.24 on and does not export this base class.
_ClickException: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


_HOMES = {
    "append": "append_command",
    "query": "query",
    "tail": "tail",
    "stats": "stats",
    "kinds": "kinds",
    "verify": "verify",
    "serve": "serve",
    "token": "token",
}
"""Where each command is declared; a file may declare several."""


def build(command: str | None = None) -> typer.Typer:
    """Return the application: with all its commands, or, for a known `command`, only with those
    of its file, because importing the others would double the start-up time."""
    app = typer.Typer(
        name=PROGRAM,
        help="An append-only, fsync'd, hash-chained audit ledger: one file, anyone can check it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
    )

    @app.callback()
    def options(
        version: Annotated[
            bool,
            typer.Option(
                "--version", help="Print the version.", is_eager=True, callback=_print_version
            ),
        ] = False,
    ) -> None:
        pass

    homes = [_HOMES[command]] if command in _HOMES else dict.fromkeys(_HOMES.values())
    for home in homes:
        import_module(f"audit_stream.cli.{home}").register(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Parse `arguments`, run the command, and return its exit code."""
    completing = "_AUDIT_STREAM_COMPLETE" in os.environ
    first = arguments[0] if arguments and not completing else None
    command = typer.main.get_command(build(first))
    try:
        result = command.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except _ClickException as error:
        return _report(error)
    except typer.Abort:
        return exits.INTERRUPTED
    return result if isinstance(result, int) else exits.OK


def _report(error: BaseException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(getattr(error, "message", ""))
        return exits.USAGE
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    exits.complain(f"{' '.join(message.split()).rstrip('.')}; see `{path} --help`")
    return exits.USAGE

"""The Typer application: one command family a file, each registering itself here.

Typer prints its own errors in boxes; here they become the one `error: …` line that scripts and
people expect, and its help is laid out by `helptext`. Commands return their exit code.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream import __version__
from audit_stream.cli import exits, helptext
from audit_stream.cli.append_options import LEDGER_VARIABLE
from audit_stream.cli.streams import TextOutput
from audit_stream.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "audit-stream"
RECORD, READ, CHECK, SIGN, RUN = "Record", "Read", "Check", "Sign", "Run"
"""The groups of `--help`."""

# Typer carries a Click of its own from 0.24 on and does not export this base class.
_ClickException: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


_EPILOG = """\
Examples:
  audit-stream append ledger.jsonl --kind request_denied --source me --set n=7
  audit-stream query ledger.jsonl --kind request_denied --since 2h
  audit-stream verify ledger.jsonl --pin /elsewhere/ledger.pin

`audit-stream COMMAND --help` tells more about each command."""

_HOMES = {
    "append": "append_command",
    "query": "query",
    "tail": "tail",
    "stats": "stats",
    "kinds": "kinds",
    "verify": "verify",
    "checkpoint": "checkpoint",
    "prove": "prove",
    "prove-extends": "prove",
    "check-proof": "prove",
    "key": "key",
    "witness": "witness",
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
        rich_markup_mode=None,
        epilog=_EPILOG,
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
    command: Any = typer.main.get_command(build(first))
    helptext.install(command)
    invoke = command.invoke

    def invoke_quietly(ctx: Any) -> Any:
        # Click answers Ctrl-C with an empty line on stderr.
        try:
            return invoke(ctx)
        except KeyboardInterrupt:
            return exits.INTERRUPTED

    command.invoke = invoke_quietly
    # Click answers a closed pipe with exit code 1, and a full disk is found only at exit.
    sys.stdout = TextOutput()
    try:
        if not completing and len(arguments) == 2 and arguments[0] in _COMPLETION:
            return _COMPLETION[arguments[0]](arguments[1])
        result = command.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except _ClickException as error:
        return _report(error, first)
    except typer.Abort:
        return exits.INTERRUPTED
    except SystemExit as error:  # Typer's completion options end this way
        return exits.USAGE if error.code else exits.OK
    return result if isinstance(result, int) else exits.OK


def _show_completion(shell: str) -> int:
    """Print the script for a shell that is named: Typer can only guess it, from the process tree,
    which fails where there is none (cron, a container's build)."""
    if shell not in _SHELLS:
        raise InputError(f"--show-completion {shell!a}: expected one of {', '.join(_SHELLS)}")
    variable = f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE"
    completion: Any = import_module("typer.completion")
    typer.echo(
        completion.get_completion_script(prog_name=PROGRAM, complete_var=variable, shell=shell)
    )
    return exits.OK


def _install_completion(shell: str) -> int:
    """The same for putting it into the shell's configuration."""
    if shell not in _SHELLS:
        raise InputError(f"--install-completion {shell!a}: expected one of {', '.join(_SHELLS)}")
    completion: Any = import_module("typer.completion")
    completion.completion_init()
    _, path = completion.install(shell=shell, prog_name=PROGRAM)
    typer.echo(f"{shell} completion is in {path}; start a new shell to use it")
    return exits.OK


_SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
_COMPLETION = {"--show-completion": _show_completion, "--install-completion": _install_completion}


def _report(error: Any, command: str | None) -> int:
    """Say in one line what is wrong with the command line."""
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError":
        typer.echo(error.message)
        return exits.USAGE
    context = getattr(error, "ctx", None)
    path = PROGRAM if command not in _HOMES else f"{PROGRAM} {command}"
    if context is not None:
        path = context.command_path
    message = re.sub("valid int(eger)?( range)?", "whole number", str(error.format_message()))
    if kind == "MissingParameter" and "LEDGER" in message:
        message = f"LEDGER is missing; name the ledger file, or set {LEDGER_VARIABLE}"
    elif message[1:2].islower():
        message = message[0].lower() + message[1:]
    exits.complain(f"{' '.join(message.split()).rstrip('.')}; see `{path} --help`")
    return exits.USAGE

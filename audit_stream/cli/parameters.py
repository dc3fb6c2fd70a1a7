"""Typer parameters that several commands share."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from audit_stream.cli.append_options import (
    CONFIG_HELP,
    CONFIG_VARIABLE,
    LEDGER_HELP,
    LEDGER_VARIABLE,
)


def _kinds(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a kind from the vocabulary in force for the ledger on the command line."""
    from audit_stream.cli.opening import open_ledger
    from audit_stream.errors import AuditStreamError

    # Click stops parsing at the option whose value is wanted: the ledger is left in `args`.
    positional = [word for word in ctx.args if not word.startswith("-")]
    ledger = ctx.params.get("ledger") or next(iter(positional), os.environ.get(LEDGER_VARIABLE))
    config = ctx.params.get("config") or os.environ.get(CONFIG_VARIABLE)
    try:
        vocabulary = open_ledger(str(ledger or "ledger.jsonl"), config).vocabulary
    except AuditStreamError:
        return []
    return sorted(kind for kind in vocabulary.origins if kind.startswith(incomplete))


complete_kind = _kinds


def complete_format(incomplete: str) -> list[str]:
    """Complete the name of an output form."""
    from audit_stream.cli.forms import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


LedgerArgument = Annotated[
    str,
    typer.Argument(metavar="LEDGER", help=LEDGER_HELP, envvar=LEDGER_VARIABLE),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar=CONFIG_VARIABLE,
        show_envvar=False,
        help=CONFIG_HELP,
    ),
]
KindOption = Annotated[
    list[str] | None,
    typer.Option(
        "--kind", metavar="KIND", help="Only this kind. Repeatable.", autocompletion=_kinds
    ),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME", help="Only this source. Repeatable."),
]
AllowKindOption = Annotated[
    list[str] | None,
    typer.Option("--allow-kind", metavar="KIND", help="Allow one more kind. Repeatable."),
]
AnyKindOption = Annotated[
    bool, typer.Option("--any-kind", help="Allow every kind of the right form.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
VerifierKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="VKEY",
        help="The log's public key, name+hash+base64, as `key new` prints it. Repeatable.",
    ),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Whom to believe: logs, witnesses and the quorum (C2SP tlog-policy). With --key, "
        "the key stands in place of the policy's logs.",
    ),
]
KeyFileOption = Annotated[
    str, typer.Option("--key", metavar="FILE", help="The private key file that `key new` made.")
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORM",
        help="auto, jsonl, json, table or csv. auto: table on a terminal, else jsonl.",
        autocompletion=complete_format,
    ),
]

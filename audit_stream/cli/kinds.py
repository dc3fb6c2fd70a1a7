"""`kinds`: the vocabulary in force, and where each kind comes from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.append_options import LEDGER_VARIABLE
from audit_stream.cli.opening import open_ledger
from audit_stream.cli.parameters import AllowKindOption, AnyKindOption, ConfigOption, JsonOption
from audit_stream.cli.streams import Output, safe

_EPILOG = """\
Examples:
  audit-stream kinds
  audit-stream kinds ledger.jsonl

Declare kinds of your own in the audit-stream.toml beside the ledger:
  [kinds.extra]
  deploy-bot = ["deploy_started", "deploy_finished"]"""


def register(app: typer.Typer) -> None:
    """Add `kinds` to the application."""

    @app.command(rich_help_panel=application.READ, epilog=_EPILOG)
    def kinds(
        ledger: Annotated[
            str,
            typer.Argument(
                metavar="[LEDGER]",
                envvar=LEDGER_VARIABLE,
                help="The ledger whose configuration counts; it need not exist.",
                show_default=False,
            ),
        ] = "ledger.jsonl",
        as_json: JsonOption = False,
        allow_kind: AllowKindOption = None,
        any_kind: AnyKindOption = False,
        config: ConfigOption = None,
    ) -> int:
        """List the kinds that may be appended, and where each comes from."""
        vocabulary = open_ledger(ledger, config, allow_kind or (), any_kind=any_kind).vocabulary
        output = Output()
        if as_json:
            listed = [{"kind": k, "source": s} for k, s in vocabulary.origins.items()]
            text = json.dumps({"any": vocabulary.any_kind, "kinds": listed}, ensure_ascii=False)
            output.text(safe(text) if output.terminal else text)
            return exits.OK
        width = max(map(len, vocabulary.origins))
        for kind, source in vocabulary.origins.items():
            output.text(f"{kind:<{width}}  {safe(source)}")
        if vocabulary.any_kind:
            output.text("(any other kind of the right form is taken too)")
        return exits.OK

"""`tail`: the last events, and with -f those to come, from any process, each exactly once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.forms import EventTable, form_of
from audit_stream.cli.opening import open_ledger
from audit_stream.cli.parameters import (
    AllowKindOption,
    AnyKindOption,
    ConfigOption,
    FormatOption,
    KindOption,
    LedgerArgument,
    SourceOption,
)
from audit_stream.cli.query import DamageReport, warn_if_torn
from audit_stream.cli.streams import Output
from audit_stream.errors import InputError

if TYPE_CHECKING:
    from audit_stream.cli.forms import Form
    from audit_stream.follow import Follower
    from audit_stream.query import Filter

_POLL_SECONDS = 0.05
_EPILOG = """\
Examples:
  audit-stream tail ledger.jsonl
  audit-stream tail ledger.jsonl -n 100 --source gateway
  audit-stream tail ledger.jsonl -n 0 -f --format jsonl | notify"""


def register(app: typer.Typer) -> None:
    """Add `tail` to the application."""

    @app.command(rich_help_panel=application.READ, epilog=_EPILOG)
    def tail(
        ledger: LedgerArgument,
        lines: Annotated[
            int, typer.Option("-n", "--lines", metavar="N", min=0, help="The last N events.")
        ] = 10,
        follow: Annotated[
            bool, typer.Option("-f", "--follow", help="Go on with what any process appends.")
        ] = False,
        kind: KindOption = None,
        source: SourceOption = None,
        format: FormatOption = "auto",
        allow_kind: AllowKindOption = None,
        any_kind: AnyKindOption = False,
        config: ConfigOption = None,
    ) -> int:
        """Print the last events; with -f, follow the ledger, also when it is rotated."""
        if follow and format == "json":
            raise InputError("--format json does not go with -f (it has an end); use jsonl")
        output = Output()
        form = form_of(format, output)
        damage = DamageReport()
        with open_ledger(ledger, config, allow_kind or (), any_kind=any_kind) as opened:
            wanted = opened.filter(kinds=kind or (), sources=source or ())
            snapshot = opened.snapshot()
            warn_if_torn(ledger, snapshot)
            follower = opened.follow(snapshot=snapshot)
            form.add(list(opened.select(wanted, limit=lines, on_damage=damage, within=snapshot)))
            if follow:
                _follow(follower, wanted, form, damage, output)
            follower.close()
        form.finish()
        return damage.exit_code


def _follow(
    follower: Follower, wanted: Filter, form: Form, damage: DamageReport, output: Output
) -> None:
    restarts = 0
    while not output.reader_is_gone():
        if isinstance(form, EventTable):
            form.flush()
        blocks = follower.poll()
        if follower.restarted > restarts:
            restarts = follower.restarted
            exits.warn("the ledger was rotated or replaced; following the new one")
        for block in blocks:
            found = wanted.scan(block)
            for each in found.damaged:
                damage(each)
            form.add(found.lines)
        if not blocks:
            time.sleep(_POLL_SECONDS)

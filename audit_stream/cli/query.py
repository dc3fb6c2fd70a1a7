"""`query`: find events. jsonl output is the stored lines, so it can be checked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.forms import form_of
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
from audit_stream.cli.streams import Output

if TYPE_CHECKING:
    from audit_stream.query import Damage
    from audit_stream.storage.snapshot import Snapshot

_CHUNK = 500
_EPILOG = """\
Examples:
  audit-stream query ledger.jsonl --kind request_denied --since 15m
  audit-stream query ledger.jsonl --where actor.name=alice --limit 20
  audit-stream query ledger.jsonl --source gateway --count
  audit-stream query ledger.jsonl --format csv >events.csv

Exit codes:
  0 done (also when nothing matches); 1 damaged lines were met: each is named on
  stderr and skipped; 2 usage error, missing or unreadable ledger."""


def register(app: typer.Typer) -> None:
    """Add `query` to the application."""

    @app.command(rich_help_panel=application.READ, epilog=_EPILOG)
    def query(
        ledger: LedgerArgument,
        kind: KindOption = None,
        source: SourceOption = None,
        since: Annotated[
            str | None,
            typer.Option(metavar="TIME", help="From this time on: RFC 3339, or 15m, 2h, 3d ago."),
        ] = None,
        until: Annotated[
            str | None, typer.Option(metavar="TIME", help="Before this time; forms as --since.")
        ] = None,
        after: Annotated[
            int, typer.Option(metavar="ID", min=0, help="Only events after this event_id.")
        ] = 0,
        before: Annotated[
            int | None, typer.Option(metavar="ID", min=0, help="Only events before this event_id.")
        ] = None,
        limit: Annotated[
            int | None, typer.Option(metavar="N", min=0, help="Only the most recent N of them.")
        ] = None,
        contains: Annotated[
            str, typer.Option(metavar="TEXT", help="Only lines that contain this text.")
        ] = "",
        where: Annotated[
            list[str] | None,
            typer.Option(
                metavar="PATH=VALUE",
                help="Only where the payload has this value at a dotted path. Repeatable.",
            ),
        ] = None,
        reverse: Annotated[bool, typer.Option("--reverse", help="Newest first.")] = False,
        count: Annotated[bool, typer.Option("--count", help="Print only how many.")] = False,
        format: FormatOption = "auto",
        allow_kind: AllowKindOption = None,
        any_kind: AnyKindOption = False,
        config: ConfigOption = None,
    ) -> int:
        """Find events. Kinds OR together, sources too; different filters AND."""
        output = Output()
        form = None if count else form_of(format, output)
        damage = DamageReport()
        with open_ledger(ledger, config, allow_kind or (), any_kind=any_kind) as opened:
            wanted = opened.filter(
                kinds=kind or (),
                sources=source or (),
                since=since,
                until=until,
                contains=contains,
                where=where or (),
            )
            with opened.snapshot() as snapshot:
                warn_if_torn(ledger, snapshot)
                chunk: list[bytes] = []
                number = 0
                for line in opened.select(
                    wanted,
                    after=after,
                    before=before,
                    limit=limit,
                    reverse=reverse,
                    on_damage=damage,
                    within=snapshot,
                ):
                    number += 1
                    if form is not None:
                        chunk.append(line)
                        if len(chunk) >= _CHUNK:
                            form.add(chunk)
                            chunk = []
        if form is None:
            output.text(str(number))
        else:
            form.add(chunk)
            form.finish()
        return damage.exit_code


class DamageReport:
    """Names every damaged line on stderr, and remembers that there was one."""

    def __init__(self) -> None:
        self.exit_code = exits.OK

    def __call__(self, damage: Damage) -> None:
        exits.complain(f"{damage}; skipped, run verify")
        self.exit_code = exits.FAILED


def warn_if_torn(ledger: str, snapshot: Snapshot) -> None:
    """Say so when bytes follow the last LF."""
    if snapshot.torn:
        exits.warn(
            f"{ledger}: {snapshot.torn} bytes after the last complete line are an append that "
            "was cut off; the next append moves them aside"
        )

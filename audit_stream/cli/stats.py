"""`stats`: how many events, of what kinds, from where, and when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from audit_stream import timestamps
from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.forms import use_colour
from audit_stream.cli.opening import open_ledger
from audit_stream.cli.parameters import ConfigOption, JsonOption, LedgerArgument
from audit_stream.cli.query import warn_if_torn
from audit_stream.cli.streams import Output, safe
from audit_stream.tally import Tally

if TYPE_CHECKING:
    from rich.console import Console

_BARS = 24
_EPILOG = """\
Examples:
  audit-stream stats ledger.jsonl
  audit-stream stats ledger.jsonl --json | jq .by_kind"""
_BUCKETS = (60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400)


def register(app: typer.Typer) -> None:
    """Add `stats` to the application."""

    @app.command(rich_help_panel=application.READ, epilog=_EPILOG)
    def stats(
        ledger: LedgerArgument, as_json: JsonOption = False, config: ConfigOption = None
    ) -> int:
        """Count the events by kind, by source and over time."""
        tally = Tally()
        with open_ledger(ledger, config) as opened, opened.snapshot() as snapshot:
            warn_if_torn(ledger, snapshot)
            for block in snapshot.blocks():
                tally.add(block)
            sizes = {"bytes": snapshot.size, "torn_tail_bytes": snapshot.torn}
        for damage in tally.damaged:
            exits.complain(f"{damage}; not counted, run verify")
        if tally.damaged_count > len(tally.damaged):
            exits.complain(f"and {tally.damaged_count - len(tally.damaged)} more damaged lines")
        output = Output()
        seconds, start, counts = over_time(tally)
        members = tally.members() | sizes
        if as_json:
            members["over_time"] = {
                "bucket_seconds": seconds,
                "start": None if start is None else timestamps.stamp(start * 10**9),
                "counts": counts,
            }
            text = json.dumps(members, ensure_ascii=False)
            output.text(safe(text) if output.terminal else text)
        else:
            _show(output, members, seconds, start, counts)
        return exits.FAILED if tally.damaged_count else exits.OK


def over_time(tally: Tally) -> tuple[int, int | None, list[int]]:
    """Return (seconds a bucket, POSIX time of the first bucket, counts), about 24 buckets."""
    minutes: dict[int, int] = {}
    for (minute, _), number in tally.minutes.items():
        at = timestamps.seconds_of(timestamps.parse(f"{minute}:00Z"))
        minutes[at] = minutes.get(at, 0) + number
    if not minutes:
        return _BUCKETS[0], None, []
    first, last = min(minutes), max(minutes)
    width = next((w for w in _BUCKETS if (last - first) // w < _BARS), None)
    if width is None:
        width = -(-(last - first + 1) // _BARS)
    start = first - first % width
    counts = [0] * ((last - start) // width + 1)
    for at, number in minutes.items():
        counts[(at - start) // width] += number
    return width, start, counts


def _show(
    output: Output, members: dict[str, Any], seconds: int, start: int | None, counts: list[int]
) -> None:
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colour = use_colour(output)
    console = Console(
        file=io.StringIO(),
        force_terminal=colour,
        color_system="standard" if colour else None,
        width=None if output.terminal else 100,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        summary = Table.grid(padding=(0, 2))
        summary.add_column(style="dim")
        summary.add_column()
        torn = members["torn_tail_bytes"]
        details = (
            ("events", f"{members['count']:,}"),
            ("head", f"event {members['last_event_id']:,}" if members["count"] else "-"),
            ("hash", safe(members["latest_hash"] or "-")),
            ("size", f"{members['bytes']:,} bytes" + (f", {torn:,} of them torn" if torn else "")),
            ("first", safe(members["first_timestamp"] or "-")),
            ("last", safe(members["last_timestamp"] or "-")),
        )
        for name, value in details:
            summary.add_row(name, Text(value))
        console.print(summary)
        for title in ("by_kind", "by_source"):
            if members[title]:
                console.print()
                _show_counts(console, title.replace("_", " "), members[title])
        if start is not None:
            console.print()
            _show_chart(console, seconds, start, counts)
    for line in captured.get().splitlines():
        output.text(line.rstrip())


def _show_counts(console: Console, title: str, counts: dict[str, int]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    most = max(counts.values())
    for name, number in counts.items():
        table.add_row(Text(safe(name)), f"{number:,}", Text(_bar(number, most), "cyan"))
    console.print(title, style="bold")
    console.print(table)


def _show_chart(console: Console, seconds: int, start: int, counts: list[int]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    most = max(counts)
    cut = 10 if seconds >= 86400 else 16
    for position, number in enumerate(counts):
        time = timestamps.stamp((start + position * seconds) * 10**9)[:cut].replace("T", " ")
        table.add_row(time, f"{number:,}", Text(_bar(number, most), "green"))
    console.print(f"over time (UTC, {_span(seconds)} a line)", style="bold")
    console.print(table)


def _span(seconds: int) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _bar(number: int, most: int, width: int = 40) -> str:
    """Return a bar in eighths of a block; anything above zero shows."""
    eighths = max(number * width * 8 // most, 1 if number else 0)
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")

"""The forms in which events are printed: jsonl, json, csv, and a table for people.

jsonl in a pipe is the stored bytes. On a terminal every form is made harmless first.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from audit_stream.cli.streams import Output, safe, safe_line
from audit_stream.errors import InputError

if TYPE_CHECKING:
    from typing import Protocol

    class Form(Protocol):
        """Prints stored lines (without LF) as they come; `finish` when there are no more."""

        def add(self, lines: list[bytes]) -> None: ...

        def finish(self) -> None: ...


FORMATS = ("auto", "jsonl", "json", "table", "csv")
_CSV_COLUMNS = ("event_id", "timestamp", "kind", "source", "payload", "hash", "prev_hash")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_WIDTHS_FROM = 200


def form_of(name: str, output: Output) -> Form:
    """Return the form called `name`; auto is a table on a terminal and jsonl elsewhere.

    Raises InputError for a name that is none.
    """
    if name == "auto":
        name = "table" if output.terminal else "jsonl"
    forms: dict[str, type[Any]] = {
        "jsonl": JsonLines,
        "json": JsonArray,
        "csv": Csv,
        "table": EventTable,
    }
    if name not in forms:
        raise InputError(f"--format {name!a}: expected one of {', '.join(FORMATS)}")
    form: Form = forms[name](output)
    return form


def use_colour(output: Output) -> bool:
    """Whether to colour: on a terminal that is not dumb, unless NO_COLOR is set."""
    return output.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class JsonLines:
    """The stored lines."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def add(self, lines: list[bytes]) -> None:
        self._output.lines(lines)

    def finish(self) -> None:
        pass


class JsonArray:
    """One JSON array of the stored lines."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._started = False

    def add(self, lines: list[bytes]) -> None:
        for line in lines:
            shown = safe_line(line) if self._output.terminal else line
            self._output.write((b",\n " if self._started else b"[") + shown)
            self._started = True

    def finish(self) -> None:
        self._output.write(b"]\n" if self._started else b"[]\n")


class Csv:
    """RFC 4180, with cells that a spreadsheet would run as a formula made text by a quote."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._started = False

    def add(self, lines: list[bytes]) -> None:
        # Not before: an error must find stdout empty.
        if not self._started:
            self._row(_CSV_COLUMNS)
            self._started = True
        for line in lines:
            event = json.loads(line)
            payload = json.dumps(event["payload"], ensure_ascii=False, separators=(",", ":"))
            self._row([_cell({**event, "payload": payload}[name]) for name in _CSV_COLUMNS])

    def _row(self, cells: Any) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(cells)
        row = text.getvalue()
        if self._output.terminal:
            row = safe(row[:-2]) + "\n"
        self._output.write(row.encode("utf-8", "backslashreplace"))

    def finish(self) -> None:
        self.add([])


def _cell(value: object) -> str:
    text = str(value)
    return "'" + text if text.startswith(_FORMULA) else text


class EventTable:
    """Columns for people. Widths come from the first rows, so that any number can follow."""

    def __init__(self, output: Output) -> None:
        from rich.console import Console

        self._output = output
        self._rows: list[tuple[str, str, str, str, str]] = []
        self._widths: list[int] | None = None
        width = shutil.get_terminal_size((120, 24)).columns if output.terminal else 160
        self._width = max(width, 60)
        self._narrow = self._width < 100
        self._console = Console(
            file=io.StringIO(),
            width=self._width,
            force_terminal=use_colour(output),
            color_system="standard" if use_colour(output) else None,
            no_color=not use_colour(output),
            highlight=False,
            legacy_windows=False,
        )

    def add(self, lines: list[bytes]) -> None:
        self._rows.extend(_table_row(line, self._narrow) for line in lines)
        if len(self._rows) >= _WIDTHS_FROM or self._widths is not None:
            self._print()

    def flush(self) -> None:
        """Print what is waiting (for rows that trickle in)."""
        self._print()

    def finish(self) -> None:
        if self._rows or self._widths is None:
            self._print()

    def _print(self) -> None:
        from rich.cells import cell_len, set_cell_size
        from rich.text import Text

        headings = ("id", "time (UTC)", "kind", "source", "payload")
        if self._widths is None:
            self._widths = [
                max([len(heading), *(cell_len(row[column]) for row in self._rows)])
                for column, heading in enumerate(headings)
            ]
            self._widths[2] = min(self._widths[2], max(16, self._width // 4))
            self._widths[3] = min(self._widths[3], max(12, self._width // 6))
            self._widths[4] = max(10, self._width - sum(self._widths[:4]) - 8)
            self._put(Text("  ".join(map(set_cell_size, headings, self._widths)), "bold"))
        styles = ("cyan", "dim", "green", "", "")
        for row in self._rows:
            line = Text()
            for column, (text, width, style) in enumerate(
                zip(row, self._widths, styles, strict=True)
            ):
                shown = text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
                if column == 0:
                    line.append(shown.rjust(width), style)
                elif column < 4:
                    line.append("  " + set_cell_size(shown, width), style)
                else:
                    line.append("  " + shown, style)
            self._put(line)
        self._rows.clear()

    def _put(self, text: Any) -> None:
        with self._console.capture() as captured:
            self._console.print(text, no_wrap=True, overflow="ignore", crop=False)
        self._output.write(captured.get().rstrip().encode("utf-8", "backslashreplace") + b"\n")


def _table_row(line: bytes, narrow: bool) -> tuple[str, str, str, str, str]:
    event = json.loads(line)
    payload = json.dumps(event["payload"], ensure_ascii=False, separators=(",", ":"))
    time = event["timestamp"]
    shown = time[: 19 if narrow else 23].replace("T", " ") if time.endswith("+00:00") else time
    return str(event["event_id"]), safe(shown), event["kind"], safe(event["source"]), safe(payload)

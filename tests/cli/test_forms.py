"""The table for people: it fits the terminal, shows wide characters, and survives any payload."""

from __future__ import annotations

import os
import time
import unicodedata
from typing import TYPE_CHECKING

import pytest

from audit_stream.cli.forms import FORMATS, form_of
from audit_stream.cli.streams import Output
from audit_stream.errors import InputError
from audit_stream.ledger import Ledger
from tests.cli.program import Terminal, inside, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path


def cells(text: str) -> int:
    """How many columns a terminal gives to `text`."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


@pytest.fixture
def varied(path: Path) -> Path:
    """Events with long, wide and strange texts."""
    with Ledger(path) as opened:
        opened.append("other", "x" * 256, {"long": "y" * 5000})
        opened.append(
            "tool_invocation_required_approval", "漢字漢字漢字漢字漢字漢字", {"漢": "字" * 50}
        )
        opened.append("other", "[red]markup[/nope]", {"[bold]": "[/bold]", ":smile:": "\\["})
        opened.append("other", "s", {"z": "e\u0301" * 30})
    return path


@pytest.mark.parametrize("columns", [72, 80, 100, 120, 200])
def test_the_table_fits_the_terminal(varied: Path, columns: int) -> None:
    code, shown = on_terminal("query", varied, columns=columns, env={"NO_COLOR": "1"})
    assert code == 0
    rows = shown.splitlines()
    assert len(rows) == 5
    assert max(map(cells, rows)) <= columns
    assert rows[0].split() == ["id", "time", "(UTC)", "kind", "source", "payload"]
    assert "[red]markup" in rows[3]


def test_a_table_in_a_pipe_is_plain(varied: Path) -> None:
    done = run("query", varied, "--format", "table", env={"FORCE_COLOR": "1"})
    assert b"\x1b" not in done.out
    assert done.out.count(b"\n") == 5


def test_colours_on_a_terminal_unless_unwanted(ledger: Path) -> None:
    assert "\x1b[" in on_terminal("query", ledger)[1]
    assert "\x1b" not in on_terminal("query", ledger, env={"NO_COLOR": "1"})[1]
    assert "\x1b" not in on_terminal("query", ledger, env={"TERM": "dumb"})[1]
    assert "\x1b[" in on_terminal("query", ledger, env={"NO_COLOR": ""})[1]


def test_auto_is_the_stored_lines_in_a_pipe_and_a_table_on_a_terminal(ledger: Path) -> None:
    assert run("query", ledger).out == ledger.read_bytes()
    assert on_terminal("query", ledger, env={"NO_COLOR": "1"})[1].startswith("id  time (UTC)")


def test_a_format_that_is_named_is_kept_on_a_terminal(ledger: Path) -> None:
    code, shown = on_terminal("query", ledger, "--format", "jsonl")
    assert (code, shown.encode()) == (0, ledger.read_bytes())


def test_append_on_a_terminal_prints_the_stored_line(path: Path) -> None:
    code, shown = on_terminal("append", path, "--kind", "other", "--source", "s")
    assert (code, shown.encode()) == (0, path.read_bytes())
    code, shown = on_terminal("append", path, "--kind", "other", "--source", "s\u202e")
    assert shown.encode() != path.read_bytes().splitlines(keepends=True)[1]
    assert "s\\u202e" in shown


def test_many_rows_come_out_in_one_layout(path: Path) -> None:
    with Ledger(path) as opened:
        draft = {"kind": "other", "source": "s"}
        opened.append_many({**draft, "payload": {"n": n}} for n in range(1100))
    out = inside("query", path, "--format", "table").out
    assert out.count(b"\n") == 1101
    assert out.count(b"payload") == 1


def test_a_table_of_nothing_is_its_heading(ledger: Path) -> None:
    assert inside("query", ledger, "--format", "table", "--limit", "0").out.count(b"\n") == 1


def test_every_format_by_name_and_no_other() -> None:
    for name in FORMATS:
        assert form_of(name, Output())
    with pytest.raises(InputError, match="expected one of auto, jsonl, json, table, csv"):
        form_of("JSON", Output())


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_progress_bar_on_stderr_of_a_terminal_only(ledger: Path, term: str) -> None:
    reader, feed = os.pipe()
    terminal = Terminal("verify", "-", stdin=reader, env={"TERM": term, "NO_COLOR": "1"})
    os.close(reader)
    for line in ledger.read_bytes().splitlines(keepends=True):
        os.write(feed, line)
        time.sleep(0.3)
    os.close(feed)
    code, shown = terminal.finish()
    assert code == 0
    assert "-: ✓ intact" in shown
    assert ("verifying" in shown) == (term == "xterm")

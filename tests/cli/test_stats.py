"""`stats`: the counts, their JSON, and damage that is named instead of counted."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from audit_stream import timestamps
from audit_stream.ledger import Ledger
from tests.cli.program import inside, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.program import Done


def stats(path: Path) -> dict[str, object]:
    done = inside("stats", path, "--json")
    assert (done.code, done.err) == (0, "")
    members: dict[str, object] = json.loads(done.out)
    return members


def test_the_members(ledger: Path) -> None:
    members = stats(ledger)
    assert list(members)[:3] == ["count", "last_event_id", "latest_hash"]
    last = json.loads(ledger.read_bytes().splitlines()[-1])
    assert members == {
        "count": 5,
        "last_event_id": 5,
        "latest_hash": last["hash"],
        "first_timestamp": "2026-01-01T00:00:00.000000+00:00",
        "last_timestamp": "2026-01-01T00:04:00.000000+00:00",
        "by_kind": {"other": 2, "request_denied": 1, "request_allowed": 1, "watch_created": 1},
        "by_source": {"policy-as-code-engine": 2, "cron": 2, "aeo-validator-service": 1},
        "bytes": ledger.stat().st_size,
        "torn_tail_bytes": 0,
        "over_time": {
            "bucket_seconds": 60,
            "start": "2026-01-01T00:00:00.000000+00:00",
            "counts": [1, 1, 1, 1, 1],
        },
    }


def test_an_empty_ledger(path: Path) -> None:
    path.touch()
    members = stats(path)
    assert members["count"] == members["last_event_id"] == members["bytes"] == 0
    assert members["latest_hash"] is None
    assert members["first_timestamp"] is None
    assert members["by_kind"] == members["by_source"] == {}
    assert inside("stats", path).code == 0


def test_a_missing_ledger_is_an_error_and_not_an_empty_success(path: Path) -> None:
    done = inside("stats", path, "--json")
    assert (done.code, done.out) == (2, b"")
    assert done.err == f"error: {path}: no such ledger; the first `append` creates it\n"
    assert not path.exists()


def test_a_torn_tail_is_a_warning(ledger: Path) -> None:
    with ledger.open("ab") as file:
        file.write(b'{"event_id":6,')
    done = inside("stats", ledger, "--json")
    assert done.code == 0
    assert json.loads(done.out)["torn_tail_bytes"] == 14
    assert json.loads(done.out)["count"] == 5
    assert done.err.startswith(f"warning: {ledger}: 14 bytes after the last complete line")


DAMAGE = {
    "garbage": (b'"kind":"watch_created"', b"garbage"),
    "markup": (b"2026-01-01T00:03:00.000000+00:00", b"[/bold]+00:00"),
    "no such day": (b"2026-01-01T00:03", b"2026-02-31T00:03"),
    "no such minute": (b"2026-01-01T00:03:00", b"2026-01-01T00:99:00"),
    "no such second": (b"2026-01-01T00:03:00", b"2026-01-01T00:03:99"),
    "not a time": (b"2026-01-01T00:03:00.000000+00:00", b"+00:00"),
    "blank": (b'{"event_id":4,', b'\n{"event_id":4,'),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("options", [["--json"], []])
def test_a_damaged_line_is_named_and_not_counted(
    ledger: Path, damage: str, options: list[str]
) -> None:
    old, new = DAMAGE[damage]
    offset = ledger.read_bytes().index(b'{"event_id":4,')
    ledger.write_bytes(ledger.read_bytes().replace(old, new))
    done = inside("stats", ledger, *options)
    assert done.code == 1
    assert f" at byte {offset} is damaged: " in done.err
    assert done.err.count("\n") == 1
    assert done.err.endswith("; not counted, run verify\n")
    if options:
        assert json.loads(done.out)["count"] == (5 if damage == "blank" else 4)
    assert on_terminal("stats", ledger)[0] == 1


def test_one_message_a_damaged_line_has_an_end(path: Path) -> None:
    path.write_bytes(b"x\n" * 1500)
    done = inside("stats", path, "--json")
    assert done.code == 1
    assert done.err.count("\n") == 1001
    assert done.err.endswith("error: and 500 more damaged lines\n")


SPANS = [
    (60, [0, 60, 60 * 23]),
    (300, [0, 60 * 24]),
    (3600, [0, 3600 * 23]),
    (86400, [0, 86400 * 23]),
    (365 * 86400, [0, 365 * 86400 * 20]),
]


@pytest.mark.parametrize(("seconds", "ages"), SPANS)
def test_the_buckets_cover_everything_in_about_two_dozen(
    path: Path, seconds: int, ages: list[int]
) -> None:
    with Ledger(path) as opened:
        for age in ages:
            opened.append("other", "s", timestamp=timestamps.stamp((3_650 * 86400 + age) * 10**9))
    over_time = stats(path)["over_time"]
    assert isinstance(over_time, dict)
    assert over_time["bucket_seconds"] == seconds
    assert sum(over_time["counts"]) == len(ages)
    assert len(over_time["counts"]) <= 25


def test_events_from_the_first_to_the_last_year_that_can_be_stored(path: Path) -> None:
    with Ledger(path) as opened:
        opened.append("other", "s", timestamp="0001-01-01T00:00:00Z")
        opened.append("other", "s", timestamp="9999-12-31T23:59:59Z")
    over_time = stats(path)["over_time"]
    assert isinstance(over_time, dict)
    assert sum(over_time["counts"]) == 2
    assert on_terminal("stats", path)[0] == 0


def test_times_in_other_offsets_are_counted_in_utc(path: Path) -> None:
    import hashlib

    def line(number: int, previous: str, timestamp: str) -> tuple[bytes, str]:
        rest = (
            f'"kind":"other","payload":{{}},"prev_hash":"{previous}","source":"s",'
            f'"timestamp":"{timestamp}"}}'
        )
        digest = hashlib.sha256(f'{{"event_id":{number},{rest}'.encode()).hexdigest()
        return f'{{"event_id":{number},"hash":"{digest}",{rest}\n'.encode(), digest

    first, digest = line(1, "0" * 64, "2026-01-01T02:00:00+02:00")
    second, _ = line(2, digest, "2026-01-01T00:00:00Z")
    path.write_bytes(first + second)
    assert run("verify", path).code == 0
    over_time = stats(path)["over_time"]
    assert isinstance(over_time, dict)
    assert over_time["start"] == "2026-01-01T00:00:00.000000+00:00"
    assert over_time["counts"] == [2]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_bar_chart_on_a_terminal(ledger: Path, columns: int) -> None:
    code, shown = on_terminal("stats", ledger, columns=columns)
    assert code == 0
    for text in ("events", "by kind", "by source", "over time (UTC, 1 min a line)", "█"):
        assert text in shown
    plain = on_terminal("stats", ledger, columns=columns, env={"NO_COLOR": "1"})[1]
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= columns


def test_hostile_names_cannot_drive_the_terminal(path: Path) -> None:
    with Ledger(path, any_kind=True) as opened:
        opened.append("other", "evil\u202e[red]source[/nope]")
    code, shown = on_terminal("stats", path)
    assert code == 0
    assert "evil\\u202e[red]source[/nope]" in shown


def test_a_closed_pipe_is_quiet(ledger: Path) -> None:
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    assert reader.stdin is not None
    done: Done = run("stats", ledger, stdout=reader.stdin)
    reader.stdin.close()
    assert (done.code, done.err) == (0, "")

"""`tail`: the last events, and with -f those to come: from any process, through rotation and
replacement, each exactly once and quickly."""

from __future__ import annotations

import json
import os
import select
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from audit_stream.ledger import Ledger
from tests.cli.program import Terminal, inside, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cli.conftest import Start


def append(path: Path, *numbers: int, kind: str = "other", source: str = "s") -> None:
    with Ledger(path) as opened:
        for number in numbers:
            opened.append(kind, source, {"n": number})


class Reader:
    """Reads lines of a follower as they come, with the time each took."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._fd = process.stdout.fileno()
        self._data = b""

    def numbers(self, count: int, timeout: float = 20) -> list[int]:
        """Return the `n` of the next `count` lines."""
        deadline = time.monotonic() + timeout
        while self._data.count(b"\n") < count:
            left = deadline - time.monotonic()
            assert left > 0, self._data
            assert select.select([self._fd], [], [], left)[0], self._data
            more = os.read(self._fd, 1 << 16)
            assert more, self._data
            self._data += more
        lines = self._data.split(b"\n")
        self._data = b"\n".join(lines[count:])
        return [json.loads(line)["payload"]["n"] for line in lines[:count]]

    def nothing(self, seconds: float = 0.25) -> bool:
        """Whether nothing more comes for a while."""
        return not self._data and not select.select([self._fd], [], [], seconds)[0]


def test_the_last_ten_by_default_oldest_first(path: Path) -> None:
    append(path, *range(15))
    done = run("tail", path)
    assert (done.code, done.err) == (0, "")
    assert done.out == b"".join(path.read_bytes().splitlines(keepends=True)[5:])


@pytest.mark.parametrize(("count", "wanted"), [(0, 0), (1, 1), (5, 5), (6, 5), (100000, 5)])
def test_the_last_n(ledger: Path, count: int, wanted: int) -> None:
    lines = ledger.read_bytes().splitlines(keepends=True)
    for option in (("-n", str(count)), (f"-n{count}",), (f"--lines={count}",)):
        assert inside("tail", ledger, *option).out == b"".join(lines[5 - wanted :])


def test_filters(ledger: Path) -> None:
    def ids(*options: str) -> list[int]:
        done = inside("tail", ledger, *options)
        assert done.code == 0
        return [event["event_id"] for event in done.events]

    assert ids("--kind", "other") == [3, 5]
    assert ids("--kind", "other", "-n", "1") == [5]
    assert ids("--kind", "other", "--kind", "watch_created") == [3, 4, 5]
    assert ids("--source", "cron", "--kind", "watch_created") == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-n", "-1"), "'-n'"),
        (("-n", "x"), "not a whole number"),
        (("-f", "--format", "json"), "--format json does not go with -f"),
        (("--kind", "othr"), 'did you mean "other"?'),
        (("--format", "xml"), "expected one of auto, jsonl, json, table, csv"),
    ],
)
def test_bad_options(ledger: Path, options: tuple[str, ...], says: str) -> None:
    done = inside("tail", ledger, *options)
    assert (done.code, done.out) == (2, b"")
    assert says in done.err
    assert done.err.count("\n") == 1


def test_a_missing_ledger_cannot_be_followed(path: Path) -> None:
    done = run("tail", path, "-f", timeout=10)
    assert (done.code, done.out) == (2, b"")


def test_damage_and_torn_tails_are_reported(ledger: Path) -> None:
    with ledger.open("ab") as file:
        file.write(b"garbage\nhalf")
    done = inside("tail", ledger)
    assert done.code == 1
    assert len(done.lines) == 5
    warning, error = done.err.splitlines()
    assert warning.startswith("warning: ")
    assert " is damaged: " in error
    assert error.endswith("; skipped, run verify")


# -- following -----------------------------------------------------------------------------


def test_what_others_append_is_followed_exactly_once_and_quickly(path: Path, start: Start) -> None:
    append(path, 0, 1)
    reader = Reader(start("tail", path, "-f"))
    assert reader.numbers(2) == [0, 1]
    took = []
    for number in range(2, 12):
        began = time.monotonic()
        append(path, number)
        assert reader.numbers(1) == [number]
        took.append(time.monotonic() - began)
    assert sorted(took)[5] < 0.25
    assert inside("append", path, "--kind", "other", "--source", "s", "--set", "n=12").code == 0
    assert reader.numbers(1) == [12]
    assert reader.nothing()


def test_only_new_events_with_n_0_and_filters(path: Path, start: Start) -> None:
    append(path, 0)
    options = ("-n", "0", "--kind", "watch_created", "--source", "s")
    follower = start("tail", path, "-f", *options)
    reader = Reader(follower)
    while reader.nothing(0.1):  # what comes before it has looked is not new to it
        append(path, 99, kind="watch_created")
    while not reader.nothing(0.5):
        assert reader.numbers(1) == [99]
    append(path, 1)
    append(path, 2, kind="watch_created")
    append(path, 3, kind="watch_created", source="t")
    append(path, 4, kind="watch_created")
    assert reader.numbers(2) == [2, 4]
    assert reader.nothing()


def test_several_writers_and_a_follower(path: Path, start: Start) -> None:
    append(path, 0)
    reader = Reader(start("tail", path, "-f", "-n", "1"))
    assert reader.numbers(1) == [0]
    writers = [
        threading.Thread(target=append, args=(path, *range(k * 100 + 1, k * 100 + 101)))
        for k in range(3)
    ]
    for writer in writers:
        writer.start()
    got = reader.numbers(300)
    for writer in writers:
        writer.join()
    stored = [json.loads(line)["payload"]["n"] for line in path.read_bytes().splitlines()]
    assert got == stored[1:]
    assert sorted(got) == list(range(1, 301))


def test_an_event_that_is_being_written_is_waited_for(path: Path, start: Start) -> None:
    append(path, 0, 1)
    data = path.read_bytes()
    cut = data.index(b"\n") + 1
    path.write_bytes(data[:cut])
    reader = Reader(start("tail", path, "-f"))
    assert reader.numbers(1) == [0]
    with path.open("ab", buffering=0) as file:
        file.write(data[cut : cut + 50])
        assert reader.nothing()
        file.write(data[cut + 50 :])
    assert reader.numbers(1) == [1]


def test_rotation_by_rename(path: Path, start: Start) -> None:
    append(path, 0, 1)
    follower = start("tail", path, "-f")
    reader = Reader(follower)
    assert reader.numbers(2) == [0, 1]
    old = path.with_suffix(".1")
    path.rename(old)
    append(old, 2)  # a writer that still has it open
    append(path, 10, 11)
    assert reader.numbers(3) == [2, 10, 11]
    append(path, 12)
    assert reader.numbers(1) == [12]
    assert reader.nothing()
    follower.terminate()
    assert follower.stderr is not None
    assert follower.stderr.read() == (
        b"warning: the ledger was rotated or replaced; following the new one\n"
    )


def test_a_ledger_that_is_gone_for_a_while(path: Path, start: Start) -> None:
    append(path, 0)
    reader = Reader(start("tail", path, "-f"))
    assert reader.numbers(1) == [0]
    path.unlink()
    assert reader.nothing(0.3)
    append(path, 10)
    assert reader.numbers(1) == [10]


def test_replacement_by_another_ledger(path: Path, start: Start) -> None:
    append(path, 0, 1, 2)
    reader = Reader(start("tail", path, "-f"))
    assert reader.numbers(3) == [0, 1, 2]
    other = path.with_name("other.jsonl")
    append(other, 20, 21, 22, 23)
    os.replace(other, path)
    assert reader.numbers(4) == [20, 21, 22, 23]


def test_replacement_by_a_copy_goes_on_where_it_was(path: Path, start: Start) -> None:
    append(path, 0, 1, 2)
    reader = Reader(start("tail", path, "-f"))
    assert reader.numbers(3) == [0, 1, 2]
    copy = path.with_name("copy.jsonl")
    shutil.copy(path, copy)
    append(copy, 3)
    os.replace(copy, path)
    append(path, 4)
    assert reader.numbers(2) == [3, 4]
    assert reader.nothing()


def test_copytruncate(path: Path, start: Start) -> None:
    append(path, 0, 1, 2)
    reader = Reader(start("tail", path, "-f"))
    assert reader.numbers(3) == [0, 1, 2]
    shutil.copy(path, path.with_suffix(".1"))
    os.truncate(path, 0)
    append(path, 10)
    assert reader.numbers(1) == [10]
    append(path, 11, 12, 13, 14)
    assert reader.numbers(4) == [11, 12, 13, 14]
    assert reader.nothing()


def test_damage_that_comes_while_following_is_named(path: Path, start: Start) -> None:
    append(path, 0)
    follower = start("tail", path, "-f")
    reader = Reader(follower)
    assert reader.numbers(1) == [0]
    with path.open("ab") as file:
        file.write(b"garbage\n")
    assert follower.stderr is not None
    assert select.select([follower.stderr], [], [], 10)[0]
    assert b" is damaged: " in follower.stderr.read(200)
    assert follower.poll() is None


def test_the_follower_ends_when_its_reader_has_gone(path: Path, start: Start) -> None:
    append(path, 0)
    follower = start("tail", path, "-f")
    Reader(follower).numbers(1)
    assert follower.stdout is not None
    follower.stdout.close()
    assert follower.wait(5) == 0
    assert follower.stderr is not None
    assert follower.stderr.read() == b""


def test_following_on_a_terminal_shows_a_table_row_by_row(path: Path) -> None:
    append(path, 0)
    terminal = Terminal("tail", path, "-f", columns=100, env={"NO_COLOR": "1"})
    shown = terminal.read_until(b'{"n":0}')
    assert b"payload" in shown
    append(path, 1)
    terminal.read_until(b'{"n":1}')
    terminal.type(b"\x03")
    code, text = terminal.finish()
    assert code == 130
    assert text.count("payload") == 1
    assert "Traceback" not in text


def test_csv_can_be_followed(path: Path, start: Start) -> None:
    append(path, 0)
    follower = start("tail", path, "-f", "--format", "csv")
    assert follower.stdout is not None
    assert follower.stdout.readline().startswith(b"event_id,")
    assert follower.stdout.readline().startswith(b"1,")
    append(path, 1)
    assert follower.stdout.readline().startswith(b"2,")

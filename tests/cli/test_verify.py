"""`verify`: the verdict as exit code, the JSON, pins and expectations, several ledgers, stdin."""

from __future__ import annotations

import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from audit_stream.ledger import Ledger
from tests.cli.program import inside, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = [
    "valid", "checked", "first_break_at", "reason", "verdict", "byte_offset", "last_event_id",
    "latest_hash", "bytes", "torn_tail_bytes", "clock_regressions", "pinned",
]  # fmt: skip


def result(*arguments: str | os.PathLike[str], code: int) -> dict[str, Any]:
    done = inside("verify", *arguments, "--json")
    assert (done.code, done.err) == (code, ""), done
    (members,) = done.events
    return members


def grow(ledger: Path, count: int = 1) -> None:
    with Ledger(ledger) as opened:
        for number in range(count):
            opened.append("other", "s", {"n": number})


def hashes(ledger: Path) -> list[str]:
    return [json.loads(line)["hash"] for line in ledger.read_bytes().splitlines()]


# -- verdicts ------------------------------------------------------------------------------


def test_the_json_members_in_order(ledger: Path) -> None:
    members = result(ledger, code=0)
    assert list(members)[: len(MEMBERS)] == MEMBERS
    assert {name: members[name] for name in MEMBERS} == {
        "valid": True, "checked": 5, "first_break_at": None, "reason": None, "verdict": "intact",
        "byte_offset": None, "last_event_id": 5, "latest_hash": hashes(ledger)[-1],
        "bytes": ledger.stat().st_size, "torn_tail_bytes": 0, "clock_regressions": 0,
        "pinned": None,
    }  # fmt: skip
    assert members["ledger"] == str(ledger)


def test_a_broken_ledger(ledger: Path) -> None:
    data = ledger.read_bytes()
    ledger.write_bytes(data.replace(b"alice", b"alicf"))
    members = result(ledger, code=1)
    assert members["verdict"] == "broken"
    assert members["valid"] is False
    assert (members["first_break_at"], members["checked"], members["byte_offset"]) == (1, 0, 0)
    assert members["reason"] == "hash mismatch at event #1"
    lines = data.splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    members = result(ledger, code=1)
    assert members["reason"] == "event_id should be 3, got 4"
    assert (members["first_break_at"], members["checked"]) == (3, 2)
    assert members["byte_offset"] == len(lines[0] + lines[1])


def test_an_empty_ledger(path: Path) -> None:
    path.touch()
    members = result(path, code=0)
    assert (members["verdict"], members["valid"], members["latest_hash"]) == ("empty", True, None)


def test_a_torn_ledger(ledger: Path) -> None:
    size = ledger.stat().st_size
    with ledger.open("ab") as file:
        file.write(b'{"event_id"')
    members = result(ledger, code=3)
    assert (members["verdict"], members["valid"], members["checked"]) == ("torn", False, 5)
    assert (members["first_break_at"], members["byte_offset"]) == (None, size)
    assert members["torn_tail_bytes"] == 11


def test_clocks_that_step_back_are_counted_and_no_break(path: Path) -> None:
    with Ledger(path) as opened:
        for minute in (1, 0, 2, 1):
            opened.append("other", "s", timestamp=f"2026-01-01T00:0{minute}:00Z")
    assert result(path, code=0)["clock_regressions"] == 2
    assert b"2 events are older than the one before them" in inside("verify", path).out


@pytest.mark.parametrize("jobs", ["1", "2", "7"])
def test_jobs_do_not_change_the_answer(path: Path, jobs: str) -> None:
    with Ledger(path) as opened:
        draft = {"kind": "other", "source": "s"}
        opened.append_many({**draft, "payload": {"n": n}} for n in range(3000))
    assert result(path, "--jobs", jobs, code=0)["checked"] == 3000
    path.write_bytes(path.read_bytes().replace(b'"n":1999}', b'"n":1998}'))
    assert result(path, "--jobs", jobs, code=1)["first_break_at"] == 2000


# -- words ---------------------------------------------------------------------------------


def test_the_words_for_people(ledger: Path) -> None:
    done = run("verify", ledger)
    text = done.out.decode()
    assert text.splitlines()[0] == f"{ledger}: intact"
    assert "5 events" in text
    assert hashes(ledger)[-1] in text
    assert "nothing outside the file vouches for its end" in text
    assert done.err == ""


@pytest.mark.parametrize("damage", ["broken", "torn", "intact"])
def test_quiet_prints_nothing(ledger: Path, damage: str) -> None:
    with ledger.open("ab") as file:
        file.write({"broken": b"x\n", "torn": b"x", "intact": b""}[damage])
    for option in ("--quiet", "-q"):
        done = inside("verify", ledger, option)
        assert (done.out, done.err) == (b"", "")
        assert done.code == {"broken": 1, "torn": 3, "intact": 0}[damage]


def test_words_on_a_terminal(ledger: Path) -> None:
    code, shown = on_terminal("verify", ledger, columns=80)
    assert code == 0
    assert "\x1b[1;32m✓ intact\x1b[0m" in shown
    assert "\x1b" not in on_terminal("verify", ledger, env={"NO_COLOR": "1"})[1]
    assert "\x1b" not in on_terminal("verify", ledger, env={"TERM": "dumb"})[1]
    assert json.loads(on_terminal("verify", ledger, "--json")[1])["valid"] is True
    with ledger.open("ab") as file:
        file.write(b"x\n")
    assert "\x1b[1;31m✗ broken\x1b[0m" in on_terminal("verify", ledger)[1]


def test_a_hostile_file_name_is_shown_harmless(ledger: Path) -> None:
    evil = ledger.with_name("a\x1b[2J\u202eb.jsonl")
    ledger.rename(evil)
    for options in ((), ("--json",)):
        code, shown = on_terminal("verify", evil, *options, env={"NO_COLOR": "1"})
        assert code == 0
        assert shown.replace("\n", "").isprintable()
        assert "\\u001b[2J\\u202e" in shown
    bad = ledger.with_name("missing\x1b[2J")
    assert "missing\\u001b[2J" in on_terminal("verify", bad)[1]
    assert inside("verify", os.fsencode(evil.parent) + b"/\xff").code == 2


def test_a_file_name_that_is_not_utf8(ledger: Path) -> None:
    name = os.fsdecode(os.fsencode(ledger.parent) + b"/l\xff.jsonl")
    ledger.rename(name)
    assert result(name, code=0)["ledger"] == name
    assert inside("verify", name).out.startswith(os.fsencode(ledger.parent) + b"/l\\udcff.jsonl")


def test_no_progress_bar_in_a_pipe(ledger: Path) -> None:
    done = run("verify", ledger, env={"FORCE_COLOR": "1"})
    assert done.err == ""


# -- several ledgers, and none -------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ("intact intact", 0),
        ("intact torn", 3),
        ("torn missing", 2),
        ("missing torn intact", 2),
        ("torn broken intact", 1),
        ("missing broken", 1),
        ("broken missing", 1),
        ("intact missing", 2),
    ],
)
def test_the_worst_exit_code_wins(ledger: Path, kinds: str, code: int) -> None:
    paths = []
    for position, kind in enumerate(kinds.split()):
        copy = ledger.with_name(f"{position}-{kind}.jsonl")
        if kind != "missing":
            tail = {"broken": b"x\n", "torn": b"x", "intact": b""}[kind]
            copy.write_bytes(ledger.read_bytes() + tail)
        paths.append(copy)
    done = inside("verify", *paths, "--json")
    assert done.code == code
    there = [p for p in paths if p.exists()]
    assert [event["ledger"] for event in done.events] == [str(p) for p in there]
    assert done.err.count("\n") == kinds.count("missing")


@pytest.mark.parametrize(
    "options",
    [("--pin", "p"), ("--expect-count", "1"), ("--expect-head", "0" * 64)],
)
def test_pins_and_expectations_go_with_one_ledger_only(
    ledger: Path, options: tuple[str, ...]
) -> None:
    done = inside("verify", ledger, ledger, *options)
    assert (done.code, done.out) == (2, b"")
    assert done.err == "error: pins and expectations go with one ledger only\n"


def test_the_ledger_of_the_environment_may_have_spaces(ledger: Path) -> None:
    spaced = ledger.with_name("a ledger.jsonl")
    ledger.rename(spaced)
    done = inside("verify", env={"AUDIT_STREAM_LEDGER": str(spaced)})
    assert done.code == 0
    assert done.out.startswith(f"{spaced}: intact".encode())


def test_stdin(ledger: Path) -> None:
    data = ledger.read_bytes()
    for content, code in ((data, 0), (b"", 0), (data[:-1], 3), (data + b"\n", 1)):
        done = run("verify", "-", "--json", stdin=content)
        assert (done.code, done.err) == (code, "")
        assert done.events[0]["ledger"] == "-"
        assert done.events[0]["bytes"] == len(content)
    done = run("verify", "-", "--expect-head", hashes(ledger)[2], "--expect-count", "3", stdin=data)
    assert done.code == 0
    assert run("verify", "-", "--expect-count", "6", stdin=data).code == 1
    done = run("verify", "-", "--pin", ledger.with_name("pin"), stdin=data)
    assert (done.code, done.out) == (2, b"")
    assert "--pin needs a ledger file" in done.err


def test_a_fifo(ledger: Path) -> None:
    fifo = ledger.with_name("fifo")
    os.mkfifo(fifo)
    data = ledger.read_bytes()
    writer = threading.Thread(target=lambda: fifo.write_bytes(data))
    writer.start()
    done = run("verify", fifo, "--json")
    writer.join()
    assert done.code == 0
    assert done.events[0]["checked"] == 5


# -- expectations --------------------------------------------------------------------------


def test_expectations(ledger: Path) -> None:
    known = hashes(ledger)
    for options, code in (
        (("--expect-count", "0"), 0),
        (("--expect-count", "5"), 0),
        (("--expect-count", "6"), 1),
        (("--expect-head", known[4]), 0),
        (("--expect-head", known[0].upper()), 0),
        (("--expect-head", "1" * 64), 1),
        (("--expect-head", known[2], "--expect-count", "3"), 0),
        (("--expect-head", known[2], "--expect-count", "2"), 1),
        (("--expect-head", known[2], "--expect-count", "4"), 1),
        (("--expect-head", known[2], "--expect-count", "9"), 1),
    ):
        assert inside("verify", ledger, *options).code == code, options
    assert result(ledger, "--expect-count", "6", code=1)["verdict"] == "truncated"
    assert result(ledger, "--expect-head", "1" * 64, code=1)["verdict"] in (
        "truncated",
        "rewritten",
    )
    assert result(ledger, "--expect-head", known[4], code=0)["pinned"] is not None
    grow(ledger, 3)
    assert inside("verify", ledger, "--expect-head", known[4], "--expect-count", "5").code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--expect-head", "x"), "--expect-head: expected 64 hex digits"),
        (("--expect-head", ""), "--expect-head: expected 64 hex digits"),
        (("--expect-head", "1" * 63 + "\n"), "--expect-head: expected 64 hex digits"),
        (("--expect-count", "-1"), "--expect-count"),
        (("--expect-count", "x"), "not a whole number"),
        (("--jobs", "0"), "--jobs"),
        (("--since-pin",), "--since-pin goes with --pin FILE"),
    ],
)
def test_bad_options(ledger: Path, options: tuple[str, ...], says: str) -> None:
    done = inside("verify", ledger, *options)
    assert (done.code, done.out) == (2, b"")
    assert says in done.err
    assert done.err.count("\n") == 1


# -- pins ----------------------------------------------------------------------------------


@pytest.fixture
def pin(ledger: Path) -> Path:
    """A pin of the ledger as it is."""
    pin = ledger.with_name("ledger.pin")
    assert inside("verify", ledger, "--pin", pin).code == 0
    assert pin.exists()
    return pin


def test_a_pin_moves_forward_on_success(ledger: Path, pin: Path) -> None:
    before = pin.read_bytes()
    assert inside("verify", ledger, "--pin", pin).code == 0
    assert pin.read_bytes() == before
    grow(ledger, 2)
    for options in ((), ("--since-pin",)):
        members = result(ledger, "--pin", pin, *options, code=0)
        assert members["checked"] == 7
        assert members["pinned"] is not None
    assert pin.read_bytes() != before
    assert hashes(ledger)[-1] in pin.read_text()


@pytest.mark.parametrize("options", [(), ("--since-pin",)])
@pytest.mark.parametrize("attack", ["truncated", "rewritten", "broken", "torn", "emptied"])
def test_what_no_longer_extends_its_pin(
    ledger: Path, pin: Path, attack: str, options: tuple[str, ...]
) -> None:
    kept = pin.read_bytes()
    lines = ledger.read_bytes().splitlines(keepends=True)
    if attack == "truncated":
        ledger.write_bytes(b"".join(lines[:3]))
    elif attack == "rewritten":
        ledger.unlink()
        grow(ledger, 8)
    elif attack == "broken":
        ledger.write_bytes(b"".join(lines) + b"x\n")
    elif attack == "emptied":
        ledger.write_bytes(b"")
    else:
        grow(ledger)
        ledger.write_bytes(ledger.read_bytes()[:-1])
    members = result(ledger, "--pin", pin, *options, code=3 if attack == "torn" else 1)
    assert members["verdict"] == {"emptied": "truncated"}.get(attack, attack)
    assert pin.read_bytes() == kept


@pytest.mark.parametrize("content", [b"", b"{}", b"x", b"{", None])
def test_a_damaged_pin_is_an_error_and_stays(
    ledger: Path, pin: Path, content: bytes | None
) -> None:
    content = pin.read_bytes()[:-5] if content is None else content
    pin.write_bytes(content)
    done = inside("verify", ledger, "--pin", pin)
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith(f"error: {pin}: an empty or damaged pin")
    assert done.err.count("\n") == 1
    assert pin.read_bytes() == content


def test_a_pin_that_cannot_be_written_is_not_a_success(ledger: Path) -> None:
    nowhere = ledger.parent / "missing" / "pin"
    done = inside("verify", ledger, "--pin", nowhere, "--json")
    assert (done.code, done.out) == (4, b"")
    assert done.err.startswith(f"error: {nowhere}: cannot write the pin: ")
    full = run("verify", ledger, "--pin", "/proc/pin", "--json")
    assert (full.code, full.out) == (4, b"")


def test_a_pin_that_is_a_directory(ledger: Path) -> None:
    done = inside("verify", ledger, "--pin", ledger.parent)
    assert (done.code, done.out) == (2, b"")
    assert "cannot read the pin" in done.err


def test_no_pin_is_made_of_a_ledger_that_fails(ledger: Path) -> None:
    pin = ledger.with_name("new.pin")
    data = ledger.read_bytes()
    for content, code in ((data + b"x\n", 1), (data + b"x", 3)):
        ledger.write_bytes(content)
        assert inside("verify", ledger, "--pin", pin).code == code
        assert not pin.exists()


def test_a_pin_of_an_empty_ledger_grows_with_it(path: Path) -> None:
    path.touch()
    pin = path.with_name("pin")
    assert inside("verify", path, "--pin", pin).code == 0
    grow(path, 2)
    assert result(path, "--pin", pin, "--since-pin", code=0)["checked"] == 2


def test_a_copy_of_the_ledger_passes_its_pin(ledger: Path, pin: Path) -> None:
    copy = ledger.with_name("copy.jsonl")
    shutil.copy(ledger, copy)
    grow(copy)
    assert inside("verify", copy, "--pin", pin).code == 0


def test_a_new_pin_says_what_it_is_good_for(ledger: Path) -> None:
    pin = ledger.with_name("new.pin")
    first = inside("verify", ledger, "--pin", pin).out.decode()
    assert "from now on" in first
    assert str(pin) in first
    again = inside("verify", ledger, "--pin", pin).out.decode()
    assert "pinned" in again
    assert "up to event 5" in again

"""What a crash after each step of a commit leaves: one test per row of FORMAT.md's table.

`kill` ends the process and leaves the page cache; `lose_power` also takes what was not synced, or
a part of it. After each the ledger is reopened, verified, appended to, and verified again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.ledgers import joined
from tests.storage.appends import (
    LINES,
    STATES,
    TORN,
    beside,
    calls_of_an_append,
    check_and_go_on,
    open_ledger,
    prepared,
)
from tests.storage.disks import Machine, PowerCut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENDINGS: dict[str, Callable[[Machine], None]] = {
    "killed": Machine.kill,
    "nothing kept": Machine.lose_power,
    "a third kept": lambda machine: machine.lose_power(0.3),
    "all kept": lambda machine: machine.lose_power(1.0),
}


def append_and_stop(path: Path, stop_after: int) -> tuple[Machine, list[bytes]]:
    """Append on a machine that stops; return it, and what was acknowledged before it did."""
    machine = Machine(path.parent, stop_after)
    acknowledged = []
    with contextlib.suppress(PowerCut):
        acknowledged.append(open_ledger(path, machine).append("other", "test").line)
    return machine, acknowledged


def stopped_after(path: Path, state: str, call: str, at: int = 1) -> Machine:
    """Append until the `at`-th such call has done its work."""
    met = [number for number, name in enumerate(calls_of_an_append(state)) if name == call]
    machine, acknowledged = append_and_stop(prepared(path.parent, state), met[at - 1] + 1)
    assert acknowledged == [] or call == "unlock"
    return machine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("state", "stop_after"),
    [(state, n) for state in STATES for n in range(len(calls_of_an_append(state)) + 1)],
)
def test_stopping_after_any_call(path: Path, state: str, stop_after: int, ending: str) -> None:
    machine, acknowledged = append_and_stop(prepared(path.parent, state), stop_after)
    ENDINGS[ending](machine)
    check_and_go_on(path, state, acknowledged)


def test_a_crash_after_step_1_leaves_at_most_an_empty_file(path: Path) -> None:
    stopped_after(path, "new", "stat").kill()
    assert path.read_bytes() == b""
    assert open_ledger(path).verify().verdict == "empty"
    check_and_go_on(path, "new", [])
    path.unlink()
    stopped_after(path, "new", "stat").lose_power()
    assert not path.exists()
    check_and_go_on(path, "new", [])


@pytest.mark.parametrize("state", ["whole", "torn"])
def test_a_crash_after_step_2_leaves_the_ledger_as_it_was(path: Path, state: str) -> None:
    stopped_after(path, state, "read_at").lose_power()
    assert path.read_bytes() == STATES[state]
    assert beside(path) == []
    check_and_go_on(path, state, [])


@pytest.mark.parametrize("call", ["create_new", "write", "sync_data", "close"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_crash_while_the_tail_is_copied_leaves_it_in_its_place(
    path: Path, call: str, ending: str
) -> None:
    ENDINGS[ending](stopped_after(path, "torn", call))
    assert path.read_bytes() == STATES["torn"]
    assert all(TORN.startswith(copy.read_bytes()) for copy in beside(path))
    check_and_go_on(path, "torn", [])


def test_a_crash_after_the_copy_leaves_the_tail_twice(path: Path) -> None:
    stopped_after(path, "torn", "sync_directory").lose_power()
    assert path.read_bytes() == STATES["torn"]
    assert [copy.read_bytes() for copy in beside(path)] == [TORN]
    check_and_go_on(path, "torn", [])
    assert [copy.read_bytes() for copy in beside(path)] == [TORN, TORN]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_crash_after_step_3_leaves_the_tail_in_its_copy(path: Path, ending: str) -> None:
    ENDINGS[ending](stopped_after(path, "torn", "truncate"))
    # A cut that was not synced may be undone by a power cut; the copy is there either way.
    assert path.read_bytes() in (STATES["whole"], STATES["torn"])
    assert [copy.read_bytes() for copy in beside(path)] == [TORN]
    check_and_go_on(path, "torn", [])


@pytest.mark.parametrize("size", [0, 1, 150, 258, 259, 260, 400, 600, 776, 777])
def test_a_crash_during_step_4_leaves_whole_events_and_at_most_one_torn(
    path: Path, size: int
) -> None:
    prepared(path.parent, "whole")
    machine = Machine(path.parent)

    def stop(real: Callable[[int, bytes], int], fd: int, data: bytes) -> int:
        real(fd, data[:size])
        machine.stopped = True
        raise PowerCut

    machine.replace("write", stop)
    with pytest.raises(PowerCut):
        open_ledger(path, machine).append_many([{"kind": "other", "source": "test"}] * 3)
    machine.kill()
    data = path.read_bytes()
    assert len(data) == len(joined(LINES)) + size
    result = open_ledger(path).verify()
    assert result.verdict == ("intact" if data.endswith(b"\n") else "torn")
    assert result.checked == data.count(b"\n")
    check_and_go_on(path, "whole", [])


@pytest.mark.parametrize(
    ("ending", "verdict", "count"),
    [
        ("killed", "intact", 4),
        ("nothing kept", "intact", 3),
        ("a third kept", "torn", 3),
        ("all kept", "intact", 4),
    ],
)
def test_a_crash_after_step_4_leaves_events_that_nobody_was_told_of(
    path: Path, ending: str, verdict: str, count: int
) -> None:
    ENDINGS[ending](stopped_after(path, "whole", "write"))
    result = open_ledger(path).verify()
    assert (result.verdict, result.checked) == (verdict, count)
    check_and_go_on(path, "whole", [])


def test_a_crash_between_the_syncs_of_a_new_ledger_may_leave_no_file(path: Path) -> None:
    stopped_after(path, "new", "sync_data").lose_power()
    assert not path.exists()  # nothing in it was acknowledged
    check_and_go_on(path, "new", [])


@pytest.mark.parametrize("state", STATES)
def test_a_crash_after_step_5_leaves_the_events(path: Path, state: str) -> None:
    last = "sync_directory" if state == "new" else "sync_data"
    calls = calls_of_an_append(state)
    stopped_after(path, state, last, calls.count(last)).lose_power()
    result = open_ledger(path).verify()
    assert (result.verdict, result.checked) == ("intact", 1 if state == "new" else 4)
    check_and_go_on(path, state, [])


@pytest.mark.parametrize("state", STATES)
def test_a_crash_after_step_6_leaves_what_was_acknowledged(path: Path, state: str) -> None:
    prepared(path.parent, state)
    machine = Machine(path.parent)
    ledger = open_ledger(path, machine)
    acknowledged = [ledger.append("other", f"s{number}").line for number in range(5)]
    machine.lose_power()
    assert path.read_bytes().endswith(joined(acknowledged))
    check_and_go_on(path, state, acknowledged)

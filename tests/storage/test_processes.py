"""Real processes: many writers at once, and writers killed at any moment.

What a child was told is durable goes through a pipe, line by line, before it appends again; what
the pipe holds must be in the ledger, whatever became of the child.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from audit_stream import Ledger
from audit_stream.verification import verify_bytes
from tests.ledgers import joined
from tests.storage.appends import beside
from tests.storage.children import fork

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


class Writer:
    """A forked process that appends, and the pipe on which it repeats what was acknowledged."""

    def __init__(self, work: Callable[[Callable[[list[bytes]], None]], None]) -> None:
        self._reading, writing = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            os.close(self._reading)
            status = 1
            try:
                work(lambda lines: _write_all(writing, b"".join(lines)))
                status = 0
            finally:
                os._exit(status)
        os.close(writing)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def acknowledged(self) -> list[bytes]:
        """Wait for the end; return the lines (with LF) that were acknowledged and repeated."""
        with os.fdopen(self._reading, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(self.pid, 0)
        assert status in (0, signal.SIGKILL)
        return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def drafts(number: int, count: int) -> list[dict[str, object]]:
    return [
        {"kind": "other", "source": f"writer-{number}", "payload": {"n": n}} for n in range(count)
    ]


def test_eight_writers_at_once(path: Path) -> None:
    def work(number: int) -> Callable[[Callable[[list[bytes]], None]], None]:
        def append(acknowledge: Callable[[list[bytes]], None]) -> None:
            chance = random.Random(number)
            with Ledger(path) as ledger:
                for _ in range(30):
                    count = chance.choice([1, 1, 1, 7, 50])
                    if count == 1:
                        event = ledger.append("other", f"writer-{number}", {"single": True})
                        acknowledge([event.line + b"\n"])
                    else:
                        events = ledger.append_many(drafts(number, count))
                        ids = [event.event_id for event in events]
                        assert ids == list(range(ids[0], ids[0] + count))
                        acknowledge([event.line + b"\n" for event in events])

        return append

    writers = [Writer(work(number)) for number in range(8)]
    told = [writer.acknowledged() for writer in writers]
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    assert sorted(line for each in told for line in each) == sorted(lines)
    assert verify_bytes(data).checked == len(lines) > 8 * 30
    for each in told:  # what one writer was told, it was told in the ledger's order
        mine = set(each)
        assert each == [line for line in lines if line in mine]
    assert beside(path) == []


def test_kill_9_at_any_moment_loses_nothing_acknowledged(path: Path) -> None:
    chance = random.Random(9)
    rounds = 300

    def work(acknowledge: Callable[[list[bytes]], None]) -> None:
        chance = random.Random(os.getpid())
        with Ledger(path) as ledger:
            while True:
                count = chance.choice([1, 1, 1, 2, 20, 400])
                events = ledger.append_many(drafts(os.getpid(), count))
                acknowledge([event.line + b"\n" for event in events])

    whole = 0
    torn = 0
    for turn in range(rounds):
        victims = [Writer(work) for _ in range(1 + turn % 2)]
        time.sleep(chance.uniform(0.0, 0.012))
        for victim in victims:
            victim.kill()
        told = [line for victim in victims for line in victim.acknowledged()]
        data = path.read_bytes() if path.exists() else b""
        new = data[whole:]
        torn += not new.endswith(b"\n") and new != b""
        missing = set(told) - set(new.splitlines(keepends=True))
        assert missing == set()
        if turn % 10 == 9:
            with Ledger(path) as ledger:
                if path.exists():
                    assert ledger.verify().verdict in ("intact", "empty", "torn")
                event = ledger.append("other", "survivor")
                assert ledger.verify().verdict == "intact"
            data = path.read_bytes()
            assert data.endswith(event.line + b"\n")
        # A last line that is torn now will be moved aside; all before it has to stay as it is.
        whole = data.rfind(b"\n") + 1
    assert verify_bytes(path.read_bytes()).checked > rounds
    assert len(beside(path)) <= torn


def test_writers_killed_while_others_go_on(path: Path) -> None:
    """Killing a holder of the lock gives it to the others; nobody's chain forks."""
    chance = random.Random(10)

    def forever(acknowledge: Callable[[list[bytes]], None]) -> None:
        with Ledger(path) as ledger:
            while True:
                acknowledge([ledger.append("other", "victim").line + b"\n"])

    def steadily(acknowledge: Callable[[list[bytes]], None]) -> None:
        with Ledger(path) as ledger:
            for _ in range(400):
                acknowledge([ledger.append("other", "survivor").line + b"\n"])

    survivors = [Writer(steadily) for _ in range(2)]
    told = []
    for _ in range(60):
        victim = Writer(forever)
        time.sleep(chance.uniform(0.001, 0.01))
        victim.kill()
        told += victim.acknowledged()
    for survivor in survivors:
        lines = survivor.acknowledged()
        assert len(lines) == 400
        told += lines
    with Ledger(path) as ledger:
        ledger.append("other", "last")
        assert ledger.verify().verdict == "intact"
    kept = set(path.read_bytes().splitlines(keepends=True))
    assert len(set(told)) == len(told)
    assert set(told) <= kept


def test_a_ledger_opened_before_a_fork_works_in_both(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.append("other", "parent")

        def work(acknowledge: Callable[[list[bytes]], None]) -> None:
            for _ in range(50):
                acknowledge([ledger.append("other", "child").line + b"\n"])

        children = [Writer(work) for _ in range(3)]
        for _ in range(50):
            ledger.append("other", "parent")
        told = [line for child in children for line in child.acknowledged()]
        assert len(told) == 150
        assert ledger.verify().checked == 201
        assert set(told) <= set(joined(e.line for e in ledger.query()).splitlines(keepends=True))

"""The hash file: brought up, checked, made anew, and never wrong for longer than one look."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_stream import merkle
from audit_stream.errors import StorageError
from audit_stream.storage.file import FileEngine
from audit_stream.storage.hash_file import HashFile
from tests.faults import HOWS, Crash, FaultyDisk
from tests.signed import event_lines, store

LINES = event_lines(300)
OTHER = event_lines(300, "other")


class Beside:
    """A ledger file and its hash file."""

    def __init__(self, home: Path) -> None:
        self.ledger = home / "ledger.jsonl"
        self.path = home / "ledger.jsonl.merkle"
        self.engine = FileEngine(str(self.ledger))

    def write(self, lines: list[bytes]) -> None:
        self.ledger.write_bytes(b"".join(line + b"\n" for line in lines))

    def roots(self, *, anew: bool = False, disk: FaultyDisk | None = None) -> list[bytes]:
        """The root at every size, from the stored hashes."""
        file = HashFile(str(self.path), disk=disk)
        with file.caught_up(self.engine.snapshot, anew=anew) as (_, hashes):
            return [merkle.tree_root(size, hashes.read) for size in range(hashes.size + 1)]


class Unsynced(FaultyDisk):
    """For tests that write thousands of times."""

    def sync_data(self, fd: int) -> None:
        pass


def roots_of(lines: list[bytes]) -> list[bytes]:
    _, read = store(lines)
    return [merkle.tree_root(size, read) for size in range(len(lines) + 1)]


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside(tmp_path)


def test_it_is_brought_up_whatever_was_appended(beside: Beside) -> None:
    for size in (0, 1, 2, 3, 7, 8, 100, 100, 300):
        beside.write(LINES[:size])
        assert beside.roots() == roots_of(LINES[:size])
    assert os.stat(beside.path).st_mode & 0o077 == 0


def test_only_new_lines_are_read(beside: Beside) -> None:
    """The older lines are swapped for others: what follows them still goes on from their hashes."""
    beside.write(LINES[:200])
    beside.roots()
    data = b"".join(line + b"\n" for line in LINES)
    first = LINES[0] + b"\n"
    beside.ledger.write_bytes(first.replace(b'"n":1', b'"n":9') + data[len(first) :])
    assert beside.roots() == roots_of(LINES)


def test_a_torn_tail_is_not_hashed(beside: Beside) -> None:
    beside.write(LINES[:5])
    with beside.ledger.open("ab") as file:
        file.write(LINES[5][:20])
    assert beside.roots() == roots_of(LINES[:5])


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def zeroed(data: bytes) -> bytes:
    return bytes(len(data))


def longer(data: bytes) -> bytes:
    return data + bytes(100)


DAMAGE: list[Callable[[bytes], bytes]] = [
    cut,
    zeroed,
    longer,
    lambda data: b"",
    lambda data: data[:-1],
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_anew(beside: Beside, damage: Callable[[bytes], bytes]) -> None:
    beside.write(LINES)
    beside.roots()
    beside.path.write_bytes(damage(beside.path.read_bytes()))
    assert beside.roots() == roots_of(LINES)


def test_no_flipped_byte_survives_a_making_anew(beside: Beside) -> None:
    """A flip is seen at once in the header and on the right edge, elsewhere when a proof fails."""
    beside.write(LINES[:7])
    expected = roots_of(LINES[:7])
    assert beside.roots() == expected
    good = beside.path.read_bytes()
    for place in range(len(good)):
        beside.path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        found = beside.roots(disk=Unsynced())
        assert found == expected or place >= 96
        assert beside.roots(anew=True, disk=Unsynced()) == expected


@pytest.mark.parametrize("lines", [LINES[:100], OTHER, OTHER[:100], LINES[:299] + OTHER[299:], []])
def test_another_ledger_is_seen(beside: Beside, lines: list[bytes]) -> None:
    """Cut, rewritten, swapped: whatever the last leaf is not the hash of."""
    beside.write(LINES)
    beside.roots()
    beside.write(lines)
    assert beside.roots() == roots_of(lines)


def test_an_older_copy_is_brought_up_again(beside: Beside) -> None:
    beside.write(LINES[:50])
    beside.roots()
    old = beside.path.read_bytes()
    beside.write(LINES)
    beside.roots()
    beside.path.write_bytes(old)
    assert beside.roots() == roots_of(LINES)


@pytest.mark.parametrize("how", HOWS)
def test_a_fault_at_any_step_is_made_good(beside: Beside, how: str) -> None:
    for before, after in ((0, 20), (20, 50), (50, 20)):
        step = 0
        while True:
            step += 1
            beside.path.unlink(missing_ok=True)
            beside.write(LINES[:before])
            beside.roots()
            beside.write(LINES[:after])
            disk = FaultyDisk(step, how)
            try:
                assert beside.roots(disk=disk) == roots_of(LINES[:after])
                assert disk.steps < step
                break
            except (StorageError, Crash):
                assert beside.roots() == roots_of(LINES[:after])
        assert step > 2


def test_where_it_cannot_be_written_a_nameless_one_does(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside.write(LINES)

    class ReadOnly(FaultyDisk):
        def open_update(self, path: str) -> int:
            raise PermissionError(13, "Permission denied")

    assert beside.roots(disk=ReadOnly()) == roots_of(LINES)
    assert not beside.path.exists()


def test_it_is_never_ahead_of_the_snapshot_that_comes_with_it(beside: Beside) -> None:
    beside.write(LINES[:10])
    with HashFile(str(beside.path)).caught_up(beside.engine.snapshot) as (snapshot, hashes):
        beside.write(LINES)
        assert snapshot.last_event_id() == hashes.size == 10

"""Following a ledger: every event exactly once, through rotation, replacement and truncation."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from audit_stream import Ledger
from audit_stream.errors import StorageError
from audit_stream.follow import Follower
from audit_stream.storage import file as file_module
from audit_stream.storage.file import FileEngine
from audit_stream.storage.memory import MemoryEngine
from audit_stream.storage.snapshot import event_id_of
from tests.ledgers import chained, joined, numbered
from tests.storage.disks import FaultyDisk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = numbered(12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def follower(path: Path, after: int | None = 0) -> Follower:
    return Follower(FileEngine(path), after)


def given(follower: Follower, at_most: int = 1 << 20) -> list[bytes]:
    """All lines that polling gives until there are no more."""
    lines: list[bytes] = []
    while blocks := follower.poll(at_most):
        for block in blocks:
            assert block.data.endswith(b"\n")
            lines += block.data[:-1].split(b"\n")
    return lines


def write(path: Path, lines: list[bytes], mode: str = "ab") -> None:
    with path.open(mode) as file:
        file.write(joined(lines))


@pytest.mark.parametrize("after", [0, 1, 3, 5, 9, None])
def test_from_where_it_starts(path: Path, after: int | None) -> None:
    write(path, LINES[:5])
    following = follower(path, after)
    assert given(following) == LINES[5 if after is None else min(after, 5) : 5]
    write(path, LINES[5:7])
    assert given(following) == LINES[5:7]
    assert given(following) == []
    following.close()
    following.close()


def test_a_ledger_that_comes_later(path: Path) -> None:
    following = follower(path, None)
    assert given(following) == []
    write(path, [])
    assert given(following) == []
    write(path, LINES[:2])
    assert given(following) == LINES[:2]
    assert following.restarted == 0


@pytest.mark.parametrize("after", [2, 5, 7])
def test_a_ledger_that_comes_later_starts_where_it_was_asked_to(path: Path, after: int) -> None:
    following = follower(path, after)
    assert given(following) == []
    write(path, LINES[:5])
    assert given(following) == LINES[after:5]
    write(path, LINES[5:8])
    assert given(following) == LINES[5:8]


def test_a_snapshot_can_say_where_the_present_ends(path: Path) -> None:
    write(path, LINES[:3])
    ledger = Ledger(path)
    snapshot = ledger.snapshot()
    write(path, LINES[3:5])
    following = ledger.follow(snapshot=snapshot)
    assert given(following) == LINES[3:5]


def test_few_bytes_at_a_time(path: Path) -> None:
    write(path, LINES)
    following = follower(path)
    first = following.poll(1)
    assert first
    assert b"".join(block.data for block in first) == joined(LINES)[: len(first[0].data)]
    rest = given(following, 1)
    assert first[0].data + joined(rest) == joined(LINES)


def test_an_unterminated_tail_is_not_given_out(path: Path) -> None:
    write(path, LINES[:2])
    with path.open("ab") as file:
        file.write(LINES[2][:50])
    following = follower(path)
    assert given(following) == LINES[:2]
    with path.open("ab") as file:
        file.write(LINES[2][50:] + b"\n")
    assert given(following) == LINES[2:3]


def test_healing_goes_unnoticed(path: Path) -> None:
    write(path, LINES[:2])
    with path.open("ab") as file:
        file.write(b"torn")
    following = follower(path)
    assert given(following) == LINES[:2]
    event = Ledger(path).append("other", "test")
    assert given(following) == [event.line]
    assert following.restarted == 0


def test_a_read_that_fails_loses_nothing_and_leaks_nothing(path: Path) -> None:
    lines = chained({"payload": {"n": n, "text": "x" * 1000}} for n in range(300))
    write(path, lines)
    for at in range(1, 12):
        disk = FaultyDisk()
        following = Follower(FileEngine(path, disk=disk), 0)
        disk.fail("read_at", errno.EIO, at=at)
        open_before = len(os.listdir("/dev/fd"))
        received = b""
        for _ in range(5):
            with contextlib.suppress(StorageError):
                received += b"".join(block.data for block in following.poll())
            assert len(os.listdir("/dev/fd")) == open_before
        assert received == joined(lines)
        following.close()


def test_a_rotated_file_that_cannot_be_read_is_tried_again(path: Path) -> None:
    write(path, LINES[:2])
    disk = FaultyDisk()
    following = Follower(FileEngine(path, disk=disk), 0)
    assert given(following) == LINES[:2]
    write(rotate(path), LINES[2:4])
    write(path, numbered(2, source="new"))
    open_before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        # The new file's end is read first; then the old one's lines.
        disk.fail("read_at", errno.EIO, at=3)
        with pytest.raises(StorageError):
            following.poll()
        assert len(os.listdir("/dev/fd")) == open_before
    assert given(following) == [*LINES[2:4], *numbered(2, source="new")]


@pytest.mark.parametrize("damage", [b"", b"garbage", b"x" * 300_000, LINES[2] + b" "])
def test_damaged_lines_are_given_once_like_all_others(path: Path, damage: bytes) -> None:
    write(path, LINES[:2])
    following = follower(path)
    write(path, [damage])
    first = given(following)
    assert first[:2] == LINES[:2]
    assert damage.startswith(first[2])
    assert len(first) == 3
    assert given(following) == []
    write(path, LINES[3:5])
    assert given(following) == LINES[3:5]
    assert given(follower(path, 0)) == [*first, *LINES[3:5]]
    assert given(follower(path, None)) == []
    assert following.restarted == 0


# -- another file in its place -----------------------------------------------------------------


def rotate(path: Path) -> Path:
    old = path.with_name("ledger.jsonl.1")
    os.rename(path, old)
    return old


def test_rotation(path: Path) -> None:
    write(path, LINES[:3])
    following = follower(path)
    assert given(following) == LINES[:3]
    old = rotate(path)
    write(old, LINES[3:5])  # by whoever had it open
    assert given(following) == LINES[3:5]
    write(old, LINES[5:6])
    new = numbered(4, source="new")
    write(path, new[:2])
    assert given(following) == [LINES[5], *new[:2]]
    assert following.restarted == 1
    write(path, new[2:])
    assert given(following) == new[2:]
    assert following.restarted == 1


def test_a_rotation_to_an_empty_file(path: Path) -> None:
    write(path, LINES[:3])
    following = follower(path)
    assert given(following) == LINES[:3]
    rotate(path)
    path.touch()
    assert given(following) == []
    write(path, LINES[:1])
    assert given(following) == LINES[:1]


def test_a_rotation_before_anything_was_given(path: Path) -> None:
    path.touch()
    following = follower(path)
    assert given(following) == []
    write(rotate(path), LINES[:2])
    write(path, numbered(2, source="new"))
    assert given(following) == [*LINES[:2], *numbered(2, source="new")]


def test_a_long_line_left_in_a_rotated_file_is_given_whole(path: Path) -> None:
    (long,) = numbered(1, source="x" * 200, payload={"text": "y" * 5000})
    path.touch()
    following = follower(path)
    write(path, [long])
    rotate(path)
    assert given(following, 100) == [long]
    write(path, LINES[:1])
    assert given(following, 100) == LINES[:1]


def test_lines_in_a_rotated_file_come_a_few_at_a_time(path: Path) -> None:
    write(path, LINES[:1])
    following = follower(path)
    assert given(following) == LINES[:1]
    write(path, LINES[1:])
    rotate(path)
    write(path, numbered(2, source="new"))
    assert given(following, 500) == [*LINES[1:], *numbered(2, source="new")]


def test_a_copy_in_its_place_is_gone_on_with(path: Path) -> None:
    write(path, LINES[:4])
    following = follower(path)
    assert given(following) == LINES[:4]
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    write(copy, LINES[4:6])
    os.replace(copy, path)
    assert given(following) == LINES[4:6]
    assert following.restarted == 0


def test_a_restored_copy_that_lacks_nothing_yet_given(path: Path) -> None:
    write(path, LINES[:4])
    following = follower(path)
    assert given(following, 1)
    copy = path.with_name("copy")
    write(copy, LINES[:4])
    os.replace(copy, path)
    write(path, LINES[4:5])
    assert given(following) == LINES[4:5]


def test_another_ledger_in_its_place_is_read_from_its_start(path: Path) -> None:
    write(path, LINES[:4])
    following = follower(path)
    assert given(following) == LINES[:4]
    other = numbered(6, source="else")
    write(path, other, "wb")
    assert given(following) == other
    assert following.restarted == 1


def test_truncation_to_nothing(path: Path) -> None:
    write(path, LINES[:4])
    following = follower(path)
    assert given(following) == LINES[:4]
    os.truncate(path, 0)
    assert given(following) == []
    write(path, numbered(3, source="new"))
    assert given(following) == numbered(3, source="new")
    assert following.restarted == 1


def test_a_file_that_vanishes_and_comes_back(path: Path) -> None:
    write(path, LINES[:4])
    following = follower(path)
    assert given(following) == LINES[:4]
    old = rotate(path)
    assert given(following) == []
    os.rename(old, path)
    write(path, LINES[4:5])
    assert given(following) == LINES[4:5]
    assert following.restarted == 0


def test_an_engine_without_files() -> None:
    engine = MemoryEngine()
    ledger = Ledger("memory", engine=engine)
    first = ledger.append("other", "test")
    following = ledger.follow(0)
    assert given(following) == [first.line]
    second = ledger.append("other", "test")
    assert given(following) == [second.line]


def test_many_polls_among_appends_and_rotations(path: Path) -> None:
    ledger = Ledger(path)
    following = follower(path)
    expected: list[bytes] = []
    received: list[bytes] = []
    for step in range(200):
        if step % 17 == 16:
            os.rename(path, path.with_name(f"old.{step}"))
        if step % 5 == 4:
            drafts = [{"kind": "other", "source": f"s{step}"}] * 3
            expected += [event.line for event in ledger.append_many(drafts)]
        else:
            expected.append(ledger.append("other", f"s{step}").line)
        if step % 3 == 0:
            received += given(following, 600)
    received += given(following)
    assert received == expected
    assert all(event_id_of(line) for line in received)


def test_an_append_that_is_under_way_during_a_rotation_is_not_missed(path: Path) -> None:
    """The writer has looked at the name, the file is renamed and followed by another, and only
    then does the writer write."""
    write(path, LINES[:2])
    renamed, looked = threading.Event(), threading.Event()
    disk = FaultyDisk()

    def rename_first(real: Callable[[int, bytes], int], fd: int, data: bytes) -> int:
        looked.set()
        renamed.wait(10)
        time.sleep(0.05)  # long enough for a follower that does not wait to be gone
        return real(fd, data)

    disk.replace("write", rename_first)
    writer = Ledger(path, engine=FileEngine(path, disk=disk))
    late: list[bytes] = []
    thread = threading.Thread(target=lambda: late.append(writer.append("other", "late").line))
    following = follower(path)
    assert given(following) == LINES[:2]
    thread.start()
    looked.wait(10)
    rotate(path)
    write(path, numbered(2, source="new"))
    renamed.set()
    received = given(following)
    thread.join()
    received += given(following)
    assert received == [*late, *numbered(2, source="new")]


def test_while_the_old_file_cannot_be_looked_at_the_new_one_waits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "_READ_LOCK_TIMEOUT", 0.01)
    write(path, LINES[:2])
    following = follower(path)
    assert given(following) == LINES[:2]
    old = rotate(path)
    write(path, numbered(1, source="new"))
    with old.open("rb") as stuck:
        fcntl.flock(stuck, fcntl.LOCK_EX)
        assert given(following) == []
        write(old, LINES[2:3])
        assert given(following) == LINES[2:3]
    assert given(following) == numbered(1, source="new")


def test_a_writer_and_rotations_at_once(path: Path) -> None:
    acknowledged: list[bytes] = []
    done = threading.Event()

    def append() -> None:
        with Ledger(path) as ledger:
            for number in range(300):
                acknowledged.append(ledger.append("other", f"s{number}").line)  # noqa: PERF401
        done.set()

    following = follower(path)
    thread = threading.Thread(target=append)
    thread.start()
    received: list[bytes] = []
    turn = 0
    while not done.is_set():
        seen = path.exists()  # two rotations between two looks are one too many
        received += given(following)
        turn += 1
        if turn % 5 == 0 and seen:
            os.rename(path, path.with_name(f"old.{turn}"))
    thread.join()
    received += given(following)
    assert received == acknowledged

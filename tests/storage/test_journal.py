"""The journal: what was appended is there, and a torn end is nobody's record."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import LockTimeoutError, StorageError, UnreadableError
from audit_stream.storage.journal import Journal, split_records
from tests.faults import HOWS, Crash, FaultyDisk

RECORDS = [b"one\n\nsigned\n", b"two\n", "drei – π\n".encode()]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def append(journal: Journal, record: bytes) -> None:
    with journal.writing() as writer:
        writer.append(record)


def test_records_come_back_in_order(path: str) -> None:
    journal = Journal(path)
    assert (journal.records(), journal.last()) == ([], None)
    for number, record in enumerate(RECORDS, 1):
        with journal.writing() as writer:
            assert writer.last == (RECORDS[number - 2] if number > 1 else None)
            writer.append(record)
            assert writer.last == record
        assert journal.records() == RECORDS[:number]
        assert journal.last() == record
    assert os.stat(path).st_mode & 0o077 == 0


def test_the_last_record_is_found_beyond_any_window(path: str) -> None:
    journal = Journal(path)
    long = b"x" * 300_000 + b"\n"
    for record in (RECORDS[0], long):
        append(journal, record)
    assert journal.last() == long
    append(journal, RECORDS[1])
    assert journal.last() == RECORDS[1]


def test_the_newest_records_are_found_beyond_any_window(path: str) -> None:
    journal = Journal(path)
    assert journal.tail(3) == []
    records = [b"%d" % n + b"x" * 30_000 + b"\n" for n in range(12)]
    for record in records:
        append(journal, record)
    for count in range(15):
        assert journal.tail(count) == (records[-count:] if count else [])


def test_every_torn_end_is_passed_over_then_set_aside(path: str) -> None:
    whole = b"".join(record + b"\n\n" for record in RECORDS)
    for length in range(len(whole) + 1):
        Path(path).write_bytes(whole[:length])
        expected = split_records(whole[:length])
        journal = Journal(path, clock=lambda: 1_767_323_045_678_901_000)
        assert journal.records() == expected
        assert journal.last() == (expected[-1] if expected else None)
        append(journal, RECORDS[1])
        assert journal.records() == [*expected, RECORDS[1]]
        torn = Path(f"{path}.torn-20260102T030405.678901Z")
        kept = sum(len(record) + 2 for record in expected)
        assert (torn.read_bytes() if torn.exists() else b"") == whole[kept:length]
        torn.unlink(missing_ok=True)


@pytest.mark.parametrize("record", [b"", b"no end", b"\nfirst\n", b"a\n\n", b"a\n\n\nb\n"])
def test_what_could_not_be_told_apart_is_not_appended(path: str, record: bytes) -> None:
    journal = Journal(path)
    with pytest.raises(ValueError, match="a record"), journal.writing() as writer:
        writer.append(record)
    assert journal.records() == []


@given(st.lists(st.text(st.sampled_from("a\n"), min_size=1, max_size=8), max_size=5))
def test_splitting_undoes_joining(texts: list[str]) -> None:
    records = [text.encode().strip(b"\n") + b"\n" for text in texts]
    records = [record for record in records if b"\n\n\n" not in record and record != b"\n"]
    assert split_records(b"".join(record + b"\n\n" for record in records)) == records


@pytest.mark.parametrize("how", HOWS)
def test_a_fault_at_any_step_loses_nothing_and_invents_nothing(path: str, how: str) -> None:
    """Each step fails or is the last; then the next process finds the old records, or all."""
    torn = b"two\n\nsig"
    for before in (b"", RECORDS[0] + b"\n\n", RECORDS[0] + b"\n\n" + torn):
        step = 0
        while True:
            step += 1
            Path(path).write_bytes(before)
            disk = FaultyDisk(step, how)
            told = False
            try:
                append(Journal(path, disk=disk), RECORDS[2])
                told = True
            except (StorageError, Crash):
                pass
            old = split_records(before)
            found = Journal(path).records()
            assert found in ([*old, RECORDS[2]], old)
            assert not told or found != old
            append(Journal(path), RECORDS[1])
            assert Journal(path).records() == [*found, RECORDS[1]]
            if disk.steps < step:
                break
        assert told
        assert step > 2
    for file in Path(path).parent.glob("*.torn-*"):
        assert file.read_bytes() in (torn, *(RECORDS[2] + b"\n\n")[:0], *_cuts(RECORDS[2]))


def _cuts(record: bytes) -> list[bytes]:
    return [(record + b"\n\n")[:length] for length in range(len(record) + 3)]


def test_an_error_inside_the_lock_is_the_callers_own(path: str) -> None:
    journal = Journal(path)
    for error in (OSError("theirs"), ValueError("theirs")):
        with pytest.raises(type(error), match="theirs"), journal.writing():
            raise error
    append(journal, RECORDS[0])


def test_two_writers_wait_for_each_other(path: str) -> None:
    journal = Journal(path)
    with journal.writing() as writer:
        with (
            pytest.raises(LockTimeoutError, match="locked"),
            Journal(path, lock_timeout=0.01).writing(),
        ):
            pass
        other = threading.Thread(target=append, args=(Journal(path), RECORDS[1]))
        other.start()
        writer.append(RECORDS[0])
    other.join()
    assert journal.records() == RECORDS[:2]


def test_a_forked_child_does_not_hold_the_lock(path: str) -> None:
    """As a verifying process does that outlives a parent that was killed."""
    ready, told = os.pipe()
    journal = Journal(path)
    with journal.writing() as writer:
        parent = os.fork()
        if not parent:
            if not os.fork():
                os.write(told, b"x")
                time.sleep(1)
            os._exit(0)
        os.waitpid(parent, 0)
        assert os.read(ready, 1) == b"x"
        writer.append(RECORDS[0])
        os.close(writer._fd)
        os.open(os.devnull, os.O_RDONLY)
    with Journal(path, lock_timeout=0.2).writing() as writer:
        assert writer.last == RECORDS[0]


def test_a_replaced_file_is_locked_anew(path: str) -> None:
    class Replacing(FaultyDisk):
        def lock_exclusive(self, fd: int, path: str, timeout: float) -> None:
            super().lock_exclusive(fd, path, timeout)
            if not self.dead:
                self.dead = True
                os.unlink(path)
                Path(path).write_bytes(RECORDS[0] + b"\n\n")

        def _step(self, call: object, half: object = None) -> object:
            return call()  # type: ignore[operator]

    append(Journal(path, disk=Replacing()), RECORDS[1])
    assert Journal(path).records() == RECORDS[:2]


def test_unusable_paths_are_told(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "no" / "such"), "nul\0byte"):
        with pytest.raises(UnreadableError), Journal(path).writing():
            pass
    with pytest.raises(UnreadableError):
        Journal(str(tmp_path)).last()
    with pytest.raises(UnreadableError):
        Journal(str(tmp_path)).tail(1)

"""The file engine where things go wrong: the fault table, healing, odd paths, rotation.

Each fault is injected at one call of `durable.Disk`; then the ledger is reopened, verified,
appended to, and verified again. What a crash leaves is in `test_crashes.py`.
"""

from __future__ import annotations

import errno
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from audit_stream import Ledger
from audit_stream.chain import Head
from audit_stream.errors import (
    EventTooLargeError,
    HeadMismatchError,
    StorageFullError,
    UnreadableError,
)
from audit_stream.storage import file as file_module
from audit_stream.storage.file import FileEngine
from tests.ledgers import hash_of, joined, numbered
from tests.storage.disks import FaultyDisk

if TYPE_CHECKING:
    from pathlib import Path


def open_ledger(path: Path, disk: file_module.Disk | None = None, **options: float) -> Ledger:
    return Ledger(path, engine=FileEngine(path, disk=disk, **options))  # type: ignore[arg-type]


def test_a_reader_that_looked_before_an_append_changes_nothing_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(numbered(1)))
    ledger = open_ledger(path)
    looked, appended = threading.Event(), threading.Event()
    real = file_module.last_line_head

    def slowly(line: bytes) -> Head:
        if threading.current_thread() is reader:
            looked.set()
            appended.wait(10)
        return real(line)

    monkeypatch.setattr(file_module, "last_line_head", slowly)
    heads: list[Head] = []
    reader = threading.Thread(target=lambda: heads.append(ledger.head()))
    reader.start()
    looked.wait(10)
    second = ledger.append("other", "test")
    appended.set()
    reader.join()
    assert heads == [Head(1, hash_of(path.read_bytes()))]
    assert ledger.append("other", "test").prev_hash == second.hash
    assert ledger.verify().valid


def beside(path: Path) -> list[Path]:
    """The copies of healed tails."""
    return sorted(path.parent.glob(f"{path.name}.torn-*"))


def test_what_is_refused_heals_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    torn = joined(numbered(1)) + b'{"event_id":2,"ha'
    path.write_bytes(torn)
    ledger = open_ledger(path)
    with pytest.raises(HeadMismatchError):
        ledger.append("other", "test", expect_head="f" * 64)
    ledger.max_event_bytes = 300
    with pytest.raises(EventTooLargeError):
        ledger.append("other", "test", {"text": "x" * 300})
    assert ledger.append_many([]) == []
    assert path.read_bytes() == torn
    assert beside(path) == []


def test_an_append_that_fails_after_healing_says_where_the_tail_went(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(numbered(1)) + b"torn")
    # The first write fills the copy.
    ledger = open_ledger(path, FaultyDisk().fail("write", errno.ENOSPC, at=2))
    with pytest.raises(StorageFullError) as caught:
        ledger.append("other", "test")
    (copy,) = beside(path)
    assert str(copy) in str(caught.value)
    assert copy.read_bytes() == b"torn"
    assert path.read_bytes() == joined(numbered(1))


def test_an_unlock_or_close_that_fails_cannot_undo_a_durable_append(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    disk = FaultyDisk().fail("unlock", errno.EIO)
    ledger = open_ledger(path, disk)
    first = ledger.append("other", "test")
    second = ledger.append("other", "test")  # opened anew: the lock went with the descriptor
    assert disk.calls.count("open_append") == 2
    assert ledger.tail() == [first, second]
    disk.fail_after("close", errno.EIO)
    ledger.close()
    with open_ledger(path) as again:
        again.append("other", "test")
        assert again.verify().checked == 3


def test_what_is_refused_leaves_no_file_behind_a_dangling_link(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.symlink_to(tmp_path / "real.jsonl")
    ledger = open_ledger(path)
    with pytest.raises(HeadMismatchError):
        ledger.append("other", "test", expect_head="f" * 64)
    assert not (tmp_path / "real.jsonl").exists()
    ledger.append("other", "test")
    assert path.is_symlink()
    assert (tmp_path / "real.jsonl").exists()


def test_copies_of_tails_get_names_of_their_own_though_the_clock_stands_still(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, engine=FileEngine(path, clock=lambda: 0))
    for tail in (b"one", b"two", b"three"):
        with path.open("ab") as file:
            file.write(tail)
        ledger.append("other", "test")
    assert [copy.read_bytes() for copy in beside(path)] == [b"one", b"two", b"three"]
    assert beside(path)[1].name == "ledger.jsonl.torn-19700101T000000.000001Z"
    assert ledger.verify().valid


def test_waiting_lives_through_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(numbered(1)))
    disk = FaultyDisk()

    def vanish(real: object, name: str) -> int:
        raise FileNotFoundError(errno.ENOENT, "gone")

    disk.replace("open_read", vanish)
    engine = FileEngine(path, disk=disk)
    assert engine.wait(0, 5)
    assert not engine.wait(1, 0.05)


def test_a_socket_is_not_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        for use in (lambda: open_ledger(path).append("other", "test"), open_ledger(path).verify):
            with pytest.raises(UnreadableError):
                use()

"""The file engine where things go wrong: the fault table, healing, odd paths, rotation.

Each fault is injected at one call of `durable.Disk`; then the ledger is reopened, verified,
appended to, and verified again. What a crash leaves is in `test_crashes.py`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit_stream import Ledger
from audit_stream.chain import Head
from audit_stream.errors import (
    AuditStreamError,
    DamagedTailError,
    EventTooLargeError,
    HeadMismatchError,
    LedgerNotFoundError,
    LockTimeoutError,
    StorageError,
    StorageFullError,
    StorageLatchedError,
    UnreadableError,
)
from audit_stream.storage import file as file_module
from audit_stream.storage.file import FileEngine
from audit_stream.storage.snapshot import Snapshot
from tests.ledgers import hash_of, joined, numbered
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
from tests.storage.children import open_directory, unprivileged
from tests.storage.disks import FaultyDisk, Machine

if TYPE_CHECKING:
    from collections.abc import Callable


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


# -- the fault table ---------------------------------------------------------------------------


def places() -> list[tuple[str, str, int]]:
    """Every call of an append from every state: (state, call, the how-manieth of its name)."""
    found = []
    for state in STATES:
        met: dict[str, int] = {}
        for call in calls_of_an_append(state):
            met[call] = met.get(call, 0) + 1
            found.append((state, call, met[call]))
    return found


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("done", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize(("state", "call", "at"), places())
def test_every_call_may_fail(
    tmp_path: Path, state: str, call: str, at: int, done: bool, error: int
) -> None:
    path = prepared(tmp_path, state)
    disk = FaultyDisk()
    (disk.fail_after if done else disk.fail)(call, error, at=at)
    ledger = open_ledger(path, disk, lock_timeout=0.2)
    acknowledged: list[bytes] = []
    message = ""
    try:
        acknowledged.append(ledger.append("other", "test").line)
    except AuditStreamError as failed:
        message = str(failed)
    assert bool(acknowledged) == (call == "unlock")
    assert acknowledged or str(path) in message
    assert "\n" not in message
    if not acknowledged and path.exists():
        # Nothing that was not acknowledged stays, unless the cut back failed too.
        assert path.read_bytes() in (STATES[state] or b"", joined(LINES))
    ledger.close()
    check_and_go_on(path, state, acknowledged)


def test_the_calls_of_an_append() -> None:
    opening = ["open_append", "fstat"]
    locking = ["lock_exclusive", "stat", "fstat"]
    looking = ["fstat", "read_at"]
    writing = ["write", "sync_data"]
    assert calls_of_an_append("whole") == [*opening, *locking, *looking, *writing, "unlock"]
    assert calls_of_an_append("new") == [
        *opening, *locking, *looking, *writing, "sync_directory", "unlock",
    ]  # fmt: skip
    healing = ["create_new", "read_at", "write", "sync_data", "close", "sync_directory", "truncate"]
    assert calls_of_an_append("torn") == [
        *opening, *locking, *looking, *healing, *writing, "unlock",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("short", [None, 0, 1, 100, 300])
def test_a_full_disk(tmp_path: Path, error: int, short: int | None) -> None:
    path = prepared(tmp_path, "whole")
    disk = FaultyDisk()
    if short is not None:
        disk.write_short(short)
    disk.fail("write", error, at=1 if short is None else 2)
    ledger = open_ledger(path, disk)
    with pytest.raises(StorageFullError, match="nothing was recorded"):
        ledger.append_many([{"kind": "other", "source": "test"}] * 5)
    assert path.read_bytes() == joined(LINES)
    event = ledger.append("other", "test")  # there is room again; no latch
    assert path.read_bytes() == joined([*LINES, event.line])


def test_short_writes_are_gone_on_with(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")
    disk = FaultyDisk()
    for at in range(1, 20):
        disk.write_short(at, at=at)
    events = open_ledger(path, disk).append_many([{"kind": "other", "source": "test"}] * 3)
    assert path.read_bytes() == joined([*LINES, *(event.line for event in events)])
    assert disk.calls.count("write") == 20


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", ["sync_data", "sync_directory"])
@pytest.mark.parametrize("persisted", [False, True])
def test_after_a_failed_fsync_the_ledger_is_latched(
    tmp_path: Path, call: str, error: int, persisted: bool
) -> None:
    path = prepared(tmp_path, "new")
    disk = FaultyDisk()
    (disk.fail_after if persisted else disk.fail)(call, error)
    ledger = open_ledger(path, disk)
    with pytest.raises(StorageError, match="while making the append durable"):
        ledger.append("other", "test")
    assert path.read_bytes() == b""
    for _ in range(2):
        with pytest.raises(StorageLatchedError, match="close and reopen the ledger"):
            ledger.append("other", "test")
    assert isinstance(ledger.engine, FileEngine)
    assert "an fsync failed" in str(ledger.engine.latched)
    assert ledger.verify().verdict == "empty"  # reading goes on
    with open_ledger(path) as reopened:
        assert reopened.append("other", "test").event_id == 1
        assert reopened.engine.latched is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("kept", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("state", STATES)
def test_a_failed_fsync_and_then_a_power_cut(tmp_path: Path, state: str, kept: float) -> None:
    path = prepared(tmp_path, state)
    machine = Machine(tmp_path)
    machine.fail("sync_data", errno.EIO, at=2 if state == "torn" else 1)
    with pytest.raises(StorageError):
        open_ledger(path, machine).append("other", "test")
    machine.lose_power(kept)
    check_and_go_on(path, state, [])


def test_a_failed_write_that_cannot_be_cut_back_latches(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")
    disk = FaultyDisk().write_short(400).fail("write", errno.EIO, at=2)
    disk.fail("truncate", errno.EIO)
    ledger = open_ledger(path, disk)
    with pytest.raises(StorageError, match="Input/output error while writing"):
        ledger.append_many([{"kind": "other", "source": "test"}] * 5)
    with pytest.raises(StorageLatchedError, match="could not be cut back"):
        ledger.append("other", "test")
    ledger.close()
    # Whole lines that nobody acknowledged may stay, and are chained onto; the half one is healed.
    with open_ledger(path) as reopened:
        assert reopened.verify().verdict == "torn"
        assert reopened.append("other", "test").event_id == 5
        assert reopened.verify().verdict == "intact"


def test_an_interrupt_while_writing_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")

    def interrupt(real: Callable[..., object], *args: object) -> None:
        real(*args)
        raise KeyboardInterrupt

    disk = FaultyDisk().replace("write", interrupt)
    ledger = open_ledger(path, disk)
    with pytest.raises(KeyboardInterrupt):
        ledger.append("other", "test")
    assert path.read_bytes() == joined(LINES)
    disk.replace("sync_data", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ledger.append("other", "test")
    assert path.read_bytes() == joined(LINES)
    with pytest.raises(StorageLatchedError):
        ledger.append("other", "test")


def test_an_interrupt_right_behind_the_lock_gives_it_back(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")

    def interrupt(real: Callable[..., object], *args: object) -> None:
        real(*args)
        raise KeyboardInterrupt

    ledger = open_ledger(path, FaultyDisk().replace("lock_exclusive", interrupt))
    with pytest.raises(KeyboardInterrupt):
        ledger.append("other", "test")
    assert open_ledger(path, lock_timeout=0).append("other", "test").event_id == 4
    assert ledger.append("other", "test").event_id == 5


# -- healing -----------------------------------------------------------------------------------


def test_the_last_line_cut_at_every_byte_is_healed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = open_ledger(path)
    last = LINES[2] + b"\n"
    for cut in range(len(last) + 1):
        path.write_bytes(joined(LINES[:2]) + last[:cut])
        result = ledger.verify()
        torn = 0 < cut < len(last)
        assert result.verdict == ("torn" if torn else "intact")
        assert result.checked == (3 if cut == len(last) else 2)
        event = ledger.append("other", "test")
        assert event.event_id == result.checked + 1
        assert ledger.verify().verdict == "intact"
        copies = beside(path)
        assert [copy.read_bytes() for copy in copies] == ([last[:cut]] if torn else [])
        for copy in copies:
            assert copy.stat().st_mode & 0o777 == 0o600
            copy.unlink()


def test_the_only_line_cut_at_every_byte_is_healed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = open_ledger(path)
    for cut in range(1, len(LINES[0]) + 1):
        path.write_bytes(LINES[0][:cut])
        assert ledger.verify().verdict == "torn"
        assert ledger.append("other", "test").event_id == 1
        assert ledger.verify().verdict == "intact"


def test_the_copy_is_named_by_the_time_in_utc(tmp_path: Path) -> None:
    path = prepared(tmp_path, "torn")
    engine = FileEngine(path, clock=lambda: 1_769_860_800_123_456_789)
    commit = Ledger(path, engine=engine).commit([Ledger(path).draft("other", "test")])
    assert commit.healed == f"{path}.torn-20260131T120000.123456Z"
    assert Path(commit.healed).read_bytes() == TORN


def test_a_large_tail_is_copied_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_stream.storage.durable._COPY_CHUNK", 1000)
    path = tmp_path / "ledger.jsonl"
    tail = bytes(range(11, 256)) * 100
    path.write_bytes(joined(LINES) + tail)
    assert open_ledger(path).append("other", "test").event_id == 4
    assert beside(path)[0].read_bytes() == tail


def test_a_last_line_longer_than_the_first_look(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = open_ledger(path)
    for length in (3000, 4000, 4096, 5000, 70_000):
        ledger.append("other", "test", {"text": "x" * length})
        with path.open("ab") as file:
            file.write(b"t" * length)
        with open_ledger(path) as another:
            another.append("other", "test")
    assert ledger.verify().checked == 10
    assert len(beside(path)) == 5


# -- other files in its place ------------------------------------------------------------------


def test_appends_follow_the_name_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = open_ledger(path)
    ledger.append("other", "test")
    os.rename(path, tmp_path / "old")
    assert ledger.append("other", "test").event_id == 1
    (tmp_path / "copy").write_bytes(joined(LINES))
    os.replace(tmp_path / "copy", path)
    assert ledger.append("other", "test").event_id == 4
    path.unlink()
    assert ledger.append("other", "test").event_id == 1
    assert (tmp_path / "old").read_bytes().count(b"\n") == 1


def test_a_file_replaced_between_open_and_lock_is_noticed(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")
    other = tmp_path / "other"
    other.write_bytes(joined(numbered(7)))

    def replace_first(real: Callable[..., None], *args: object) -> None:
        real(*args)
        os.replace(other, path)

    ledger = open_ledger(path, FaultyDisk().replace("lock_exclusive", replace_first))
    assert ledger.append("other", "test").event_id == 8


def test_a_ledger_changed_by_others_between_appends_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    one, other = open_ledger(path), open_ledger(path)
    for turn in range(1, 20, 2):
        assert one.append("other", "test").event_id == turn
        assert other.append("other", "test").event_id == turn + 1
        assert one.head() == other.head()
    path.write_bytes(joined(LINES))  # restored from a copy
    assert one.append("other", "test").event_id == 4
    assert other.append("other", "test").event_id == 5


def test_a_change_of_directory_does_not_change_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    ledger = Ledger("ledger.jsonl")
    assert ledger.append("other", "test").event_id == 1
    following = ledger.follow(0)
    os.chdir(elsewhere)
    assert ledger.append("other", "test").event_id == 2
    assert ledger.verify(jobs=2).checked == 2
    assert sum(block.data.count(b"\n") for block in following.poll()) == 2
    with (tmp_path / "ledger.jsonl").open("ab") as file:
        file.write(b"torn")
    assert ledger.append("other", "test").event_id == 3
    assert len(beside(tmp_path / "ledger.jsonl")) == 1
    assert os.listdir(elsewhere) == []
    os.chdir(tmp_path)
    elsewhere.rmdir()


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UnreadableError):
        Ledger("ledger.jsonl").append("other", "test")
    assert Ledger(tmp_path / "ledger.jsonl").append("other", "test").event_id == 1


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.jsonl"
    real.parent.mkdir()
    real.write_bytes(joined(LINES) + TORN)
    path = tmp_path / "ledger.jsonl"
    path.symlink_to(real)
    with open_ledger(path) as ledger:
        assert ledger.append("other", "test").event_id == 4
        assert ledger.verify().valid
    assert path.is_symlink()
    assert real.read_bytes().count(b"\n") == 4
    assert [copy.read_bytes() for copy in beside(real)] == [TORN]


def test_a_new_ledger_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    before = os.umask(0o022)
    try:
        open_ledger(path).append("other", "test")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


# -- what is no ledger -------------------------------------------------------------------------


def reading(path: Path) -> list[Callable[[], object]]:
    ledger = open_ledger(path)
    return [
        ledger.verify,
        ledger.snapshot,
        ledger.stats,
        ledger.tail,
        lambda: ledger.get(1),
        lambda: list(ledger.query()),
    ]


def test_a_missing_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for read in reading(path):
        with pytest.raises(LedgerNotFoundError, match="no such ledger"):
            read()
    assert open_ledger(path).head().count == 0
    with pytest.raises(UnreadableError, match="its directory does not exist"):
        open_ledger(tmp_path / "missing" / "ledger.jsonl").append("other", "test")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "directory|not a regular file"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.symlink_to(path), "symbolic links"),
    ],
    ids=["directory", "fifo", "null", "zero", "loop"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "ledger.jsonl"
    make(path)
    for use in [lambda: open_ledger(path).append("other", "test"), *reading(path)]:
        with pytest.raises(UnreadableError, match=reason):
            use()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\0b", "not a usable path"),
        ("x" * 300, "File name too long"),
        ("file/ledger.jsonl", "a part of this path is not a directory"),
        ("\udcff\0", "not a usable path"),
    ],
)
def test_unusable_names(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    ledger = Ledger(f"{tmp_path}/{name}")
    for use in (lambda: ledger.append("other", "test"), ledger.verify):
        with pytest.raises(UnreadableError, match=reason) as caught:
            use()
        str(caught.value).encode()


def test_files_that_may_not_be_written_or_read() -> None:
    with open_directory() as directory:
        path = directory / "ledger.jsonl"
        path.write_bytes(joined(LINES))
        path.chmod(0o444)

        def read_only() -> int:
            ledger = open_ledger(path)
            with pytest.raises(UnreadableError, match="permission denied"):
                ledger.append("other", "test")
            return ledger.verify().checked + len(ledger.tail())

        assert unprivileged(read_only) == 6
        path.chmod(0o000)

        def unreadable() -> None:
            ledger = open_ledger(path)
            for use in (lambda: ledger.append("other", "test"), ledger.verify, ledger.head):
                with pytest.raises(UnreadableError, match="permission denied"):
                    use()

        unprivileged(unreadable)
        assert path.stat().st_size == len(joined(LINES))


def test_directories_that_may_not_be_written() -> None:
    with open_directory() as directory:
        path = directory / "ledger.jsonl"
        path.write_bytes(joined(LINES) + TORN)
        path.chmod(0o666)
        directory.chmod(0o555)

        def work() -> None:
            ledger = open_ledger(path)
            # The torn tail cannot be copied aside, and so it must not be cut off.
            with pytest.raises(UnreadableError, match="permission denied"):
                ledger.append("other", "test")
            assert path.read_bytes() == joined(LINES) + TORN
            with pytest.raises(UnreadableError, match="permission denied"):
                open_ledger(directory / "new.jsonl").append("other", "test")
            assert ledger.verify().verdict == "torn"

        unprivileged(work)


def test_a_read_only_file_system(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")
    ledger = open_ledger(path, FaultyDisk().fail("open_append", errno.EROFS))
    with pytest.raises(UnreadableError, match="read-only file system"):
        ledger.append("other", "test")


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL])
def test_reading_where_files_cannot_be_locked(tmp_path: Path, error: int) -> None:
    path = prepared(tmp_path, "torn")
    disk = FaultyDisk().fail_always("lock_shared", error)
    assert open_ledger(path, disk).verify().verdict == "torn"
    disk.fail("lock_exclusive", error)
    with pytest.raises(StorageError):
        open_ledger(path, disk).append("other", "test")


# -- the lock ----------------------------------------------------------------------------------


def test_an_append_waits_for_the_lock_and_gives_up_in_time(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ledger = open_ledger(path, lock_timeout=0.05)
        before = time.monotonic()
        with pytest.raises(LockTimeoutError, match=r"locked by another process for 0.05 s.*fuser"):
            ledger.append("other", "test")
        assert 0.05 <= time.monotonic() - before < 5
        with pytest.raises(LockTimeoutError, match="for 0 s"):
            ledger.engine.commit(lambda head: ([], head), lock_timeout=0)
        assert path.read_bytes() == joined(LINES)
        threading.Timer(0.05, lambda: fcntl.flock(held, fcntl.LOCK_UN)).start()
        assert open_ledger(path).append("other", "test").event_id == 4
    assert ledger.append("other", "test").event_id == 5  # giving up was no latch


def test_a_reader_sees_whole_lines_while_a_writer_holds_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "_READ_LOCK_TIMEOUT", 0.05)
    path = prepared(tmp_path, "torn")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with open_ledger(path).snapshot() as snapshot:
            # What follows the last LF is taken for an append under way.
            assert (snapshot.size, snapshot.torn, snapshot.settled) == (
                len(joined(LINES)),
                0,
                False,
            )
        assert open_ledger(path).verify().verdict == "intact"
    with open_ledger(path).snapshot() as snapshot:
        assert (snapshot.torn, snapshot.settled) == (len(TORN), True)


def test_a_reader_that_holds_a_snapshot_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")
    ledger = open_ledger(path, lock_timeout=0.1)
    with ledger.snapshot() as snapshot:
        assert ledger.append("other", "test").event_id == 4
        assert snapshot.whole == len(joined(LINES))


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")
    before = set(os.listdir("/dev/fd"))
    with open_ledger(path) as ledger:
        ledger.append("other", "test")
        for read in reading(path):
            result = read()
            if isinstance(result, Snapshot):
                result.close()
        path.write_bytes(b"damaged\n")
        with pytest.raises(DamagedTailError):
            ledger.append("other", "test")
        with pytest.raises(DamagedTailError):
            ledger.head()
        for _ in ledger.engine.read():
            break
        ledger.engine.wait(10**6, 0)
    with pytest.raises(UnreadableError):
        open_ledger(tmp_path).append("other", "test")
    disk = FaultyDisk().fail("fstat", errno.EIO, at=1)
    for use in (lambda: open_ledger(path, disk).verify(), ledger.verify):
        with contextlib.suppress(StorageError):
            use()
    assert set(os.listdir("/dev/fd")) == before

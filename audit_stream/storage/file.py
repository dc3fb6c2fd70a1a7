"""The JSONL file engine: one ledger, one file, any number of processes.

The commit protocol and what a crash after each of its steps leaves are written down in FORMAT.md
beside this file; the numbered comments below are its step numbers. Opening after a crash runs no
other code than any append does: `_look_at_tail`.

Foreign errors become ours here and nowhere else (`_translated`).
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
import weakref

from audit_stream import timestamps
from audit_stream.chain import GENESIS, last_line_head
from audit_stream.errors import (
    AuditStreamError,
    DamagedTailError,
    InputError,
    InvalidEventError,
    LedgerNotFoundError,
    LockTimeoutError,
    StorageError,
    StorageFullError,
    StorageLatchedError,
    UnreadableError,
)
from audit_stream.storage import Commit
from audit_stream.storage.durable import Disk, LockBusy
from audit_stream.storage.snapshot import Snapshot, end_of_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_stream.chain import Head
    from audit_stream.storage import Build
    from audit_stream.storage.snapshot import Block

LOCK_TIMEOUT = 30.0
"""How long an append waits for other writers, in seconds, unless told otherwise."""

_READ_LOCK_TIMEOUT = 2.0
_WAIT_POLL = 0.02
_TAIL_WINDOW = 4096
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_UNLOCKABLE = frozenset((errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL))
_live: weakref.WeakSet[FileEngine] = weakref.WeakSet()


class FileEngine:
    """A ledger in a JSONL file at `path`. Thread-safe, and safe across fork.

    Args:
        path: the ledger. It need not exist; the first commit creates it.
        clock: POSIX time in nanoseconds, for the name of a healed tail.
        lock_timeout: seconds that a commit waits for other writers.
        disk: the operating system, or a test's stand-in.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], int] = time.time_ns,
        lock_timeout: float = LOCK_TIMEOUT,
        disk: Disk | None = None,
    ) -> None:
        self.path = os.fspath(path)
        # What the name means must not change with the working directory of a long-lived program.
        self._place = _absolute(self.path)
        self._disk = disk or Disk()
        self._clock = clock
        self._lock_timeout = lock_timeout
        self._mutex = threading.Lock()
        self._grown = threading.Condition()
        self._fd = -1
        self._latched: str | None = None
        self._closed = False
        self.sync_seconds = 0.0
        """How long the last append took to reach the disk."""
        # The last line that was found good, and its head: an identical line need not be parsed
        # again. The bytes are read from the file at every commit all the same. One attribute,
        # because readers set it without the mutex: a line must never meet another line's head.
        self._known: tuple[bytes | None, Head] = (None, GENESIS)
        _live.add(self)

    # -- appending -------------------------------------------------------------------------

    def commit(self, build: Build, *, lock_timeout: float | None = None) -> Commit:
        """See `storage.Engine`.

        Raises:
            DamagedTailError: the last complete line is not a valid event.
            StorageFullError, LockTimeoutError, StorageLatchedError, StorageError: the machine's
                fault; nothing was acknowledged.
            UnreadableError: the path is a directory, or may not be written.
        """
        with self._mutex:
            if self._closed:
                raise InputError(f"{self.path}: this ledger is closed; open it again")
            if self._latched is not None:
                raise StorageLatchedError(self._latched)
            if self._fd < 0 and not os.path.exists(self._place):
                build(GENESIS)  # what is refused must not leave an empty ledger behind
            try:
                # Inside, so that an interrupt cannot come between the lock and its release.
                self._lock(self._lock_timeout if lock_timeout is None else lock_timeout)  # step 1
                return self._commit_locked(build)
            finally:
                self._unlock()  # step 6

    def _commit_locked(self, build: Build) -> Commit:
        with _translated(self.path):
            found, head = self._look_at_tail()  # step 2
        # Built before anything is healed: what is refused must have changed nothing.
        lines, after = build(head)
        if not lines:
            return Commit(head, lines, after, None)
        healed = self._heal(found) if found.torn else None  # step 3
        try:
            self._append(b"".join(lines), found.whole)  # steps 4 and 5
        except StorageError as error:
            if healed is not None:
                error.args = (f"{error}; the torn tail that was there is in {healed}",)
            raise
        self._known = (lines[-1][:-1], after)
        with self._grown:
            self._grown.notify_all()
        return Commit(head, lines, after, healed)

    def _lock(self, timeout: float) -> None:
        """Take the lock on the file that the path names now, creating the file if need be."""
        while True:
            with _translated(self.path, writing=True):
                if self._fd < 0:
                    self._open()
                self._disk.lock_exclusive(self._fd, self._place, timeout)
                try:
                    named = self._disk.stat(self._place)
                    held = self._disk.fstat(self._fd)
                    if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino):
                        return
                except FileNotFoundError:
                    pass
                except BaseException:
                    self._release()
                    raise
                # Rotated or replaced: what the path names now is the ledger.
                self._release()

    def _open(self) -> None:
        fd = self._disk.open_append(self._place)
        try:
            if not stat.S_ISREG(self._disk.fstat(fd).st_mode):
                raise UnreadableError(f"{self.path}: not a regular file")
        except BaseException:
            self._disk.close(fd)
            raise
        self._fd = fd

    def _unlock(self) -> None:
        if self._fd >= 0:
            try:
                self._disk.unlock(self._fd, self._place)
            except OSError:
                # What was appended is durable all the same, and must be acknowledged.
                self._release()

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # Drops the lock with it. A late write error (NFS) cannot concern what we
            # acknowledged: that was synced.
            try:  # noqa: SIM105 - contextlib costs start-up time
                self._disk.close(fd)
            except OSError:
                pass

    def _look_at_tail(self) -> tuple[Snapshot, Head]:
        """Look at the file afresh. The only source of the head, in normal running and after a
        crash alike: a head remembered without this look is how chains fork."""
        size = self._disk.fstat(self._fd).st_size
        window_start = max(0, size - _TAIL_WINDOW)
        window = self._disk.read_at(self._fd, size - window_start, window_start)

        def read_at(length: int, offset: int) -> bytes:
            if offset >= window_start:
                offset -= window_start
                return window[offset : offset + length]
            return self._disk.read_at(self._fd, length, offset)

        found = Snapshot(read_at, size)
        return found, self._head_of(found)

    def _head_of(self, snapshot: Snapshot) -> Head:
        line = snapshot.last_line()
        if line is None:
            return GENESIS
        known_line, head = self._known
        if line != known_line:
            try:
                head = last_line_head(line)
            except InvalidEventError as error:
                raise DamagedTailError(
                    f"{self.path}: the last line is damaged ({error}), so nothing can be chained "
                    f"onto it; run `audit-stream verify {self.path}`"
                ) from None
            self._known = (line, head)
        return head

    def _heal(self, snapshot: Snapshot) -> str:
        """Copy the unterminated tail aside, durably, and only then cut it off."""
        with _translated(self.path, writing=True):
            beside = os.path.realpath(self._place)
            now = self._clock()
            while True:
                target = f"{beside}.torn-{_file_time(now)}"
                try:
                    self._disk.copy_aside(self._fd, snapshot.whole, snapshot.size, target)
                    break
                except FileExistsError:
                    now += 1000  # the next microsecond: the clock may stand still
            self._disk.truncate(self._fd, snapshot.whole)
            return target

    def _append(self, data: bytes, durable_size: int) -> None:
        """Write and make durable, or leave the file as it was."""
        try:
            self._disk.write_all(self._fd, data)  # step 4
        except BaseException as error:
            self._cut_back(durable_size)
            if isinstance(error, OSError):
                raise _storage_error(self.path, error, "writing") from error
            raise
        try:
            began = time.perf_counter()
            self._disk.sync_data(self._fd)  # step 5
            self.sync_seconds = time.perf_counter() - began
            if durable_size == 0:
                # Whoever created the file may have died before this, so the first event, and
                # not the creation, decides.
                self._disk.sync_directory(os.path.realpath(self._place))
        except BaseException as error:
            self._latch("an fsync failed")
            self._cut_back(durable_size)
            if isinstance(error, OSError):
                raise _storage_error(self.path, error, "making the append durable") from error
            raise

    def _cut_back(self, size: int) -> None:
        try:
            self._disk.truncate(self._fd, size)
        except OSError:
            # Whole lines may be left that nobody acknowledged. They are valid events; the next
            # look at the tail chains onto them. This engine must not go on.
            self._latch("a failed append could not be cut back")

    def _latch(self, why: str) -> None:
        self._latched = (
            f"{self.path}: {why} earlier, so what is on the disk is uncertain; "
            "check the disk, then close and reopen the ledger"
        )
        self._known = (None, GENESIS)

    # -- reading ---------------------------------------------------------------------------

    def head(self) -> Head:
        """See `storage.Engine`; a ledger that does not exist yet has the empty head.

        Raises DamagedTailError, UnreadableError.
        """
        try:
            with self.snapshot() as snapshot:
                return self._head_of(snapshot)
        except LedgerNotFoundError:
            return GENESIS

    def snapshot(self) -> Snapshot:
        """See `storage.Engine`. Opens the file anew, so it sees what the path names now.

        Raises LedgerNotFoundError, UnreadableError.
        """
        with _translated(self.path):
            fd = self._disk.open_read(self._place)
        try:
            return self._view(fd, on_close=lambda: self._disk.close(fd))
        except BaseException:
            self._disk.close(fd)
            raise

    def _view(self, fd: int, *, on_close: Callable[[], None] | None = None) -> Snapshot:
        """Return what is committed now in an open file."""

        def read_at(length: int, offset: int) -> bytes:
            with _translated(self.path):
                return self._disk.read_at(fd, length, offset)

        with _translated(self.path):
            status = self._disk.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError(f"{self.path}: not a regular file")
            size, settled = self._settled_size(fd)
        whole = end_of_lines(read_at, size)
        return Snapshot(
            read_at,
            size if settled else whole,
            whole=whole,
            identity=(status.st_dev, status.st_ino),
            settled=settled,
            on_close=on_close,
            look_again=lambda: self._view(fd),
        )

    def _settled_size(self, fd: int) -> tuple[int, bool]:
        """Return the size and whether no append was under way at that moment.

        Without the lock (a writer holds it for seconds, or the file cannot be locked) the last
        LF is the end. Where locking is not supported no append of ours can be under way.
        """
        try:
            self._disk.lock_shared(fd, self._place, _READ_LOCK_TIMEOUT)
        except LockBusy:
            return self._disk.fstat(fd).st_size, False
        except OSError as error:
            if error.errno not in _UNLOCKABLE:
                raise
            return self._disk.fstat(fd).st_size, True
        try:
            return self._disk.fstat(fd).st_size, True
        finally:
            self._disk.unlock(fd, self._place)

    def read(
        self, after: int = 0, *, before: int | None = None, reverse: bool = False
    ) -> Iterator[Block]:
        """See `storage.Engine`."""
        with self.snapshot() as snapshot:
            yield from snapshot.between(after, before, reverse=reverse)

    def wait(self, after: int, timeout: float) -> bool:
        """See `storage.Engine`. Appends by other processes are seen within 20 ms."""
        deadline = time.monotonic() + timeout
        seen: object = None
        while True:
            try:
                status = self._disk.stat(self._place)
                mark = (status.st_dev, status.st_ino, status.st_size)
            except OSError:
                mark = None
            if mark is not None and mark != seen:
                seen = mark
                try:
                    with self.snapshot() as snapshot:
                        if snapshot.last_event_id() > after:
                            return True
                except LedgerNotFoundError:
                    seen = None  # rotated under our hands
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._grown:
                self._grown.wait(min(left, _WAIT_POLL))

    # -- life ------------------------------------------------------------------------------

    @property
    def latched(self) -> str | None:
        """Why no append is taken any more, or None."""
        return self._latched

    def close(self) -> None:
        """See `storage.Engine`."""
        with self._mutex:
            self._closed = True
            self._release()

    def _after_fork(self) -> None:
        # The child shares the parent's open file description, and with it the lock: both would
        # hold it at once. Closing ours leaves the parent's lock alone.
        self._mutex = threading.Lock()
        self._grown = threading.Condition()
        self._release()


def _after_fork_in_child() -> None:
    for engine in list(_live):
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path


def _file_time(nanoseconds: int) -> str:
    """A time for a file name: no colons (Windows), sorts by age."""
    return timestamps.stamp(nanoseconds)[:26].replace("-", "").replace(":", "") + "Z"


class _translated:  # noqa: N801 - reads as a clause: with _translated(path)
    """Turn the OSErrors of a block into this package's errors. A plain class: contextlib would
    add a tenth to the start-up time of an append."""

    __slots__ = ("path", "writing")

    def __init__(self, path: str, *, writing: bool = False) -> None:
        self.path = path
        self.writing = writing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, AuditStreamError) or not isinstance(error, (OSError, ValueError)):
            return
        if isinstance(error, ValueError):
            raise UnreadableError(f"{self.path!a}: not a usable path ({error})") from None
        raise _open_error(self.path, error, self.writing) from error


def _open_error(path: str, error: OSError, writing: bool) -> AuditStreamError:
    if isinstance(error, LockBusy):
        return LockTimeoutError(
            f"{path}: {error.args[0]}; is another process stuck? (`fuser {path}` names it)"
        )
    if isinstance(error, FileNotFoundError):
        if writing:
            return UnreadableError(f"{path}: its directory does not exist; create it first")
        return LedgerNotFoundError(f"{path}: no such ledger; the first `append` creates it")
    if isinstance(error, IsADirectoryError):
        return UnreadableError(f"{path}: is a directory; name the ledger file in it")
    if isinstance(error, NotADirectoryError):
        return UnreadableError(f"{path}: a part of this path is not a directory")
    if isinstance(error, PermissionError):
        return UnreadableError(f"{path}: permission denied; check its owner and mode")
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO):  # ENXIO: a socket
        return UnreadableError(f"{path}: {error.strerror}")
    if error.errno == errno.EROFS:
        return UnreadableError(f"{path}: on a read-only file system")
    return _storage_error(path, error, "opening" if writing else "reading")


def _storage_error(path: str, error: OSError, doing: str) -> StorageError:
    why = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageFullError(
            f"{path}: {why} while {doing}; nothing was recorded, make room and append again"
        )
    return StorageError(f"{path}: {why} while {doing}; nothing was acknowledged")

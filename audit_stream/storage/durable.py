"""Durable primitives: the only file that knows fsync, locks and truncation.

Every system call that can lose data or let two writers in stands here, behind `Disk`, so that
tests can put a failing disk in its place and so that a reader can check the whole protocol on
one page. An append of any number of events to an existing ledger makes exactly these calls
(Linux; a test compares them with strace):

    flock(fd, LOCK_EX|LOCK_NB)    one writer among all processes
    stat(path)                    the path still names …
    fstat(fd)                     … this file
    fstat(fd)                     its size, now that nobody else can change it
    pread64(fd, …)                the tail: the last line
    write(fd, …)                  all lines in one write
    fdatasync(fd)                 durable
    flock(fd, LOCK_UN)            only then is anything answered

FORMAT.md beside this file has the lists for a new ledger and for one with a torn tail.

`flock` and never `lockf`: closing any descriptor of a file drops its `lockf` locks, and a second
open in one process gets them. Descriptors are opened close-on-exec (Python's default).

Errors are raw `OSError` here; `storage.file` translates them.
"""

from __future__ import annotations

import os
import sys
import threading
import time

if sys.platform != "win32":
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COPY_CHUNK = 1 << 20
_POLL_FIRST = 0.0001
_POLL_LAST = 0.004


class LockBusy(OSError):  # noqa: N818 - an OSError by another name, as BlockingIOError is
    """The lock was not to be had in time."""


class Disk:
    """What an engine asks of the operating system. Stateless, apart from Windows' lock files."""

    # -- opening ---------------------------------------------------------------------------

    def open_append(self, path: str) -> int:
        """Open for reading and appending, created with mode 0600 (minus umask) if missing."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)

    def open_read(self, path: str) -> int:
        """Open for reading only; works on read-only media. Never blocks on a FIFO."""
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        return os.open(path, flags)

    def create_new(self, path: str) -> int:
        """Create a file for writing, mode 0600 (minus umask). Raises FileExistsError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        return os.open(path, flags, 0o600)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def rename(self, path: str, target: str) -> None:
        """Give a file another name, taking the place of what had it."""
        os.replace(path, target)

    def open_update(self, path: str) -> int:
        """Open for reading and for `write_at`, created with mode 0600 (minus umask) if missing."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)

    def create_secret(self, path: str, data: bytes) -> None:
        """Make a new file that only its owner may read, durable with its directory on return.

        Raises FileExistsError when `path` is there already.
        """
        fd = self.create_new(path)
        try:
            self.write_all(fd, data)
            self.sync_data(fd)
        except BaseException:
            self.close(fd)
            self.remove(path)
            raise
        self.close(fd)
        self.sync_directory(path)

    def close(self, fd: int) -> None:
        os.close(fd)

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def stat(self, path: str) -> os.stat_result:
        return os.stat(path)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`, less only at the end of the file."""
        if sys.platform == "win32":
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, size)
        data = os.pread(fd, size, offset)
        while len(data) < size:
            more = os.pread(fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    # -- writing ---------------------------------------------------------------------------

    def write(self, fd: int, data: bytes | memoryview) -> int:
        return os.write(fd, data)

    def write_all(self, fd: int, data: bytes) -> None:
        """Append all of `data`: one write, continued only where the system took part of it."""
        written = self.write(fd, data)
        while written < len(data):
            written += self.write(fd, memoryview(data)[written:])

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Overwrite at `offset`; for a descriptor of `open_update`."""
        view = memoryview(data)
        while view:
            if sys.platform == "win32":
                os.lseek(fd, offset, os.SEEK_SET)
                written = os.write(fd, view)
            else:
                written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def sync_data(self, fd: int) -> None:
        """Return once the file's data and size are on stable storage."""
        if sys.platform == "darwin":
            # fsync on macOS stops at the drive's cache.
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        elif sys.platform == "win32":
            os.fsync(fd)
        else:
            os.fdatasync(fd)

    def sync_directory(self, path: str) -> None:
        """Make the directory entry of `path` durable (a new file is lost without)."""
        if sys.platform == "win32":
            return  # NTFS journals its directories; there is no call for it
        fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def copy_aside(self, fd: int, start: int, end: int, target: str) -> None:
        """Copy bytes [start, end) to a new file, durable with its directory on return.

        Raises FileExistsError when `target` is there already.
        """
        copy = self.create_new(target)
        try:
            while start < end:
                chunk = self.read_at(fd, min(_COPY_CHUNK, end - start), start)
                if not chunk:
                    break
                self.write_all(copy, chunk)
                start += len(chunk)
            self.sync_data(copy)
        except BaseException:
            self.close(copy)
            self.remove(target)
            raise
        self.close(copy)
        self.sync_directory(target)

    def replace_file(self, path: str, data: bytes) -> None:
        """Give `path` new content at once and durably: a new file, then a rename."""
        path = os.path.realpath(path)  # a symbolic link stays one
        beside = f"{path}.new-{os.getpid()}-{threading.get_ident()}"
        try:
            fd = self.create_new(beside)
        except FileExistsError:  # left by a process that died, and whose number we have now
            self.remove(beside)
            fd = self.create_new(beside)
        try:
            try:
                self.write_all(fd, data)
                self.sync_data(fd)
            finally:
                self.close(fd)
            self.rename(beside, path)
        except BaseException:
            self.remove(beside)
            raise
        self.sync_directory(path)

    # -- locking ---------------------------------------------------------------------------

    if sys.platform != "win32":

        def lock_exclusive(self, fd: int, path: str, timeout: float) -> None:
            """Take the writers' lock. Raises LockBusy after `timeout` seconds."""
            self._flock(fd, fcntl.LOCK_EX, timeout)

        def lock_shared(self, fd: int, path: str, timeout: float) -> None:
            """Take the readers' lock, for a moment. Raises LockBusy after `timeout` seconds."""
            self._flock(fd, fcntl.LOCK_SH, timeout)

        def unlock(self, fd: int, path: str) -> None:
            fcntl.flock(fd, fcntl.LOCK_UN)

        def _flock(self, fd: int, operation: int, timeout: float) -> None:
            """Poll, because a blocking flock cannot be given up without a signal.

            Short sleeps first: a holder is usually done within one fdatasync.
            """
            pause, deadline = _POLL_FIRST, 0.0
            while True:
                try:
                    fcntl.flock(fd, operation | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    now = time.monotonic()
                    deadline = deadline or now + timeout
                    if now >= deadline:
                        raise LockBusy(f"locked by another process for {timeout:g} s") from None
                # Uneven by process, so that pollers do not march in step.
                time.sleep(pause * (0.75 + (os.getpid() + time.monotonic_ns()) % 512 / 1024))
                pause = min(pause * 1.5, _POLL_LAST)

    else:
        # LockFileEx locks are mandatory for other handles, so a lock on the ledger itself would
        # keep readers out; filelock uses a file beside it.
        def lock_exclusive(self, fd: int, path: str, timeout: float) -> None:
            """Take the writers' lock. Raises LockBusy after `timeout` seconds."""
            import filelock

            lock = self._locks().setdefault(path, filelock.FileLock(f"{path}.lock"))
            try:
                lock.acquire(timeout=timeout)
            except filelock.Timeout:
                raise LockBusy(f"locked by another process for {timeout:g} s") from None

        lock_shared = lock_exclusive

        def unlock(self, fd: int, path: str) -> None:
            self._locks()[path].release()

        def _locks(self) -> dict[str, Any]:
            return self.__dict__.setdefault("_lock_files", {})

"""An append-only file of texts, such as signed checkpoints: locked, durable, healed.

Each record ends in LF and is followed by two empty lines; none contains two empty lines in a row.
So the file can be read with `cat`, its last record is found from the end, and what follows the
last two empty lines is an append that was cut off before anyone was told of it. The next append
copies such bytes to `<file>.torn-<time>` and cuts them off; readers pass over them.

    1  lock the file                         nothing changed
    2  find the last record; heal            torn bytes are in two places, then in one
    3  write the record and its end          torn bytes, which step 2 heals
    4  fdatasync (and the directory's fsync  the record is there whole, or torn, or not at all;
       for the first record)                 nobody was told
    5  unlock, return                        the record is durable
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audit_stream import timestamps
from audit_stream.storage.beside import LOCK_TIMEOUT, locked, translated
from audit_stream.storage.durable import Disk

if TYPE_CHECKING:
    from audit_stream.storage.snapshot import ReadAt

END = b"\n\n"
"""What follows a record, which itself ends in LF."""

_MARK = b"\n" + END
_WINDOW = 1 << 16


def split_records(data: bytes) -> list[bytes]:
    """The whole records of `data`, each with its LF. What follows the last is passed over."""
    return [record + b"\n" for record in data.split(_MARK)[:-1]]


class Journal:
    """The records in the file at `path`, which need not exist."""

    def __init__(
        self,
        path: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        lock_timeout: float = LOCK_TIMEOUT,
        disk: Disk | None = None,
    ) -> None:
        self.path = path
        self._clock = clock
        self._lock_timeout = lock_timeout
        self._disk = disk or Disk()

    def records(self) -> list[bytes]:
        """All whole records, oldest first. Raises `UnreadableError`, `StorageError`."""
        with translated(self.path):
            try:
                fd = self._disk.open_read(self.path)
            except FileNotFoundError:
                return []
            try:
                return split_records(self._disk.read_at(fd, self._disk.fstat(fd).st_size, 0))
            finally:
                self._disk.close(fd)

    def last(self) -> bytes | None:
        """The last whole record; its cost does not depend on how many there are."""
        with translated(self.path):
            try:
                fd = self._disk.open_read(self.path)
            except FileNotFoundError:
                return None
            try:
                return _last_record(self._reader(fd), self._disk.fstat(fd).st_size)[0]
            finally:
                self._disk.close(fd)

    def tail(self, count: int) -> list[bytes]:
        """The last `count` records, oldest first; no more is read than they take."""
        with translated(self.path):
            try:
                fd = self._disk.open_read(self.path)
            except FileNotFoundError:
                return []
            try:
                size, window = self._disk.fstat(fd).st_size, _WINDOW
                while True:
                    start = max(0, size - window)
                    found = split_records(self._disk.read_at(fd, size - start, start))
                    # The first of a window may have lost its beginning.
                    if start == 0 or len(found) > count:
                        return found[max(0, len(found) - count) :]
                    window *= 4
            finally:
                self._disk.close(fd)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Holds the lock, so that what is appended follows what was last. Creates the file.

        Raises `LockTimeoutError`, `UnreadableError`, `StorageError`.
        """
        with locked(self._disk, self.path, self._disk.open_append, self._lock_timeout) as fd:
            with translated(self.path):
                size = self._disk.fstat(fd).st_size
                last, whole = _last_record(self._reader(fd), size)
                if whole < size:
                    self._heal(fd, whole, size)
            yield Writer(self._disk, self.path, fd, whole, last)

    def _reader(self, fd: int) -> ReadAt:
        return lambda size, offset: self._disk.read_at(fd, size, offset)

    def _heal(self, fd: int, whole: int, size: int) -> None:
        now = timestamps.stamp(self._clock())[:26].replace("-", "").replace(":", "")
        self._disk.copy_aside(fd, whole, size, f"{self.path}.torn-{now}Z")
        self._disk.truncate(fd, whole)


class Writer:
    """The right to append to a journal, for as long as its lock is held."""

    def __init__(self, disk: Disk, path: str, fd: int, size: int, last: bytes | None) -> None:
        self._disk = disk
        self._path = path
        self._fd = fd
        self._size = size
        self.last = last

    def append(self, record: bytes) -> None:
        """Returns once `record` is durable; otherwise cuts the file back to where it was."""
        data = record + END
        if record.startswith(b"\n") or split_records(data) != [record]:
            raise ValueError("a record ends in LF and has no two empty lines in a row")
        with translated(self._path):
            try:
                self._disk.write_all(self._fd, data)
                self._disk.sync_data(self._fd)
                if self._size == 0:
                    self._disk.sync_directory(self._path)
            except BaseException:
                self._disk.truncate(self._fd, self._size)
                raise
        self._size += len(data)
        self.last = record


def _last_record(read_at: ReadAt, size: int) -> tuple[bytes | None, int]:
    """The last whole record, and the size of the file up to its end."""
    window = _WINDOW
    while True:
        start = max(0, size - window)
        data = read_at(size - start, start)
        end = data.rfind(_MARK)
        begin = data.rfind(_MARK, 0, end + len(_MARK) - 1) if end >= 0 else -1
        if begin >= 0 or start == 0:
            break
        window *= 4
    if end < 0:
        return None, 0
    return data[begin + len(_MARK) if begin >= 0 else 0 : end + 1], start + end + len(_MARK)

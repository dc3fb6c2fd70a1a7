"""A disk that fails or dies at a chosen step, and the fault table's other half: counting steps."""

from __future__ import annotations

import errno
import os
from typing import Any

from audit_stream.storage.durable import Disk


class Crash(BaseException):
    """The process is gone; nothing after this reaches the disk."""


class FaultyDisk(Disk):
    """Counts the calls that change something, and breaks at number `at` (from 1; 0: never).

    `how`: "error" (the call fails once, with EIO), "before" (the process dies before the call),
    "half" (it dies with half of a write done), "after" (it dies once the call is done).
    """

    def __init__(self, at: int = 0, how: str = "error") -> None:
        self.at = at
        self.how = how
        self.steps = 0
        self.dead = False

    def _step(self, call: Any, half: Any = None) -> Any:
        if self.dead:
            raise Crash
        self.steps += 1
        if self.steps != self.at:
            return call()
        if self.how == "error":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.dead = True
        if self.how == "half" and half is not None:
            half()
        elif self.how == "after":
            call()
        raise Crash

    def write(self, fd: int, data: bytes | memoryview) -> int:
        whole = super().write
        done: int = self._step(
            lambda: whole(fd, data), lambda: whole(fd, bytes(data)[: len(data) // 2])
        )
        return done

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        whole = super().write_at
        self._step(
            lambda: whole(fd, data, offset), lambda: whole(fd, data[: len(data) // 2], offset)
        )

    def sync_data(self, fd: int) -> None:
        self._step(lambda: super(FaultyDisk, self).sync_data(fd))

    def sync_directory(self, path: str) -> None:
        self._step(lambda: super(FaultyDisk, self).sync_directory(path))

    def truncate(self, fd: int, size: int) -> None:
        self._step(lambda: super(FaultyDisk, self).truncate(fd, size))

    def copy_aside(self, fd: int, start: int, end: int, target: str) -> None:
        self._step(lambda: super(FaultyDisk, self).copy_aside(fd, start, end, target))

    def replace_file(self, path: str, data: bytes) -> None:
        self._step(lambda: Disk().replace_file(path, data))


HOWS = ("error", "before", "half", "after")

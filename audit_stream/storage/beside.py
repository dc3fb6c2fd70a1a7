"""Files beside a ledger: opened under their own lock, their errors translated.

A lock is only worth something on the file that the path names now, so that is looked at once the
lock is held. None of these locks is ever taken by an append.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from audit_stream.errors import (
    LockTimeoutError,
    StorageError,
    StorageFullError,
    UnreadableError,
)
from audit_stream.storage.durable import Disk, LockBusy

LOCK_TIMEOUT = 30.0
"""How long to wait for another process that holds the file, in seconds."""

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_REFUSED = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


_held: set[int] = set()


def _after_fork_in_child() -> None:
    """A child shares the open file description, and with it the lock: a verifying process that
    outlives its killed parent would keep everybody out. Closing ours leaves the parent's alone."""
    for fd in _held:
        os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turns the `OSError`s of a block into this package's errors, naming `path`."""
    try:
        yield
    except LockBusy as error:
        raise LockTimeoutError(f"{path}: {error.args[0]}; is another process stuck?") from None
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, _REFUSED) or error.errno in (errno.EROFS, errno.ELOOP):
            raise UnreadableError(f"{path}: {why}") from None
        if error.errno in _FULL:
            raise StorageFullError(f"{path}: {why}; make room and try again") from error
        raise StorageError(f"{path}: {why}") from error
    except ValueError as error:
        raise UnreadableError(f"{path!a}: not a usable path ({error})") from None


def beside(ledger: str, suffix: str) -> str:
    """The path of a file that belongs to `ledger`, the same through whatever link it is named."""
    return os.path.realpath(ledger) + suffix


@contextmanager
def locked(
    disk: Disk, path: str, opened: Callable[[str], int], timeout: float = LOCK_TIMEOUT
) -> Iterator[int]:
    """Gives a descriptor of `path` with the exclusive lock held, and closes it afterwards.

    What the block itself raises passes untouched. Raises `LockTimeoutError`, `UnreadableError`,
    `StorageError`.
    """
    with translated(path):
        fd = _lock(disk, path, opened, timeout)
    _held.add(fd)
    try:
        yield fd
    finally:
        _held.discard(fd)
        with translated(path):
            try:
                disk.unlock(fd, path)
            finally:
                disk.close(fd)


def _lock(disk: Disk, path: str, opened: Callable[[str], int], timeout: float) -> int:
    while True:
        fd = opened(path)
        try:
            disk.lock_exclusive(fd, path, timeout)
            if _names(disk, path, fd):
                return fd
            disk.unlock(fd, path)
        except BaseException:
            disk.close(fd)
            raise
        disk.close(fd)


def _names(disk: Disk, path: str, fd: int) -> bool:
    try:
        named = disk.stat(path)
    except FileNotFoundError:
        return False
    held = disk.fstat(fd)
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

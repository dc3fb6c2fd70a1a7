"""Disks that fail, and machines that stop, at a chosen call.

`FaultyDisk` makes one call of `durable.Disk` go wrong. `Machine` also knows what would be left
after a power cut: it remembers, per file, the content at the last sync, and which directory
entries were synced. Once it has stopped, every further call raises, so
that no clean-up code of a dead process can run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from audit_stream.storage.durable import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CALLS = (
    "open_append",
    "open_read",
    "create_new",
    "remove",
    "rename",
    "close",
    "fstat",
    "stat",
    "read_at",
    "write",
    "sync_data",
    "sync_directory",
    "truncate",
    "lock_exclusive",
    "lock_shared",
    "unlock",
)
"""The calls that reach the operating system one by one."""


class PowerCut(BaseException):
    """The process is gone."""


class FaultyDisk(Disk):
    """Fails as told. `calls` lists what was asked of it, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._faults: list[tuple[str, int, Callable[..., Any]]] = []
        self._met: dict[str, int] = {}

    def fail(self, call: str, error: int, *, at: int = 1) -> FaultyDisk:
        """Let the `at`-th `call` from now on raise this errno without doing anything."""

        def refuse(real: Callable[..., Any], *args: Any) -> Any:
            raise OSError(error, os.strerror(error))

        return self.replace(call, refuse, at=at)

    def fail_after(self, call: str, error: int, *, at: int = 1) -> FaultyDisk:
        """Let the call do its work, and then report failure."""

        def refuse(real: Callable[..., Any], *args: Any) -> Any:
            real(*args)
            raise OSError(error, os.strerror(error))

        return self.replace(call, refuse, at=at)

    def fail_always(self, call: str, error: int) -> FaultyDisk:
        """Let every such call raise this errno."""
        for at in range(1, 50):
            self.fail(call, error, at=at)
        return self

    def write_short(self, size: int, *, at: int = 1) -> FaultyDisk:
        """Let a write take `size` bytes only."""

        def shorten(real: Callable[..., Any], fd: int, data: bytes) -> Any:
            return real(fd, data[:size])

        return self.replace("write", shorten, at=at)

    def replace(self, call: str, action: Callable[..., Any], *, at: int = 1) -> FaultyDisk:
        """Let `action(real, *args)` answer the `at`-th `call` from now on."""
        self._faults.append((call, self._met.get(call, 0) + at, action))
        return self

    def do(self, call: str, *args: Any) -> Any:
        """Answer a call."""
        self.calls.append(call)
        self._met[call] = number = self._met.get(call, 0) + 1
        real = getattr(super(), call)
        for named, at, action in self._faults:
            if (named, at) == (call, number):
                return action(real, *args)
        return real(*args)


class Machine(FaultyDisk):
    """Stops after its `stop_after`-th call has done its work (0: before the first).

    What is in `directory` at the start counts as durable.
    """

    def __init__(self, directory: Path, stop_after: int | None = None) -> None:
        super().__init__()
        self.directory = directory
        self.stop_after = stop_after
        self.stopped = False
        files = list(directory.iterdir())
        self._synced = {file.stat().st_ino: file.read_bytes() for file in files}
        self._entries = {file.name for file in files}
        self._open: set[int] = set()

    def do(self, call: str, *args: Any) -> Any:
        self._stop_if_due()
        result = super().do(call, *args)
        if call in ("open_append", "open_read", "create_new"):
            self._open.add(result)
        elif call == "close":
            self._open.discard(args[0])
        elif call == "sync_directory":
            self._entries = {file.name for file in self.directory.iterdir()}
        elif call == "sync_data":
            self._remember(os.fstat(args[0]).st_ino)
        self._stop_if_due()
        return result

    def _stop_if_due(self) -> None:
        if self.stopped or (self.stop_after is not None and len(self.calls) >= self.stop_after):
            self.stopped = True
            raise PowerCut

    def _remember(self, inode: int) -> None:
        for file in self.directory.iterdir():
            if file.stat().st_ino == inode:
                self._synced[inode] = file.read_bytes()

    def kill(self) -> None:
        """End the process: its descriptors are closed, and the page cache stays."""
        self.stopped = True
        for fd in self._open:
            os.close(fd)
        self._open.clear()

    def lose_power(self, kept: float = 0.0) -> None:
        """As `kill`, and only what was synced is left, and the share `kept` of what each file
        gained since. Directory entries that were not synced are gone, unless something is kept.
        """
        self.kill()
        for file in list(self.directory.iterdir()):
            if file.name not in self._entries and not kept:
                file.unlink()
                continue
            written = file.read_bytes()
            synced = self._synced.get(file.stat().st_ino, b"")
            common = _common_length(written, synced)
            more = written[common:][: int((len(written) - common) * kept)]
            # A growth reaches the disk in part; a cut that nothing overwrote is undone.
            file.write_bytes(written[:common] + more if more else synced)


def _common_length(one: bytes, other: bytes) -> int:
    length = 0
    for length, (ours, theirs) in enumerate(zip(one, other, strict=False)):
        if ours != theirs:
            return length
    return min(len(one), len(other), length + 1)


def _answering(call: str) -> Callable[..., Any]:
    def answer(self: FaultyDisk, *args: Any) -> Any:
        return self.do(call, *args)

    return answer


for _call in CALLS:
    setattr(FaultyDisk, _call, _answering(_call))

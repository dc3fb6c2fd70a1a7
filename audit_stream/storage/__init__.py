"""The storage seam: what `ledger` asks of an engine, and the engines behind it.

An engine keeps the lines of one ledger. It offers `commit`, `head`, `snapshot`, `read`, `wait`
and `close`; nothing above it knows about locks, descriptors or fsync, and nothing below it knows
what an event means beyond its line. One contract suite (`tests/storage/test_contract.py`) runs
against every engine, with `MemoryEngine` as the reference.

`build`, given to `commit`, is a pure function from the present head to the lines to append. An
engine may call it more than once: the file engine calls it once under its lock, an engine with
compare-and-append calls it again after every lost race.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol, TypeAlias

    from audit_stream.chain import Head
    from audit_stream.storage.snapshot import Block, Snapshot

    Build: TypeAlias = Callable[[Head], tuple[list[bytes], Head]]
    """From the present head to the lines to append (each with its LF) and the head after them."""

    class Engine(Protocol):
        """Where the lines of one ledger live. Thread-safe."""

        def commit(self, build: Build, *, lock_timeout: float | None = None) -> Commit:
            """Append what `build` returns as one transaction; return once it is durable.

            An exception from `build` passes through, and nothing is written. `lock_timeout` is
            how long to wait for other writers, in seconds, where the engine has to; None for as
            long as the engine was told when it was opened.

            Raises:
                DamagedTailError: the last complete line is not a valid event.
                StorageError: nothing was acknowledged; the subclass says what to do.
            """

        def head(self) -> Head:
            """Return the present head. Raises DamagedTailError, UnreadableError."""

        def snapshot(self) -> Snapshot:
            """Return a view of what is committed now. Raises LedgerNotFoundError,
            UnreadableError."""

        def read(
            self, after: int = 0, *, before: int | None = None, reverse: bool = False
        ) -> Iterator[Block]:
            """Yield blocks of whole lines holding the events with after < event_id < before, of
            one snapshot; with `reverse`, the last block first (lines inside stay in order).
            Where lines are damaged, others around them may come along."""

        def wait(self, after: int, timeout: float) -> bool:
            """Return True once an event beyond `after` is committed, False after `timeout`
            seconds."""

        def close(self) -> None:
            """Release everything. The engine commits no more (InputError)."""


class Commit:
    """What one transaction did: the head before and after, the lines, and, if an unterminated
    tail was healed first, the path its bytes were copied to."""

    __slots__ = ("before", "head", "healed", "lines")

    def __init__(self, before: Head, lines: list[bytes], head: Head, healed: str | None) -> None:
        self.before = before
        self.lines = lines
        self.head = head
        self.healed = healed

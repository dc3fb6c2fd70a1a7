"""The reference engine: a ledger in memory. What it does is what every engine must do.

For tests and for programs that want a ledger without a file; nothing outlives the process.
"""

from __future__ import annotations

import threading
import time

from audit_stream.chain import GENESIS, last_line_head
from audit_stream.errors import DamagedTailError, InputError, InvalidEventError
from audit_stream.storage import Commit
from audit_stream.storage.snapshot import Block, Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_stream.chain import Head
    from audit_stream.storage import Build


class MemoryEngine:
    """Keeps the lines in one bytes object. Thread-safe."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self._closed = False
        self._grown = threading.Condition()

    def commit(self, build: Build, *, lock_timeout: float | None = None) -> Commit:
        """See `storage.Engine`; an unterminated tail is dropped, there being no file to copy to."""
        with self._grown:
            if self._closed:
                raise InputError("this ledger is closed; open it again")
            before = self.head()
            lines, head = build(before)
            if not lines:
                return Commit(before, lines, head, None)
            whole = self._data[: self.snapshot().whole]
            self._data = whole + b"".join(lines)
            self._grown.notify_all()
            return Commit(before, lines, head, None)

    def head(self) -> Head:
        """See `storage.Engine`."""
        line = self.snapshot().last_line()
        if line is None:
            return GENESIS
        try:
            return last_line_head(line)
        except InvalidEventError as error:
            raise DamagedTailError(f"the last line is damaged: {error}; run verify") from None

    def snapshot(self) -> Snapshot:
        """See `storage.Engine`."""
        data = self._data
        return Snapshot(lambda size, offset: data[offset : offset + size], len(data), identity=self)

    def read(
        self, after: int = 0, *, before: int | None = None, reverse: bool = False
    ) -> Iterator[Block]:
        """See `storage.Engine`."""
        yield from self.snapshot().between(after, before, reverse=reverse)

    def wait(self, after: int, timeout: float) -> bool:
        """See `storage.Engine`."""
        deadline = time.monotonic() + timeout
        with self._grown:
            while self.snapshot().last_event_id() <= after:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._grown.wait(left)
            return True

    def close(self) -> None:
        """See `storage.Engine`."""
        self._closed = True

"""Following a ledger as it grows, whoever appends to it: every event exactly once.

A follower is a position in a file. It holds the file it reads open, so that lines appended just
before a rotation are still read after it, and it remembers the last line it gave out, so that a
ledger that was copied, restored or rewritten in place is noticed: where that line is still in
the ledger the follower goes on behind it, and where it is not, the ledger is another one and is
read from its start.
"""

from __future__ import annotations

from audit_stream.errors import AuditStreamError, LedgerNotFoundError
from audit_stream.storage.snapshot import Block, Snapshot, event_id_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from audit_stream.storage import Engine

_AT_MOST = 1 << 20


class Follower:
    """Gives out the blocks of whole lines that an engine's ledger gains. Not thread-safe.

    Args:
        engine: the ledger; it need not exist yet.
        after: start behind this event_id; None for "from the present end on".
        snapshot: what counts as the present; it becomes the follower's to close.

    `restarted` counts how often another ledger was found in the place of the one followed.
    """

    def __init__(
        self, engine: Engine, after: int | None = None, snapshot: Snapshot | None = None
    ) -> None:
        self._engine = engine
        self._file: Snapshot | None = None
        self._after = after or 0  # counts until there is a file
        self._position = 0
        # The last line given out, without its LF (only its beginning where it is hopeless, see
        # `Snapshot.blocks`), and where it starts.
        self._last_line, self._last_start = b"", 0
        self.restarted = 0
        try:
            first = snapshot or engine.snapshot()
        except LedgerNotFoundError:
            return
        self._start_in(first, first.whole if after is None else first.offset_after(after))

    def _start_in(self, file: Snapshot, position: int) -> None:
        self._file = file
        self._position = position
        if position:
            self._remember(next(file.blocks_reversed(0, position, size=1)))

    def poll(self, at_most: int = _AT_MOST) -> list[Block]:
        """Return the blocks that came since the last call, about `at_most` bytes of them.

        Never waits. Raises UnreadableError, StorageError.
        """
        try:
            now = self._engine.snapshot()
        except LedgerNotFoundError:
            return self._drain(at_most)[0]
        try:
            if self._file is None:
                self._start_in(now, now.offset_after(self._after))
            else:
                if now.identity != self._file.identity:
                    rest, more = self._drain(at_most)
                    if more:
                        return rest
                self._settle(now)
            return self._take(now, now.whole, at_most)
        finally:
            if now is not self._file:
                now.close()

    def close(self) -> None:
        """Release the file. May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _drain(self, at_most: int) -> tuple[list[Block], bool]:
        """Read what the file that lost its name gained before it did, and say whether there may
        be more. A writer that takes the file's lock later finds its name gone and leaves."""
        if self._file is None:
            return [], False
        old = self._file.again()
        rest = self._take(old, old.whole, at_most)
        return rest, bool(rest) or not old.settled

    def _settle(self, now: Snapshot) -> None:
        """Take `now` as the file to read, and find the place to go on in it."""
        same_file = self._file is not None and now.identity == self._file.identity
        self.close()
        self._file = now
        if self._position == 0:
            return
        if same_file and self._stands_in(now, self._last_start, self._position):
            return
        event_id = event_id_of(self._last_line)
        if event_id is not None:
            start = now.offset_after(event_id - 1)
            end = start + len(self._last_line) + 1
            if self._stands_in(now, start, end):
                self._last_start, self._position = start, end
                return
        self.restarted += 1
        self._position = 0
        self._last_line = b""

    def _stands_in(self, file: Snapshot, start: int, end: int) -> bool:
        """Whether the last line given out stands at [start, end)."""
        return (
            end <= file.whole
            and file.read_at(len(self._last_line), start) == self._last_line
            and file.read_at(1, end - 1) == b"\n"
        )

    def _remember(self, block: Block) -> None:
        start = block.data.rfind(b"\n", 0, -1) + 1
        self._last_line, self._last_start = block.data[start:-1], block.offset + start
        self._position = block.end

    def _take(self, source: Snapshot, end: int, at_most: int) -> list[Block]:
        taken: list[Block] = []
        try:
            for block in source.blocks(self._position, end):
                taken.append(block)
                self._remember(block)
                at_most -= len(block.data)
                if at_most <= 0:
                    break
        except AuditStreamError:
            if not taken:  # what was read is given out; the next poll meets the error again
                raise
        return taken

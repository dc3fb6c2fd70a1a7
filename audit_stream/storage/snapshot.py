"""A view of a ledger's bytes at one moment, and how to find an event in it without an index.

Pure: it asks a one-method reader for bytes. `event_id` counts lines, so the offset of an event
can be interpolated: two or three probes find one among millions. Damaged lines can mislead a
probe, never a result: a place that was found must lie between the two events that belong there,
and where it does not, a walk over the lines decides.
"""

from __future__ import annotations

import re

from audit_stream.event import LINE_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    ReadAt: TypeAlias = Callable[[int, int], bytes]
    """(size, offset) to bytes, less than `size` only at the end."""

BLOCK_SIZE = 1 << 16
_PROBE_SIZE = 4096
_EVENT_ID = re.compile(rb'\{"event_id":([1-9][0-9]{0,17}),"hash":"')
_MAX_PROBES = 64


class Block:
    """Whole lines, each with its LF; the offsets in the ledger where the first starts and the
    last ends (bytes).

    `data` is what stands there, but for a line that comes alone and cut short (`Snapshot.blocks`).
    """

    __slots__ = ("data", "end", "offset")

    def __init__(self, offset: int, data: bytes, end: int | None = None) -> None:
        self.offset = offset
        self.data = data
        self.end = offset + len(data) if end is None else end


class Snapshot:
    """The bytes of a ledger up to `size`, of which the first `whole` end in an LF.

    `identity` tells one file from another that took its place. `settled` is False where an append
    may have been under way, which the lines up to `whole` may or may not be part of. Close it
    when done.
    """

    __slots__ = ("_look_again", "_on_close", "identity", "read_at", "settled", "size", "whole")

    def __init__(
        self,
        read_at: ReadAt,
        size: int,
        *,
        whole: int | None = None,
        identity: object = None,
        settled: bool = True,
        on_close: Callable[[], None] | None = None,
        look_again: Callable[[], Snapshot] | None = None,
    ) -> None:
        self.read_at = read_at
        self.size = size
        self.whole = end_of_lines(read_at, size) if whole is None else whole
        self.identity = identity
        self.settled = settled
        self._on_close = on_close
        self._look_again = look_again

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file behind it. May be called twice."""
        if self._on_close is not None:
            close = self._on_close
            self._on_close = None
            close()

    def again(self) -> Snapshot:
        """Return a view of the same file as it is now, whatever has become of its name. This one
        stays the one to close."""
        return self if self._look_again is None else self._look_again()

    @property
    def torn(self) -> int:
        """How many bytes follow the last LF."""
        return self.size - self.whole

    def last_line(self) -> bytes | None:
        """Return the last complete line without its LF, or None when there is none."""
        if self.whole == 0:
            return None
        return self.line_ending_at(self.whole)[:-1]

    def line_ending_at(self, end: int) -> bytes:
        """Return the line (with LF) whose LF is the byte before `end`; cut short as in `blocks`
        where it is hopeless."""
        return self._line(self._line_start_before(end), end)

    def line_at(self, start: int) -> bytes:
        """As `line_ending_at`, the line that starts at `start`; empty at the end."""
        return self._line(start, self._line_start_after(start, self.whole))

    def _line(self, start: int, end: int) -> bytes:
        if end - start > BLOCK_SIZE:
            first = self.read_at(BLOCK_SIZE, start)
            if not may_begin_line(first):
                return first + b"\n"
        return self.read_at(end - start, start)

    def _line_start_before(self, end: int) -> int:
        return end_of_lines(self.read_at, end - 1)

    def blocks(
        self, start: int = 0, end: int | None = None, *, size: int = BLOCK_SIZE
    ) -> Iterator[Block]:
        """Yield the whole lines in [start, end), both at line starts, in blocks of about `size`
        bytes (more where one line is longer).

        A line that is longer and does not begin as a stored line does comes alone and cut short:
        it is as damaged as it was, and a file that is no ledger at all cannot fill the memory.
        """
        end = self.whole if end is None else end
        rest, step = b"", size
        position = line_start = start
        while position < end:
            data = self.read_at(min(step, end - position), position)
            if not data:
                return  # the file was cut while we read
            position += len(data)
            cut = data.rfind(b"\n") + 1
            if cut:
                yield Block(line_start, rest + data[:cut] if rest else data[:cut])
                rest, step = data[cut:], size
                line_start = position - len(rest)
                continue
            rest += data
            step *= 2  # a line longer than the block: keep the joining linear
            if not may_begin_line(rest):
                position = self._line_start_after(position, end)
                yield Block(line_start, rest + b"\n", position)
                rest, step, line_start = b"", size, position

    def blocks_reversed(
        self, start: int = 0, end: int | None = None, *, size: int = BLOCK_SIZE
    ) -> Iterator[Block]:
        """As `blocks`, the last block first; the lines inside a block stay in order."""
        end = self.whole if end is None else end
        while end > start:
            from_here = max(start, end - size)
            if from_here > start:
                from_here = self._line_start_after(from_here - 1, end)
            if from_here >= end:  # one line longer than the block
                from_here = max(start, self._line_start_before(end))
                yield Block(from_here, self._line(from_here, end), end)
            else:
                yield Block(from_here, self.read_at(end - from_here, from_here))
            end = from_here

    def line_start_from(self, offset: int) -> int:
        """Return the first line start at or beyond `offset` (`whole` if there is none)."""
        return 0 if offset <= 0 else self._line_start_after(offset - 1, self.whole)

    def _line_start_after(self, offset: int, end: int) -> int:
        """Return the first line start beyond `offset`, or `end`."""
        step = _PROBE_SIZE
        while offset < end:
            data = self.read_at(min(step, end - offset), offset)
            found = data.find(b"\n")
            if found >= 0:
                return offset + found + 1
            if not data:
                break
            offset += len(data)
            step = min(step * 2, 1 << 20)
        return end

    def last_event_id(self) -> int:
        """Return the event_id that the last complete line names, 0 when there is none.

        A last line that names none (it is damaged) counts as the successor of the line before.
        """
        steps, end = 0, self.whole
        while end > 0:
            end = self._line_start_before(end)
            named = self._named_at(end)
            if named is not None:
                return named + steps
            steps += 1
        return steps

    def _named_at(self, start: int) -> int | None:
        return event_id_of(self.read_at(64, start))

    def offset_after(self, after: int) -> int:
        """Return where the first event with event_id > `after` starts (`whole` if none does).

        On an undamaged ledger in O(log log n) reads. Among damaged lines it errs to the early
        side: no line that names an id > `after` lies before it, nor do lines that name none and
        come directly before such a one.
        """
        if after < 1 or self.whole == 0:
            return 0
        found = self._search(after)
        return found if self._is_between(found, after) else self._walk_to(after)

    def offset_before(self, before: int) -> int:
        """Return where the last event with event_id < `before` ends (0 if there is none).

        As `offset_after(before - 1)`, but among damaged lines it errs to the late side.
        """
        if before <= 1 or self.whole == 0:
            return 0
        found = self._search(before - 1)
        return found if self._is_between(found, before - 1) else self._walk_back_to(before)

    def _search(self, after: int) -> int:
        last = self.last_event_id()
        if after >= last:
            return self.whole
        low, high = self._bracket(after, last)
        return self._walk(low, high, after)

    def _is_between(self, offset: int, after: int) -> bool:
        """Whether the event `after` ends at `offset` and its successor starts there."""
        if offset == 0:
            return False
        start = self._line_start_before(offset)
        named = self._named_at(start)
        if offset < self.whole:
            return named == after and self._named_at(offset) == after + 1
        # There is no successor at the end; the last line's predecessor must vouch for it.
        if named is None or named > after:
            return False
        if start == 0:
            return named == 1
        return self._named_at(self._line_start_before(start)) == named - 1

    def _walk_to(self, after: int) -> int:
        reached = 0
        for block in self.blocks():
            end = block.offset
            for line in block.data[:-1].split(b"\n"):
                end += len(line) + 1
                named = event_id_of(line)
                if named is not None and named > after:
                    return reached
                if named is not None:
                    reached = end
        return reached

    def _walk_back_to(self, before: int) -> int:
        reached = self.whole
        for block in self.blocks_reversed():
            start = block.end
            for line in reversed(block.data[:-1].split(b"\n")):
                start -= len(line) + 1
                named = event_id_of(line)
                if named is not None and named < before:
                    return reached
                if named is not None:
                    reached = start
        return reached

    def _bracket(self, after: int, last: int) -> tuple[int, int]:
        """Return line starts around the answer: the line at the first has an id <= `after` (or
        is the file's first), the one at the second has an id > `after` (or is the end)."""
        low, low_id = 0, 1
        high, high_id = self.whole, last + 1
        ceiling = high  # no line that names its id starts in [ceiling, high)
        for probe in range(_MAX_PROBES):
            if ceiling - low <= 2 * BLOCK_SIZE:
                break
            if probe % 4 == 3:  # halving bounds the cost where line lengths are skewed
                guess = (low + ceiling) // 2
            else:
                share = (after + 1 - low_id) / max(1, high_id - low_id)
                # In turn a little early and a little late, so that both ends close in.
                margin = BLOCK_SIZE // 2 if probe % 2 else -BLOCK_SIZE // 2
                guess = low + int((high - low) * share) + margin
            guess = min(max(guess, low + 1), ceiling - 1)
            start, named = self._named_line_from(guess, high)
            if named is None:
                ceiling = guess
            elif named <= after:
                low, low_id = start, named
            else:
                high, high_id = start, named
                ceiling = start
        return low, high

    def _named_line_from(self, offset: int, end: int) -> tuple[int, int | None]:
        """Return the first line start at or beyond `offset` whose line names its id."""
        start = self._line_start_after(offset - 1, end)
        while start < end:
            named = self._named_at(start)
            if named is not None:
                return start, named
            start = self._line_start_after(start, end)
        return end, None

    def _walk(self, low: int, high: int, after: int) -> int:
        wanted = b'\n{"event_id":%d,"hash":"' % (after + 1)
        for block in self.blocks(low, high):
            found = block.data.find(wanted)
            if found >= 0:
                return block.offset + found + 1
            position = block.offset
            for line in block.data[:-1].split(b"\n"):
                named = event_id_of(line)
                if named is not None and named > after:
                    return position
                position += len(line) + 1
        return high

    def event_line(self, event_id: int) -> bytes | None:
        """Return a stored line (without LF) that names `event_id`, or None."""
        if event_id < 1:
            return None
        start = self.offset_after(event_id - 1)
        if start >= self.whole:
            return None
        line = self.line_at(start)[:-1]
        if event_id_of(line) == event_id:
            return line
        return next((line for line in self._lines(start) if event_id_of(line) == event_id), None)

    def _lines(self, start: int) -> Iterator[bytes]:
        for block in self.blocks(start):
            yield from block.data[:-1].split(b"\n")

    def between(
        self, after: int = 0, before: int | None = None, *, reverse: bool = False
    ) -> Iterator[Block]:
        """Yield blocks that hold every event with after < event_id < before; see
        `storage.Engine.read`. Among damaged lines they may hold others too."""
        start = self.offset_after(after)
        end = self.whole if before is None else max(start, self.offset_before(before))
        return self.blocks_reversed(start, end) if reverse else self.blocks(start, end)


def may_begin_line(data: bytes) -> bool:
    """Whether a stored line can begin with these bytes."""
    return data[: len(LINE_PREFIX)] == LINE_PREFIX[: len(data)]


def event_id_of(line: bytes) -> int | None:
    """Return the event_id that a stored line starts with, None when it does not."""
    match = _EVENT_ID.match(line)
    return int(match[1]) if match else None


def end_of_lines(read_at: ReadAt, size: int) -> int:
    """Return the offset after the last LF in the first `size` bytes; 0 when there is none."""
    end, step = size, _PROBE_SIZE
    while end > 0:
        start = max(0, end - step)
        found = read_at(end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end, step = start, min(step * 2, 1 << 20)
    return 0

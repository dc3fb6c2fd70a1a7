"""`append --batch`: NDJSON in, stored lines out, each printed only once it is durable.

It works as a long-lived pipe: whatever lines are waiting are committed together, and no line
waits for a later one. What is read before a bad line is durable; what comes after it is not
written.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TYPE_CHECKING

from audit_stream.cli import exits
from audit_stream.cli.append import warn_of_healing
from audit_stream.cli.opening import open_ledger
from audit_stream.cli.streams import Output, OutputClosed
from audit_stream.errors import EventTooLargeError, InputError, InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_stream.cli.append_options import AppendRequest
    from audit_stream.event import Draft
    from audit_stream.ledger import Ledger

# Enough lines a commit to make its fdatasync cheap, few enough to answer soon.
_COMMIT_BYTES = 1 << 20
# JSON can spell a character in six times its stored bytes (\u0061).
_SPELLING = 6
_ALL_THE_SAME = "; what was read so far is recorded all the same, what follows is not"


def run_batch(request: AppendRequest) -> int:
    """Append the batch and return the exit code. Raises AuditStreamError."""
    defaults = {
        name: value
        for name, value in (("kind", request.kind), ("source", request.source))
        if value is not None
    }
    fd = _open(request.batch)
    with open_ledger(
        request.ledger, request.config, request.allow_kind, any_kind=request.any_kind
    ) as ledger:
        longest = _SPELLING * ledger.max_event_bytes + 4096
        batch = _Batch(ledger, defaults, longest, skip=request.skip_invalid, quiet=request.quiet)
        for lines in _waiting_lines(fd, longest):
            if not batch.take(lines):
                return exits.USAGE
    return batch.finish()


class _Batch:
    """Lines in, commits out. Counts input lines from 1, blank ones too."""

    def __init__(
        self,
        ledger: Ledger,
        defaults: dict[str, str],
        longest: int,
        *,
        skip: bool,
        quiet: bool,
    ) -> None:
        self._ledger = ledger
        self._longest = longest
        self._read = ledger.draft_reader(defaults)
        for kind in [defaults["kind"]] if "kind" in defaults else []:
            ledger.vocabulary.check(kind)
        self._skip = skip
        self._output: Output | None = None if quiet else Output(all_the_same=_ALL_THE_SAME)
        self._line_number = 0
        self._refused = 0

    def take(self, lines: list[bytes]) -> bool:
        """Append what waits; return False when a bad line ends the batch."""
        drafts: list[Draft] = []
        numbers: list[int] = []
        for line in lines:
            self._line_number += 1
            if not line.strip(b" \t\r"):
                continue
            try:
                drafts.append(self._draft(line))
                numbers.append(self._line_number)
            except InvalidEventError as error:
                if not self._skip and not self._commit(drafts, numbers):
                    return False
                if not self._refuse(self._line_number, error):
                    return False
        return self._commit(drafts, numbers)

    def _draft(self, line: bytes) -> Draft:
        if len(line) > self._longest:
            raise EventTooLargeError(f"longer than {self._longest} bytes; split the event")
        return self._read(line)

    def _commit(self, drafts: list[Draft], numbers: list[int]) -> bool:
        """Commit the drafts; a too large one is only found now, when its number is known."""
        while drafts:
            try:
                committed = self._ledger.commit(drafts)
            except EventTooLargeError as error:
                bad = error.index or 0
                if bad and not self._commit(drafts[:bad], numbers[:bad]):
                    return False
                if not self._refuse(numbers[bad], error):
                    return False
                drafts, numbers = drafts[bad + 1 :], numbers[bad + 1 :]
                continue
            warn_of_healing(committed)
            self._print(committed.lines)
            return True
        return True

    def _print(self, lines: list[bytes]) -> None:
        if self._output is None:
            return
        try:
            if self._output.terminal:
                self._output.lines([line[:-1] for line in lines])
            else:
                self._output.write(b"".join(lines))
        except OutputClosed:
            # The reader has seen enough; what is still to come must be recorded all the same.
            self._output = None

    def _refuse(self, number: int, error: InvalidEventError) -> bool:
        self._refused += 1
        exits.complain(f"line {number}: {exits.describe(error)}")
        return self._skip

    def finish(self) -> int:
        """Report and return the exit code."""
        if self._refused:
            lines = "line was" if self._refused == 1 else "lines were"
            exits.complain(
                f"{self._refused} {lines} refused and skipped; everything else is recorded"
            )
            return exits.USAGE
        return exits.OK


def _open(path: str) -> int:
    if path == "-":
        _enlarge_pipe(0)
        return 0
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: cannot read the batch: {why}") from None


def _enlarge_pipe(fd: int) -> None:
    """Let a quick producer fill more than 64 KiB while a commit is under way (Linux)."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # not a pipe, or over the user's limit
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _COMMIT_BYTES)


def _waiting_lines(fd: int, longest: int) -> Iterator[list[bytes]]:
    """Yield the lines that are there; wait only when there are none. The last may lack its LF.

    Of a line longer than `longest` only so much is given as shows that it is.
    """
    rest = b""
    dropping = False
    while True:
        data = _read(fd, _COMMIT_BYTES)
        if not data:
            break
        gathered = [rest, data]
        size = len(data)
        while size < _COMMIT_BYTES and _is_ready(fd):
            more = _read(fd, _COMMIT_BYTES - size)
            if not more:
                break
            gathered.append(more)
            size += len(more)
        lines = b"".join(gathered).split(b"\n")
        rest = lines.pop()
        if dropping and lines:
            del lines[0]
            dropping = False
        if lines:
            yield lines
        if dropping:
            rest = b""
        elif len(rest) > longest:
            yield [rest]
            dropping, rest = True, b""
    if rest:
        yield [rest]


def _read(fd: int, size: int) -> bytes:
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:  # a pipe that another process has made non-blocking
            select.select([fd], [], [])
        except OSError as error:
            raise InputError(f"cannot read the batch: {error.strerror}") from None


def _is_ready(fd: int) -> bool:
    if sys.platform == "win32":
        return False  # select knows sockets only there
    return bool(select.select([fd], [], [], 0)[0])

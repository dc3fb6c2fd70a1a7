"""The hash chain: linking drafts to a head, and proving that lines are linked. Pure.

One rule is written twice on purpose, once to build a line (`link`) and once to check it
(`check_line`); the tests hold the two, the `rfc8785` package and the standalone verifier
against each other. `check_line` alone says why a line fails. `bulk.check_block` is only an
accelerator in front of it: it may say yes, and whatever it does not say yes to is looked at
here again, line by line.

A file can be checked in ranges by several processes: each range takes for granted the head that
its first line names (`Segment.assumed`), and `Verifier.join` accepts a segment only when that
head is the one reached so far.
"""

from __future__ import annotations

import sys

try:
    from _sha2 import sha256 as _own_sha256  # type: ignore[import-not-found] # from 3.12 on
except ImportError:
    try:
        from _sha256 import sha256 as _own_sha256  # type: ignore[import-not-found]
    except ImportError:  # a Python without modules of its own for it
        from hashlib import sha256 as _own_sha256

from audit_stream import canonical, timestamps
from audit_stream.errors import EventTooLargeError, HeadMismatchError, InvalidEventError
from audit_stream.event import DEFAULT_MAX_EVENT_BYTES, LINE_PREFIX, check_stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Protocol

    from audit_stream.event import Draft
    from audit_stream.timestamps import Instant

    class Sink(Protocol):
        """What else is made of the lines that check, such as a Merkle tree."""

        def start(self, count: int) -> None:
            """Called once, before any line: how many events precede the first."""

        def add(self, block: bytes) -> None:
            """Take whole lines, each with its LF, all of which check."""

        def join(self, later: Any) -> None:
            """Take over what the sink of the range that follows was given."""


ZERO_HASH = "0" * 64
"""The head hash of an empty ledger, and the `prev_hash` of the first event."""

_HASH_MEMBER_LENGTH = len('"hash":"",') + 64
_FEW_LINES = 8


class Head:
    """The end of a chain: how many events it has, and the last one's hash (lower-case hex)."""

    __slots__ = ("count", "hash")

    def __init__(self, count: int, hash: str) -> None:
        self.count = count
        self.hash = hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Head) and (other.count, other.hash) == (self.count, self.hash)

    def __hash__(self) -> int:
        return hash((self.count, self.hash))

    def __repr__(self) -> str:
        return f"Head(count={self.count}, hash={self.hash!r})"


GENESIS = Head(0, ZERO_HASH)


def link(
    drafts: Sequence[Draft],
    head: Head,
    now: str,
    *,
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
) -> tuple[list[bytes], Head]:
    """Return the stored lines (each with its LF) of `drafts` after `head`, and the new head.

    `now` is the timestamp, in the writer's form, of drafts that bring none.

    Raises:
        EventTooLargeError: a line would be longer than `max_event_bytes`; `index` says which.
    """
    lines: list[bytes] = []
    event_id, previous = head.count, head.hash
    sha256 = _sha256()
    for draft in drafts:
        event_id += 1
        rest = b'%b,"prev_hash":"%b",%b,"timestamp":"%b"}' % (
            draft.front,
            previous.encode(),
            draft.back,
            (draft.timestamp or now).encode(),
        )
        previous = sha256(b'{"event_id":%d,%b' % (event_id, rest)).hexdigest()
        line = b'{"event_id":%d,"hash":"%b",%b\n' % (event_id, previous.encode(), rest)
        if len(line) > max_event_bytes + 1:
            raise EventTooLargeError(
                f"the stored line would have {len(line) - 1} bytes, "
                f"more than max_event_bytes = {max_event_bytes}",
                "payload",
                len(lines),
            )
        lines.append(line)
    return lines, Head(event_id, previous)


def expect(head: Head, expected: str | None) -> None:
    """Raise HeadMismatchError unless `expected` (hex, any case) is None or the head's hash."""
    if expected is not None and expected.lower() != head.hash:
        raise HeadMismatchError(
            f"the ledger's head is {head.hash} (event {head.count}), not {expected}; "
            "nothing was written",
            expected,
            head.hash,
        )


class Fault:
    """Why event `number` fails, in a stable, greppable sentence."""

    __slots__ = ("number", "reason")

    def __init__(self, number: int, reason: str) -> None:
        self.number = number
        self.reason = reason


def check_line(line: bytes, head: Head) -> tuple[Head, Instant] | Fault:
    """Check one stored line (without its LF) as the successor of `head`.

    Returns the new head and the event's instant, or the first thing that is wrong, in the order
    of the format document: canonical form of a valid envelope, `event_id`, `prev_hash`, `hash`.
    """
    number = head.count + 1
    try:
        if not line.startswith(LINE_PREFIX):
            # Said first, so that the words are the same however short a reader cut such a line.
            raise InvalidEventError('does not begin with {"event_id":')
        members = canonical.decode_stored(line)
        check_stored(members)
        if canonical.encode_stored(members, max_depth=canonical.MAX_DEPTH + 1) != line:
            raise InvalidEventError("not in RFC 8785 canonical form")
    except InvalidEventError as error:
        detail = error.args[0] if error.member is None else f"{error.member}: {error.args[0]}"
        printable = ascii(detail)[1:-1]
        return Fault(number, f"not a canonical event at event #{number}: {printable}")
    event_id = int(members["event_id"])
    if event_id != number:
        return Fault(number, f"event_id should be {number}, got {event_id}")
    if members["prev_hash"] != head.hash:
        return Fault(number, f"prev_hash mismatch at event #{number}")
    if line_hash(line) != members["hash"]:
        return Fault(number, f"hash mismatch at event #{number}")
    return Head(number, members["hash"]), timestamps.parse(members["timestamp"])


def line_hash(line: bytes) -> str:
    """Return the hash that a canonical line (without LF) should carry: SHA-256 over its bytes
    with the `hash` member cut out, in lower-case hex."""
    cut = line.index(b'"hash":"')
    digest = _sha256()(line[:cut])
    digest.update(line[cut + _HASH_MEMBER_LENGTH :])
    return str(digest.hexdigest())


def get_ready_for(lines: int) -> None:
    """Load what hashing so many lines pays for, before a lock is taken.

    OpenSSL (`hashlib`) is three times as fast as CPython's own SHA-256, but loading it takes a
    tenth of the whole time of a program that appends one event.
    """
    if lines > _FEW_LINES:
        import hashlib  # noqa: F401 - `_sha256` finds it


def _sha256() -> Callable[[bytes], Any]:
    hashlib = sys.modules.get("hashlib")
    chosen: Callable[[bytes], Any] = _own_sha256 if hashlib is None else hashlib.sha256
    return chosen


def last_line_head(line: bytes) -> Head:
    """Return the head that a ledger's last complete line (without LF) gives.

    Only the line itself is checked, whatever precedes it: O(1) whatever the ledger's size.

    Raises:
        InvalidEventError: the line is not a valid event; the message says why.
    """
    assumed = _assumed_head(line)
    checked = check_line(line, assumed or GENESIS)
    if isinstance(checked, Fault):
        # Where the line does not say which event it is, the number in the reason is made up.
        raise InvalidEventError(
            checked.reason if assumed else checked.reason.replace(" at event #1", "", 1)
        )
    if checked[0].count < 1:
        raise InvalidEventError(f"event_id should be 1 or more, got {checked[0].count}")
    if checked[0].count == 1 and assumed != GENESIS:
        raise InvalidEventError("prev_hash mismatch at event #1")
    return checked[0]


class Segment:
    """What one process found in a range of whole lines, to be joined with its neighbours.

    `assumed` is the head that the first line names as its predecessor (None when it cannot be
    read), `reached` the head after the last good line. `fault` and `fault_offset` are set when a
    line failed; nothing after it was looked at. All offsets are bytes from the file's start.
    """

    __slots__ = (
        "assumed",
        "end",
        "fault",
        "first_instant",
        "first_line",
        "last_instant",
        "reached",
        "regressions",
        "seen",
        "sink",
        "start",
    )

    assumed: Head | None
    reached: Head
    start: int
    end: int
    first_line: bytes
    first_instant: Instant | None
    last_instant: Instant | None
    regressions: int
    seen: dict[int | str, Head]
    fault: Fault | None
    sink: Sink | None

    def __getstate__(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        for name, value in zip(self.__slots__, state, strict=True):
            setattr(self, name, value)


class Verifier:
    """Checks whole lines in order; constant memory. Feed it blocks, or join it segments.

    Args:
        head: what precedes the first line fed; None to take the first line's word for it
            (for a range in the middle of a file).
        offset: where the first line starts, in bytes from the start of the file.
        watch: event numbers and hashes (hex) whose events are wanted; those met stand in `seen`,
            and so does `head`, by its number.
        sink: gets every line that checks; after a fault it holds an unspecified part of them.
    """

    def __init__(
        self,
        head: Head | None = GENESIS,
        offset: int = 0,
        *,
        watch: Iterable[int | str] = (),
        sink: Sink | None = None,
    ) -> None:
        self.head = head or GENESIS
        self.offset = offset
        self.fault: Fault | None = None
        self.regressions = 0
        self.seen: dict[int | str, Head] = {} if head is None else {head.count: head}
        self.watch = frozenset(watch)
        self._start = offset
        self._assumed: Head | None = head
        self._place_known = head is not None
        self._first_line = b""
        self._first_instant: Instant | None = None
        self._last_instant: Instant | None = None
        self.sink = sink
        if sink is not None and head is not None:
            sink.start(head.count)

    def feed(self, block: bytes) -> bool:
        """Check a block of whole lines, each ending in LF. Returns False once a line has failed.

        `offset` then stands where the failing line starts, `head` on the last good event.
        """
        if self.fault is not None:
            return False
        if not block:
            return True
        if not self._place_known:
            self._take_place(block[: block.index(b"\n")])
        from audit_stream import bulk  # needs msgspec, which an append has no use for

        facts = bulk.check_block(block, self.head)
        if facts is None:
            if not self._feed_lines(block):
                return False
            if self.sink is not None:
                self.sink.add(block)
            return True
        if self.sink is not None:
            self.sink.add(block)
        self._watch_block(block, facts.hashes)
        self._pass_instants(facts.first_instant, facts.last_instant, facts.regressions)
        self.head = Head(self.head.count + len(facts.hashes), facts.hashes[-1])
        self.offset += len(block)
        return True

    def _take_place(self, first_line: bytes) -> None:
        self._place_known = True
        self._first_line = first_line
        self._assumed = _assumed_head(first_line)
        self.head = self._assumed or GENESIS
        if self.sink is not None:
            self.sink.start(self.head.count)

    def _feed_lines(self, block: bytes) -> bool:
        for line in block[:-1].split(b"\n"):
            checked = check_line(line, self.head)
            if isinstance(checked, Fault):
                self.fault = checked
                return False
            self.head, instant = checked
            self._pass_instants(instant, instant, 0)
            self.offset += len(line) + 1
            if self.head.count in self.watch:
                self.seen[self.head.count] = self.head
            if self.head.hash in self.watch:
                self.seen[self.head.hash] = self.head
        return True

    def _pass_instants(self, first: Instant, last: Instant, regressions: int) -> None:
        if self._first_instant is None:
            self._first_instant = first
        if self._last_instant is not None and first < self._last_instant:
            self.regressions += 1
        self.regressions += regressions
        self._last_instant = last

    def _watch_block(self, block: bytes, hashes: Sequence[str]) -> None:
        before = self.head.count
        for wanted in self.watch:
            if isinstance(wanted, int):
                if before < wanted <= before + len(hashes):
                    self.seen[wanted] = Head(wanted, hashes[wanted - before - 1])
            elif wanted.encode() in block and wanted in hashes:
                self.seen[wanted] = Head(before + hashes.index(wanted) + 1, wanted)

    def segment(self) -> Segment:
        """Return what was found, for another verifier to `join`."""
        found = Segment()
        found.assumed = self._assumed
        found.reached = self.head
        found.start = self._start
        found.end = self.offset
        found.first_line = self._first_line
        found.first_instant = self._first_instant
        found.last_instant = self._last_instant
        found.regressions = self.regressions
        found.seen = self.seen
        found.fault = self.fault
        found.sink = self.sink
        return found

    def join(self, segment: Segment) -> bool:
        """Go on with a segment that starts where this verifier stands. Returns as `feed`."""
        if self.fault is not None:
            return False
        if segment.end == segment.start and segment.fault is None:
            return True
        if segment.assumed != self.head:
            # A line names its predecessor (event_id and prev_hash), so one that names another
            # than ours cannot pass here; checking it again only finds the words.
            checked = check_line(segment.first_line, self.head)
            if not isinstance(checked, Fault):
                raise AssertionError("a line follows one head only")
            self.fault = checked
            return False
        self.head = segment.reached
        self.offset = segment.end
        self.seen.update(segment.seen)
        if segment.first_instant is not None and segment.last_instant is not None:
            self._pass_instants(segment.first_instant, segment.last_instant, segment.regressions)
        self.fault = segment.fault
        if self.fault is None and self.sink is not None:
            self.sink.join(segment.sink)
        return self.fault is None


def _assumed_head(line: bytes) -> Head | None:
    """Return the head that a line (without LF) says it follows; None when it cannot be read."""
    try:
        members = canonical.decode_stored(line)
        check_stored(members)
    except InvalidEventError:
        return None
    return Head(int(members["event_id"]) - 1, members["prev_hash"])

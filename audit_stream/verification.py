"""Walking a whole ledger and giving the verdict.

The walk reads the file in blocks, in one process or in several over ranges of it; what a line
must be is `chain`'s to say. Then what stands outside the file (pins, expectations) is held
against what was found, because a bare chain cannot speak for its own end.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from audit_stream.chain import GENESIS, ZERO_HASH, Head, Segment, Verifier
from audit_stream.errors import UnreadableError
from audit_stream.event import LINE_PREFIX
from audit_stream.storage.durable import Disk
from audit_stream.storage.snapshot import Snapshot, may_begin_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor
    from typing import BinaryIO

    from audit_stream.checkpoint import SignedCheckpoint
    from audit_stream.pins import Pin
    from audit_stream.roots import Roots

    Progress = Callable[[int, int], None]
    """Called with (bytes checked, bytes in all; 0 when unknown)."""

BLOCK_SIZE = 1 << 15
RANGE_SIZE = 4 << 20
_PREFIX_READS = len(LINE_PREFIX)  # a read gives a byte at least
_AHEAD = 4
NOTHING_VOUCHES = "nothing outside the file vouches for its end"

EXIT_CODES = {"intact": 0, "empty": 0, "broken": 1, "rewritten": 1, "truncated": 1, "torn": 3}


class VerifyResult(NamedTuple):
    """The verdict on a ledger, and what it rests on. The first four are the service's of old.

    Attributes:
        valid: whether nothing at all is wrong.
        checked: how many events check, counted from the first.
        first_break_at: the number of the event that fails, or None.
        reason: what is wrong, in a stable sentence, or None.
        verdict: intact, empty, broken, truncated, rewritten or torn.
        byte_offset: where the failing line or the unterminated bytes start, or None.
        last_event_id: the last good event (0 when there is none).
        latest_hash: its hash, or None.
        bytes: the file's size.
        torn_tail_bytes: how many bytes follow the last LF.
        clock_regressions: how many events are older than the event before them.
        pinned: what vouches for the end: `{"by", "event_id", "hash"}`, or None.
        since_event_id: events up to this one were taken from a pin or a checkpoint and not read
            again.
        whole_bytes: the size up to the last LF of the events that check.
    """

    valid: bool
    checked: int
    first_break_at: int | None
    reason: str | None
    verdict: str
    byte_offset: int | None
    last_event_id: int
    latest_hash: str | None
    bytes: int
    torn_tail_bytes: int
    clock_regressions: int
    pinned: dict[str, Any] | None
    since_event_id: int
    whole_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the members as the command line and the server report them."""
        members = self._asdict()
        del members["whole_bytes"]
        return members

    @property
    def exit_code(self) -> int:
        """0 intact or empty, 1 failed, 3 torn tail only."""
        return EXIT_CODES[self.verdict]


class Expectations(NamedTuple):
    """What somebody outside the file says about it.

    Attributes:
        head: the hash (lower-case hex) of an event that must be there.
        at_least: how many events there must be at least; with `head`, which event has that hash.
        pin: the head that was verified last.
        since_pin: take the events up to the pin's for checked.
        checkpoints: what was signed, and is believed.
        since_checkpoint: take the events up to the furthest checkpoint's for checked.
    """

    head: str | None = None
    at_least: int | None = None
    pin: Pin | None = None
    since_pin: bool = False
    checkpoints: tuple[SignedCheckpoint, ...] = ()
    since_checkpoint: bool = False

    @property
    def furthest(self) -> SignedCheckpoint | None:
        """The checkpoint that vouches for most."""
        return max(
            self.checkpoints,
            key=lambda signed: (signed.checkpoint.size, signed.time or ""),
            default=None,
        )

    def roots(self) -> Roots | None:
        """What takes the Merkle roots that the checkpoints are to be held against."""
        if not self.checkpoints:
            return None
        from audit_stream.roots import Roots

        return Roots({signed.checkpoint.size for signed in self.checkpoints})

    def watch(self) -> set[int | str]:
        """Return the event numbers and hashes that the walk is to look out for."""
        wanted: set[int | str] = set()
        if self.head is not None and self.head != ZERO_HASH:
            wanted.add(self.head)
        if self.at_least is not None:
            wanted.add(self.at_least)
        if self.pin is not None and self.pin.event_id:
            wanted.add(self.pin.event_id)
        if self.furthest is not None:
            wanted.add(self.furthest.checkpoint.size)
        return wanted


def verify_bytes(data: bytes, expectations: Expectations = Expectations()) -> VerifyResult:  # noqa: B008
    """Give the verdict on a ledger held in memory."""
    snapshot = Snapshot(lambda size, offset: data[offset : offset + size], len(data))
    return verify_snapshot(snapshot, expectations)


def verify_snapshot(
    snapshot: Snapshot,
    expectations: Expectations = Expectations(),  # noqa: B008
    *,
    path: str | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
    start: Verifier | None = None,
    roots: Roots | None = None,
) -> VerifyResult:
    """Give the verdict on a snapshot. Constant memory, whatever its size.

    Args:
        path: the file behind the snapshot, for other processes to open; without it one
            process does the work.
        jobs: how many processes to use at most.
        progress: called now and then.
        start: where to go on from, with a sink or without; None lets the expectations decide.
        roots: takes the lines of a whole walk that check, in place of what the checkpoints ask.

    Raises:
        UnreadableError: the file was cut or replaced while it was read.
    """
    verifier = start or _starting_point(snapshot, expectations)
    since = verifier.head.count
    if verifier.sink is None and not since:
        _attach(verifier, roots or expectations.roots())
    jobs = min(jobs, -(-(snapshot.whole - verifier.offset) // RANGE_SIZE))
    if path is not None and jobs > 1:
        _walk_with_processes(snapshot, verifier, path, jobs, progress)
    _walk(snapshot, verifier, progress)
    if verifier.fault is None and verifier.offset != snapshot.whole:
        raise UnreadableError("the ledger was cut while it was being verified; run verify again")
    return _judge(verifier, snapshot.size, snapshot.torn, expectations, since)


def verify_stream(
    stream: BinaryIO,
    expectations: Expectations = Expectations(),  # noqa: B008
    *,
    progress: Progress | None = None,
) -> VerifyResult:
    """Give the verdict on a ledger that comes through a pipe, in one process."""
    verifier = Verifier(watch=expectations.watch(), sink=expectations.roots())
    rest: list[bytes] = []
    size = torn = 0
    while data := stream.read(BLOCK_SIZE):
        size += len(data)
        cut = data.rfind(b"\n") + 1
        if not cut:
            torn += len(data)
            # As in `Snapshot.blocks`: what cannot become a stored line is not gathered.
            if not rest or may_begin_line(b"".join(rest[:_PREFIX_READS])):
                rest.append(data)
            continue
        verifier.feed(b"".join([*rest, data[:cut]]))
        rest = [data[cut:]] if cut < len(data) else []
        torn = len(data) - cut
        if progress is not None:
            progress(size, 0)
    return _judge(verifier, size, torn, expectations, 0)


def default_jobs() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# -- walking -----------------------------------------------------------------------------------


def _walk(snapshot: Snapshot, verifier: Verifier, progress: Progress | None) -> None:
    """Feed the verifier from where it stands to the end, unless it has found a fault."""
    for count, block in enumerate(snapshot.blocks(verifier.offset, size=BLOCK_SIZE)):
        if not verifier.feed(block.data):
            break
        if progress is not None and count % 32 == 0:
            progress(verifier.offset, snapshot.size)


def _ranges(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        yield start, min(start + RANGE_SIZE, end)
        start += RANGE_SIZE


def _walk_with_processes(
    snapshot: Snapshot, verifier: Verifier, path: str, jobs: int, progress: Progress | None
) -> None:
    """Walk as far as helping processes get. Where one is killed (memory is short), cannot be
    started, or cannot read, the verifier is left standing there for this process to go on."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Forking starts at once, but only a process without threads may do it safely.
    safe = sys.platform == "linux" and threading.active_count() == 1
    context = multiprocessing.get_context("fork" if safe else "spawn")
    sizes = None if verifier.sink is None else cast("Roots", verifier.sink).sizes
    task = (path, snapshot.identity, snapshot.whole, verifier.watch, sizes)
    try:
        with ProcessPoolExecutor(
            jobs, mp_context=context, initializer=_start_worker, initargs=task
        ) as pool:
            try:
                ranges = _ranges(verifier.offset, snapshot.whole)
                for segment in _in_order(pool, ranges, _AHEAD * jobs):
                    if not verifier.join(segment):
                        break
                    if progress is not None:
                        progress(verifier.offset, snapshot.size)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    except (BrokenProcessPool, OSError):
        pass


def _in_order(pool: Executor, ranges: Iterator[tuple[int, int]], ahead: int) -> Iterator[Segment]:
    """Yield the ranges' segments in order, with at most `ahead` of them under way: a queue of
    all the ranges would grow with the file."""
    under_way = deque(pool.submit(_check_range, bounds) for bounds in islice(ranges, ahead))
    while under_way:
        segment = under_way.popleft().result()
        under_way.extend(pool.submit(_check_range, bounds) for bounds in islice(ranges, 1))
        yield segment


_worker: tuple[Snapshot, frozenset[int | str], frozenset[int] | None]


def _start_worker(
    path: str,
    identity: object,
    whole: int,
    watch: frozenset[int | str],
    sizes: frozenset[int] | None,
) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    gc.disable()  # decoded lines form no cycles
    disk = Disk()
    fd = -1
    try:
        fd = disk.open_read(path)
        status = disk.fstat(fd)
        if (status.st_dev, status.st_ino) != identity:
            fd = -1
    except OSError:
        pass

    def read_at(size: int, offset: int) -> bytes:
        # A file that is gone or replaced cannot be read; the parent holds the right one open.
        return disk.read_at(fd, size, offset)

    _worker = (Snapshot(read_at, whole, whole=whole), watch, sizes)


def _check_range(bounds: tuple[int, int]) -> Segment:
    """Check the lines that start inside a range, which neither end need respect."""
    snapshot, watch, sizes = _worker
    start, end = (snapshot.line_start_from(bound) for bound in bounds)
    roots: Roots | None = None
    if sizes is not None:
        from audit_stream.roots import Roots as Taker

        roots = Taker(sizes)
    verifier = Verifier(None if start else GENESIS, start, watch=watch, sink=roots)
    _walk(Snapshot(snapshot.read_at, end, whole=end), verifier, None)
    return verifier.segment()


# -- judging -----------------------------------------------------------------------------------


def _judge(
    verifier: Verifier, size: int, torn: int, expectations: Expectations, since: int
) -> VerifyResult:
    verdict, reason, offset = "empty" if size == 0 else "intact", None, None
    first_break = None
    if verifier.fault is not None:
        verdict, reason, offset = "broken", verifier.fault.reason, verifier.offset
        first_break = verifier.fault.number
    else:
        failed = _held_against(verifier, expectations)
        if failed is not None:
            verdict, reason = failed
        elif torn:
            verdict, offset = "torn", verifier.offset
            reason = f"torn tail: {torn} bytes after the last complete line"
    valid = verdict in ("intact", "empty")
    return VerifyResult(
        valid=valid,
        checked=verifier.head.count,
        first_break_at=first_break,
        reason=reason,
        verdict=verdict,
        byte_offset=offset,
        last_event_id=verifier.head.count,
        latest_hash=verifier.head.hash if verifier.head.count else None,
        bytes=size,
        torn_tail_bytes=torn,
        clock_regressions=verifier.regressions,
        pinned=_vouching(verifier, expectations) if valid or verdict == "torn" else None,
        since_event_id=since,
        whole_bytes=verifier.offset,
    )


def _held_against(verifier: Verifier, expectations: Expectations) -> tuple[str, str] | None:
    """Return (verdict, reason) of what the outside contradicts; rewritten outranks truncated."""
    failures = [
        failure
        for failure in (
            _against_checkpoints(verifier, expectations),
            _against_pin(verifier, expectations.pin),
            _against_expected(verifier, expectations),
        )
        if failure is not None
    ]
    return min(failures, default=None)  # "rewritten" < "truncated"


def _against_pin(verifier: Verifier, pin: Pin | None) -> tuple[str, str] | None:
    if pin is None or pin.event_id == 0:
        return None
    count = verifier.head.count
    if count < pin.event_id:
        return "truncated", f"the pin has seen {pin.event_id} events, the ledger has {count}"
    seen = verifier.seen.get(pin.event_id)
    if seen is None or seen.hash != pin.hash:
        return "rewritten", f"event #{pin.event_id} is not the one that the pin has seen"
    return None


def _against_checkpoints(verifier: Verifier, expected: Expectations) -> tuple[str, str] | None:
    count = verifier.head.count
    roots = None if verifier.sink is None else cast("Roots", verifier.sink).at
    good = 0
    for signed in sorted(expected.checkpoints, key=lambda signed: signed.checkpoint.size):
        size = signed.checkpoint.size
        if count < size:
            return "truncated", f"the checkpoint has signed {size} events, the ledger has {count}"
        if roots is not None and roots[size] != signed.checkpoint.root:
            still = f"; the first {good} still are" if good else ""
            return "rewritten", (
                f"the first {size} events are not the ones that the checkpoint has signed{still}"
            )
        good = size
    furthest = expected.furthest
    if furthest is None or furthest.chain_head is None or good == 0:
        return None
    if verifier.seen.get(good) != Head(good, furthest.chain_head):
        return "rewritten", f"event #{good} does not have the hash that the checkpoint names"
    return None


def _against_expected(verifier: Verifier, expected: Expectations) -> tuple[str, str] | None:
    head, count = expected.head, expected.at_least
    if count is not None and verifier.head.count < count:
        return "truncated", f"{count} events expected, the ledger has {verifier.head.count}"
    if head is None:
        return None
    if count is not None:
        seen = verifier.seen.get(count)
        if seen is None or seen.hash != head:
            return "rewritten", f"event #{count} does not have the expected hash {head}"
    elif head not in verifier.seen and head != ZERO_HASH:
        return "rewritten", f"no event has the expected hash {head}"
    return None


def _vouching(verifier: Verifier, expectations: Expectations) -> dict[str, Any] | None:
    """Return the furthest thing outside the file that the ledger was held against."""
    witnesses: list[tuple[int, str, str | None]] = []
    if expectations.at_least is not None:
        witnesses.append((expectations.at_least, "expect-count", None))
    if expectations.head is not None:
        seen = verifier.seen.get(expectations.head)
        number = seen.count if seen else (expectations.at_least or 0)
        witnesses.append((number, "expect-head", expectations.head))
    if expectations.pin is not None:
        witnesses.append((expectations.pin.event_id, "pin", expectations.pin.hash))
    signed = expectations.furthest
    if signed is not None and signed.checkpoint.size >= max(witnesses, default=(0,))[0]:
        return _naming(signed, verifier)
    if not witnesses:
        return None
    number, by, hash_ = max(witnesses, key=lambda witness: (witness[0], witness[2] is not None))
    return {"by": by, "event_id": number, "hash": hash_}


def _naming(signed: SignedCheckpoint, verifier: Verifier) -> dict[str, Any]:
    """Name a checkpoint, and say how far it reaches."""
    checkpoint = signed.checkpoint
    return {
        "by": "checkpoint",
        "event_id": checkpoint.size,
        "hash": signed.chain_head,
        "origin": checkpoint.origin,
        "root": checkpoint.root.hex(),
        "time": signed.time,
        **signed.vouchers(),
        "unsigned": verifier.head.count - checkpoint.size,
    }


def _starting_point(snapshot: Snapshot, expectations: Expectations) -> Verifier:
    """Return a verifier that stands where the walk starts.

    That is behind the pin's event, when asked for and when the pin's event does end there.
    Otherwise the whole file is walked: it will say what is wrong, and expectations may concern
    any part of it.
    """
    watch = expectations.watch()
    place = None
    if expectations.head is None and expectations.at_least is None:
        pin = expectations.pin
        if expectations.since_checkpoint:
            place = _behind_checkpoints(snapshot, expectations) if pin is None else None
        elif expectations.since_pin and pin is not None and not expectations.checkpoints:
            place = pin.byte_offset, Head(pin.event_id, pin.hash)
    return (place and behind(snapshot, *place, watch)) or Verifier(watch=watch)


def _behind_checkpoints(snapshot: Snapshot, expectations: Expectations) -> tuple[int, Head] | None:
    """Return where the furthest checkpoint ends, if every checkpoint names the event that now
    stands at its end: their roots are out of reach from there."""
    place = None
    for signed in sorted(expectations.checkpoints, key=lambda signed: signed.checkpoint.size):
        size = signed.checkpoint.size
        if size == 0:
            continue
        if signed.chain_head is None:
            return None
        place = snapshot.offset_after(size), Head(size, signed.chain_head)
        if behind(snapshot, *place) is None:
            return None
    return place


def behind(
    snapshot: Snapshot, offset: int, head: Head, watch: Iterable[int | str] = ()
) -> Verifier | None:
    """Return a verifier that stands behind the line that ends at `offset`, if that is a valid
    event and gives `head`."""
    if not 0 < offset <= snapshot.whole or snapshot.read_at(1, offset - 1) != b"\n":
        return None
    line = snapshot.line_ending_at(offset)
    verifier = Verifier(None, offset - len(line), watch=watch)
    return verifier if verifier.feed(line) and verifier.head == head else None


def _attach(verifier: Verifier, roots: Roots | None) -> None:
    """Have `roots` take the lines that a verifier, which has met none yet, will check."""
    if roots is not None:
        verifier.sink = roots
        roots.start(verifier.head.count)

"""What the ledger gains, shared by all subscribers: a ring of recent lines, already framed.

One thread follows the file, whoever appends to it, and hands what is new to the event loop. The
ring is bounded in bytes; a subscriber that needs what it does not hold any more reads the file.
Events are framed once for each form that is asked for, however many subscribers there are.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from audit_stream.errors import AuditStreamError
from audit_stream.query import Filter
from audit_stream.server import service_log
from audit_stream.server.lines import envelopes_of, read_quickly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit_stream.ledger import Ledger
    from audit_stream.server.counting import Counting
    from audit_stream.server.lines import Envelope
    from audit_stream.storage.snapshot import Block

POLL_SECONDS = 0.05
"""How often the file is looked at for what other processes append."""

RING_BYTES = 4 << 20
_PAUSE_WITH_SUBSCRIBERS = 0.004
_PAUSE_WITHOUT = 0.025
_WAKE_PER_SUBSCRIBER = 0.0002
_LONGEST_WAKE = 0.1
_WAKE_SLICE = 64
_CACHED_FORMS = 8


class Form(NamedTuple):
    """How a subscriber wants events: with `event:` fields or not, and which (empty: all)."""

    named: bool
    kinds: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    def wants(self, entry: Entry) -> bool:
        """Whether an event is to be sent."""
        return (not self.kinds or entry.kind in self.kinds) and (
            not self.sources or entry.source in self.sources
        )


class Entry(NamedTuple):
    """One event: what is needed to choose and to frame it."""

    event_id: int
    kind: str
    source: str
    line: bytes


def entries_of(lines: list[bytes]) -> list[Entry]:
    """Read valid stored lines (without LF)."""
    return _entries(envelopes_of(lines), lines)


def _entries(envelopes: list[Envelope], lines: list[bytes]) -> list[Entry]:
    return [
        Entry(envelope.event_id, envelope.kind, envelope.source, line)
        for envelope, line in zip(envelopes, lines, strict=True)
    ]


def frame(entries: Iterable[Entry], form: Form) -> bytes:
    """Return Server-Sent Events (WHATWG HTML section 9.2). A canonical line has no CR or LF."""
    if form.named:
        return b"".join(
            b"event: %b\nid: %d\ndata: %b\n\n" % (entry.kind.encode(), entry.event_id, entry.line)
            for entry in entries
            if form.wants(entry)
        )
    return b"".join(
        b"id: %d\ndata: %b\n\n" % (entry.event_id, entry.line)
        for entry in entries
        if form.wants(entry)
    )


class Chunk:
    """Some successive events. `number` counts chunks; `generation` counts ledgers."""

    __slots__ = ("_frames", "entries", "first", "generation", "last", "number", "size")

    def __init__(self, number: int, generation: int, entries: list[Entry]) -> None:
        self.number = number
        self.generation = generation
        self.entries = entries
        self.first = entries[0].event_id
        self.last = entries[-1].event_id
        self.size = sum(len(entry.line) for entry in entries)
        self._frames: dict[Form, bytes] = {}

    def framed(self, form: Form, after: int) -> bytes:
        """Return the frames of the events behind `after`."""
        if after >= self.first:
            return frame((entry for entry in self.entries if entry.event_id > after), form)
        framed = self._frames.get(form)
        if framed is None:
            framed = frame(self.entries, form)
            if len(self._frames) < _CACHED_FORMS:
                self._frames[form] = framed
        return framed


class Feed:
    """The ring, and the waking of subscribers. Lives on the event loop's thread.

    `generation` counts how often another ledger was found in the place of the one followed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ring: deque[Chunk] = deque()
        self.generation = 0
        self.head_id = 0
        self.size = 0
        self.closing = False
        self.subscribers = 0
        self._ring_bytes = 0
        self._next_number = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._wake_due: asyncio.TimerHandle | None = None
        self._woken_at = 0.0

    def gained(self, batches: list[list[Entry]] | None, head_id: int, size: int) -> None:
        """Take what the ledger gained, in order; `head_id` and `size` are the ledger's now.

        None means that nobody subscribed when it was looked at, and leaves a hole in the numbers
        of the chunks: who stands there reads the file.
        """
        self.head_id = head_id
        self.size = size
        if batches is None:
            self.ring.clear()
            self._ring_bytes = 0
            self._next_number += 1
        for entries in batches or ():
            chunk = Chunk(self._next_number, self.generation, entries)
            self._next_number += 1
            self.ring.append(chunk)
            self._ring_bytes += chunk.size
        while self._ring_bytes > RING_BYTES and len(self.ring) > 1:
            self._ring_bytes -= self.ring.popleft().size
        self._wake_soon()

    def restarted(self) -> None:
        """Another ledger is in the place of the one followed; its events come next."""
        self.generation += 1
        self.head_id = 0
        self._wake_soon()

    def chunk(self, number: int) -> Chunk | None:
        """Return a chunk of the ring by its number, None when it is gone or yet to come."""
        if not self.ring:
            return None
        index = number - self.ring[0].number
        return self.ring[index] if 0 <= index < len(self.ring) else None

    @property
    def next_number(self) -> int:
        """The number that the next chunk is going to have."""
        return self._next_number

    def number_behind(self, after: int) -> int | None:
        """Return the number of the chunk that goes on behind event `after` of the present
        ledger, None when the ring does not hold it any more."""
        if after >= self.head_id:
            return self._next_number
        for chunk in reversed(self.ring):
            if chunk.generation != self.generation:
                return None
            if chunk.first <= after + 1:
                return chunk.number
        return None

    async def more(self) -> None:
        """Return once there may be something new."""
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake_soon(self) -> None:
        """Wake all subscribers, the more there are the less often: what a wake costs is their
        number, and what has gathered until then goes out in one write."""
        if self._wake_due is not None or not self._waiters:
            return
        pause = min(_LONGEST_WAKE, self.subscribers * _WAKE_PER_SUBSCRIBER)
        due = max(0.0, self._woken_at + pause - self._loop.time())
        self._wake_due = self._loop.call_later(due, self._wake)

    def _wake(self) -> None:
        self._wake_due = None
        self._woken_at = self._loop.time()
        self._wake_slice(list(self._waiters))

    def _wake_slice(self, waiters: list[asyncio.Future[None]]) -> None:
        """Wake some, let others have the loop, go on: a thousand writes take a while."""
        for waiter in waiters[:_WAKE_SLICE]:
            if not waiter.done():
                waiter.set_result(None)
        if len(waiters) > _WAKE_SLICE:
            self._loop.call_soon(self._wake_slice, waiters[_WAKE_SLICE:])

    def close(self) -> None:
        """End all subscriptions."""
        self.closing = True
        self._wake_slice(list(self._waiters))


class Watcher:
    """The thread that follows the ledger, counts what it gains and hands it to the feed.

    Args:
        ledger: what to follow, from event `after` on.
    """

    def __init__(self, ledger: Ledger, feed: Feed, counting: Counting, after: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._feed = feed
        self._counting = counting
        self._ledger = ledger
        self._follower = ledger.follow(after)
        self._restarts = self._follower.restarted
        self._all = Filter()
        self._head_id = self._handed_id = after
        self._size = 0
        self._poked = threading.Event()
        self._stopping = False
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def poke(self) -> None:
        """Say that there is something new, so that the file is looked at at once. Any thread."""
        self._poked.set()

    def close(self) -> None:
        """End the thread soon."""
        self._stopping = True
        self._poked.set()

    def _run(self) -> None:
        while not self._stopping:
            self._poked.wait(POLL_SECONDS)
            self._poked.clear()
            try:
                while not self._stopping and self._poll():
                    pass
            except Exception:
                # Whatever it was: nothing may be lost, so begin again behind what was handed on.
                service_log.exception("follow_failed", code="internal")
                self._follower.close()
                self._follower = self._ledger.follow(self._handed_id)
                self._restarts = self._follower.restarted
            # Under load many commits share one look at the file.
            time.sleep(_PAUSE_WITH_SUBSCRIBERS if self._feed.subscribers else _PAUSE_WITHOUT)
        self._follower.close()

    def _poll(self) -> bool:
        """Take what is new, about a megabyte at most; whether there was anything."""
        try:
            blocks = self._follower.poll()
        except AuditStreamError as error:  # the next look may go well
            if self._complaint != str(error):
                self._complaint = str(error)
                service_log.error("follow_failed", code=error.code, detail=str(error))
            return False
        self._complaint = ""
        if self._follower.restarted != self._restarts:
            self._restarts = self._follower.restarted
            self._head_id = self._handed_id = 0
            self._counting.restart()
            service_log.warning("ledger_replaced")
            self._hand_over(self._feed.restarted)
        heard = self._feed.subscribers > 0
        batches = [entries for block in blocks if (entries := self._entries(block, heard))]
        if blocks:
            self._hand_over(
                self._feed.gained, batches if heard else None, self._head_id, self._size
            )
            self._handed_id = self._head_id
        return bool(blocks)

    def _entries(self, block: Block, heard: bool) -> list[Entry]:
        """Count a block; return its events if anybody may hear of them."""
        self._size = block.offset + len(block.data)
        read = read_quickly(block.data)
        if read is not None and self._counting.add_envelopes(read[0]):
            self._head_id = read[0][-1].event_id
            return _entries(*read) if heard else []
        self._counting.add(block)
        found = self._all.scan(block)
        for damage in found.damaged:
            service_log.error("damaged_line", detail=str(damage))
        entries = entries_of(found.lines) if found.lines else []
        # A damaged line takes part in the numbering, as verification counts it.
        damaged_behind = len(found.damaged) if not entries else 0
        self._head_id = (entries[-1].event_id if entries else self._head_id) + damaged_behind
        return entries

    def _hand_over(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            self._stopping = True  # the loop is gone

"""The one API that the command line, the server and library users call.

    from audit_stream import Ledger

    with Ledger("ledger.jsonl") as ledger:
        event = ledger.append("request_denied", "policy-as-code-engine", {"rule": 7})
        assert ledger.verify().valid

A `Ledger` is thread-safe, and any number of processes may use the same file at once.
"""

from __future__ import annotations

import os
import re
import time

from audit_stream import chain, timestamps
from audit_stream import event as events
from audit_stream.errors import (
    EventTooLargeError,
    HeadMismatchError,
    InputError,
    IntegrityError,
    InvalidEventError,
)
from audit_stream.event import DEFAULT_MAX_EVENT_BYTES, Event
from audit_stream.storage import Commit
from audit_stream.storage.file import LOCK_TIMEOUT as LOCK_TIMEOUT
from audit_stream.storage.file import FileEngine
from audit_stream.storage.snapshot import event_id_of
from audit_stream.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from audit_stream.chain import Head
    from audit_stream.checkpoint import SignedCheckpoint
    from audit_stream.checkpoints import Checkpoints
    from audit_stream.config import Settings
    from audit_stream.errors import AuditStreamError
    from audit_stream.event import Draft
    from audit_stream.follow import Follower
    from audit_stream.query import Damage, Filter
    from audit_stream.storage import Engine
    from audit_stream.storage.snapshot import Block, Snapshot
    from audit_stream.tally import Tally
    from audit_stream.verification import Progress, VerifyResult


class Append:
    """What one caller of `commit_together` asks for: checked drafts, and the head hash (hex) that
    they must be linked to, or None."""

    __slots__ = ("drafts", "expect_head")

    def __init__(self, drafts: Sequence[Draft], expect_head: str | None = None) -> None:
        self.drafts = drafts
        self.expect_head = expect_head


class Ledger:
    """An append-only, hash-chained ledger.

    Args:
        path: the file. It need not exist: the first append creates it (mode 0600 minus umask);
            reading a missing one raises LedgerNotFoundError.
        settings: what is in force; None reads the `audit-stream.toml` beside the ledger, if
            there is one.
        extra_kinds: further kinds to allow.
        any_kind: allow every kind that has the right form.
        lock_timeout: how long an append waits for other writers, in seconds.
        clock: POSIX time in nanoseconds.
        engine: where the lines live, instead of a file at `path`.

    Raises:
        ConfigError: the configuration file is malformed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        settings: Settings | None = None,
        extra_kinds: Iterable[str] = (),
        any_kind: bool = False,
        lock_timeout: float = LOCK_TIMEOUT,
        clock: Callable[[], int] = time.time_ns,
        engine: Engine | None = None,
    ) -> None:
        self.path = os.fspath(path)
        if settings is None:
            settings = _settings_beside(self.path)
        declared: dict[str, tuple[str, ...]] = dict(settings.extra_kinds) if settings else {}
        if extra_kinds:
            declared["--allow-kind"] = tuple(extra_kinds)
        self.vocabulary = Vocabulary(
            declared, any_kind=any_kind or (settings is not None and settings.any_kind)
        )
        self.max_event_bytes = settings.max_event_bytes if settings else DEFAULT_MAX_EVENT_BYTES
        self._clock = clock
        self.engine: Engine = engine or FileEngine(
            self.path, clock=clock, lock_timeout=lock_timeout
        )

    @classmethod
    def open(cls, path: str | os.PathLike[str], **options: Any) -> Ledger:
        """The same as `Ledger(path, …)`."""
        return cls(path, **options)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. The ledger takes no more calls."""
        self.engine.close()

    # -- appending -------------------------------------------------------------------------

    def append(
        self,
        kind: str,
        source: str,
        payload: Mapping[str, Any] | None = None,
        *,
        timestamp: str | None = None,
        expect_head: str | None = None,
    ) -> Event:
        """Append one event and return it once it is durable.

        Args:
            kind: what happened, a word of the vocabulary.
            source: the producing service, 1-256 characters.
            payload: any JSON object; None for `{}`.
            timestamp: an RFC 3339 time with an offset; None stamps now.
            expect_head: the hash that the ledger's head must have (64 zeros when empty).

        Raises:
            InvalidEventError: a member breaks its rule; nothing was written.
            HeadMismatchError: the head differs; nothing was written.
            DamagedTailError: the ledger's last line is damaged; run verify.
            StorageError: the machine's fault; nothing was acknowledged.
        """
        draft = self.draft(kind, source, payload, timestamp=timestamp)
        return Event.from_line(self.commit([draft], expect_head=expect_head).lines[0][:-1])

    def append_many(
        self, drafts: Iterable[Mapping[str, Any]], *, expect_head: str | None = None
    ) -> list[Event]:
        """Append events, given as `{"kind", "source", "payload"?, "timestamp"?}`, all or nothing,
        in one durable transaction, and return them.

        Raises as `append`; `index` of an InvalidEventError says which draft it is.
        """
        checked: list[Draft] = []
        for index, members in enumerate(drafts):
            try:
                checked.append(events.draft_from_members(members, vocabulary=self.vocabulary))
            except InvalidEventError as error:
                error.index = index
                raise
        committed = self.commit(checked, expect_head=expect_head)
        return [Event.from_line(line[:-1]) for line in committed.lines]

    def draft(
        self,
        kind: str,
        source: str,
        payload: Mapping[str, Any] | None = None,
        *,
        timestamp: str | None = None,
    ) -> Draft:
        """Check an event without appending it. Raises InvalidEventError."""
        return events.draft(kind, source, payload, timestamp, vocabulary=self.vocabulary)

    def draft_reader(self, defaults: Mapping[str, str] | None = None) -> Callable[[bytes], Draft]:
        """Return a quick reader of drafts sent as JSON; it raises as `append` does. `defaults`
        fills in for a missing `kind` or `source`."""
        from audit_stream.bulk import DraftReader

        return DraftReader(self.vocabulary, defaults).read

    def commit(self, drafts: Sequence[Draft], *, expect_head: str | None = None) -> Commit:
        """Append checked drafts in one durable transaction. Raises as `append`."""

        def build(head: Head) -> tuple[list[bytes], Head]:
            chain.expect(head, expect_head)
            now = timestamps.stamp(self._clock())
            return chain.link(drafts, head, now, max_event_bytes=self.max_event_bytes)

        chain.get_ready_for(len(drafts))
        return self.engine.commit(build)

    def commit_together(
        self, appends: Sequence[Append], *, lock_timeout: float | None = None
    ) -> list[Commit | AuditStreamError]:
        """Append what several callers ask for in one durable transaction, in their order.

        Each is all or nothing by itself: one that is refused (the head it expects is not the one
        it would be linked to, a line that is too long) gets its error and the others go on. The
        result has one entry for each of `appends`; a tail that was healed is the first commit's.
        `lock_timeout`: how long to wait for other writers, in seconds; None for the ledger's own.
        Raises StorageError, DamagedTailError and UnreadableError, which concern them all.
        """
        outcomes: list[Commit | AuditStreamError] = []

        def build(head: Head) -> tuple[list[bytes], Head]:
            outcomes.clear()  # an engine may have to build again
            now = timestamps.stamp(self._clock())
            all_lines: list[bytes] = []
            for append in appends:
                try:
                    chain.expect(head, append.expect_head)
                    lines, after = chain.link(
                        append.drafts, head, now, max_event_bytes=self.max_event_bytes
                    )
                except (HeadMismatchError, EventTooLargeError) as error:
                    outcomes.append(error)
                else:
                    outcomes.append(Commit(head, lines, after, None))
                    all_lines += lines
                    head = after
            return all_lines, head

        healed = self.engine.commit(build, lock_timeout=lock_timeout).healed
        for outcome in outcomes:
            if isinstance(outcome, Commit):
                outcome.healed = healed
                break
        return outcomes

    # -- reading ---------------------------------------------------------------------------

    def head(self) -> Head:
        """Return how many events there are, and the last one's hash. O(1).

        Raises DamagedTailError, UnreadableError.
        """
        return self.engine.head()

    def snapshot(self) -> Snapshot:
        """Return a view of what is committed now. Raises LedgerNotFoundError, UnreadableError."""
        return self.engine.snapshot()

    def get(self, event_id: int) -> Event | None:
        """Return one event, or None. Time does not depend on the ledger's size.

        Raises:
            IntegrityError: the event's line is damaged.
            LedgerNotFoundError, UnreadableError: see `snapshot`.
        """
        with self.snapshot() as snapshot:
            line = snapshot.event_line(event_id)
        if line is None:
            return None
        try:
            chain.last_line_head(line)
        except InvalidEventError as error:
            raise IntegrityError(f"event {event_id} is damaged: {error}; run verify") from None
        return Event.from_line(line)

    def tail(self, count: int = 10) -> list[Event]:
        """Return the last `count` events, oldest first. Damaged lines are left out; `verify`
        names them. Raises LedgerNotFoundError, UnreadableError."""
        return [Event.from_line(line) for line in self.select(limit=count)]

    def query(
        self,
        *,
        kinds: Iterable[str] = (),
        sources: Iterable[str] = (),
        since: str | None = None,
        until: str | None = None,
        after: int = 0,
        before: int | None = None,
        contains: str = "",
        where: Mapping[str, object] | None = None,
        limit: int | None = None,
        reverse: bool = False,
        on_damage: Callable[[Damage], None] | None = None,
    ) -> Iterator[Event]:
        """Yield the events that fulfil all conditions, oldest first (`reverse`: newest first).

        Args:
            kinds, sources: any of these.
            since, until: RFC 3339, or a time ago (`15m`, `2h`, `3d`); inclusive and exclusive.
            after, before: event ids, both exclusive.
            contains: text in the stored line.
            where: dotted payload path to the value there.
            limit: only the most recent so many.
            on_damage: called with each damaged line, which is skipped.

        Raises:
            UnknownKindError: a kind that is neither in force nor well formed under `any_kind`.
            InputError: a time that cannot be read.
            LedgerNotFoundError, UnreadableError: see `snapshot`.
        """
        wanted = self.filter(
            kinds=kinds,
            sources=sources,
            since=since,
            until=until,
            contains=contains,
            where=[f"{path}={_as_text(value)}" for path, value in (where or {}).items()],
        )
        for line in self.select(
            wanted, after=after, before=before, limit=limit, reverse=reverse, on_damage=on_damage
        ):
            yield Event.from_line(line)

    def filter(
        self,
        *,
        kinds: Iterable[str] = (),
        sources: Iterable[str] = (),
        since: str | None = None,
        until: str | None = None,
        contains: str = "",
        where: Iterable[str] = (),
    ) -> Filter:
        """Compile conditions, given as text, for `select`. Raises as `query`."""
        from audit_stream.query import Filter, Where, parse_when

        kinds = list(kinds)
        for kind in kinds:
            self.vocabulary.check(kind)
        now = self._clock()
        return Filter(
            kinds=kinds,
            sources=sources,
            since=None if since is None else parse_when(since, now),
            until=None if until is None else parse_when(until, now),
            contains=contains,
            where=[Where.parse(condition) for condition in where],
        )

    def select(
        self,
        wanted: Filter | None = None,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int | None = None,
        oldest: bool = False,
        reverse: bool = False,
        on_damage: Callable[[Damage], None] | None = None,
        within: Snapshot | None = None,
    ) -> Iterator[bytes]:
        """Yield the stored lines (without LF) that match, byte for byte, oldest first.

        With `limit` the most recent so many (with `oldest` the first so many) are taken;
        `reverse` yields the newest first; `within` looks in a snapshot taken before, which stays
        open. Raises LedgerNotFoundError, UnreadableError.
        """
        if within is None:
            with self.snapshot() as snapshot:
                yield from self.select(
                    wanted,
                    after=after,
                    before=before,
                    limit=limit,
                    oldest=oldest,
                    reverse=reverse,
                    on_damage=on_damage,
                    within=snapshot,
                )
            return
        from audit_stream.query import Filter

        wanted = wanted or Filter()
        if limit is None or oldest:
            blocks = within.between(after, before, reverse=reverse)
            yield from _first(_scanned(wanted, blocks, after, before, on_damage), limit, reverse)
            return
        blocks = within.between(after, before, reverse=True)
        newest_first = _first(_scanned(wanted, blocks, after, before, on_damage), limit, True)
        yield from newest_first if reverse else reversed(list(newest_first))

    def follow(self, after: int | None = None, *, snapshot: Snapshot | None = None) -> Follower:
        """Return a follower: its `poll` gives the blocks of lines that were appended behind event
        `after` (None: from now on, or from the end of `snapshot`, which becomes the follower's
        to close), by any process, each exactly once."""
        from audit_stream.follow import Follower

        return Follower(self.engine, after, snapshot)

    def stats(self) -> Tally:
        """Count all events by kind, source and time. Raises LedgerNotFoundError,
        UnreadableError."""
        from audit_stream.tally import Tally

        tally = Tally()
        with self.snapshot() as snapshot:
            for block in snapshot.blocks():
                tally.add(block)
        return tally

    # -- signing ---------------------------------------------------------------------------

    @property
    def checkpoints(self) -> Checkpoints:
        """The ledger's signed checkpoints, and the proofs that go with them."""
        from audit_stream.checkpoints import Checkpoints

        return Checkpoints(self.engine, self.path, clock=self._clock)

    # -- verifying -------------------------------------------------------------------------

    def verify(
        self,
        *,
        expect_head: str | None = None,
        expect_count: int | None = None,
        pin: str | os.PathLike[str] | None = None,
        since_pin: bool = False,
        checkpoints: Iterable[SignedCheckpoint] = (),
        since_checkpoint: bool = False,
        jobs: int | None = None,
        progress: Progress | None = None,
    ) -> VerifyResult:
        """Check every line, and what is known from outside; never raises for what it finds.

        Args:
            expect_head: the hash of an event that must be there.
            expect_count: how many events there must be at least; with `expect_head`, which
                event has that hash.
            pin: a file that remembers the last verified head. It is created on the first use
                and moved forward on success.
            since_pin: check only what follows the pin.
            checkpoints: signed statements that are believed (`checkpoints.believe`): the ledger
                must begin with exactly what each of them signed.
            since_checkpoint: check only what follows the furthest checkpoint, and that the
                event at the end of each is the one that it names.
            jobs: processes to use; None for one (safe in a program with threads).
            progress: called with (bytes checked, bytes in all).

        Raises:
            InputError: an expectation that makes no sense.
            LedgerNotFoundError, UnreadableError: there is nothing to check.
            PinError: the pin is empty or damaged.
            StorageError: the pin cannot be written, which is not a success.
        """
        from audit_stream import pins, verification

        if expect_head is not None and re.fullmatch("[0-9a-fA-F]{64}", expect_head) is None:
            raise InputError("expect_head: expected 64 hex digits")
        if expect_count is not None and expect_count < 0:
            raise InputError("expect_count: expected 0 or more")
        path = None if pin is None else os.fspath(pin)
        expectations = verification.Expectations(
            None if expect_head is None else expect_head.lower(),
            expect_count,
            None if path is None else pins.load(path),
            since_pin,
            tuple(checkpoints),
            since_checkpoint,
        )
        with self.snapshot() as snapshot:
            result = verification.verify_snapshot(
                snapshot,
                expectations,
                path=self.path if isinstance(self.engine, FileEngine) else None,
                jobs=jobs or 1,
                progress=progress,
            )
        if path is not None and result.valid:
            reached = pins.Pin(
                result.last_event_id, result.latest_hash or chain.ZERO_HASH, result.whole_bytes
            )
            pins.advance(path, reached)
        return result


def _scanned(
    wanted: Filter,
    blocks: Iterable[Block],
    after: int,
    before: int | None,
    on_damage: Callable[[Damage], None] | None,
) -> Iterator[list[bytes]]:
    """Yield what each block holds of the wanted events, and report what is damaged."""
    for block in blocks:
        found = wanted.scan(block)
        if on_damage is not None:
            for damage in found.damaged:
                on_damage(damage)
        yield _between(found.lines, after, before)


def _between(lines: list[bytes], after: int, before: int | None) -> list[bytes]:
    """Leave out events that are out of bounds: blocks may hold some around damaged lines."""
    if after < 1 and before is None:
        return lines
    end = float("inf") if before is None else before
    return [line for line in lines if after < (event_id_of(line) or 0) < end]


def _first(found: Iterable[list[bytes]], limit: int | None, reverse: bool) -> Iterator[bytes]:
    """Yield at most `limit` lines, one list after the other."""
    if limit is not None and limit <= 0:
        return
    left = limit
    for lines in found:
        given = (lines[::-1] if reverse else lines)[:left]
        yield from given
        if left is not None:
            left -= len(given)
            if left == 0:
                return


def _settings_beside(path: str) -> Settings | None:
    # Importing `config` costs a tenth of an append's start-up, so only where there is a file.
    if not os.path.exists(os.path.join(os.path.dirname(path), "audit-stream.toml")):
        return None
    from audit_stream import config

    return config.load_beside(path)


def _as_text(value: object) -> str:
    from audit_stream import canonical

    return value if isinstance(value, str) else canonical.encode(value).decode()

"""Group commit: concurrent appends share one write and one fdatasync.

Requests gather on the event loop and are committed by one thread: a disk that takes seconds, or
another process that holds the lock, must not stall streams and health checks. Two changes of
thread cost a lone client a third of its throughput, though. So where nobody streams, and the disk
has been quick many times in a row, a commit is made right on the loop, without waiting for the
lock; the first one that is not quick sends all that follow back to the thread.

While a batch is being committed the next one gathers. A batch is closed as soon as the loop has
seen a turn that brought no further request, so a single client waits for nobody, and many that were
answered together are committed together again. For the thread it is closed when half of those that
were lately there are in it: then one half is being committed while the other is being read.

Guarantee: a future that `submit` returned gets its result only once its own events are durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from audit_stream.errors import AuditStreamError, LockTimeoutError, StorageError
from audit_stream.ledger import Append
from audit_stream.server import service_log
from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit_stream.event import Draft
    from audit_stream.ledger import Ledger
    from audit_stream.storage import Commit

MAX_BATCH_BYTES = 32 << 20
"""About how many bytes of requests go into one commit."""

_MAX_TURNS = 64
_MAX_REQUESTS = 1 << 20
_QUICK_SECONDS = 0.003
_QUICK_IN_A_ROW = 32
_QUICK_BYTES = 256 * 1024


class Observation(NamedTuple):
    """What one commit was like: requests that were recorded, the events of each, seconds in all,
    seconds in fdatasync."""

    drafts: list[Sequence[Draft]]
    events: int
    seconds: float
    sync_seconds: float


class _Waiting:
    __slots__ = ("append", "future", "size")

    def __init__(self, append: Append, size: int, future: asyncio.Future[Commit]) -> None:
        self.append = append
        self.size = size
        self.future = future


class GroupCommit:
    """Takes appends on the event loop's thread. One per process.

    Args:
        ledger: opened by the caller; `reopen` exchanges it.
        open_ledger: opens it anew.
        max_pending: appends that may wait for a commit; past it they are refused.
        max_bytes: the same in bytes of requests.
        may_block: asked before a commit on the event loop: whether a moment's stall would harm
            nobody.
        observe: called on the event loop after every commit that wrote something.
        committed: called after every commit, on whichever thread made it.
    """

    def __init__(
        self,
        ledger: Ledger,
        open_ledger: Callable[[], Ledger],
        *,
        max_pending: int,
        max_bytes: int,
        may_block: Callable[[], bool],
        observe: Callable[[Observation], None],
        committed: Callable[[], None],
    ) -> None:
        self.ledger = ledger
        self._open_ledger = open_ledger
        self._max_pending = max_pending
        self._max_bytes = max_bytes
        self._may_block = may_block
        self._observe = observe
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._unanswered = 0
        self._gathering = False
        self._busy = False
        self._closing = False
        self._exchanging = 0
        self._quick = 0
        self._crowd = 1
        self.last_error: AuditStreamError | None = None
        """Why the last commit failed, None after one that did not."""
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many appends have not been answered."""
        return self._unanswered

    @property
    def is_full(self) -> bool:
        """Whether the next append would be refused for want of room."""
        return self._unanswered >= self._max_pending or self._waiting_bytes >= self._max_bytes

    def submit(
        self, drafts: Sequence[Draft], expect_head: str | None, size: int
    ) -> asyncio.Future[Commit]:
        """Queue checked drafts, all or nothing; the future gives the commit once it is durable.

        `size` is the request's, in bytes. The future raises what `Ledger.commit` raises. Raises
        Problem (503) when the queue is full or the server is going down.
        """
        if self._closing:
            raise Problem(503, "shutting_down", "the server is shutting down")
        if self.is_full:
            raise Problem(503, "queue_full", "too many appends wait for the disk; try again")
        future: asyncio.Future[Commit] = self._loop.create_future()
        self._waiting.append(_Waiting(Append(drafts, expect_head), size, future))
        self._waiting_bytes += size
        self._unanswered += 1
        if not self._busy and not self._gathering:
            self._gather()
        return future

    # -- on the event loop -------------------------------------------------------------------

    def _gather(self, seen: int = 0, turns: int = 0) -> None:
        """Close the batch after a turn of the loop that brought nothing more."""
        self._gathering = True
        count = len(self._waiting)
        enough = _MAX_REQUESTS if self._quick >= _QUICK_IN_A_ROW else self._crowd // 2
        if seen < count < enough and turns < _MAX_TURNS:
            self._loop.call_soon(self._gather, count, turns + 1)
            return
        self._gathering = False
        self._busy = True
        batch = self._take_batch()
        if not self._commit_here(batch):
            self._inbox.put(lambda: self._commit_there(batch))

    def _take_batch(self) -> list[_Waiting]:
        size = count = 0
        for waiting in self._waiting:
            size += waiting.size
            count += 1
            if size >= MAX_BATCH_BYTES:
                break
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= size
        return batch

    def _answer(
        self,
        batch: list[_Waiting],
        outcomes: Sequence[Commit | BaseException],
        observation: Observation | None,
    ) -> None:
        self._busy = False
        self._crowd = len(batch) + len(self._waiting)
        self._unanswered -= len(batch)
        if observation is None or observation.sync_seconds > _QUICK_SECONDS:
            self._quick = 0
        else:
            self._quick += 1
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.future.done():
                continue  # its request was cancelled
            if isinstance(outcome, BaseException):
                waiting.future.set_exception(outcome)
            else:
                waiting.future.set_result(outcome)
        if self._waiting:
            self._gather()
        if observation is not None:
            self._observe(observation)

    def _commit_here(self, batch: list[_Waiting]) -> bool:
        """Commit on the event loop if that is harmless; whether it was done."""
        if (
            self._quick < _QUICK_IN_A_ROW
            or self._exchanging
            or not self._may_block()
            or sum(waiting.size for waiting in batch) > _QUICK_BYTES
        ):
            return False
        try:
            outcomes, observation = self._commit(batch, lock_timeout=0.0)
        except LockTimeoutError:
            return False  # another process is at it: waiting is for the thread
        self._answer(batch, outcomes, observation)
        self._committed()
        return True

    # -- on the committer's thread -----------------------------------------------------------

    def _run(self) -> None:
        while (task := self._inbox.get()) is not None:
            task()
        self.ledger.close()

    def _commit_there(self, batch: list[_Waiting]) -> None:
        self._loop_call(self._answer, batch, *self._commit(batch))
        self._committed()

    # -- on either ---------------------------------------------------------------------------

    def _commit(
        self, batch: list[_Waiting], lock_timeout: float | None = None
    ) -> tuple[Sequence[Commit | BaseException], Observation | None]:
        """Commit a batch; return the outcomes, and what it was like if anything was written.

        Raises LockTimeoutError with a `lock_timeout` of 0 only; nothing was done then.
        """
        began = time.perf_counter()
        try:
            outcomes = self.ledger.commit_together(
                [waiting.append for waiting in batch], lock_timeout=lock_timeout
            )
        except Exception as error:
            if lock_timeout == 0 and isinstance(error, LockTimeoutError):
                raise
            return [self._failed(error)] * len(batch), None
        self.last_error = None
        events = 0
        drafts: list[Sequence[Draft]] = []
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Exception):
                events += len(outcome.lines)
                drafts.append(waiting.append.drafts)
                if outcome.healed is not None:
                    service_log.warning("torn_tail_moved", to=outcome.healed)
        if not events:
            return outcomes, None
        sync_seconds = getattr(self.ledger.engine, "sync_seconds", 0.0)
        seconds = time.perf_counter() - began
        return outcomes, Observation(drafts, events, seconds, sync_seconds)

    def _failed(self, error: Exception) -> AuditStreamError:
        """Log a failure that concerns the whole batch, and return it as an error of ours."""
        if isinstance(error, AuditStreamError):
            service_log.error("append_failed", code=error.code, detail=str(error))
        else:
            service_log.exception("append_failed", code="internal")
            error = StorageError("the append failed for an unexpected reason; see the service log")
        self.last_error = error
        return error

    def _loop_call(self, function: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and whoever waited with it
            self._loop.call_soon_threadsafe(function, *arguments)

    # -- life --------------------------------------------------------------------------------

    def reopen(self) -> asyncio.Future[None]:
        """Exchange the ledger for a newly opened one, between two commits. A latched ledger takes
        appends again afterwards. The future raises what opening raises."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._exchanging += 1

        def exchange() -> None:
            failure: Exception | None = None
            try:
                opened = self._open_ledger()
            except Exception as error:
                failure = error
            else:
                self.ledger.close()
                self.ledger = opened
                self.last_error = None
                service_log.info("reopened", ledger=opened.path)
            self._loop_call(self._exchanged, future, failure)

        self._inbox.put(exchange)
        return future

    def _exchanged(self, future: asyncio.Future[None], failure: Exception | None) -> None:
        self._exchanging -= 1
        if future.done():
            return
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

    async def close(self, timeout: float) -> None:
        """Refuse further appends, finish those that wait, and end the thread; after `timeout`
        seconds leave it behind (a disk that hangs must not keep the process)."""
        self._closing = True
        deadline = self._loop.time() + timeout
        while self._unanswered and self._loop.time() < deadline:
            await asyncio.sleep(0.005)
        self._inbox.put(None)
        while self._thread.is_alive() and self._loop.time() < deadline:
            await asyncio.sleep(0.005)

"""Everything one server process holds, built at start and taken down at the end."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from audit_stream.server import service_log
from audit_stream.server.auth import Guard
from audit_stream.server.counting import Counting
from audit_stream.server.feed import Feed, Watcher
from audit_stream.server.group_commit import GroupCommit
from audit_stream.server.hosts import HostCheck
from audit_stream.server.limits import BodyReader
from audit_stream.server.metrics import Metrics
from audit_stream.server.signing import Signing
from audit_stream.server.verifying import Verifying

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from audit_stream.event import Draft
    from audit_stream.ledger import Ledger
    from audit_stream.server.options import Options

_CLOSE_SECONDS = 2.0


class Service:
    """The parts of a running server. `start` and `close` run on the event loop."""

    feed: Feed
    commits: GroupCommit
    counting: Counting
    verifying: Verifying
    read_draft: Callable[[bytes], Draft]

    def __init__(self, options: Options) -> None:
        serve = options.settings.serve
        self.options = options
        self.metrics = Metrics()
        self.guard = Guard(serve.tokens, options.session_key)
        self.hosts = HostCheck(serve.host, serve.allowed_hosts, serve.cors_origins)
        self.bodies = BodyReader(serve.max_body_bytes)
        self.signing: Signing | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = False

    @property
    def ledger(self) -> Ledger:
        """The open ledger; another one after a reopen."""
        return self.commits.ledger

    async def start(self) -> None:
        """Open the ledger, creating it if it is missing, and start the threads.

        Raises the ledger's errors.
        """
        serve = self.options.settings.serve
        ledger = self.options.open_ledger()
        if not os.path.lexists(ledger.path):
            ledger.engine.commit(lambda head: ([], head))
        self.read_draft = ledger.draft_reader()
        self.feed = Feed()
        self.counting = Counting()
        with ledger.snapshot() as snapshot:
            head_id, size = snapshot.last_event_id(), snapshot.whole
        self.feed.gained(None, head_id, size)
        self._watcher = Watcher(ledger, self.feed, self.counting, head_id)
        self.commits = GroupCommit(
            ledger,
            self.options.open_ledger,
            max_pending=serve.max_pending,
            max_bytes=max(64 << 20, 4 * serve.max_body_bytes),
            may_block=lambda: not self.feed.subscribers,
            observe=self.metrics.committed,
            committed=self._watcher.poke,
        )
        self.verifying = Verifying(
            ledger.path, self.options.pin, self.options.shared, self.metrics.verified
        )
        self._watcher.start()
        self._run(self.counting.count_up_to(ledger, head_id))
        if serve.verify_every is not None:
            self._run(self.verifying.every(serve.verify_every))
        if self.options.checkpoint_key is not None:
            self.signing = Signing(
                ledger.path,
                self.options.checkpoint_key,
                self.options.checkpoint_every,
                self.options.shared,
                lambda: self.feed.head_id,
            )
            self._run(self.signing.run())

    def _run(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def poke(self) -> None:
        """Look at once for what other processes appended."""
        self._watcher.poke()

    def end_streams(self) -> None:
        """End all event streams, because the server is going down."""
        if not self._ended:
            self._ended = True
            self.feed.close()

    async def close(self) -> None:
        """Finish the appends that wait, end threads and processes. Within a few seconds."""
        self.end_streams()
        await self.commits.close(_CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await self.verifying.close()
        if self.signing is not None:
            await self.signing.close()
        self.counting.close()
        self._watcher.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        service_log.info("stopped")

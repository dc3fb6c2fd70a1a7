"""Keeping the counts: every event is counted once, never on the event loop.

What was in the ledger at start is counted by a process of its own when that takes more than a
moment; everything later comes in blocks from the thread that follows the ledger.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from audit_stream.errors import InvalidEventError
from audit_stream.server import service_log
from audit_stream.server.aggregate import OverTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_stream.ledger import Ledger
    from audit_stream.server.lines import Envelope
    from audit_stream.storage.snapshot import Block

IN_A_MOMENT = 4 << 20
"""A ledger of so many bytes is counted in a thread; starting a process would take longer."""


class Counting:
    """The counts of one ledger. `add` and `restart` are the follower's to call; reading takes the
    lock, so it belongs in a worker thread."""

    def __init__(self) -> None:
        self._tally = OverTime()
        self._lock = threading.Lock()
        self._generation = 0
        self._complete = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    def add(self, block: Block) -> None:
        """Count a block that the ledger gained."""
        with self._lock:
            self._tally.add(block)

    def add_envelopes(self, envelopes: list[Envelope]) -> bool:
        """Count lines that were read already; False, and nothing counted, if one of them is not
        an event."""
        with self._lock:
            try:
                self._tally.add_read(envelopes)
            except InvalidEventError:
                return False
            return True

    def restart(self) -> None:
        """Forget everything: another ledger is in the place of the one that was counted."""
        with self._lock:
            self._tally = OverTime()
            self._generation += 1

    async def count_up_to(self, ledger: Ledger, event_id: int) -> None:
        """Count the events up to `event_id`, which are not going to come through `add`."""
        generation = self._generation
        try:
            counted = await self._counted(ledger, event_id)
            if counted is not None:
                await asyncio.to_thread(self._put_before, counted, generation)
        finally:
            self._complete.set()

    async def _counted(self, ledger: Ledger, event_id: int) -> dict[str, Any] | None:
        if event_id == 0:
            return None
        with ledger.snapshot() as snapshot:
            size = snapshot.size
        if size > IN_A_MOMENT:
            dumped = await self._from_process(ledger.path, event_id)
            if dumped is not None:
                return dumped
        return await asyncio.to_thread(lambda: count(ledger, event_id).dump())

    async def _from_process(self, path: str, event_id: int) -> dict[str, Any] | None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "audit_stream.server.count_process",
            path,
            str(event_id),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await self._process.communicate()
        if self._process.returncode != 0:
            service_log.error("count_failed", exit_code=self._process.returncode)
            return None
        decoded: dict[str, Any] = await asyncio.to_thread(msgspec.msgpack.decode, output)
        return decoded

    def _put_before(self, counted: dict[str, Any], generation: int) -> None:
        with self._lock:
            if generation == self._generation:
                self._tally.put_before(counted)

    async def ask(self, question: Callable[[OverTime], dict[str, Any]]) -> dict[str, Any]:
        """Return what `question` makes of the counts, once what was there at start is in them."""
        await self._complete.wait()
        return await asyncio.to_thread(self._locked, question)

    def _locked(self, question: Callable[[OverTime], dict[str, Any]]) -> dict[str, Any]:
        with self._lock:
            return question(self._tally)

    def close(self) -> None:
        """End the process that counts, if it still does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


def count(ledger: Ledger, event_id: int) -> OverTime:
    """Count the events up to `event_id`."""
    tally = OverTime()
    with ledger.snapshot() as snapshot:
        for block in snapshot.between(0, event_id + 1):
            tally.add(block)
    return tally

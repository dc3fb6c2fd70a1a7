"""Checkpoints made by themselves: at intervals, or whenever so many events are unsigned.

Not on the path of an append: a process of its own signs what is durable (`signing_process`), and
one worker of a server asks it to. A checkpoint that fails is logged and tried again; appends go on,
and every reader of `/checkpoint` sees how old the last one is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from audit_stream.server import service_log
from audit_stream.server.election import elected

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS = 0.25
_CLOSE_SECONDS = 1.0


class Every(NamedTuple):
    """When to sign: after so many `seconds`, or once so many `events` are unsigned."""

    seconds: float | None = None
    events: int | None = None


class Signing:
    """Has the ledger at `path` signed. Lives on the event loop's thread.

    Args:
        key_file: the private key file.
        every: when.
        shared: as for `elected`.
        head_id: gives the ledger's last event id.
    """

    def __init__(
        self,
        path: str,
        key_file: str,
        every: Every,
        shared: str | None,
        head_id: Callable[[], int],
    ) -> None:
        self._command = ("-m", "audit_stream.server.signing_process", path, key_file)
        self._every = every
        self._shared = shared
        self._head_id = head_id
        self._process: asyncio.subprocess.Process | None = None
        self._signed = 0

    async def run(self) -> None:
        """Sign for ever, in the one worker that is elected to."""
        seat = await elected(self._shared, "signer")
        while True:
            await self._sign()
            await self._wait(seat)

    async def _wait(self, _seat: object) -> None:
        if self._every.seconds is not None:
            await asyncio.sleep(self._every.seconds)
            return
        events = self._every.events or 1
        await asyncio.sleep(_LOOK_SECONDS)
        while self._head_id() - self._signed < events:
            await asyncio.sleep(_LOOK_SECONDS)

    async def _sign(self) -> None:
        answer = await self._ask()
        if "error" in answer:
            service_log.error("checkpoint_failed", detail=answer["error"])
            return
        self._signed = answer["size"]
        if answer["signed"]:
            service_log.info("checkpoint", size=self._signed)

    async def _ask(self) -> dict[str, Any]:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        process = self._process
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101
        with contextlib.suppress(ConnectionError):
            process.stdin.write(b"\n")
            await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            await process.wait()
            return {"error": f"the signing process ended with {process.returncode}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def close(self) -> None:
        """End the process; a checkpoint that it is making is made, or was never announced."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _CLOSE_SECONDS)
        if process.returncode is None:
            process.kill()
            await process.wait()

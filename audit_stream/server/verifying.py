"""Verification on request and at intervals, each in a process of its own.

Requests are coalesced: one that comes while a walk is under way shares it if the ledger has not
grown since the walk began, and else waits for the next walk, together with all others that do. So
no verdict is older than its question, and however many ask, one walk runs at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from audit_stream import errors, timestamps
from audit_stream.server import service_log
from audit_stream.server.election import elected
from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_LONGEST_LINE = 1 << 20
_SHARED_NAME = "verification.json"


class Finished(NamedTuple):
    """The last verdict: the result's members, when (RFC 3339), and how long it took (seconds)."""

    result: dict[str, Any]
    finished_at: str
    seconds: float

    def summary(self) -> dict[str, Any]:
        """Return what `/readyz` shows of it."""
        names = ("verdict", "checked", "first_break_at", "byte_offset", "reason", "pinned")
        shown = {name: self.result[name] for name in (*names, "last_event_id")}
        return {**shown, "finished_at": self.finished_at}


class _Walk:
    """One run of the verifying process. `news` is exchanged at every progress line."""

    def __init__(self, mark: object) -> None:
        self.mark = mark
        self.progress: dict[str, Any] | None = None
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.process: asyncio.subprocess.Process | None = None

    def advance(self, progress: dict[str, Any] | None) -> None:
        self.progress = progress
        news, self.news = self.news, asyncio.get_running_loop().create_future()
        news.set_result(None)


class Verifying:
    """Runs walks. Lives on the event loop's thread.

    Args:
        path: the ledger.
        pin: a pin file to hold it against and move forward, or None.
        shared: a directory in which the workers of one server tell each other the last verdict.
        finished: called with each verdict.
    """

    def __init__(
        self,
        path: str,
        pin: str | None,
        shared: str | None,
        finished: Callable[[Finished], None],
    ) -> None:
        self._path = path
        self._pin = pin
        self._shared = shared
        self._finished = finished
        self._running: _Walk | None = None
        self._next: _Walk | None = None
        self._task: asyncio.Task[None] | None = None
        self._last: Finished | None = None
        self._closing = False

    # -- asking ------------------------------------------------------------------------------

    async def result(self) -> dict[str, Any]:
        """Return the result's members (ledger.md section 4). Raises Problem."""
        return await asyncio.shield(self._join().done)

    async def reports(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield ("progress", members) as the walk goes on, and last ("result" or "error", …)."""
        walk = self._join()
        told: dict[str, Any] | None = None
        while not walk.done.done():
            if walk.progress is not None and walk.progress is not told:
                told = walk.progress
                yield "progress", told
            await asyncio.wait((walk.news, walk.done), return_when=asyncio.FIRST_COMPLETED)
        try:
            result = walk.done.result()
        except Problem as problem:
            yield "error", {"status": problem.status, "detail": problem.detail}
            return
        total = result["bytes"]
        checked = {"checked": result["checked"], "bytes": total, "total_bytes": total}
        if result["valid"]:
            yield "progress", checked
        yield "result", result

    def _join(self) -> _Walk:
        if self._closing:
            raise Problem(503, "shutting_down", "the server is shutting down")
        mark = self._mark()
        if self._running is not None and self._running.mark == mark:
            return self._running
        if self._next is None:
            self._next = _Walk(mark)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._work())
        return self._next

    def _mark(self) -> object:
        """Return what changes when the ledger grows or is replaced."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    # -- walking -----------------------------------------------------------------------------

    async def _work(self) -> None:
        while self._next is not None and not self._closing:
            walk, self._next = self._next, None
            walk.mark = self._mark()
            self._running = walk
            began = time.monotonic()
            try:
                result = await self._run(walk)
            except Problem as problem:
                service_log.error("verification_failed", detail=problem.detail)
                _fail(walk, problem)
            else:
                self._conclude(result, time.monotonic() - began)
                walk.done.set_result(result)
            finally:
                self._running = None
                if not walk.done.done():
                    _fail(walk, Problem(503, "shutting_down", "the verification was ended"))

    async def _run(self, walk: _Walk) -> dict[str, Any]:
        arguments = [self._path] if self._pin is None else [self._path, self._pin]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "audit_stream.server.verify_process",
            *arguments,
            stdin=asyncio.subprocess.PIPE,  # held open: the process ends when we do
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        walk.process = process
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            async for line in process.stdout:
                members = json.loads(line)
                if "result" in members:
                    result: dict[str, Any] = members["result"]
                    return result
                if "error" in members:
                    raise _problem(members["error"])
                walk.advance(members)
        finally:
            if process.returncode is None:
                process.stdin.close()  # type: ignore[union-attr]
            await process.wait()
        raise Problem(503, "verification_ended", "the verifying process ended without a verdict")

    def _conclude(self, result: dict[str, Any], seconds: float) -> None:
        finished = Finished(result, timestamps.stamp(time.time_ns()), seconds)
        self._last = finished
        tell = service_log.info if result["valid"] else service_log.error
        names = ("verdict", "checked", "first_break_at", "byte_offset", "reason")
        tell("verified", seconds=round(seconds, 3), **{name: result[name] for name in names})
        if self._shared is not None:
            target = os.path.join(self._shared, _SHARED_NAME)
            beside = f"{target}.{os.getpid()}"
            with open(beside, "w", encoding="utf-8") as file:
                json.dump(finished._asdict(), file)
            os.replace(beside, target)
        self._finished(finished)

    @property
    def last(self) -> Finished | None:
        """The last verdict, whichever worker reached it."""
        if self._shared is not None:
            try:
                with open(os.path.join(self._shared, _SHARED_NAME), encoding="utf-8") as file:
                    return Finished(**json.load(file))
            except FileNotFoundError:
                return None
        return self._last

    async def every(self, seconds: float) -> None:
        """Verify now and at intervals, for ever. Among several workers one does it."""
        self._election = await elected(self._shared, "verifier")
        while True:
            with contextlib.suppress(Problem):  # logged; /readyz shows when the last one ended
                await self.result()
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """End a walk that is under way."""
        self._closing = True
        if self._next is not None:
            _fail(self._next, Problem(503, "shutting_down", "the server is shutting down"))
            self._next = None
        walk = self._running
        if walk is not None and walk.process is not None and walk.process.returncode is None:
            walk.process.kill()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=1.0)


def _fail(walk: _Walk, problem: Problem) -> None:
    walk.done.set_exception(problem)
    walk.done.exception()  # nobody may be waiting, which is no mistake


def _problem(error: dict[str, str]) -> Problem:
    status = 500 if error["code"] == errors.PinError.code else 503
    return Problem(status, error["code"], error["detail"])

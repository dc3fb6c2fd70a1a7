"""A progress bar for whoever waits for a walk over a ledger."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_stream.verification import Progress


class ProgressBar:
    """A bar with rate and time left on stderr, once a walk has taken half a second."""

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._bar: object = None
        self._started = 0.0

    def __enter__(self) -> Progress:
        import time

        self._started = time.monotonic()
        return self._update if self._show else _ignore

    def _update(self, done: int, total: int) -> None:
        import time

        if self._bar is None:
            if time.monotonic() - self._started < 0.5:
                return
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                TextColumn("verifying"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("verify", total=total or None, completed=done)
        self._bar.update(self._task, completed=done)  # type: ignore[attr-defined]

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()  # type: ignore[attr-defined]
            sys.stderr.flush()


def _ignore(done: int, total: int) -> None:
    pass

"""Opening the ledger that a command line names, with the settings in force."""

from __future__ import annotations

import os

from audit_stream.cli.append_options import LOCK_VARIABLE
from audit_stream.errors import InputError
from audit_stream.ledger import LOCK_TIMEOUT, Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def open_ledger(
    path: str,
    config: str | None = None,
    allow_kinds: Iterable[str] = (),
    *,
    any_kind: bool = False,
) -> Ledger:
    """Open `path`; `config` None means the file beside the ledger. Raises ConfigError."""
    settings = None
    if config is not None:
        from audit_stream.config import load

        settings = load(config)
    return Ledger(
        path,
        settings=settings,
        extra_kinds=allow_kinds,
        any_kind=any_kind,
        lock_timeout=_lock_timeout(),
    )


def _lock_timeout() -> float:
    """Return how many seconds an append waits for other writers."""
    text = os.environ.get(LOCK_VARIABLE)
    if not text:
        return LOCK_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e9:
        raise InputError(f"{LOCK_VARIABLE}={text!a}: expected seconds, like 5 or 0.5")
    return seconds

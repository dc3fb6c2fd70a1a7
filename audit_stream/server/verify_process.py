"""The process that verifies: `python -m audit_stream.server.verify_process LEDGER [PIN]`.

Prints JSON lines: `{"checked", "bytes", "total_bytes"}` now and then, and last `{"result": …}` or
`{"error": {"code", "detail"}}`. A process of its own, so that a walk over gigabytes takes nothing
from the event loop; it gives way to everything else on the machine, and ends with its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from typing import Any

from audit_stream.config import Settings
from audit_stream.errors import AuditStreamError
from audit_stream.ledger import Ledger

_EVERY_SECONDS = 0.1
_EVENT_ID = re.compile(rb'\{"event_id":([0-9]{1,16}),')


class _Reporter:
    """Prints how far the walk has come."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._checked = 0
        self._due = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY_SECONDS
        os.lseek(self._fd, done, os.SEEK_SET)
        named = _EVENT_ID.match(os.read(self._fd, 64))
        if named is not None:
            self._checked = int(named[1]) - 1
        say({"checked": self._checked, "bytes": done, "total_bytes": total})


def say(members: dict[str, Any]) -> None:
    """Print one JSON line."""
    print(json.dumps(members), flush=True)  # noqa: T201 - the parent reads it


def _end_with_parent() -> None:
    while os.read(0, 1):  # ends once the parent is gone or closes it
        pass
    os._exit(1)


def main(path: str, pin: str | None) -> None:
    """Verify and print."""
    with contextlib.suppress(AttributeError, OSError):  # a sandbox may forbid it
        os.nice(5)
    try:
        with Ledger(path, settings=Settings()) as ledger:
            result = ledger.verify(pin=pin, progress=_Reporter(path))
    except AuditStreamError as error:
        say({"error": {"code": error.code, "detail": str(error)}})
    except OSError as error:
        detail = f"{path}: {error.strerror}"
        say({"error": {"code": "unreadable", "detail": detail}})
    else:
        say({"result": result.as_dict()})


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)

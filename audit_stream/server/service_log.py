"""The service log: one JSON object a line on stderr. Never a payload, a token or a query string.

`event` names what happened in words that do not change; the other members say the rest.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

_MEMBERS = "audit_stream_members"
_log = logging.getLogger("audit_stream.server")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, Any] = {
            "time": f"{_time(record.created)}Z",
            "level": record.levelname.lower(),
        }
        own = getattr(record, _MEMBERS, None)
        if own is not None:
            members.update(event=record.msg, **own)
        else:
            members.update(event="log", logger=record.name, message=record.getMessage())
        if record.exc_info:
            members["traceback"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=True, default=str)


def _time(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}"


def configure(*, access: bool) -> None:
    """Send this process's log to stderr as JSON lines; `access` also logs every request."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _log.setLevel(logging.INFO)
    # sse-starlette prints what it sends at DEBUG; payloads do not belong in a log.
    logging.getLogger("sse_starlette").setLevel(logging.WARNING)
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(logging.WARNING)
    uvicorn.addFilter(_unwanted)
    requests = logging.getLogger("uvicorn.access")
    # uvicorn asks `hasHandlers()` to decide whether to build access lines at all.
    requests.propagate = access
    requests.setLevel(logging.INFO if access else logging.CRITICAL)
    if access:
        requests.addFilter(_access_line)


def _unwanted(record: logging.LogRecord) -> bool:
    # We end a stream whose client does not read any more, on purpose, without its last chunk.
    return "returned without completing response" not in record.getMessage()


def _access_line(record: logging.LogRecord) -> bool:
    """Replace uvicorn's line by members, and drop the query string, which may quote events."""
    client, method, target, _, status = record.args  # type: ignore[misc]
    record.msg = "request"
    record.args = ()
    path = str(target).partition("?")[0]
    setattr(record, _MEMBERS, {"client": client, "method": method, "path": path, "status": status})
    return True


def info(event: str, **members: Any) -> None:
    """Log something an operator may want to know."""
    _log.info(event, extra={_MEMBERS: members})


def warning(event: str, **members: Any) -> None:
    """Log something an operator should look at."""
    _log.warning(event, extra={_MEMBERS: members})


def error(event: str, **members: Any) -> None:
    """Log a failure."""
    _log.error(event, extra={_MEMBERS: members})


def exception(event: str, **members: Any) -> None:
    """Log a failure with the traceback of the exception being handled."""
    _log.error(event, exc_info=True, extra={_MEMBERS: members})

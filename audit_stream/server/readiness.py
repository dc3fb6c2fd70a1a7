"""Would an append be accepted now? Answered without writing or taking the writers' lock."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from audit_stream.errors import AuditStreamError, StorageFullError

if TYPE_CHECKING:
    from audit_stream.ledger import Ledger
    from audit_stream.server.group_commit import GroupCommit

_ROOM_BYTES = 4096
"""Less than this free, and the next event may not fit."""


class Readiness(NamedTuple):
    """`status` is `ready` or a stable word for why not; `detail` is a sentence."""

    status: str
    detail: str

    @property
    def is_ready(self) -> bool:
        """Whether an append would be accepted."""
        return self.status == "ready"


READY = Readiness("ready", "appends are accepted")


def check(commits: GroupCommit) -> Readiness:
    """Look at the queue, the ledger and its disk. Reads the file's tail: not for an event loop."""
    ledger = commits.ledger
    latched = getattr(ledger.engine, "latched", None)
    if latched is not None:
        return Readiness("storage_latched", f"{latched} (POST /admin/reopen, or SIGHUP)")
    if commits.is_full:
        return Readiness("queue_full", "too many appends wait for the disk")
    try:
        ledger.head()
    except AuditStreamError as error:
        return Readiness(error.code, str(error))
    return _writable(ledger) or _after_failure(commits) or READY


def _writable(ledger: Ledger) -> Readiness | None:
    path = os.path.realpath(ledger.path)
    try:
        if os.path.exists(path):
            if not os.access(path, os.W_OK):
                return Readiness("read_only", f"{ledger.path}: may not be written")
        elif not os.access(os.path.dirname(path), os.W_OK):
            return Readiness("read_only", f"{ledger.path}: may not be created")
        if shutil.disk_usage(os.path.dirname(path)).free < _ROOM_BYTES:
            return Readiness(StorageFullError.code, "the disk is full; make room")
    except OSError as error:
        return Readiness("unreadable", f"{ledger.path}: {error.strerror}")
    return None


def _after_failure(commits: GroupCommit) -> Readiness | None:
    """A limit that shows only when one writes (a quota, a file-size limit) failed last time."""
    failed = commits.last_error
    return None if failed is None else Readiness(failed.code, str(failed))

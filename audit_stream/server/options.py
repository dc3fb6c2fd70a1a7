"""What a server process is told once, at start. Frozen, and picklable for worker processes."""

from __future__ import annotations

from typing import NamedTuple

from audit_stream.config import Settings
from audit_stream.ledger import Ledger
from audit_stream.server.signing import Every


class Options(NamedTuple):
    """Everything `serve` needs to know.

    Attributes:
        ledger: the ledger's path.
        settings: the configuration file, with flags and environment already laid over it.
        extra_kinds: further kinds to allow.
        any_kind: allow every kind of the right form.
        pin: a pin file that verifications are held against and move forward, or None.
        access_log: log every request.
        session_key: signs the console's cookies; the same for all workers.
        checkpoint_key: a private key file; the ledger is signed with it, or None.
        checkpoint_every: when it is signed.
        shared: a directory that the workers of one server share, or None with one worker.
        parent: the process id of the workers' parent.
    """

    ledger: str
    settings: Settings = Settings()
    extra_kinds: tuple[str, ...] = ()
    any_kind: bool = False
    pin: str | None = None
    access_log: bool = False
    session_key: bytes = b""
    checkpoint_key: str | None = None
    checkpoint_every: Every = Every(seconds=60.0)
    shared: str | None = None
    parent: int = 0

    def open_ledger(self) -> Ledger:
        """Open the ledger. A writer that is stuck elsewhere is waited for 10 s, so that clients
        get an answer while they are still there."""
        return Ledger(
            self.ledger,
            settings=self.settings,
            extra_kinds=self.extra_kinds,
            any_kind=self.any_kind,
            lock_timeout=10.0,
        )

"""audit-stream: an append-only, fsync'd, hash-chained JSONL audit ledger.

The public names are `Ledger`, `Event`, `Head`, `VerifyResult` and the errors (`errors`). They
are loaded on first use, so that the command line starts without what it does not need.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from audit_stream import errors
    from audit_stream.chain import Head
    from audit_stream.errors import AuditStreamError
    from audit_stream.event import Event
    from audit_stream.ledger import Ledger
    from audit_stream.verification import VerifyResult

__all__ = ["AuditStreamError", "Event", "Head", "Ledger", "VerifyResult", "__version__", "errors"]

_HOMES = {
    "AuditStreamError": "errors",
    "Event": "event",
    "Head": "chain",
    "Ledger": "ledger",
    "VerifyResult": "verification",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module("audit_stream.errors")
    if name in _HOMES:
        return getattr(import_module(f"audit_stream.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'audit_stream' has no attribute {name!r}")

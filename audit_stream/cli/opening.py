"""Opening the ledger that a command line names, with the settings in force."""

from __future__ import annotations

from audit_stream.ledger import Ledger

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
    if config is None:
        return Ledger(path, extra_kinds=allow_kinds, any_kind=any_kind)
    from audit_stream.config import load

    return Ledger(path, settings=load(config), extra_kinds=allow_kinds, any_kind=any_kind)

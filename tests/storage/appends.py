"""Appends from each state a ledger can be in, and what has to hold after they went wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from audit_stream import Ledger
from audit_stream.storage.file import FileEngine
from tests.ledgers import joined, numbered
from tests.storage.disks import FaultyDisk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_stream.storage.durable import Disk

LINES = numbered(3)
TORN = b'{"event_id":4,"hash":"00'

STATES = {"new": None, "whole": joined(LINES), "torn": joined(LINES) + TORN}
"""What is there before the append: no file, a ledger, a ledger with an unterminated tail."""


def open_ledger(path: Path, disk: Disk | None = None, **options: float) -> Ledger:
    return Ledger(path, engine=FileEngine(path, disk=disk, **options))  # type: ignore[arg-type]


def prepared(directory: Path, state: str) -> Path:
    path = directory / "ledger.jsonl"
    content = STATES[state]
    if content is not None:
        path.write_bytes(content)
    return path


def beside(path: Path) -> list[Path]:
    """The copies of healed tails."""
    return sorted(path.parent.glob(f"{path.name}.torn-*"))


def calls_of_an_append(state: str) -> list[str]:
    """The calls that an append makes when all goes well."""
    with tempfile.TemporaryDirectory() as directory:
        disk = FaultyDisk()
        open_ledger(prepared(Path(directory), state), disk).append("other", "test")
        return disk.calls


def check_and_go_on(path: Path, state: str, acknowledged: Iterable[bytes]) -> None:
    """Reopen, verify, append, verify: everything that was there, or was acknowledged, still is."""
    must = [*(LINES if state != "new" else []), *acknowledged]
    tail = TORN if state == "torn" else b""
    with open_ledger(path) as ledger:
        if path.exists():
            data = path.read_bytes()
            assert ledger.verify().verdict in ("intact", "empty", "torn")
            assert data.split(b"\n")[: len(must)] == must
            assert data.endswith(tail) or tail in [copy.read_bytes() for copy in beside(path)]
        event = ledger.append("other", "afterwards")
        assert ledger.verify().verdict == "intact"
        assert event.event_id >= len(must) + 1
    assert not tail or tail in [copy.read_bytes() for copy in beside(path)]
    assert path.read_bytes().startswith(joined(must))

"""Fixtures of the command line's tests: a path for a ledger, and ledgers with events in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from audit_stream.ledger import Ledger
from tests.cli import program

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    Start: TypeAlias = Callable[..., subprocess.Popen[bytes]]
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger may be made; nothing is there yet."""
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(path: Path) -> Path:
    """A ledger of five events, a minute apart from 2026-01-01T00:00:00Z on."""
    with Ledger(path) as opened:
        for minute, (kind, source, payload) in enumerate(
            (
                (
                    "request_denied",
                    "policy-as-code-engine",
                    {"rule": 7, "actor": {"name": "alice"}},
                ),
                ("request_allowed", "policy-as-code-engine", {"rule": 8, "actor": {"name": "bob"}}),
                ("other", "cron", {"note": "kind of other", "list": [1, "two", None]}),
                ("watch_created", "aeo-validator-service", {"ratio": 0.5}),
                ("other", "cron", {}),
            )
        ):
            opened.append(kind, source, payload, timestamp=f"2026-01-01T00:0{minute}:00Z")
    return path


@pytest.fixture
def start() -> Iterator[Start]:
    """As `program.start`; what was started has ended, with its pipes closed, after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(program.start(*arguments, **options))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

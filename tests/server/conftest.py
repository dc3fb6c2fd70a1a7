"""Fixtures for the server's tests: one shared server where a test leaves nothing behind that
another could trip over, and a way to start more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.live import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Live]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers; all are stopped at the end."""
    running: list[Live] = []

    def begin(*options: str, name: str = "ledger.jsonl", **more: Any) -> Live:
        live = Live(tmp_path / name, *options, **more)
        running.append(live)
        return live

    yield begin
    for live in running:
        live.__exit__()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for a module's tests, which must not count on what is in its ledger."""
    with Live(tmp_path_factory.mktemp("shared") / "ledger.jsonl") as live:
        yield live

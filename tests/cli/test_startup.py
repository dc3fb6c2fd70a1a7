"""What a command does not import: shells call `append` in loops, so its start-up is the product."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.program import environment

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = frozenset(
    [
        "hashlib",
        "typer",
        "rich",
        "click",
        "pydantic",
        "msgspec",
        "starlette",
        "uvicorn",
        "sse_starlette",
        "httptools",
        "prometheus_client",
        "dataclasses",
        "asyncio",
        "inspect",
        "tomllib",
        "datetime",
        "subprocess",
        "tempfile",
        "contextlib",
        "pathlib",
        "shutil",
        "argparse",
        "logging",
        "cryptography",
        "importlib.metadata",
        "difflib",
        "socket",
        "ssl",
        "urllib",
    ]
)
SCRIPT = """
import sys
sys.argv[0] = "audit-stream"
before = set(sys.modules)
from audit_stream.__main__ import main
code = main()
print(*sorted(set(sys.modules) - before), file=sys.stderr)
sys.exit(code)
"""
EVENT = ("--kind", "other", "--source", "s")


def imported(*arguments: str | Path) -> set[str]:
    """The modules that a command loads, beyond those of the bare interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.decode().splitlines()[-1].split())


@pytest.mark.parametrize(
    "options",
    [
        EVENT,
        (*EVENT, "--payload", '{"a":[1,2.5,"é",null]}'),
        (*EVENT, "--set", "a.b=1", "--set", "c=text"),
        (*EVENT, "--timestamp", "2026-01-31T12:00:00+02:00"),
        (*EVENT, "--expect-head", "0" * 64, "--quiet"),
    ],
    ids=str,
)
def test_the_everyday_append_loads_nothing_heavy(path: Path, options: tuple[str, ...]) -> None:
    assert imported("append", path, *options) & HEAVY == set()
    imported("append", path, *EVENT, "--payload", "{}")
    # The ledger exists now, and has a last line to look at.
    if "--expect-head" not in options:
        assert imported("append", path, *options) & HEAVY == set()


@pytest.mark.parametrize("options", [(*EVENT, "--any-kind"), ("--batch", "-"), ("--help",)])
def test_what_typer_parses_loads_no_rich_and_no_server(
    path: Path, options: tuple[str, ...]
) -> None:
    heavy = {"rich", "pydantic", "starlette", "uvicorn", "prometheus_client", "cryptography"}
    assert imported("append", path, *options) & heavy == set()


@pytest.mark.parametrize("command", ["query", "tail", "verify", "kinds"])
def test_pipes_need_no_rich_and_readers_no_server(command: str, ledger: Path) -> None:
    heavy = {"rich", "pydantic", "starlette", "uvicorn", "prometheus_client", "cryptography"}
    assert imported(command, ledger) & heavy == set()

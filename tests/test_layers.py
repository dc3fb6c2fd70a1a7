"""The picture of the architecture, as a table, held against the imports that are really there.

A module may import what stands above it in `LAYERS`, and of that only what its row names. So
arrows point one way, and a new one has to be drawn here first. Every import counts, inside
functions too; those for type checking may point at any row above.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ledgers import joined, numbered

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "audit_stream"

PURE_LEDGER = "errors canonical timestamps vocabulary event bulk chain"
PURE_PROOF = "encoding merkle note policy checkpoint proof"

LAYERS: dict[str, str] = {
    # Pure: bytes in, bytes out.
    "errors": "",
    "canonical": "errors",
    "timestamps": "errors",
    "vocabulary": "errors",
    "event": "errors canonical timestamps vocabulary",
    "bulk": "errors canonical timestamps vocabulary event",
    "chain": "errors canonical timestamps vocabulary event bulk",
    "encoding": "errors",
    "merkle": "errors",
    "note": "errors encoding",
    "policy": "errors note",
    "checkpoint": "errors encoding merkle note policy",
    "proof": "errors chain encoding merkle note policy checkpoint",
    "roots": "errors merkle",
    # Engines behind the seam, and what they stand on.
    "storage.durable": "",
    "storage.snapshot": "errors event",
    "storage": "chain storage.snapshot",
    "storage.file": "errors timestamps chain storage storage.durable storage.snapshot",
    "storage.memory": "errors chain storage storage.snapshot",
    "storage.beside": "errors storage.durable",
    "storage.hash_file": "errors merkle storage.beside storage.durable storage.snapshot",
    "storage.journal": "errors timestamps storage.beside storage.durable storage.snapshot",
    # What reads a ledger through a snapshot.
    "query": f"{PURE_LEDGER} storage.snapshot",
    "tally": f"{PURE_LEDGER} storage.snapshot query",
    "follow": "errors storage storage.snapshot",
    "pins": "errors canonical chain storage.durable",
    "verification": f"{PURE_LEDGER} roots checkpoint storage.durable storage.snapshot pins",
    # Signed checkpoints.
    "signing": "errors encoding note",
    "key_files": "errors encoding note signing storage.durable storage.beside",
    "transport": "errors",
    "timestamping": "errors note checkpoint transport",
    "witness": f"errors {PURE_PROOF}",
    "witness_keeper": "errors note policy signing storage.beside storage.durable witness",
    "checkpoints": f"{PURE_LEDGER} {PURE_PROOF} roots storage storage.durable storage.snapshot "
    "storage.beside storage.hash_file storage.journal verification signing timestamping witness",
    # The one API over all of it.
    "config": "errors vocabulary",
    "ledger": f"{PURE_LEDGER} checkpoint checkpoints storage storage.file storage.snapshot "
    "query tally follow pins verification config",
}
"""Each module of the core, and what it may import; in the order from the ground up."""

LIBRARY = [name for name in LAYERS if name in ("storage", "storage.snapshot") or "." not in name]
"""What the skins may use: no engine and no primitive. They say `ledger` where something is to
happen; the rest gives them types, words and errors."""

OWN_LOCKS = {"server.election"}
"""Elects one of several workers by a lock on a file of its own; no ledger is touched."""

NEEDED_TO_BE_PURE = {"os", "time", "asyncio", "socket", "threading", "random", "subprocess", "io"}
PURE = [*PURE_LEDGER.split(), *PURE_PROOF.split(), "roots", "storage.snapshot", "query", "tally"]


class Import(NamedTuple):
    importer: str
    name: str
    for_types: bool


def module_name(path: Path) -> str:
    """`storage.file` for …/audit_stream/storage/file.py; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(name: str) -> list[Import]:
    """Every import of a module, at whatever depth."""
    found: list[Import] = []

    def visit(node: ast.AST, for_types: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(name, alias.name, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("audit_stream.") in MODULES
                found.append(Import(name, whole if is_module else str(node.module), for_types))
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.body:
                visit(child, True)
            for child in node.orelse:
                visit(child, for_types)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, for_types)

    visit(ast.parse(MODULES[name].read_text()), False)
    return found


def own(found: list[Import]) -> list[Import]:
    """Those of this package, named as in the table."""
    return [
        one._replace(name=one.name.removeprefix("audit_stream").removeprefix("."))
        for one in found
        if one.name.partition(".")[0] == "audit_stream"
    ]


def is_skin(name: str) -> bool:
    return name.partition(".")[0] in ("cli", "server", "__main__")


CORE = [name for name in MODULES if name and not is_skin(name)]


def test_the_table_is_drawn_from_the_ground_up() -> None:
    names = list(LAYERS)
    for at, (name, allowed) in enumerate(LAYERS.items()):
        assert set(allowed.split()) <= set(names[:at]), name


@pytest.mark.parametrize("name", CORE)
def test_every_import_is_an_arrow_of_the_picture(name: str) -> None:
    assert name in LAYERS, f"draw {name} into the table, and say what it may import"
    above = list(LAYERS)[: list(LAYERS).index(name)]
    for one in own(imports_of(name)):
        # Types of a module further up are known to those it calls (an engine's, say).
        allowed = above if one.for_types else LAYERS[name].split()
        assert one.name in allowed, f"{name} imports {one.name}"


def test_the_package_loads_its_names_late() -> None:
    assert [one for one in own(imports_of("")) if not one.for_types] == []


@pytest.mark.parametrize("name", [name for name in MODULES if is_skin(name)])
def test_the_skins_stand_on_the_api(name: str) -> None:
    skin = name.partition(".")[0]
    for one in own(imports_of(name)):
        if one.name == "" or one.name.partition(".")[0] == skin or one.name in LIBRARY:
            continue
        # `serve` and `witness` start their servers, and do so late: nothing else knows both.
        assert (name, one.name.partition(".")[0]) in (
            ("cli.serve", "server"),
            ("cli.witness", "server"),
            ("__main__", "cli"),
        )


@pytest.mark.parametrize("name", [name for name in PURE if name in MODULES])
def test_pure_modules_know_nothing_of_the_machine(name: str) -> None:
    outside = {one.name.partition(".")[0] for one in imports_of(name) if not one.for_types}
    assert outside & NEEDED_TO_BE_PURE == set()


def test_only_durable_syncs_locks_and_cuts() -> None:
    words = {"fsync", "fdatasync", "flock", "lockf", "ftruncate", "F_FULLFSYNC", "LOCK_EX"}
    for name, path in MODULES.items():
        used = {
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Attribute, ast.Name))
        }
        assert words & used == set() or name == "storage.durable" or name in OWN_LOCKS, name


# -- what is loaded when -----------------------------------------------------------------------

SERVER_ONLY = "starlette uvicorn uvloop httptools sse_starlette pydantic prometheus_client asyncio"
FOR_TERMINALS = "rich"
HEAVY = f"typer click msgspec dataclasses multiprocessing concurrent {SERVER_ONLY} {FOR_TERMINALS}"

PROBE = """
import sys
from audit_stream.cli import main
try:
    code = main(sys.argv[2:])
except SystemExit as end:
    code = end.code
loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1].split()))
sys.stderr.write(f"{code or 0} {' '.join(loaded)}")
"""


def loaded_after(unwanted: str, arguments: list[str]) -> str:
    """Run a command with its output in a pipe; return its exit code and what it has loaded."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, unwanted, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )
    return done.stderr.strip()


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(numbered(3)))
    return str(path)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--payload", '{"a": 1}'],
        ["--set", "a.b=1", "--set", "c=text"],
        ["--quiet"],
        ["--timestamp", "2026-01-31T12:00:00Z"],
    ],
)
def test_an_everyday_append_loads_nothing_heavy(path: str, options: list[str]) -> None:
    arguments = ["append", path, "--kind", "other", "--source", "test", *options]
    assert loaded_after(HEAVY, arguments) == "0"


@pytest.mark.parametrize(
    "command",
    [
        ["--version"],
        ["kinds"],
        ["append", "LEDGER", "--batch", "/dev/null"],
        ["query", "LEDGER", "--kind", "other"],
        ["tail", "LEDGER"],
        ["stats", "LEDGER", "--json"],
        ["verify", "LEDGER"],
        ["verify", "LEDGER", "--json"],
    ],
)
def test_commands_in_a_pipe_load_neither_the_server_nor_a_terminals_toys(
    path: str, command: list[str]
) -> None:
    arguments = [path if word == "LEDGER" else word for word in command]
    assert loaded_after(f"{SERVER_ONLY} {FOR_TERMINALS}", arguments) == "0"


def test_help_does_not_load_the_server() -> None:
    assert loaded_after(SERVER_ONLY, ["--help"]) == "0"


def test_the_library_loads_no_command_line() -> None:
    script = (
        "import sys; import audit_stream; from audit_stream import Ledger, Event, Head, errors;"
        f"print(*sorted(set(sys.modules) & set({HEAVY!r}.split())))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == ""

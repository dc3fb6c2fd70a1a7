"""Runs every vector of tests/vectors through the verifiers, and has scripts/vectors check them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audit_stream.ledger import Ledger
from tests.standalone import ROOT, run

FOLDER = ROOT / "tests" / "vectors"
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "manifest.json").read_bytes())
SAME = ("verdict", "checked", "first_break_at", "byte_offset", "torn_tail_bytes")


def _name(vector: dict[str, Any]) -> str:
    return " ".join([vector["file"], *(argument[:12] for argument in vector["args"])])


def test_the_vectors_are_what_the_script_writes() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "vectors"), "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_changed_vector_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    for name in ("scripts/vectors", "tests/ledger_mutations.py", "tests/vectors/manifest.json"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, str(copy / "scripts" / "vectors")]
    missing = subprocess.run([*command, "--check"], capture_output=True, timeout=120, check=False)
    assert (missing.returncode, b"ascii.jsonl" in missing.stdout) == (1, True)
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    written = copy / "tests" / "vectors"
    assert {path.name: path.read_bytes() for path in written.iterdir()} == {
        path.name: path.read_bytes() for path in FOLDER.iterdir()
    }
    (written / "stray.jsonl").touch()
    stray = subprocess.run([*command, "--check"], capture_output=True, timeout=120, check=False)
    assert (stray.returncode, b"stray.jsonl" in stray.stdout) == (1, True)


def test_every_verdict_has_vectors() -> None:
    verdicts = {vector["verdict"] for vector in VECTORS}
    assert verdicts == {"intact", "empty", "broken", "truncated", "rewritten", "torn"}
    assert {path.name for path in FOLDER.glob("*.jsonl")} == {vector["file"] for vector in VECTORS}


@pytest.mark.parametrize("vector", VECTORS, ids=_name)
def test_the_standalone_verifier(vector: dict[str, Any]) -> None:
    done = run("--json", FOLDER / vector["file"], *vector["args"])
    _compare(json.loads(done.stdout), done.returncode, vector)


@pytest.mark.parametrize("vector", VECTORS, ids=_name)
def test_the_library(vector: dict[str, Any]) -> None:
    given = dict(zip(vector["args"][::2], vector["args"][1::2], strict=True))
    count = given.get("--expect-count")
    expected = {
        "expect_head": given.get("--expect-head"),
        "expect_count": None if count is None else int(count),
    }
    with Ledger(FOLDER / vector["file"]) as ledger:
        result = ledger.verify(**expected)
    _compare(result.as_dict(), result.exit_code, vector)


def test_the_command_over_all_at_once() -> None:
    plain = [vector for vector in VECTORS if not vector["args"]]
    done = _command("verify", "--json", *(str(FOLDER / vector["file"]) for vector in plain))
    assert (done.returncode, done.stderr) == (1, b"")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    for result, vector in zip(results, plain, strict=True):
        assert Path(result["ledger"]).name == vector["file"]
        _compare(result, vector["exit_code"], vector)


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["args"] or v["verdict"] in ("empty", "torn")], ids=_name
)
def test_the_command(vector: dict[str, Any]) -> None:
    done = _command("verify", "--json", str(FOLDER / vector["file"]), *vector["args"])
    _compare(json.loads(done.stdout), done.returncode, vector)


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.jsonl"],
        ["."],
        ["ascii.jsonl/beneath"],
        ["ascii.jsonl", "--expect-head", "f" * 63],
        ["ascii.jsonl", "--expect-count", "-1"],
        ["ascii.jsonl", "--expect-count", "many"],
        ["ascii.jsonl", "--unknown"],
    ],
)
def test_both_programs_give_no_verdict(arguments: list[str]) -> None:
    command = _command("verify", *arguments, cwd=FOLDER)
    standalone = run(*arguments, cwd=FOLDER)
    assert (command.returncode, command.stdout) == (2, b"")
    assert (standalone.returncode, standalone.stdout) == (2, b"")


def _command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[bytes]:
    """Run the product's command line."""
    return subprocess.run(
        [sys.executable, "-m", "audit_stream", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
    )


def _compare(result: dict[str, Any], exit_code: int, vector: dict[str, Any]) -> None:
    assert {name: result[name] for name in SAME} == {name: vector[name] for name in SAME}
    assert exit_code == vector["exit_code"]
    assert result["valid"] is (vector["exit_code"] == 0)
    if result["verdict"] in ("truncated", "rewritten"):
        assert result["reason"]
    elif vector["reason"] is None:
        assert result["reason"] is None
    else:
        assert result["reason"].startswith(vector["reason"])
    if result["verdict"] != "broken":
        assert result["clock_regressions"] == vector["clock_regressions"]

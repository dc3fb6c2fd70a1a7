"""Runs every vector of tests/vectors through the verifiers, and has scripts/vectors check them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
    _compare(done, vector)


def _compare(done: subprocess.CompletedProcess[bytes], vector: dict[str, Any]) -> None:
    result = json.loads(done.stdout)
    assert {name: result[name] for name in SAME} == {name: vector[name] for name in SAME}
    assert done.returncode == vector["exit_code"]
    assert result["valid"] is (vector["exit_code"] == 0)
    if result["verdict"] in ("truncated", "rewritten"):
        assert result["reason"]
    elif vector["reason"] is None:
        assert result["reason"] is None
    else:
        assert result["reason"].startswith(vector["reason"])
    if result["verdict"] != "broken":
        assert result["clock_regressions"] == vector["clock_regressions"]

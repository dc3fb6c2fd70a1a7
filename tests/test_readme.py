"""The README's examples run: every ```sh block in order, in one shell, then the Python one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit_stream.cli import exits

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH whose `audit-stream` is this checkout's."""
    program = tmp_path / "bin" / "audit-stream"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m audit_stream "$@"\n'
    )
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }


def test_the_examples_run(tmp_path: Path, environment: dict[str, str]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = "\n".join(["set -eu", *(f"echo '#### {n}'\n{b}" for n, b in enumerate(blocks("sh")))])
    done = subprocess.run(
        ["bash", "-c", script], cwd=work, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    by_hand = done.stdout.split("####")[-1].split()
    assert by_hand[1] == by_hand[3], "the hash by sed and sha256sum is the stored one"
    assert "intact" in done.stdout

    program = "\n".join(blocks("python"))
    subprocess.run([sys.executable, "-c", program], cwd=work, env=environment, check=True)
    verdict = subprocess.run(
        ["audit-stream", "verify", "ledger.jsonl", "--pin", "ledger.pin"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "checked   9 events" in verdict.stdout


def test_every_exit_code_is_in_the_table() -> None:
    assert set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE))) == set(exits.EXIT_CODES)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target

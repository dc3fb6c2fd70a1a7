"""The README's examples run: every ```sh and ```python block in order, in one shell."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from audit_stream.cli import exits

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def examples(port: int) -> str:
    """The ```sh and ```python blocks in the README's order, as one shell script."""
    script = ["set -eu", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for language, text in re.findall(
        r"^```(sh|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL
    ):
        script.append(f"echo '#### {language}'")
        text = text.replace("8093", str(port)).replace("audit-stream serve ledger.jsonl &", (
            f"PORT={port} audit-stream serve ledger.jsonl 2>serve.log &"
        ))  # fmt: skip
        script.append(text if language == "sh" else f"python - <<'PYTHON'\n{text}PYTHON")
    return "\n".join(script)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH whose `audit-stream` and `python` are this checkout's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, arguments in (("audit-stream", "-m audit_stream"), ("python", "")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }


def test_the_examples_run(tmp_path: Path, environment: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-c", examples(port)], cwd=work, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    noise = [line for line in done.stderr.splitlines() if not line.startswith(("curl:", "Warning"))]
    assert [line for line in noise if line.strip()] == []
    by_hand = done.stdout.split("####")[-1].split()
    assert by_hand[1] == by_hand[3], "the hash by sed and sha256sum is the stored one"
    verdict = subprocess.run(
        ["audit-stream", "verify", "ledger.jsonl", "--pin", "ledger.pin"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "11 events" in verdict.stdout


def test_every_exit_code_is_in_the_table() -> None:
    assert set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE))) == set(exits.EXIT_CODES)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target

"""Runs docs/proofs.md: each `sh` block, in one shell, prints what the `text` block after it says.

Where the page has an ellipsis, anything may stand: keys, hashes and times differ every time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^```sh\n(.*?)^```\n\s*^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_has_its_answer() -> None:
    assert len(STEPS) == len(re.findall(r"^```sh$", PAGE, re.MULTILINE)) == 12


def test_the_page_says_what_its_commands_print(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "audit-stream"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m audit_stream "$@"\n'
    )
    program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    mark = "#### end of a step"
    script = "".join(f"{command}echo '{mark}'\n" for command, _ in STEPS)
    done = subprocess.run(
        ["bash", "-eu", "-c", f"exec 2>&1\n{script}"],
        cwd=work,
        env={"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    printed = done.stdout.split(f"{mark}\n")
    for (command, answer), found in zip(STEPS, printed, strict=False):
        pattern = re.escape(answer).replace("…", "[^\n]*")
        assert re.fullmatch(pattern, found), f"{command}\n--- said:\n{answer}\n--- is:\n{found}"
    assert (done.returncode, printed[len(STEPS) :]) == (0, [""])

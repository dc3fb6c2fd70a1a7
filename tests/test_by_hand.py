"""Runs docs/by-hand.md: every command in it, and every answer that it shows.

The page's `sh` blocks are run one after the other in one shell; what they print must be the
page's `text` blocks. Then its function is held against ledgers that it has not seen.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ledger_mutations import ZEROS, bit_flips, build_lines, join, raw_line, seal
from tests.standalone import ROOT, check

PAGE = (ROOT / "docs" / "by-hand.md").read_text(encoding="utf-8")
SHELLS = ("sh", "bash")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def _shell(shell: str, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shell, "-u"],
        input=script,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _function() -> str:
    found = re.search(r"^check_ledger\(\) \(\n.*?^\)$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_page_says_what_its_commands_print(shell: str, tmp_path: Path) -> None:
    steps = list(zip(_blocks("sh"), _blocks("text"), strict=True))
    without_jq = [step for step in steps if "jq " not in step[0]]
    assert (len(steps), len(without_jq)) == (8, 7)
    done = _shell(shell, "".join(command for command, _ in without_jq), tmp_path)
    assert done.stderr == ""
    assert done.stdout == "".join(answer for _, answer in without_jq)
    vector = ROOT / "tests" / "vectors" / "by_hand.jsonl"
    assert (tmp_path / "ledger.jsonl").read_bytes() == vector.read_bytes()
    assert check(vector.read_bytes())["verdict"] == "intact"


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_what_the_page_does_with_jq(tmp_path: Path) -> None:
    steps = list(zip(_blocks("sh"), _blocks("text"), strict=True))
    [(command, answer)] = [step for step in steps if "jq " in step[0]]
    vector = ROOT / "tests" / "vectors" / "by_hand.jsonl"
    (tmp_path / "ledger.jsonl").write_bytes(vector.read_bytes())
    done = _shell("sh", command, tmp_path)
    assert (done.stdout, done.stderr) == (answer, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_function_passes_good_ledgers(shell: str, tmp_path: Path) -> None:
    """With payloads that hold quotes, backslashes, controls, U+2028 and members of like name."""
    rng = random.Random(5)
    script = _function() + "\n"
    for number in range(8):
        lines = build_lines(4, rng)
        (tmp_path / f"{number}.jsonl").write_bytes(join(lines))
        script += f"check_ledger {number}.jsonl\n"
    (tmp_path / "empty.jsonl").touch()
    script += "check_ledger empty.jsonl\n"
    done = _shell(shell, script, tmp_path)
    assert (done.stderr, done.stdout.count("4 events check, head ")) == ("", 8)
    assert done.stdout.endswith("0 events check, head " + "0" * 64 + "\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_function_finds_changed_bits(shell: str, tmp_path: Path) -> None:
    """Bits all over a ledger, and the NUL bytes that shells drop."""
    ledger = join(build_lines(3, random.Random(6)))
    damaged = [case.data for case in bit_flips(ledger, random.Random(7), 40)]
    damaged += [ledger[:at] + b"\0" + ledger[at:] for at in (0, 100, len(ledger) - 1, len(ledger))]
    script = _function() + "\n"
    for number, data in enumerate(damaged):
        (tmp_path / f"{number}.jsonl").write_bytes(data)
        script += f"check_ledger {number}.jsonl > /dev/null && echo missed {number}\n"
    done = _shell(shell, script + "echo all\n", tmp_path)
    assert (done.stdout, done.stderr) == ("all\n", "")


def test_the_function_reads_the_events_own_link(tmp_path: Path) -> None:
    """A payload with a right-looking prev_hash does not stand in for the event's own."""
    first, good = seal(raw_line(1, ZEROS))
    bait = f'{{"prev_hash":"{good}","source":"test","timestamp":"2026-01-31T12:00:00Z"}}'
    second, _ = seal(raw_line(2, "e" * 64, payload=bait))
    third, _ = seal(raw_line(2, good, payload=bait))
    (tmp_path / "bad.jsonl").write_bytes(join([first, second]))
    (tmp_path / "good.jsonl").write_bytes(join([first, third]))
    script = f"{_function()}\ncheck_ledger bad.jsonl; check_ledger good.jsonl\n"
    done = _shell("sh", script, tmp_path)
    assert done.stdout.startswith("prev_hash mismatch at event #2\n2 events check, head ")

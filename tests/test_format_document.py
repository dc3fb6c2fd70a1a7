"""FORMAT.md is held to its word: the tests it names exist, and its examples are right."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

from audit_stream.pins import Pin
from audit_stream.verification import verify_bytes

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "audit_stream" / "storage" / "FORMAT.md").read_text()
CODE = re.findall(r"^    (\{.*\})$", TEXT, re.MULTILINE)


def test_format_document_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    defined = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 40
    assert named - defined == set()


def test_every_crash_and_fault_row_names_a_test() -> None:
    crashes = TEXT.partition("### What a crash leaves")[2].partition("###")[0]
    rows = re.findall(r"^\| (?:after|in) step .*$", crashes, re.MULTILINE)
    assert len(rows) == 10
    assert all(re.search(r"`test_crash|`test_a_crash", row) for row in rows)
    steps = (TESTS.parent / "audit_stream" / "storage" / "file.py").read_text()
    numbered = set(re.findall(r"# steps? ([\d and]+)$", steps, re.MULTILINE))
    assert {number for text in numbered for number in re.findall(r"\d", text)} == set("123456")


def test_the_worked_example_is_right() -> None:
    first, second, preimage, _ = CODE
    data = f"{first}\n{second}\n".encode()
    assert verify_bytes(data).verdict == "intact"
    digest = hashlib.sha256(preimage.encode()).hexdigest()
    assert f'"hash":"{digest}",' in first
    assert first.replace(f'"hash":"{digest}",', "") == preimage
    assert f"these {len(preimage)} bytes" in TEXT
    assert len(f'"hash":"{digest}",') == 74


def test_the_pin_in_the_example_is_the_ledgers() -> None:
    first, second, _, pin = CODE
    data = f"{first}\n{second}\n".encode()
    result = verify_bytes(data)
    assert Pin.decode(f"{pin}\n".encode()) == (2, result.latest_hash, len(data))

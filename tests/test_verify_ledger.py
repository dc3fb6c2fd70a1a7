"""Holds `scripts/verify_ledger.py` to the format by known answers.

No other verifier is asked here: every expectation follows from how the ledger was made, from the
`rfc8785` package, or from the text of an RFC.
"""

from __future__ import annotations

import ast
import fcntl
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger_mutations import (
    TIMESTAMPS,
    bit_flips,
    build_lines,
    chain,
    join,
    known_cases,
    mutations,
)
from tests.standalone import SCRIPT, check, run, verify_ledger

THREE = chain([{}, {"payload": '{"a":1.5}'}, {"timestamp": '"2026-01-31T11:59:59Z"'}])
HASHES = [json.loads(line)["hash"] for line in THREE]
WHOLE = join(THREE)
VOUCHED = b"nothing outside the file vouches for its end"


# ---------------------------------------------------------------- what it accepts and refuses


def test_known_verdicts() -> None:
    wrong = [
        (case.name, verdict)
        for case in known_cases()
        if (verdict := check(case.data)["verdict"]) != case.verdict
    ]
    assert wrong == []


def test_good_ledgers_are_intact_and_known_damage_is_found() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        lines = build_lines(rng.randrange(1, 6), rng, plain=seed % 3 == 0)
        assert check(join(lines))["verdict"] == "intact"
        for case in mutations(lines, rng, 60):
            if case.verdict is not None:
                assert check(case.data)["verdict"] == case.verdict, (seed, case.name)


def test_every_bit_of_three_events() -> None:
    for case in bit_flips(WHOLE):
        assert check(case.data)["valid"] is False, case.name


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (THREE[1].replace(b"1.5", b"2.5"), "hash mismatch at event #2"),
        (chain([{}, {"prev_hash": f'"{"f" * 64}"'}])[1], "prev_hash mismatch at event #2"),
        (THREE[0], "event_id should be 2, got 1"),
        (chain([{"event_id": str(2**53 - 1)}])[0], "event_id should be 2, got 9007199254740991"),
        (chain([{"event_id": str(2**53)}])[0], "not a canonical event at event #2: "),
        (b"", "not a canonical event at event #2: "),
        (chain([{}, {"payload": '{"a": 1}'}])[1], "not a canonical event at event #2: "),
    ],
)
def test_reasons(line: bytes, reason: str) -> None:
    result = check(join([THREE[0], line, THREE[2]]))
    assert result["reason"].startswith(reason)
    assert result["reason"].isascii()
    assert result["reason"].isprintable()
    assert (result["verdict"], result["first_break_at"], result["checked"]) == ("broken", 2, 1)
    assert result["byte_offset"] == len(THREE[0]) + 1
    assert (result["last_event_id"], result["latest_hash"]) == (1, HASHES[0])


def test_the_first_question_that_fails_gives_the_reason() -> None:
    """Wrong in all four ways, then put right one after the other, in the order of the format."""
    first, _, _ = THREE
    good = chain([{}, {"payload": '{"a":1}'}])[1]
    unhashed = good.replace(b'{"a":1}', b'{"a":2}')
    unlinked = unhashed.replace(HASHES[0].encode(), b"e" * 64)
    misnumbered = unlinked.replace(b'"event_id":2', b'"event_id":7')
    spaced = misnumbered.replace(b'{"a":2}', b'{"a": 2}')
    answers = [
        check(join([first, line]))["reason"] or ""
        for line in (spaced, misnumbered, unlinked, unhashed, good)
    ]
    assert [answer.partition(":")[0] for answer in answers] == [
        "not a canonical event at event #2",
        "event_id should be 2, got 7",
        "prev_hash mismatch at event #2",
        "hash mismatch at event #2",
        "",
    ]


def test_result_of_an_intact_ledger() -> None:
    assert check(WHOLE) == {
        "valid": True,
        "checked": 3,
        "first_break_at": None,
        "reason": None,
        "verdict": "intact",
        "byte_offset": None,
        "last_event_id": 3,
        "latest_hash": HASHES[2],
        "bytes": len(WHOLE),
        "torn_tail_bytes": 0,
        "clock_regressions": 1,
        "pinned": None,
    }


def test_result_of_an_empty_ledger() -> None:
    result = check(b"")
    assert (result["verdict"], result["valid"], result["latest_hash"]) == ("empty", True, None)
    assert (result["checked"], result["last_event_id"], result["bytes"]) == (0, 0, 0)


def test_result_of_a_torn_ledger() -> None:
    result = check(WHOLE + b"\0\0\0")
    assert (result["verdict"], result["valid"], result["checked"]) == ("torn", False, 3)
    assert result["reason"] == "torn tail: 3 bytes after the last complete line"
    assert (result["first_break_at"], result["byte_offset"]) == (None, len(WHOLE))
    assert (result["torn_tail_bytes"], result["bytes"]) == (3, len(WHOLE) + 3)


@pytest.mark.parametrize(
    ("head", "count", "verdict"),
    [
        (None, 0, "intact"),
        (None, 3, "intact"),
        (None, 4, "truncated"),
        (HASHES[0], None, "intact"),
        (HASHES[2], None, "intact"),
        ("f" * 64, None, "rewritten"),
        (HASHES[1], 2, "intact"),
        (HASHES[1], 1, "rewritten"),
        (HASHES[1], 3, "rewritten"),
        (HASHES[1], 4, "truncated"),
        ("f" * 64, 4, "truncated"),
        ("f" * 64, 3, "rewritten"),
        ("0" * 64, None, "intact"),
        ("0" * 64, 0, "intact"),
    ],
)
def test_expectations(head: str | None, count: int | None, verdict: str) -> None:
    result = check(WHOLE, expect_head=head, expect_count=count)
    assert result["verdict"] == verdict
    assert (result["pinned"] is not None) is (verdict == "intact")
    assert result["first_break_at"] is None
    assert result["checked"] == 3
    # broken outranks rewritten and truncated; these outrank torn
    damaged = check(WHOLE + b"\n", expect_head=head, expect_count=count)
    assert damaged["verdict"] == "broken"
    torn = check(WHOLE + b"{", expect_head=head, expect_count=count)
    assert torn["verdict"] == ("torn" if verdict == "intact" else verdict)


# ---------------------------------------------------------------- numbers and times


def test_numbers_print_as_rfc8785_has_them() -> None:
    rng = random.Random(8785)
    for number in range(60_000):
        if number % 2:
            value = rng.uniform(-1, 1) * 10.0 ** rng.randint(-9, 24)
        else:
            (value,) = struct.unpack("<d", rng.randbytes(8))
        if value - value == 0:
            assert verify_ledger.number_text(value).encode() == rfc8785.dumps(value), repr(value)


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785, appendix B
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_of_the_rfc(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert verify_ledger.number_text(value) == text


@pytest.mark.parametrize("text", sorted(TIMESTAMPS))
def test_timestamps(text: str) -> None:
    timestamp = json.loads(f'"{text}"')
    valid = verify_ledger.re.fullmatch(verify_ledger.TIMESTAMP, timestamp) is not None
    if valid:
        try:
            verify_ledger.instant(timestamp)
        except ValueError:
            valid = False
    assert valid is TIMESTAMPS[text]


def test_clock_regressions_are_exact() -> None:
    """Each pair: earlier or same, then later. Counted only the other way round."""
    ordered = [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000000000000000000000000001Z"),
        ("2026-01-31T12:00:00.49Z", "2026-01-31T12:00:00.5Z"),
        ("2026-01-31T12:00:00.050Z", "2026-01-31T12:00:00.5Z"),
        ("2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T23:59:00-00:30", "2026-02-01T00:30:00Z"),
        ("2016-12-31T23:59:59.9Z", "2016-12-31T23:59:60Z"),
        ("2016-12-31T23:59:60.9Z", "2017-01-01T00:00:00.1Z"),
        ("0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z"),
    ]
    same = [
        ("2026-01-31T12:00:00.500Z", "2026-01-31T12:00:00.5Z"),
        ("2026-01-31T12:00:00.000Z", "2026-01-31t12:00:00z"),
        ("2026-01-31T12:00:00+05:30", "2026-01-31T06:30:00-00:00"),
    ]
    for earlier, later in ordered:
        assert _regressions(earlier, later) == 0, (earlier, later)
        assert _regressions(later, earlier) == 1, (earlier, later)
    for one, other in same:
        assert _regressions(one, other) == _regressions(other, one) == 0, (one, other)


def _regressions(*times: str) -> int:
    result = check(join(chain({"timestamp": f'"{time}"'} for time in times)))
    assert result["verdict"] == "intact"
    return int(result["clock_regressions"])


# ---------------------------------------------------------------- any bytes, any size


@given(st.binary(max_size=400))
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    assert check(data)["verdict"] == ("broken" if b"\n" in data else "torn" if data else "empty")


@given(st.text(alphabet='{}[]":,\\u01eE+-.truefalsn \n', max_size=200))
def test_any_json_like_text_gets_a_verdict(text: str) -> None:
    line = b'{"event_id":' + text.encode()
    assert check(line)["verdict"] in ("broken", "torn")
    assert check(join([line]))["verdict"] == "broken"


@pytest.mark.parametrize("filler", ["zeros", "start"])
def test_memory_does_not_follow_the_size(tmp_path: Path, filler: str) -> None:
    """A gigabyte that is no event: with an LF at its end, and as a torn tail."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(WHOLE if filler == "zeros" else b"x")
    os.truncate(path, 1 << 30)
    result = _limited(path)
    assert result["verdict"] == "torn"
    with path.open("ab") as file:
        file.write(b"\n")
    result = _limited(path)
    assert result["verdict"] == "broken"
    assert result["first_break_at"] == (4 if filler == "zeros" else 1)
    assert result["bytes"] == (1 << 30) + 1


def _limited(path: Path) -> dict[str, Any]:
    limit = 256 << 20

    def limit_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = run("--json", path, preexec_fn=limit_memory)
    assert done.stderr == b""
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# ---------------------------------------------------------------- as a program


@pytest.mark.parametrize(
    ("data", "arguments", "code"),
    [
        (WHOLE, [], 0),
        (b"", [], 0),
        (WHOLE + b"\n", [], 1),
        (WHOLE + b"{", [], 3),
        (WHOLE, ["--expect-count", "4"], 1),
        (WHOLE, ["--expect-head", "f" * 64], 1),
        (WHOLE + b"{", ["--expect-head", "f" * 64], 1),
        (WHOLE, ["--expect-head", HASHES[1].upper(), "--expect-count", "2"], 0),
    ],
)
def test_exit_codes(tmp_path: Path, data: bytes, arguments: list[str], code: int) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(data)
    spoken = run(path, *arguments)
    assert (spoken.returncode, spoken.stderr) == (code, b"")
    told = run(path, *arguments, "--json")
    assert (told.returncode, told.stderr, told.stdout.count(b"\n")) == (code, b"", 1)
    result = json.loads(told.stdout)
    assert spoken.stdout.startswith(result["verdict"].encode() + b": ")
    vouched = bool(arguments) or result["verdict"] == "broken"
    assert (VOUCHED in spoken.stdout) is not vouched
    piped = run("-", *arguments, "--json", input=data)
    assert (piped.returncode, piped.stdout) == (code, told.stdout)
    assert path.read_bytes() == data


def test_a_break_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(WHOLE.replace(b"1.5", b"2.5"))
    lines = run(path).stdout.decode().splitlines()
    assert lines[0] == "broken: hash mismatch at event #2"
    assert f"byte_offset: {len(THREE[0]) + 1}" in lines
    assert f"latest_hash: {HASHES[0]}" in lines


def test_no_byte_of_the_ledger_reaches_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for evil in ("\x1b]0;x\x07", "\u202e", "\x9b31m"):
        for text in (f'"{evil}"', f'"\\{evil}"', f'{{"a":"{evil}","a":1}}', evil):
            path.write_bytes(join(chain([{"source": text}, {"payload": text}, {text: "1"}])))
            shown = run(path).stdout.decode("ascii")
            assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.jsonl"],
        ["."],
        ["file/beneath"],
        [""],
        ["bad \udcff\x1b name"],
        ["file", "--expect-head", "f" * 63],
        ["file", "--expect-head", "\u0130" * 64],
        ["file", "--expect-head", ""],
        ["file", "--expect-count", "-1"],
        ["file", "--expect-count", "1.5"],
        ["file", "--expect-count", ""],
        ["file", "--expect-count", "9" * 5000],
        ["file", "other"],
        ["file", "--what"],
        ["file", "--js"],
        [],
    ],
)
def test_usage_errors_and_unreadable_files(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "file").write_bytes(WHOLE)
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr
    assert b"error: " in done.stderr
    assert b"\x1b" not in done.stderr


def test_a_stream_that_cannot_be_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as write_only:
        write_only.write(WHOLE)
        done = run("-", stdin=write_only)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: cannot read the ledger: ")


def test_an_append_under_way_is_no_torn_tail(tmp_path: Path) -> None:
    """The size is taken under the shared lock, so half a line under the writer's is not seen."""
    path = tmp_path / "ledger.jsonl"
    with path.open("wb", buffering=0) as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.write(WHOLE[:-50])
        command = [sys.executable, "-I", str(SCRIPT), "--json", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as verifier:
            with pytest.raises(subprocess.TimeoutExpired):
                verifier.wait(0.5)
            writer.write(WHOLE[-50:])
            fcntl.flock(writer, fcntl.LOCK_UN)
            result = json.loads(verifier.communicate(timeout=60)[0])
    assert result["verdict"] == "intact"


def test_it_locks_nobody_out_while_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(WHOLE)
    with path.open("rb") as stream, path.open("rb+") as writer:
        assert verify_ledger.size_now(stream) == len(WHOLE)
        fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_appended_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(WHOLE)
    with path.open("rb") as stream:
        size = verify_ledger.size_now(stream)
        with path.open("ab") as writer:
            writer.write(b"half a li")
        result = verify_ledger.verify(stream, size)
    assert (result["verdict"], result["bytes"]) == ("intact", len(WHOLE))


def test_a_file_cut_while_it_is_read_gets_no_verdict() -> None:
    with pytest.raises(OSError, match="was cut while"):
        verify_ledger.verify(io.BytesIO(WHOLE), len(WHOLE) + 1)


# ---------------------------------------------------------------- the promises of its docstring


def test_it_needs_only_an_old_python_and_its_library() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert names <= set(sys.stdlib_module_names)


def test_it_can_be_read_in_one_sitting() -> None:
    text = SCRIPT.read_text()
    assert text.count("\n") <= 500
    assert os.access(SCRIPT, os.X_OK)

"""The exit codes, one way to each, and endings that must be quiet.

0 done; 1 the ledger failed; 2 usage; 3 torn; 4 the machine; 130 Ctrl-C. A closed pipe is no error.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from audit_stream import errors
from audit_stream.cli import exits
from audit_stream.cli.streams import OutputClosed
from tests.cli.program import COMMAND, environment, inside, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Start

EVENT = ("--kind", "other", "--source", "s")
READING = ("query", "tail", "stats", "verify")


def leaves(base: type[errors.AuditStreamError]) -> list[type[errors.AuditStreamError]]:
    below = base.__subclasses__()
    return [base] if not below else [leaf for each in below for leaf in leaves(each)]


def test_every_error_has_an_exit_code() -> None:
    for error in leaves(errors.AuditStreamError):
        code = next(code for branch, code in exits._BY_BRANCH if issubclass(error, branch))
        assert code in exits.EXIT_CODES


def test_what_a_command_raises_becomes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: BaseException) -> int:
        def command() -> int:
            raise error

        return exits.guarded(command)

    for error, code, line in (
        (errors.InputError("bad\nword"), 2, "error: bad\\u000aword\n"),
        (errors.InvalidEventError("is bad", "payload.a"), 2, "error: payload.a: is bad\n"),
        (errors.DamagedTailError("broken"), 1, "error: broken\n"),
        (errors.HeadMismatchError("differs", "a", "b"), 1, "error: differs\n"),
        (errors.LockTimeoutError("busy"), 4, "error: busy\n"),
        (OutputClosed(), 0, ""),
        (KeyboardInterrupt(), 130, ""),
        (MemoryError(), 4, "error: out of memory\n"),
        (OSError(5, "Input/output error", "x"), 4, "error: x: Input/output error\n"),
    ):
        assert raising(error) == code
        assert capsys.readouterr().err == line


# -- 0 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", READING)
def test_0_for_an_intact_and_for_an_empty_ledger(command: str, ledger: Path, path: Path) -> None:
    assert inside(command, ledger).code == 0
    ledger.write_bytes(b"")
    assert inside(command, ledger).code == 0


# -- 1 -------------------------------------------------------------------------------------


def test_1_for_an_append_after_a_damaged_last_line(ledger: Path) -> None:
    data = ledger.read_bytes()
    for damaged in (data[:-2] + b"x\n", data + b"garbage\n", data + b"\n", data.replace(
        b'"payload":{},', b'"payload":{"a":1},'
    )):  # fmt: skip
        ledger.write_bytes(damaged)
        for options in (EVENT, ("--batch", "-")):
            done = inside("append", ledger, *options, stdin=b'{"kind":"other","source":"s"}\n')
            assert (done.code, done.out) == (1, b"")
            assert done.err.startswith(f"error: {ledger}: the last line is damaged (")
            assert done.err.endswith(f"run `audit-stream verify {ledger}`\n")
            assert ledger.read_bytes() == damaged
        assert inside("verify", ledger).code == 1


def test_1_when_the_expected_head_differs(ledger: Path) -> None:
    done = inside("append", ledger, *EVENT, "--expect-head", "0" * 64)
    assert (done.code, done.out) == (1, b"")


@pytest.mark.parametrize("command", READING)
def test_1_for_damage_met_on_the_way(command: str, ledger: Path) -> None:
    with ledger.open("ab") as file:
        file.write(b"garbage\n")
    assert inside(command, ledger).code == 1


# -- 2 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", READING)
def test_2_for_what_is_no_ledger(command: str, tmp_path: Path) -> None:
    for name, says in {
        "missing": "no such ledger; the first `append` creates it",
        ".": "a directory",
        "/dev/null": "not a regular file",
    }.items():
        done = inside(command, os.path.join(tmp_path, name))
        assert (done.code, done.out) == (2, b"")
        assert done.err.startswith("error: ")
        assert says in done.err
        assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["query", "tail", "stats"])
def test_2_for_a_fifo_without_waiting_for_its_writer(command: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = run(command, tmp_path / "fifo", timeout=10)
    assert (done.code, done.out) == (2, b"")
    assert done.err == f"error: {tmp_path}/fifo: not a regular file\n"


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "table"])
@pytest.mark.parametrize("command", ["query", "tail"])
def test_2_leaves_stdout_empty_in_every_form(command: str, form: str, path: Path) -> None:
    done = inside(command, path, "--format", form)
    assert (done.code, done.out) == (2, b"")


@pytest.mark.parametrize("command", ["query", "tail", "stats", "kinds", "append"])
def test_2_for_a_bad_configuration(command: str, ledger: Path) -> None:
    (ledger.parent / "audit-stream.toml").write_text("[kinds]\nanny = true\n")
    done = inside(command, ledger, *(EVENT if command == "append" else ()))
    assert (done.code, done.out) == (2, b"")
    assert 'kinds.anny: unknown key; did you mean "any"?' in done.err
    assert done.err.count("\n") == 1


def test_a_bad_configuration_does_not_stand_in_the_way_of_verification(ledger: Path) -> None:
    (ledger.parent / "audit-stream.toml").write_text("[[[")
    assert inside("verify", ledger).code == 0


# -- 3 -------------------------------------------------------------------------------------


def test_3_for_a_torn_tail_only(ledger: Path) -> None:
    with ledger.open("ab") as file:
        file.write(b'{"event_id":6')
    assert inside("verify", ledger).code == 3
    for command in ("query", "tail", "stats"):
        done = inside(command, ledger)
        assert done.code == 0
        assert done.err.startswith("warning: ")


# -- 4 -------------------------------------------------------------------------------------

PRINTING = ["query", "tail", "stats", "verify", "kinds", "--help", "--version"]


@pytest.mark.parametrize("command", [*PRINTING, "append"])
@pytest.mark.parametrize("form", ["full", "closed"])
def test_4_when_stdout_cannot_be_written(command: str, form: str, ledger: Path) -> None:
    words = [command] if command.startswith("-") else [command, str(ledger)]
    words += EVENT if command == "append" else []
    redirection = ">/dev/full" if form == "full" else ">&-"
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *words],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.startswith(b"error: cannot write the output: ")
    assert done.stderr.count(b"\n") == 1
    assert inside("verify", ledger).code == 0
    if command == "append":
        assert done.stderr.endswith(b"; the event is recorded all the same\n")
        assert ledger.read_bytes().count(b"\n") == 6


@pytest.mark.parametrize("room", [0, 1, 100])
@pytest.mark.parametrize("form", ["single", "batch"])
def test_4_when_the_ledger_has_no_room(room: int, form: str, ledger: Path) -> None:
    data = ledger.read_bytes()
    limit = len(data) + room
    options = EVENT if form == "single" else ("--batch", "-")
    done = run(
        "append",
        ledger,
        *options,
        stdin=b'{"kind":"other","source":"s"}\n' * 3,
        # Python would leave its own bytecode cut short too, and every later run broken.
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (done.code, done.out) == (4, b"")
    assert done.err.startswith(
        f"error: {ledger}: File too large while writing; nothing was recorded"
    )
    assert done.err.count("\n") == 1
    assert ledger.read_bytes() == data
    assert inside("append", ledger, *EVENT).code == 0


@pytest.mark.parametrize("options", [EVENT, (*EVENT, "--any-kind"), ("--batch", "-")])
def test_4_when_the_lock_is_not_to_be_had(options: tuple[str, ...], ledger: Path) -> None:
    data = ledger.read_bytes()
    with ledger.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        began = time.monotonic()
        done = run(
            "append",
            ledger,
            *options,
            stdin=b'{"kind":"other","source":"s"}\n',
            env={"AUDIT_STREAM_LOCK_TIMEOUT": "0.2"},
        )
        assert time.monotonic() - began < 10
    assert (done.code, done.out) == (4, b"")
    assert done.err.startswith(f"error: {ledger}: locked by another process for 0.2 s")
    assert done.err.count("\n") == 1
    assert ledger.read_bytes() == data


def test_an_append_waits_for_the_lock(ledger: Path, start: Start) -> None:
    with ledger.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start("append", ledger, *EVENT)
        time.sleep(0.3)
        assert process.poll() is None
        assert ledger.read_bytes().count(b"\n") == 5
    assert process.wait(10) == 0
    assert ledger.read_bytes().count(b"\n") == 6


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e99", "5s"])
def test_a_bad_lock_timeout_is_a_usage_error(text: str, ledger: Path) -> None:
    done = inside("append", ledger, *EVENT, env={"AUDIT_STREAM_LOCK_TIMEOUT": text})
    assert done.code == 2
    message = "expected seconds, like 5 or 0.5"
    assert done.err == f"error: AUDIT_STREAM_LOCK_TIMEOUT='{text}': {message}\n"


def test_readers_do_not_wait_for_a_writer_for_ever(ledger: Path, start: Start) -> None:
    with ledger.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for process in [start(command, ledger) for command in READING]:
            _, err = process.communicate(timeout=20)
            assert (process.returncode, err) == (0, b"")


# -- 130 -----------------------------------------------------------------------------------


def test_130_on_ctrl_c_while_following(ledger: Path, start: Start) -> None:
    process = start("tail", ledger, "-f")
    assert process.stdout is not None
    while process.stdout.read(1) != b"\n":
        pass
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, b"")


def test_130_on_ctrl_c_while_waiting_for_the_lock(ledger: Path, start: Start) -> None:
    with ledger.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start("append", ledger, *EVENT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert ledger.read_bytes().count(b"\n") == 5


def test_130_on_ctrl_c_while_verifying(path: Path, start: Start) -> None:
    process = start("verify", "-")
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")


# -- closed pipes --------------------------------------------------------------------------

CLOSED = [
    ["append", "L", *EVENT],
    ["append", "L", *EVENT, "--any-kind"],
    ["append", "L", "--batch", "-"],
    ["query", "L"],
    ["query", "L", "--count"],
    ["query", "L", "--format", "csv"],
    ["query", "L", "--format", "json"],
    ["query", "L", "--format", "table"],
    ["tail", "L"],
    ["tail", "L", "-f"],
    ["tail", "L", "-n", "0", "-f"],
    ["stats", "L"],
    ["stats", "L", "--json"],
    ["verify", "L"],
    ["verify", "L", "--json"],
    ["kinds"],
    ["kinds", "--json"],
    ["--help"],
    ["append", "--help"],
    ["--version"],
    ["--show-completion", "bash"],
    [],
]


@pytest.mark.parametrize("words", CLOSED, ids=" ".join)
def test_a_closed_pipe_is_quiet(words: list[str], ledger: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [str(ledger) if word == "L" else word for word in words]
    done = run(*arguments, stdin=b'{"kind":"other","source":"s"}\n', stdout=writer, timeout=20)
    os.close(writer)
    assert (done.code, done.err) == (0, "")
    if words[:1] == ["append"] and "--help" not in words:
        assert ledger.read_bytes().count(b"\n") == 6


def test_head_ends_a_long_query_quietly(path: Path) -> None:
    line = b'{"kind":"other","source":"s"}\n'
    assert inside("append", path, "--batch", "-", "-q", stdin=line * 5000).code == 0
    script = f"{' '.join(COMMAND)} query {path} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=environment(), capture_output=True, check=False
    )
    assert done.stderr == b""
    assert done.stdout == path.read_bytes().split(b"\n")[0] + b"\n0\n"

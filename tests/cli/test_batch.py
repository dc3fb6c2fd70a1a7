"""`append --batch`: a long-lived pipe that acknowledges only what is durable.

The promise under test: every line that was printed is in the ledger, whatever happens to the
process, its reader or its neighbours; and no line waits for a later one.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from audit_stream.ledger import Ledger
from tests.cli.program import forked, inside, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Start

LINE = b'{"kind":"other","source":"s","payload":{"n":%d}}\n'
EVENT = ("--kind", "other", "--source", "s")


def numbers(path: Path) -> list[int]:
    """The `n` of every event in the ledger."""
    return [json.loads(line)["payload"]["n"] for line in path.read_bytes().splitlines()]


def read_line(process: subprocess.Popen[bytes], timeout: float = 20) -> bytes:
    """Read one line of stdout, byte by byte so as to take nothing of the next."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([process.stdout], [], [], timeout)[0], "no answer"
        byte = process.stdout.read(1)
        assert byte, line
        line += byte
    return line


# -- forms of input ------------------------------------------------------------------------


def test_the_stored_lines_are_printed(path: Path) -> None:
    done = inside("append", path, "--batch", "-", stdin=LINE % 1 + LINE % 2 + LINE % 3)
    assert (done.code, done.err) == (0, "")
    assert done.out == path.read_bytes()
    assert numbers(path) == [1, 2, 3]


def test_a_batch_from_a_file(path: Path) -> None:
    file = path.parent / "batch.jsonl"
    file.write_bytes(LINE % 1 + LINE % 2)
    done = inside("append", path, "--batch", file)
    assert (done.code, done.out) == (0, path.read_bytes())


def test_a_batch_from_a_fifo(path: Path, start: Start) -> None:
    fifo = path.parent / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(LINE % 1 + LINE % 2))
    writer.start()
    done = run("append", path, "--batch", fifo)
    writer.join()
    assert (done.code, done.out) == (0, path.read_bytes())


def test_quiet_prints_nothing(path: Path) -> None:
    done = inside("append", path, "--batch", "-", "-q", stdin=LINE % 1)
    assert (done.code, done.out) == (0, b"")
    assert numbers(path) == [1]


FORMS = {
    "last line without LF": (LINE % 1 + (LINE % 2)[:-1], [1, 2]),
    "blank lines": (b"\n\n" + LINE % 1 + b"\n  \t\n" + LINE % 2 + b"\n\n", [1, 2]),
    "CRLF": ((LINE % 1 + LINE % 2).replace(b"\n", b"\r\n"), [1, 2]),
    "blank CRLF lines": (b"\r\n" + LINE % 1 + b"\r\n", [1]),
    "spaces around": (b"  " + (LINE % 1)[:-1] + b" \t\n", [1]),
    "nothing": (b"", []),
    "blank lines only": (b"\n\r\n \n", []),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_input(path: Path, form: str) -> None:
    data, wanted = FORMS[form]
    done = inside("append", path, "--batch", "-", stdin=data)
    assert (done.code, done.err) == (0, "")
    assert (numbers(path) if path.exists() else []) == wanted


def test_kind_and_source_fill_in_where_a_line_lacks_them(path: Path) -> None:
    lines = b'{}\n{"kind":"watch_created"}\n{"source":"t","payload":{"a":1}}\n'
    done = inside("append", path, "--batch", "-", *EVENT, stdin=lines)
    assert done.code == 0
    assert [(e["kind"], e["source"]) for e in done.events] == [
        ("other", "s"),
        ("watch_created", "s"),
        ("other", "t"),
    ]


def test_times_are_kept_and_null_stamps_now(path: Path) -> None:
    lines = b'{"timestamp":"2020-01-01T00:00:00Z"}\n{"timestamp":null}\n'
    first, second = inside("append", path, "--batch", "-", *EVENT, stdin=lines).events
    assert first["timestamp"] == "2020-01-01T00:00:00.000000+00:00"
    assert second["timestamp"] > "2026"


# -- bad lines -----------------------------------------------------------------------------

BAD_LINES: dict[bytes, str] = {
    b"x": "not JSON",
    b"{": "not JSON",
    b"[]": "an event is a JSON object, got an array",
    b"null": "an event is a JSON object, got null",
    b'"a"': "an event is a JSON object, got a string",
    b"{} {}": "not JSON",
    b"\xff": "not UTF-8",
    b'{"source":"\xff"}': "not UTF-8",
    b'{"source":"\xed\xa0\x80"}': "not UTF-8",
    b"\xef\xbb\xbf{}": "not JSON",
    b"\x00": "not JSON",
    b'{"source":"s"}': "kind: missing",
    b'{"kind":"other"}': "source: missing",
    b'{"kind":"othr","source":"s"}': 'kind: unknown kind "othr"; did you mean "other"?',
    b'{"kind":1,"source":"s"}': "kind: expected a string",
    b'{"kind":null,"source":"s"}': "kind: expected a string",
    b'{"kind":"Other","source":"s"}': "kind: expected lower-case",
    b'{"kind":"other","source":1}': "source: expected a string",
    b'{"kind":"other","source":null}': "source: expected a string",
    b'{"kind":"other","source":""}': "source: expected the producing service",
    b'{"kind":"other","source":"\\u0000"}': "source: control characters",
    b'{"kind":"other","source":"\\u009b"}': "source: control characters",
    b'{"kind":"other","source":"' + b"x" * 257 + b'"}': "source: expected at most 256",
    b'{"kind":"other","source":"s","payload":null}': "payload: expected a JSON object, got null",
    b'{"kind":"other","source":"s","payload":[]}': "payload: expected a JSON object",
    b'{"kind":"other","source":"s","payload":"{}"}': "payload: expected a JSON object",
    b'{"kind":"other","source":"s","payload":1}': "payload: expected a JSON object",
    b'{"kind":"other","source":"s","payload":{"a":1,"a":1}}': "appears twice",
    b'{"kind":"other","source":"s","kind":"other"}': '"kind" appears twice',
    b'{"kind":"other","source":"s","payload":{"a":NaN}}': "NaN has no JSON form",
    b'{"kind":"other","source":"s","payload":{"a":-Infinity}}': "Infinity has no JSON form",
    b'{"kind":"other","source":"s","payload":{"a":9007199254740992}}': "send it as a string",
    b'{"kind":"other","source":"s","payload":{"a":1e300}}': "send it as a string",
    b'{"kind":"other","source":"s","payload":{"a":1e999}}': "send it as a string",
    b'{"kind":"other","source":"s","payload":{"a":"\\ud800"}}': "surrogate",
    b'{"kind":"other","source":"s","payload":{"\\udfff":1}}': "surrogate",
    b'{"kind":"other","source":"s","payload":' + b'{"a":' * 64 + b"{}" + b"}" * 65: "nested deeper",
    b'{"kind":"other","source":"s","timestamp":"now"}': "timestamp: not an RFC 3339 time",
    b'{"kind":"other","source":"s","timestamp":1}': "timestamp: expected an RFC 3339 string",
    b'{"kind":"other","source":"s","timestamp":"2026-01-31T12:00:60Z"}': "leap second",
    b'{"kind":"other","source":"s","event_id":1}': "event_id: the ledger assigns it",
    b'{"kind":"other","source":"s","hash":""}': "hash: the ledger assigns it",
    b'{"kind":"other","source":"s","prev_hash":""}': "prev_hash: the ledger assigns it",
    b'{"kind":"other","source":"s","data":{}}': "data: unknown member",
    b'{"kind":"other","source":"s","\\u001b[31m":1}': "unknown member",
}


@pytest.mark.parametrize("line", BAD_LINES)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_a_bad_line_is_named_and_ends_the_batch(path: Path, line: bytes, ending: bytes) -> None:
    after = LINE % 4 if ending else b""
    data = LINE % 1 + b"\n" + LINE % 3 + line + ending + after
    done = inside("append", path, "--batch", "-", stdin=data)
    assert done.code == 2
    assert done.err.startswith("error: line 4: ")
    assert BAD_LINES[line] in done.err
    assert done.err.count("\n") == 1
    assert done.err[:-1].isprintable()
    assert numbers(path) == [1, 3]
    assert done.out == path.read_bytes()


def test_a_bad_first_line_creates_no_ledger(path: Path) -> None:
    for line in BAD_LINES:
        done = inside("append", path, "--batch", "-", stdin=line + b"\n" + LINE % 1)
        assert (done.code, done.out) == (2, b"")
        assert done.err.startswith("error: line 1: ")
    assert not path.exists()


def test_skip_invalid_goes_on_counts_and_reports(path: Path) -> None:
    data = b"".join(LINE % n + line + b"\n" for n, line in enumerate(BAD_LINES))
    done = inside("append", path, "--batch", "-", "--skip-invalid", stdin=data)
    assert done.code == 2
    assert numbers(path) == list(range(len(BAD_LINES)))
    assert done.out == path.read_bytes()
    errors = done.err.splitlines()
    assert len(errors) == len(BAD_LINES) + 1
    for position, (error, wanted) in enumerate(zip(errors, BAD_LINES.values(), strict=False)):
        assert error.startswith(f"error: line {2 * position + 2}: ")
        assert wanted in error
    assert errors[-1] == (
        f"error: {len(BAD_LINES)} lines were refused and skipped; everything else is recorded"
    )


def test_skip_invalid_without_a_bad_line_is_a_success(path: Path) -> None:
    done = inside("append", path, "--batch", "-", "--skip-invalid", stdin=LINE % 1)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("skip", [False, True])
def test_an_event_that_is_too_large_in_the_middle(path: Path, skip: bool) -> None:
    (path.parent / "audit-stream.toml").write_text("[limits]\nmax_event_bytes = 400\n")
    large = b'{"kind":"other","source":"s","payload":{"n":0,"a":"' + b"x" * 400 + b'"}}\n'
    data = LINE % 1 + LINE % 2 + large + LINE % 3 + large + LINE % 4
    options = ["--skip-invalid"] if skip else []
    done = inside("append", path, "--batch", "-", *options, stdin=data)
    assert done.code == 2
    assert "error: line 3: " in done.err
    assert "400" in done.err
    assert numbers(path) == ([1, 2, 3, 4] if skip else [1, 2])
    assert ("error: line 5: " in done.err) == skip
    assert done.out == path.read_bytes()


@pytest.mark.parametrize("skip", [False, True])
def test_a_line_without_an_end_neither_fills_the_memory_nor_loses_others(
    path: Path, skip: bool
) -> None:
    (path.parent / "audit-stream.toml").write_text("[limits]\nmax_event_bytes = 1000\n")
    options = ["--skip-invalid"] if skip else []
    data = LINE % 1 + b" " * 20_000 + b"x" * 9_000_000 + b"\n" + LINE % 2 + b"y" * 50_000
    done = inside("append", path, "--batch", "-", *options, stdin=data)
    assert done.code == 2
    assert done.err.startswith("error: line 2: longer than ")
    assert numbers(path) == ([1, 2] if skip else [1])
    assert ("error: line 4: " in done.err) == skip


def test_a_bad_default_kind_is_refused_at_once(path: Path) -> None:
    done = inside("append", path, "--batch", "-", "--kind", "othr", stdin=LINE % 1)
    assert done.code == 2
    assert 'did you mean "other"?' in done.err
    assert not path.exists()


# -- a long-lived pipe ---------------------------------------------------------------------


def test_each_line_is_answered_before_the_next_is_sent(path: Path, start: Start) -> None:
    process = start("append", path, "--batch", "-")
    assert process.stdin is not None
    for number in range(20):
        process.stdin.write(LINE % number)
        line = read_line(process)
        assert json.loads(line)["payload"] == {"n": number}
        assert path.read_bytes().endswith(line)
    process.stdin.close()
    assert process.wait(10) == 0


def test_half_a_line_does_not_hold_back_those_before_it(path: Path, start: Start) -> None:
    process = start("append", path, "--batch", "-")
    assert process.stdin is not None
    process.stdin.write(LINE % 1 + LINE % 2 + (LINE % 3)[:10])
    assert json.loads(read_line(process))["payload"] == {"n": 1}
    assert json.loads(read_line(process))["payload"] == {"n": 2}
    process.stdin.write((LINE % 3)[10:])
    assert json.loads(read_line(process))["payload"] == {"n": 3}
    process.stdin.write((LINE % 4)[:-1])
    process.stdin.close()
    assert json.loads(read_line(process))["payload"] == {"n": 4}
    assert process.wait(10) == 0


def test_a_bad_line_is_answered_at_once(path: Path, start: Start) -> None:
    process = start("append", path, "--batch", "-")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(LINE % 1 + b"x\n")
    assert process.wait(20) == 2
    assert process.stderr.read().startswith(b"error: line 2: ")
    assert numbers(path) == [1]


def test_lines_that_wait_are_committed_together(path: Path, start: Start) -> None:
    process = start("append", path, "--batch", "-")
    assert process.stdin is not None
    data = b"".join(LINE % number for number in range(20_000))
    feeder = threading.Thread(target=process.stdin.write, args=(data,))
    began = time.monotonic()
    feeder.start()
    assert process.stdout is not None
    out = b""
    while out.count(b"\n") < 20_000:
        out += os.read(process.stdout.fileno(), 1 << 20)
    feeder.join()
    process.stdin.close()
    assert process.wait(10) == 0
    assert out == path.read_bytes()
    assert time.monotonic() - began < 10  # one fdatasync a line would take longer
    assert run("verify", path).code == 0


def test_a_rotated_ledger_is_noticed(path: Path, start: Start) -> None:
    process = start("append", path, "--batch", "-")
    assert process.stdin is not None
    process.stdin.write(LINE % 1)
    read_line(process)
    path.rename(path.with_suffix(".1"))
    process.stdin.write(LINE % 2)
    event = json.loads(read_line(process))
    assert event["event_id"] == 1
    process.stdin.close()
    assert process.wait(10) == 0
    assert numbers(path) == [2]
    assert numbers(path.with_suffix(".1")) == [1]


def test_everything_is_recorded_when_the_reader_has_gone(path: Path, start: Start) -> None:
    process = start("append", path, "--batch", "-")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(LINE % 0)
    read_line(process)
    process.stdout.close()
    process.stdin.write(b"".join(LINE % number for number in range(1, 1000)))
    process.stdin.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
    assert numbers(path) == list(range(1000))


def test_a_full_disk_behind_stdout_says_what_is_recorded(path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = run("append", path, "--batch", "-", stdin=LINE % 1 + LINE % 2, stdout=full)
    assert done.code == 4
    assert "No space left on device" in done.err
    assert "recorded" in done.err
    assert numbers(path) == [1, 2]


def test_input_from_a_non_blocking_pipe(path: Path, start: Start) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    process = start("append", path, "--batch", "-", stdin=reader)
    os.close(reader)
    for number in range(3):
        time.sleep(0.1)
        os.write(writer, LINE % number)
        read_line(process)
    os.close(writer)
    assert process.wait(10) == 0
    assert numbers(path) == [0, 1, 2]


def test_ctrl_c_ends_quietly_with_130(path: Path, start: Start) -> None:
    process = start("append", path, "--batch", "-")
    assert process.stdin is not None
    process.stdin.write(LINE % 1)
    read_line(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert numbers(path) == [1]
    assert run("verify", path).code == 0


# -- kill -9, and company ------------------------------------------------------------------


def check_after_kill(path: Path, printed: bytes) -> None:
    """Every printed line is in the ledger, and the chain is whole, but for a torn tail."""
    stored = path.read_bytes() if path.exists() else b""
    whole = printed[: printed.rfind(b"\n") + 1]
    assert set(whole.splitlines(keepends=True)) <= set(stored.splitlines(keepends=True))
    if path.exists():
        assert Ledger(path).verify().verdict in ("intact", "empty", "torn")


def drain(fd: int) -> bytes:
    data = b""
    while more := os.read(fd, 1 << 16):
        data += more
    os.close(fd)
    return data


def killed(process: int, after: float) -> None:
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_kill_9_of_a_batch_at_any_moment(path: Path, start: Start) -> None:
    random.seed(9)
    inside("append", path, "--batch", "-", stdin=LINE % 1)  # imports what the children need
    outcomes: list[str] = []
    for _ in range(100):
        stdin, feed = os.pipe()
        out, stdout = os.pipe()
        process = forked("append", path, "--batch", "-", stdin=stdin, stdout=stdout)
        os.close(stdin)
        os.close(stdout)

        def pour(feed: int = feed) -> None:
            try:
                for number in range(100_000):
                    os.write(feed, LINE % number * random.randint(1, 10))
            except BrokenPipeError:
                pass
            os.close(feed)

        answers: list[bytes] = []
        pourer = threading.Thread(target=pour)
        reader = threading.Thread(
            target=lambda out=out, answers=answers: answers.append(drain(out))
        )
        pourer.start()
        if random.random() < 0.5:
            select.select([out], [], [], 5)  # at work
        else:
            time.sleep(random.uniform(0, 0.02))  # coming up
        reader.start()
        killed(process, random.uniform(0, 0.02))
        pourer.join()
        reader.join()
        outcomes.append("printed" if answers[0] else "not printed")
        check_after_kill(path, answers[0])
        if path.exists() and path.stat().st_size > 1 << 20:
            path.unlink()  # keeps the checks quick
    assert len(set(outcomes)) == 2  # the moments were spread over the whole of it
    assert inside("append", path, *EVENT).code == 0  # heals whatever there is
    assert Ledger(path).verify().verdict == "intact"


def test_kill_9_of_single_appends_at_any_moment(path: Path) -> None:
    random.seed(10)
    outcomes: list[str] = []
    for _ in range(110):
        out, stdout = os.pipe()
        process = forked("append", path, *EVENT, "--set", "a=" + "x" * 300_000, stdout=stdout)
        os.close(stdout)
        killed(process, random.uniform(0, 0.012))
        answer = drain(out)
        outcomes.append("printed" if answer else "not printed")
        check_after_kill(path, answer)
        if path.exists() and path.stat().st_size > 8 << 20:
            path.unlink()
    assert len(set(outcomes)) == 2  # the moments were spread over the whole of it
    assert inside("append", path, *EVENT, "-q").code == 0
    assert Ledger(path).verify().verdict == "intact"


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_tail_cut_anywhere_is_healed_by_the_next_batch(ledger: Path, cut: int) -> None:
    data = ledger.read_bytes()
    last = data.rfind(b"\n", 0, -1) + 1
    kept = last + cut * (len(data) - last - 1) // 39
    ledger.write_bytes(data[:kept])
    done = inside("append", ledger, "--batch", "-", stdin=LINE % 1)
    assert done.code == 0
    assert done.err.startswith("warning: ")
    assert done.events[0]["event_id"] == 5
    (aside,) = ledger.parent.glob("*.torn-*")
    assert aside.read_bytes() == data[last:kept]
    assert Ledger(ledger).verify().verdict == "intact"


def test_eight_processes_at_once(path: Path, start: Start) -> None:
    processes: dict[int, int] = {}
    for number in range(8):
        if number % 2:
            stdin, feed = os.pipe()
            out, stdout = os.pipe()
            process = forked("append", path, "--batch", "-", stdin=stdin, stdout=stdout)
            os.close(stdin)
            threading.Thread(
                target=lambda feed=feed, number=number: (
                    [os.write(feed, LINE % (number * 1000 + n)) for n in range(200)],
                    os.close(feed),
                )
            ).start()
            os.close(stdout)
            processes[process] = out
    singles: list[int] = []
    for n in range(100):
        singles.append(forked("append", path, *EVENT, "--set", f"n={n}", "-q"))
        if len(singles) >= 4:
            assert os.waitpid(singles.pop(0), 0)[1] == 0
    for process in singles:
        assert os.waitpid(process, 0)[1] == 0
    printed = [line for out in processes.values() for line in drain(out).splitlines()]
    for process in processes:
        assert os.waitpid(process, 0)[1] == 0
    stored = path.read_bytes().splitlines()
    assert len(stored) == 4 * 200 + 100
    assert set(printed) <= set(stored)
    assert len(printed) == len(set(printed)) == 800
    wanted = [*range(100), *(number * 1000 + n for number in (1, 3, 5, 7) for n in range(200))]
    assert sorted(numbers(path)) == sorted(wanted)
    assert Ledger(path).verify().verdict == "intact"

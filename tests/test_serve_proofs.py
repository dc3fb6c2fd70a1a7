"""`serve` signs by itself and gives out proofs that need not be believed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from audit_stream import merkle, note
from audit_stream.checkpoint import parse_text
from audit_stream.storage.journal import split_records
from tests.desk import Desk
from tests.signed import event_lines, store

ROOT = Path(__file__).parent.parent
LINES = event_lines(40)


class Server:
    """`audit-stream serve` in a process of its own."""

    def __init__(self, desk: Desk, *options: str) -> None:
        self.desk = desk
        self.log = desk.path("server.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "audit_stream", "serve", "l", "--port", "0", *options],
                cwd=desk.home,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                stderr=log,
            )
        found = self.logged(r'"url": "([^"]+)"')
        self.client = httpx.Client(base_url=found[1], trust_env=False, timeout=30)

    def logged(self, pattern: str) -> re.Match[str]:
        """Waits for a line of the log."""
        for _ in range(1000):
            found = re.search(pattern, self.log.read_text())
            if found:
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def signed(self, size: int) -> bytes:
        """Waits for a checkpoint of that size."""
        for _ in range(1000):
            answer = self.client.get("/checkpoint")
            if answer.status_code == 200 and size_of(answer.content) == size:
                return answer.content
            time.sleep(0.02)
        raise AssertionError(f"no checkpoint of {size} events: {answer.text}")

    def append(self, count: int) -> None:
        drafts = [{"kind": "other", "source": "tests", "payload": {"n": n}} for n in range(count)]
        body = "".join(json.dumps(draft) + "\n" for draft in drafts)
        headers = {"Content-Type": "application/x-ndjson"}
        assert self.client.post("/events", content=body, headers=headers).status_code == 201

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


Start = Callable[..., Server]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def start(desk: Desk) -> Iterator[Start]:
    running: list[Server] = []

    def begin(*options: str) -> Server:
        running.append(Server(desk, *options))
        return running[-1]

    yield begin
    for server in running:
        with contextlib.suppress(ProcessLookupError):
            server.stop()


def size_of(data: bytes) -> int:
    return parse_text(note.parse(data).text).size


KEY = ("--checkpoint-key", "log.key")


@pytest.mark.parametrize("every", ["200ms", "3"])
def test_it_signs_by_itself(desk: Desk, start: Start, every: str) -> None:
    server = start(*KEY, "--checkpoint-every", every)
    server.signed(0)
    for size in (3, 6):
        server.append(3)
        data = server.signed(size)
        desk.write("cp", data)
        assert desk.verify("l", "--checkpoint", "cp") == ("intact", 0)
    kept = server.client.get("/checkpoints")
    assert kept.headers["content-type"] == "text/plain; charset=utf-8"
    assert [size_of(data) for data in split_records(kept.content)] == [0, 3, 6]
    desk.write("all", kept.content)
    assert desk.verify("l", "--checkpoint", "all") == ("intact", 0)
    newest = server.client.get("/checkpoints", params={"limit": 1})
    assert split_records(newest.content) == [data]
    assert server.stop() == 0
    assert desk.read("l.checkpoints") == kept.content


def test_too_few_events_are_not_signed(desk: Desk, start: Start) -> None:
    server = start(*KEY, "--checkpoint-every", "5")
    server.signed(0)
    server.append(4)
    time.sleep(0.6)
    assert size_of(server.client.get("/checkpoint").content) == 0
    server.append(1)
    server.signed(5)


def test_it_goes_on_where_it_was(desk: Desk, start: Start) -> None:
    desk.lines("l", LINES[:10])
    first = desk.read(desk.sign("l", "cp"))
    desk.lines("l", LINES)
    server = start(*KEY, "--checkpoint-every", "1h")
    server.signed(40)
    server.stop()
    assert start(*KEY).client.get("/checkpoint").status_code == 200
    records = split_records(desk.read("l.checkpoints"))
    assert records[0] == first
    assert [size_of(data) for data in records] == [10, 40]


def test_a_fork_is_logged_and_not_signed(desk: Desk, start: Start) -> None:
    desk.lines("l", LINES[:30])
    desk.sign("l", "cp")
    desk.lines("l", event_lines(40, "other"))
    server = start(*KEY, "--checkpoint-every", "100ms")
    server.logged('"event": "checkpoint_failed", "detail": "the first 30 events are not the ones')
    server.append(1)
    assert server.client.get("/checkpoint").content == desk.read("cp")
    answer = server.client.get("/events/3/proof")
    assert (answer.status_code, answer.json()["code"]) == (500, "proof")
    assert server.client.get("/events/4/proof").json() == answer.json()


def signers(server: Server) -> list[int]:
    """The signing processes of a server with one worker."""
    pid = server.process.pid
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [
        child
        for child in children
        if b"signing_process" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes in /proc")
def test_a_signing_process_that_dies_is_replaced(desk: Desk, start: Start) -> None:
    server = start(*KEY, "--checkpoint-every", "1")
    server.signed(0)
    (first,) = signers(server)
    os.kill(first, signal.SIGKILL)
    server.append(1)
    server.signed(1)
    (second,) = signers(server)
    assert first != second
    server.stop()
    assert not Path(f"/proc/{second}").exists()


def test_among_workers_one_signs(desk: Desk, start: Start) -> None:
    server = start(*KEY, "--checkpoint-every", "1", "--workers", "2")
    server.signed(0)
    for size in range(1, 5):
        server.append(1)
        server.signed(size)
    sizes = [size_of(data) for data in split_records(desk.read("l.checkpoints"))]
    assert sizes == [0, 1, 2, 3, 4]


def test_proofs_over_http_are_the_files_of_the_command_line(desk: Desk, start: Start) -> None:
    desk.lines("l", LINES[:10])
    desk.sign("l", "old")
    desk.lines("l", LINES[:30])
    desk.sign("l", "new")
    desk.lines("l", LINES)
    client = start().client
    assert client.get("/checkpoint").content == desk.read("new")
    for event_id in (1, 10, 30):
        answer = client.get(f"/events/{event_id}/proof")
        assert answer.content == desk.done("prove", "l", event_id).out
    joined = desk.done("prove-extends", "old", "new", "l").out
    path = "/proof/consistency"
    answer = client.get(path, params={"from": 10, "to": 30}, headers={"Accept": "text/plain"})
    assert answer.content == joined
    for params in ({"from": 7, "to": 21}, {"from": 7}, {"from": 0, "to": 0}):
        found = client.get(path, params=params).json()
        old, new = params["from"], params.get("to", 30)
        roots = [store(LINES[:n])[0].root() for n in (old, new)]
        assert [b64decode(found[name]) for name in ("from_root", "to_root")] == roots
        merkle.check_consistency(old, new, *roots, [b64decode(one) for one in found["hashes"]])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/events/31/proof", 404, "not_signed"),
        ("/events/0/proof", 404, "no_such_event"),
        ("/events/x/proof", 404, "no_such_event"),
        ("/proof/consistency", 400, "bad_parameter"),
        ("/proof/consistency?from=x", 400, "bad_parameter"),
        ("/proof/consistency?from=-1", 400, "bad_parameter"),
        ("/proof/consistency?from=5&to=4", 400, "input"),
        ("/proof/consistency?from=5&to=31", 404, "not_signed"),
        ("/checkpoints?limit=0", 400, "bad_parameter"),
    ],
)
def test_what_cannot_be_proved_is_refused(
    refusing: Server, path: str, status: int, code: str
) -> None:
    answer = refusing.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    desk = Desk(tmp_path_factory.mktemp("refusing"))
    desk.lines("l", LINES[:30])
    desk.sign("l", "cp")
    desk.lines("l", LINES)
    server = Server(desk)
    yield server
    server.stop()


def test_a_size_that_was_not_signed_has_no_file(refusing: Server) -> None:
    text = {"Accept": "text/plain"}
    answer = refusing.client.get("/proof/consistency?from=5&to=30", headers=text)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_signed")


def test_without_a_checkpoint_there_is_nothing_to_give(desk: Desk, start: Start) -> None:
    desk.lines("l", LINES)
    client = start().client
    for path in ("/checkpoint", "/events/1/proof", "/proof/consistency?from=1"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_signed")
    assert client.get("/checkpoints").content == b""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--checkpoint-every", "1m"], "goes with --checkpoint-key"),
        ([*KEY, "--checkpoint-every", "0"], "expected a time like 1m, or a number of events"),
        ([*KEY, "--checkpoint-every", "soon"], "expected a time like 1m, or a number of events"),
        (["--checkpoint-key", "missing"], "missing: cannot read it"),
        (["--checkpoint-key", "witness.key"], "is not a log key"),
    ],
)
def test_what_cannot_be_meant_stops_the_start(desk: Desk, options: list[str], words: str) -> None:
    done = desk.run("serve", "l", "--port", "0", *options)
    assert (done.code, words in done.err) == (2, True), done
    assert not desk.path("l").exists()


def test_the_paths_are_described(refusing: Server) -> None:
    paths = refusing.client.get("/openapi.json").json()["paths"]
    endpoints = refusing.client.get("/").json()["endpoints"]
    for path in ("/checkpoint", "/checkpoints", "/events/{event_id}/proof", "/proof/consistency"):
        assert list(paths[path]) == ["get"]
        assert f"GET {path}" in endpoints

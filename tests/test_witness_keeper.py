"""A witness at work: what it cosigns it remembers first, over HTTP and through files alike."""

from __future__ import annotations

import asyncio
import http.server
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from audit_stream import merkle, note, witness
from audit_stream.checkpoint import open_checkpoint
from audit_stream.errors import MalformedError, StorageError
from audit_stream.policy import parse_policy, trust
from audit_stream.server import witness_app
from audit_stream.signing import verify
from audit_stream.witness import Answer, Request
from audit_stream.witness_keeper import Keeper
from tests.desk import Desk
from tests.faults import HOWS, Crash, FaultyDisk
from tests.signed import LOG, ORIGIN, WITNESSES, checkpoint, event_lines, signed, store

LINES = event_lines(40)
OTHER = event_lines(40, "other")
KEY = WITNESSES[0]
NOW = 1_767_323_045


def keeper(home: Path, disk: FaultyDisk | None = None) -> Keeper:
    return Keeper(
        str(home / "state"), trust(LOG.key), KEY.key, KEY, clock=lambda: NOW * 10**9, disk=disk
    )


def request(old: int, size: int, lines: list[bytes] = LINES) -> bytes:
    hashes = merkle.consistency_proof(old, size, store(lines[:size])[1])
    data = signed(checkpoint(lines[:size]).text(), LOG)
    return witness.format_request(Request(old, tuple(hashes), data))


def test_a_log_is_followed(tmp_path: Path) -> None:
    for old, size in ((0, 0), (0, 10), (10, 10), (10, 17), (17, 40)):
        answer = keeper(tmp_path).answer(request(old, size))
        assert answer.status == 200
        data = signed(checkpoint(LINES[:size]).text(), LOG)
        cosigned = witness.add_cosignatures(data, answer.body, (KEY.key,), verify)
        policy = parse_policy(f"log {LOG.key}\nwitness w {KEY.key}\nquorum w\n".encode())
        believed = open_checkpoint(cosigned, policy, verify)
        assert believed.cosignatures[0].time == NOW
        assert keeper(tmp_path).state_of(ORIGIN).size == size
    for file in (tmp_path / "state").iterdir():
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (request(0, 20), 409, b"10\n"),
        (request(5, 20), 409, b"10\n"),
        (request(10, 20, OTHER), 422, None),
        (request(10, 10, OTHER), 409, None),
        (request(0, 9), 409, b"10\n"),
        (request(10, 20).replace(b"\n20\n", b"\n21\n"), 403, None),
        (request(10, 20).replace(b"old 10", b"old 30"), 400, None),
        (request(10, 20).replace(ORIGIN.encode(), b"example.org/x"), 404, None),
        (b"", 400, None),
    ],
)
def test_a_refusal_changes_nothing(
    tmp_path: Path, data: bytes, status: int, body: bytes | None
) -> None:
    witnessing = keeper(tmp_path)
    witnessing.answer(request(0, 10))
    answer = witnessing.answer(data)
    assert answer.status == status
    assert (answer.content_type == witness.TREE_SIZE) == (body is not None)
    assert body is None or answer.body == body
    assert witnessing.state_of(ORIGIN).root == store(LINES[:10])[0].root()
    assert witnessing.answer(request(10, 20)).status == 200


@pytest.mark.parametrize("damage", [b"", b"junk", b"example.org/ledger\n10\n"])
def test_a_damaged_memory_is_not_an_empty_one(tmp_path: Path, damage: bytes) -> None:
    keeper(tmp_path).answer(request(0, 10))
    (file,) = (tmp_path / "state").glob("*.state")
    file.write_bytes(damage)
    with pytest.raises(MalformedError, match="damaged"):
        keeper(tmp_path).answer(request(0, 20))
    file.write_bytes(witness.format_state(witness.unseen("example.org/other")))
    with pytest.raises(MalformedError, match="is about"):
        keeper(tmp_path).answer(request(0, 20))


@pytest.mark.parametrize("how", HOWS)
def test_a_crash_at_any_step_cosigns_no_fork(tmp_path: Path, how: str) -> None:
    """Nothing is cosigned that is not remembered; what is remembered is cosigned when asked."""
    step = 0
    while True:
        step += 1
        home = tmp_path / f"{step}"
        home.mkdir()
        keeper(home).answer(request(0, 10))
        disk = FaultyDisk(step, how)
        told = None
        with suppress(StorageError, Crash):
            told = keeper(home, disk).answer(request(10, 20))
        size = keeper(home).state_of(ORIGIN).size
        assert size == 20 or (told is None and size == 10)
        if size == 20:
            assert keeper(home).answer(request(10, 20, OTHER)).status == 409
        assert keeper(home).answer(request(size, 20)).status == 200
        if disk.steps < step:
            break
    assert told is not None
    assert step > 1


def _ask_often(home: Path, lines: list[bytes], answers: multiprocessing.Queue[int]) -> None:
    witnessing = keeper(home)
    for size in range(1, 30):
        old = witnessing.state_of(ORIGIN).size
        if old <= size:
            answers.put(size if witnessing.answer(request(old, size, lines)).status == 200 else 0)


def test_of_two_histories_asked_at_once_one_is_cosigned(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[int] = context.Queue()
    workers = [
        context.Process(target=_ask_often, args=(tmp_path, lines, answers))
        for lines in (LINES, OTHER)
    ]
    for worker in workers:
        worker.start()
    found = []
    while any(worker.is_alive() for worker in workers) or not answers.empty():
        if not answers.empty():
            found.append(answers.get())
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    granted = [size for size in found if size]
    assert granted
    assert all(before <= after for before, after in pairwise(sorted(granted)))
    roots = {store(lines[:29])[0].root() for lines in (LINES, OTHER)}
    assert keeper(tmp_path).state_of(ORIGIN).root in roots


# -- over HTTP -------------------------------------------------------------------------------------


def ask(answering: Keeper, body: bytes, path: str = "/add-checkpoint") -> httpx.Response:
    """POSTs to the service inside this process."""
    transport = httpx.ASGITransport(witness_app.application(answering))

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:
            return await client.post(path, content=body)

    # In a thread of its own: a browser's test may have left a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(post())).result()


def test_the_service_answers_as_the_format_says(tmp_path: Path) -> None:
    witnessing = keeper(tmp_path)
    first = ask(witnessing, request(0, 10))
    assert (first.status_code, first.headers["content-type"]) == (200, witness.TEXT)
    stale = ask(witnessing, request(0, 20))
    assert (stale.status_code, stale.text) == (409, "10\n")
    assert stale.headers["content-type"] == "text/x.tlog.size"
    assert ask(witnessing, request(10, 20, OTHER)).status_code == 422
    assert ask(witnessing, b"", "/").status_code == 404


def test_a_body_is_bounded(tmp_path: Path) -> None:
    data = bytes(witness_app.MAX_BODY_BYTES + 1)
    assert ask(keeper(tmp_path), data).status_code == 413
    assert ask(keeper(tmp_path), data[:-1]).status_code == 400


def test_a_witness_that_cannot_remember_cosigns_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask(keeper(tmp_path), request(0, 10))
    (file,) = (tmp_path / "state").glob("*.state")
    file.write_bytes(b"junk")
    answer = ask(keeper(tmp_path), request(0, 20))
    assert (answer.status_code, answer.text) == (500, "the witness cannot answer now\n")
    assert "damaged" in caplog.text


def test_the_program_serves_and_stops(tmp_path: Path) -> None:
    """The real thing, on a port of its own; stopped by SIGTERM, it has forgotten nothing."""
    desk = Desk(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["witness", "serve", "--key", "witness.key", "--log", desk.vkey, "--state", "state"]
    process = subprocess.Popen(
        [sys.executable, "-m", "audit_stream", *command, "--port", str(port)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    url = f"http://127.0.0.1:{port}"
    desk.lines("l", LINES)
    desk.sign("l", "cp")
    for _ in range(500):
        done = desk.run("witness", "ask", "l", url, *ASK)
        if done.code != 4:
            break
        time.sleep(0.02)
    process.terminate()
    assert done.code == 0, done
    assert process.wait(10) in (0, -15)
    assert keeper(tmp_path).state_of(ORIGIN).size == 40


class Service:
    """A keeper on a real port, asked with `witness ask`."""

    def __init__(self, answering: Keeper) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = (
                    answering.answer(body)
                    if self.path == "/log/add-checkpoint"
                    else Answer(404, witness.TEXT, b"nothing here\n")
                )
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/log"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "witness").mkdir()
    service = Service(keeper(tmp_path / "witness"))
    yield service
    service.stop()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.lines("l", LINES[:20])
    desk.sign("l", "cp")
    return desk


ASK = ("--witness-key", KEY.key)


def test_asking_leads_to_a_cosigned_checkpoint(desk: Desk, service: Service) -> None:
    for prefix in (service.url, f"{service.url}/"):
        done = desk.done("witness", "ask", "l", prefix, *ASK)
        assert done.out.startswith(desk.read("cp"))
        assert len(note.parse(done.out).signatures) == 2
        assert desk.read("l.checkpoints").endswith(done.out + b"\n\n")
    desk.lines("l", LINES)
    desk.sign("l", "cp")
    desk.done("witness", "ask", "l", service.url, *ASK)


def test_a_fork_is_told_to_the_log(desk: Desk, service: Service) -> None:
    desk.done("witness", "ask", "l", service.url, *ASK)
    for lines, words in (
        (OTHER[:30], "error: the witness answers 422"),
        (OTHER[:20], "error: the witness answers 409"),
        (LINES[:10], "error: the witness has cosigned 20 events, the last checkpoint has 10"),
    ):
        desk.path("l.checkpoints").unlink()
        desk.lines("l", lines)
        desk.sign("l", "cp")
        done = desk.run("witness", "ask", "l", service.url, *ASK)
        assert (done.code, done.out) == (1, b"")
        assert done.err.startswith(words)


def test_a_witness_that_is_not_the_one_asked_for_is_not_believed(
    desk: Desk, service: Service
) -> None:
    done = desk.run("witness", "ask", "l", service.url, "--witness-key", WITNESSES[1].key)
    assert (done.code, "no cosignature by a known witness" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("url", "code"), [("nonsense", 2), ("http://127.0.0.1:1", 4), ("ftp://example.org", 2)]
)
def test_a_witness_that_cannot_be_reached_is_told(desk: Desk, url: str, code: int) -> None:
    done = desk.run("witness", "ask", "l", url, *ASK)
    assert (done.code, done.out) == (code, b"")


def test_no_witness_at_that_path(desk: Desk, service: Service) -> None:
    done = desk.run("witness", "ask", "l", f"{service.url}/elsewhere", *ASK)
    assert done.code == 4
    assert "the witness answers 404: 'nothing here'" in done.err


def test_through_files(desk: Desk) -> None:
    witness_side = ("--key", "witness.key", "--log", desk.vkey, "--state", "state")
    for size, old in ((20, 0), (40, 20)):
        desk.lines("l", LINES[:size])
        desk.sign("l", "cp")
        desk.write("request", desk.done("witness", "request", "l", "--old", old).out)
        desk.write("answer", desk.done("witness", "cosign", "request", *witness_side).out)
        done = desk.done("witness", "add", "l", "answer", *ASK)
        assert len(note.parse(done.out).signatures) == 2
    desk.write("request", desk.done("witness", "request", "l").out)
    done = desk.run("witness", "cosign", "request", *witness_side)
    assert (done.code, done.out) == (1, b"")
    assert done.err == "error: 40 events of this log were cosigned here; ask with --old 40\n"


def test_an_answer_that_comes_late_is_printed_and_not_kept(desk: Desk) -> None:
    """The cosignature is over the older text, so it is not one of the last checkpoint."""
    witness_side = ("--key", "witness.key", "--log", desk.vkey, "--state", "state")
    desk.write("request", desk.done("witness", "request", "l").out)
    desk.write("answer", desk.done("witness", "cosign", "request", *witness_side).out)
    desk.lines("l", LINES)
    desk.sign("l", "newer")
    kept = desk.read("l.checkpoints")
    assert desk.run("witness", "add", "l", "answer", *ASK).code == 1
    done = desk.run("witness", "add", "l", "answer", "--checkpoint", "cp", *ASK)
    assert (done.code, "keep this one in a file of its own" in done.err) == (0, True)
    assert len(note.parse(done.out).signatures) == 2
    assert desk.read("l.checkpoints") == kept


def test_the_right_keys_are_asked_for(desk: Desk) -> None:
    desk.write("request", desk.done("witness", "request", "l").out)
    side = ("--log", desk.vkey, "--state", "state")
    assert desk.run("witness", "cosign", "request", "--key", "log.key", *side).code == 2
    desk.write("answer", b"")
    assert desk.run("witness", "add", "l", "answer", "--witness-key", desk.vkey).code == 2
    assert desk.run("witness", "add", "l", "answer", *ASK).code == 2

"""What was answered 201 is in the ledger: through kill -9, full disks, failing disks, shutdown."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from audit_stream import Ledger
from tests.server.live import Live, Stream

if TYPE_CHECKING:
    from tests.server.conftest import Start

CRASHES = int(os.environ.get("AUDIT_STREAM_CRASHES", "4"))
"""How often the server is killed under load; `scripts/` runs more than a quick test run can."""

CLIENTS = 32


class Producers:
    """Clients that post as fast as they can, and remember what was acknowledged."""

    def __init__(self, live: Live, clients: int = CLIENTS) -> None:
        self.acknowledged: list[tuple[int, str]] = []
        self.refused: list[int] = []
        self._stop = False
        self._url = live.url
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        count = 0
        with httpx.Client(base_url=self._url, timeout=10, trust_env=False) as client:
            while not self._stop:
                name = f"{number}-{count}-{random.random()}"
                draft = {"kind": "other", "source": "load", "payload": {"name": name}}
                try:
                    answer = client.post("/events", json=draft)
                except httpx.HTTPError:
                    return
                if answer.status_code == 201:
                    self.acknowledged.append((answer.json()["event_id"], name))
                else:
                    self.refused.append(answer.status_code)
                    time.sleep(0.01)
                count += 1

    def join(self) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


def test_killed_under_load(start: Start) -> None:
    live = start()
    acknowledged: list[tuple[int, str]] = []
    for _ in range(CRASHES):
        producers = Producers(live)
        time.sleep(random.uniform(0.2, 0.8))
        live.kill()
        producers.join()
        assert producers.acknowledged
        acknowledged += producers.acknowledged
        live = start()
        assert live.client.get("/verify").json()["valid"]
    with Ledger(live.ledger) as ledger:
        stored = {event.event_id: event.payload["name"] for event in ledger.query()}
    names = list(stored.values())
    assert len(set(names)) == len(names)
    for event_id, name in acknowledged:
        assert stored[event_id] == name


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stopped_under_load(start: Start, workers: str) -> None:
    live = start("--workers", workers)
    streams = [Stream(live, "/stream") for _ in range(10)]
    producers = Producers(live, 8)
    time.sleep(0.5)
    began = time.monotonic()
    assert live.stop() == 0
    assert time.monotonic() - began < 5
    producers.join()
    assert all(stream.ended() for stream in streams)
    assert {stream.error for stream in streams} == {None}
    assert set(producers.refused) <= {503}
    with Ledger(live.ledger) as ledger:
        assert ledger.verify().valid
        for event_id, name in producers.acknowledged:
            event = ledger.get(event_id)
            assert event
            assert event.payload["name"] == name
    assert len(producers.acknowledged) <= ledger.head().count


def test_workers_end_with_their_parent(start: Start) -> None:
    live = start("--workers", "2")
    live.post()
    live.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            live = start("--port", str(live.port))
            break
        except AssertionError:
            time.sleep(0.2)
    else:
        pytest.fail("the workers of a killed parent still hold the address")
    assert live.post().json()["event_id"] == 2


def test_a_client_that_does_not_read_cannot_hold_up_the_end(start: Start) -> None:
    import socket

    live = start()
    with socket.create_connection(("127.0.0.1", live.port)) as stalled:
        stalled.sendall(b"GET /stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(8):
            live.post_batch(20, payload={"text": "x" * 500_000})
        began = time.monotonic()
        assert live.stop() == 0
        assert time.monotonic() - began < 5


def test_ctrl_c(start: Start) -> None:
    assert start().stop(signal.SIGINT) == 130


class TestFull:
    def limit(self, live: Live, size: int) -> None:
        hard = resource.prlimit(live.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(live.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def test_a_file_size_limit(self, start: Start) -> None:
        live = start()
        live.post()
        stored = live.ledger.read_bytes()
        self.limit(live, len(stored) + 100)
        for _ in range(2):
            answer = live.post()
            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert live.ledger.read_bytes() == stored
        ready = live.client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "storage_full")
        assert live.client.get("/healthz").status_code == 200
        assert live.client.get("/events").json()[0]["event_id"] == 1
        self.limit(live, resource.RLIM_INFINITY)
        assert live.post().json()["event_id"] == 2
        assert live.client.get("/readyz").status_code == 200
        assert live.client.get("/verify").json()["valid"]

    def test_under_load(self, start: Start) -> None:
        live = start()
        live.post()
        self.limit(live, 100_000)
        producers = Producers(live, 16)
        deadline = time.monotonic() + 10
        while len(producers.refused) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        producers.join()
        assert set(producers.refused) == {507}
        with Ledger(live.ledger) as ledger:
            assert ledger.verify().valid
            assert ledger.head().count == len(producers.acknowledged) + 1


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
class TestFailingDisk:
    def start(self, start: Start, *inject: str) -> Live:
        arguments = ("strace", "-f", "-qq", "-o", os.devnull, *inject)
        return start(wrap=arguments)

    def server_pid(self, live: Live) -> int:
        children = f"/proc/{live.process.pid}/task/{live.process.pid}/children"
        with open(children) as file:
            return int(file.read().split()[0])

    def test_fsync_fails_once(self, start: Start) -> None:
        live = self.start(start, "-e", "inject=fdatasync:error=EIO:when=3")
        assert [live.post().status_code for _ in range(2)] == [201, 201]
        stored = live.ledger.read_bytes()
        failed = live.post()
        assert failed.status_code == 503
        assert "Input/output error" in failed.json()["detail"]
        assert live.ledger.read_bytes() == stored
        latched = live.post()
        assert (latched.status_code, latched.json()["code"]) == (503, "storage_latched")
        assert "retry-after" in latched.headers
        ready = live.client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "storage_latched")
        assert live.metric("audit_stream_latched") == 1
        assert live.logged("append_failed")["code"] == "storage"
        answer = live.client.post("/admin/reopen")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        assert live.post().json()["event_id"] == 3
        assert live.client.get("/verify").json()["checked"] == 3
        os.kill(self.server_pid(live), signal.SIGTERM)
        live.process.wait(10)

    def test_sighup_reopens(self, start: Start) -> None:
        live = self.start(start, "-e", "inject=fdatasync:error=EIO:when=2")
        assert [live.post().status_code for _ in range(3)] == [201, 503, 503]
        os.kill(self.server_pid(live), signal.SIGHUP)
        live.logged("reopened")
        assert live.post().status_code == 201
        os.kill(self.server_pid(live), signal.SIGTERM)
        live.process.wait(10)

    def test_a_slow_disk_stalls_nobody_else(self, start: Start) -> None:
        live = self.start(start, "-e", "inject=fdatasync:delay_enter=700000")
        with Ledger(live.ledger) as ledger:
            ledger.append("other", "before")
        stream = Stream(live, "/stream?after=0")
        stream.wait_for(1)
        posting = threading.Thread(target=live.post)
        posting.start()
        time.sleep(0.1)
        worst = 0.0
        with httpx.Client(base_url=live.url, trust_env=False) as client:
            while posting.is_alive():
                began = time.perf_counter()
                assert client.get("/healthz").status_code == 200
                worst = max(worst, time.perf_counter() - began)
        assert worst < 0.3
        stream.wait_for(2)
        os.kill(self.server_pid(live), signal.SIGTERM)
        live.process.wait(10)


def test_a_damaged_last_line(start: Start) -> None:
    live = start()
    live.post()
    live.stop()
    live.ledger.write_bytes(live.ledger.read_bytes().replace(b'"test"', b'"tesu"'))
    live = start()
    assert live.client.get("/readyz").json()["status"] == "damaged_tail"
    refused = live.post()
    assert (refused.status_code, refused.json()["code"]) == (503, "damaged_tail")
    assert live.client.get("/verify").json()["reason"] == "hash mismatch at event #1"


def test_a_torn_tail_is_healed_by_the_next_append(start: Start) -> None:
    live = start()
    live.post()
    with live.ledger.open("ab") as file:
        file.write(b'{"event_id":2,"ha')
    verdict = live.client.get("/verify").json()
    assert (verdict["verdict"], verdict["torn_tail_bytes"]) == ("torn", 17)
    assert live.post().json()["event_id"] == 2
    assert live.client.get("/verify").json()["valid"]
    (moved,) = live.ledger.parent.glob("*.torn-*")
    assert live.logged("torn_tail_moved")["to"] == str(moved)


def test_another_process_holds_the_lock(start: Start) -> None:
    import fcntl

    live = start()
    for _ in range(40):  # until commits are made on the event loop
        live.post()
    with live.ledger.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        posting = threading.Thread(target=live.post)
        posting.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert live.client.get("/healthz").status_code == 200
        assert time.monotonic() - began < 0.2
        assert posting.is_alive()
        fcntl.flock(file, fcntl.LOCK_UN)
        posting.join(5)
        assert not posting.is_alive()
    assert live.client.get("/stats").json()["count"] == 41


def test_the_queue_is_bounded(start: Start) -> None:
    import fcntl

    live = start(config="[serve]\nmax_pending = 5\n")
    answers: list[httpx.Response] = []
    with live.ledger.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        posting = []
        for number in range(8):
            post = threading.Thread(
                target=lambda n=number: answers.append(  # type: ignore[misc]
                    httpx.post(
                        f"{live.url}/events",
                        json={"kind": "other", "source": "s", "payload": {"n": n}},
                        trust_env=False,
                        timeout=20,
                    )
                )
            )
            post.start()
            posting.append(post)
        deadline = time.monotonic() + 5
        while len(answers) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[0].json()["code"] == "queue_full"
        assert "retry-after" in answers[0].headers
        assert live.client.get("/readyz").json()["status"] == "queue_full"
        fcntl.flock(file, fcntl.LOCK_UN)
        for post in posting:
            post.join(10)
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [503] * 3

"""Server-Sent Events: what is sent, from where on, and what a client can rely on."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from audit_stream import Ledger
from tests.server.live import ROOT, Live, Stream, parse_messages

if TYPE_CHECKING:
    from tests.server.conftest import Start


class TestForm:
    def test_named_and_unnamed(self, start: Start) -> None:
        live = start()
        named, unnamed = Stream(live, "/stream"), Stream(live, "/events/stream")
        for stream in (named, unnamed):
            assert stream.status == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert "no-store" in stream.headers["cache-control"]
        lines = [live.post({"text": "a\u2028b\u0085c"}, kind=kind).text for kind in ("other",) * 2]
        assert [message.data for message in named.wait_for(2)] == lines
        assert [message.data for message in unnamed.wait_for(2)] == lines
        assert [(m.event, m.id) for m in named.messages] == [("other", "1"), ("other", "2")]
        assert [(m.event, m.id) for m in unnamed.messages] == [(None, "1"), (None, "2")]

    def test_filters(self, start: Start) -> None:
        live = start()
        by_kind = Stream(live, "/stream?kind=request_denied&kind=request_allowed")
        by_source = Stream(live, "/stream?source=b&after=0")
        for kind, source in (
            ("other", "a"),
            ("request_denied", "a"),
            ("request_allowed", "b"),
            ("other", "b"),
        ):
            live.post(kind=kind, source=source)
        by_kind.wait_for(2)
        by_source.wait_for(2)
        assert by_kind.ids == [2, 3]
        assert by_source.ids == [3, 4]

    def test_an_unknown_kind(self, shared: Live) -> None:
        stream = Stream(shared, "/stream?kind=no_such_kind")
        assert stream.status == 422

    def test_head_opens_no_stream(self, shared: Live) -> None:
        answer = shared.client.head("/stream")
        assert answer.status_code == 200
        assert shared.metric("audit_stream_subscribers") == 0


class TestPosition:
    def test_from_now_on(self, start: Start) -> None:
        live = start()
        live.post_batch(5)
        stream = Stream(live, "/stream")
        live.post()
        stream.wait_for(1)
        assert stream.ids == [6]

    def test_what_was_missed_comes_first(self, start: Start) -> None:
        live = start()
        live.post_batch(5)
        streams = [
            Stream(live, "/stream?after=3"),
            Stream(live, "/stream", **{"Last-Event-ID": "3"}),
            Stream(live, "/stream?after=0", **{"Last-Event-ID": "3"}),
        ]
        live.post()
        for stream in streams:
            stream.wait_for(3)
            assert stream.ids == [4, 5, 6]

    @pytest.mark.parametrize(
        ("path", "header"), [("/stream?after=99", ""), ("/stream", "99"), ("/stream", "x1")]
    )
    def test_another_ledger(self, start: Start, path: str, header: str) -> None:
        live = start()
        live.post_batch(3)
        stream = Stream(live, path, **({"Last-Event-ID": header} if header else {}))
        live.post()
        reset, event = stream.wait_for(2)[:2]
        assert reset.event == "reset"
        with Ledger(live.ledger) as ledger:
            found = ledger.get(3)
            assert found
            assert reset.json == {"last_event_id": 3, "latest_hash": found.hash}
        assert (event.event, event.id) == ("other", "4")

    @pytest.mark.parametrize("after", ["-1", "x", "1.5"])
    def test_a_bad_position(self, shared: Live, after: str) -> None:
        assert Stream(shared, f"/stream?after={after}").status == 400

    def test_far_behind(self, start: Start) -> None:
        live = start()
        for part in range(10):
            live.post_batch(5000, part * 5000, source="far" * 20)
        stream = Stream(live, "/stream?after=0")
        other = Stream(live, "/stream?after=25000&source=test&source=" + "far" * 20)
        live.post()
        stream.wait_for(50_001, 30)
        other.wait_for(25_001, 30)
        assert stream.ids == list(range(1, 50_002))
        assert other.ids == list(range(25_001, 50_002))


class TestSources:
    def test_the_command_line_appends_to_the_served_file(self, start: Start) -> None:
        live = start()
        stream = Stream(live, "/stream")
        live.post()
        stream.wait_for(1)
        began = time.monotonic()
        flags = ["--kind", "other", "--source", "cli"]
        subprocess.run(
            [sys.executable, "-m", "audit_stream", "append", str(live.ledger), *flags],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        appended = time.monotonic()
        stream.wait_for(2)
        assert time.monotonic() - appended < 0.25, appended - began
        live.post()
        stream.wait_for(3)
        assert stream.ids == [1, 2, 3]
        assert live.client.get("/verify").json()["valid"]

    def test_two_workers(self, start: Start) -> None:
        live = start("--workers", "2")
        streams = [Stream(live, "/stream?after=0") for _ in range(8)]
        for _ in range(40):
            with httpx.Client(base_url=live.url, trust_env=False) as client:
                draft = {"kind": "other", "source": "test"}
                assert client.post("/events", json=draft).status_code == 201
        for stream in streams:
            stream.wait_for(40)
            assert stream.ids == list(range(1, 41))
        assert live.client.get("/verify").json()["checked"] == 40
        assert live.metric('audit_stream_appended_events_total{kind="other",source="test"}') == 40
        assert live.client.get("/readyz").json()["verification"]["verdict"] == "intact"
        began = time.monotonic()
        live.stop()
        assert time.monotonic() - began < 5

    def test_a_rotated_ledger(self, start: Start) -> None:
        live = start()
        stream = Stream(live, "/stream")
        live.post_batch(3)
        stream.wait_for(3)
        live.ledger.rename(live.ledger.with_name("old.jsonl"))
        live.post()
        live.post()
        messages = stream.wait_for(6)
        assert [(m.event, m.id) for m in messages[3:]] == [
            ("reset", "0"),
            ("other", "1"),
            ("other", "2"),
        ]
        assert messages[3].json == {"last_event_id": 0, "latest_hash": None}
        assert live.client.get("/stats").json()["count"] == 2


class TestCrowds:
    def test_no_gap_and_no_duplicate_across_restarts_under_load(self, start: Start) -> None:
        live = start()
        port, posting, lost = live.port, True, 0

        def produce() -> None:
            nonlocal lost
            while posting:
                draft = {"kind": "other", "source": "load"}
                try:
                    with httpx.Client(base_url=live.url, timeout=2, trust_env=False) as client:
                        while posting:
                            client.post("/events", json=draft)
                except httpx.HTTPError:
                    lost += 1
                    time.sleep(0.01)

        producers = [threading.Thread(target=produce) for _ in range(4)]
        for producer in producers:
            producer.start()
        seen: list[int] = []
        for _ in range(4):
            headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
            stream = Stream(live, "/stream?after=0", **headers)
            stream.wait_for(30)
            live.kill()
            assert stream.ended()
            seen += stream.ids
            live = start("--port", str(port))
        posting = False
        for producer in producers:
            producer.join()
        count = live.client.get("/stats").json()["count"]
        stream = Stream(live, "/stream", **{"Last-Event-ID": str(seen[-1])})
        stream.wait_for(count - len(seen))
        seen += stream.ids
        assert lost
        assert seen == list(range(1, count + 1))

    def test_coming_and_going_under_load(self, start: Start) -> None:
        live = start()
        live.post_batch(50)
        posting = True

        def produce() -> None:
            with httpx.Client(base_url=live.url, trust_env=False) as client:
                while posting:
                    client.post("/events", json={"kind": "other", "source": "load"})

        producer = threading.Thread(target=produce)
        producer.start()
        for number in range(25):
            # Alone, so that there are moments in which nobody subscribes.
            after = live.client.get("/stats").json()["last_event_id"] - number
            with httpx.stream(
                "GET", f"{live.url}/stream?after={after}", trust_env=False
            ) as response:
                for message in parse_messages(response.iter_lines()):
                    assert int(message.id or 0) == after + 1
                    after += 1
                    if message.json["source"] == "load" and after % 40 == 0:
                        break
        posting = False
        producer.join()

    def test_a_subscriber_that_stops_reading(self, start: Start) -> None:
        live = start()
        live.post()
        brisk = Stream(live, "/stream")
        stalled = socket.create_connection(("127.0.0.1", live.port))
        stalled.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while live.metric("audit_stream_subscribers") < 2:
            time.sleep(0.01)
        live.post_batch(5000)
        brisk.wait_for(5000)
        before = live.memory()
        for part in range(19):
            live.post_batch(5000, part * 5000)
        brisk.wait_for(100_000, 30)
        assert brisk.ids == list(range(2, 100_002))
        assert live.memory() - before < 24 << 20
        # It comes back to life, and misses nothing.
        stalled.settimeout(20)
        data = bytearray()
        while b"\nid: 100001\n" not in data[-2000:]:
            piece = stalled.recv(1 << 20)
            assert piece, f"it was let go after {len(data)} bytes"
            data += piece
        assert data.count(b"\nid: ") == 100_000
        stalled.close()

    def test_two_hundred_subscribers(self, start: Start) -> None:
        live = start()
        counts: list[int] = []
        ready = threading.Barrier(2)
        listener = threading.Thread(
            target=lambda: counts.extend(_listen(live.port, 200, 400, ready))
        )
        listener.start()
        ready.wait(30)
        latencies = []
        began = time.perf_counter()
        for number in range(400):
            at = time.perf_counter()
            assert live.post({"n": number}).status_code == 201
            latencies.append(time.perf_counter() - at)
            time.sleep(max(0.0, began + (number + 1) / 200 - time.perf_counter()))
        listener.join(30)
        assert counts == [400] * 200
        assert sorted(latencies)[200] < 0.05

    def test_no_more_than_allowed(self, start: Start) -> None:
        live = start(config="[serve]\nmax_subscribers = 2\n")
        streams = [Stream(live, "/stream") for _ in range(3)]
        assert [stream.status for stream in streams] == [200, 200, 503]
        assert "retry-after" in streams[2].headers


def _listen(port: int, number: int, expected: int, ready: threading.Barrier) -> list[int]:
    """Open `number` streams in one thread and count messages until all have `expected`."""
    import selectors

    selector = selectors.DefaultSelector()
    counts: dict[socket.socket, int] = {}
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        counts[connection] = 0
    ready.wait(10)
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline and min(counts.values()) < expected:
        for key, _ in selector.select(0.2):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            with contextlib.suppress(BlockingIOError):
                counts[connection] += connection.recv(1 << 20).count(b'"event_id":')
    for connection in counts:
        connection.close()
    return list(counts.values())


def test_idle_subscribers_are_kept_and_gone_ones_let_go(start: Start) -> None:
    live = start()
    streams = [socket.create_connection(("127.0.0.1", live.port)) for _ in range(20)]
    for stream in streams:
        stream.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while live.metric("audit_stream_subscribers") < 20:
        time.sleep(0.01)
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 10
    while live.metric("audit_stream_subscribers") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert live.metric("audit_stream_subscribers") == 0
    assert os.listdir(f"/proc/{live.process.pid}/fd")

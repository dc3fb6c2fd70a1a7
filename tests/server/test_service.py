"""Verification, statistics, readiness, metrics, kinds, the OpenAPI document."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import BaseModel

from audit_stream import Ledger
from audit_stream.server import models
from audit_stream.server.aggregate import MOST_BUCKETS
from tests.server.live import Live, parse_messages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Start


def at_second(n: int) -> str:
    return time.strftime("2026-01-%dT%H:%M:%SZ", time.gmtime(n))


def fill(path: Path, count: int) -> None:
    """Append events, one for each second from 2026-01-01 on."""
    with Ledger(path) as ledger:
        for start in range(0, count, 10_000):
            ledger.append_many(
                {
                    "kind": "request_denied" if n % 4 else "other",
                    "source": f"s{n % 3}",
                    "payload": {"n": n, "text": "x" * 100},
                    "timestamp": at_second(n),
                }
                for n in range(start, min(count, start + 10_000))
            )


class TestVerify:
    def test_a_new_ledger(self, start: Start) -> None:
        live = start()
        verdict = live.client.get("/verify").json()
        assert (verdict["valid"], verdict["checked"], verdict["verdict"]) == (True, 0, "empty")
        assert live.client.get("/stats").json()["last_event_id"] == 0
        assert live.client.get("/stats").json()["latest_hash"] is None
        assert live.client.get("/events").json() == []

    def test_a_broken_one(self, start: Start) -> None:
        live = start()
        live.post_batch(10)
        data = live.ledger.read_bytes()
        live.ledger.write_bytes(data.replace(b'"n":6', b'"n":5'))
        verdict = live.client.get("/verify").json()
        assert list(verdict)[:4] == ["valid", "checked", "first_break_at", "reason"]
        assert (verdict["valid"], verdict["first_break_at"], verdict["checked"]) == (False, 7, 6)
        assert verdict["reason"] == "hash mismatch at event #7"
        ready = live.client.get("/readyz").json()["verification"]
        assert (ready["verdict"], ready["first_break_at"]) == ("broken", 7)
        assert live.metric('audit_stream_last_verification_verdict{verdict="broken"}') == 1

    def test_progress_then_the_result(self, start: Start, tmp_path: Path) -> None:
        fill(tmp_path / "ledger.jsonl", 60_000)
        live = start()
        with live.client.stream(
            "GET", "/verify", headers={"accept": "text/event-stream"}
        ) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            messages = list(parse_messages(response.iter_lines()))
        *progress, result = messages
        assert result.event == "result"
        assert result.json == live.client.get("/verify").json()
        assert progress
        assert {message.event for message in progress} == {"progress"}
        sizes = [message.json["bytes"] for message in progress]
        assert sizes == sorted(sizes)
        last = progress[-1].json
        assert last["checked"] == 60_000
        assert last["bytes"] == last["total_bytes"] == live.ledger.stat().st_size

    def test_nobody_waits_for_it_and_it_runs_once(self, start: Start, tmp_path: Path) -> None:
        fill(tmp_path / "ledger.jsonl", 150_000)
        live = start()
        live.client.get("/stats")
        results: list[Any] = []

        def ask() -> None:
            answer = httpx.get(f"{live.url}/verify", timeout=60, trust_env=False)
            results.append(answer.json())

        asking = [threading.Thread(target=ask) for _ in range(5)]
        for thread in asking:
            thread.start()
        latencies = []
        while any(thread.is_alive() for thread in asking):
            began = time.perf_counter()
            assert live.client.get("/healthz").json() == {"status": "ok"}
            latencies.append(time.perf_counter() - began)
            time.sleep(0.002)
        assert [result["checked"] for result in results] == [150_000] * 5
        assert sum(line["event"] == "verified" for line in live.log) == 1
        assert sorted(latencies)[int(len(latencies) * 0.99)] < 0.05

    def test_no_verdict_is_older_than_its_question(self, start: Start, tmp_path: Path) -> None:
        fill(tmp_path / "ledger.jsonl", 40_000)
        live = start()
        first = threading.Thread(target=lambda: live.client.get("/verify"))
        first.start()
        time.sleep(0.15)
        with httpx.Client(base_url=live.url, timeout=30, trust_env=False) as client:
            client.post("/events", json={"kind": "other", "source": "s"})
            assert client.get("/verify").json()["checked"] == 40_001
        first.join()

    def test_at_intervals_and_against_a_pin(self, start: Start, tmp_path: Path) -> None:
        live = start("--verify-every", "200ms", "--pin", str(tmp_path / "pin"))
        live.post_batch(5)
        deadline = time.monotonic() + 10
        found: Any = None
        while time.monotonic() < deadline:
            found = live.client.get("/readyz").json()["verification"]
            if found and found["checked"] == 5:
                break
            time.sleep(0.05)
        assert found["verdict"] == "intact"
        with live.ledger.open("r+b") as file:
            file.truncate(len(live.ledger.read_bytes().splitlines(keepends=True)[0]))
        while time.monotonic() < deadline and found["verdict"] == "intact":
            found = live.client.get("/readyz").json()["verification"]
            time.sleep(0.05)
        assert found["verdict"] == "truncated"
        assert live.client.get("/readyz").status_code == 200

    def test_it_ends_with_the_server(self, start: Start, tmp_path: Path) -> None:
        fill(tmp_path / "ledger.jsonl", 150_000)
        live = start()
        asking = threading.Thread(
            target=lambda: httpx.get(f"{live.url}/verify", timeout=60, trust_env=False)
        )
        asking.start()
        time.sleep(0.5)
        began = time.monotonic()
        live.stop()
        assert time.monotonic() - began < 5
        asking.join(10)


class TestStats:
    @pytest.fixture
    def filled(self, start: Start, tmp_path: Path) -> Live:
        fill(tmp_path / "ledger.jsonl", 30_000)  # large enough for the counting process
        return start()

    def test_counts(self, filled: Live) -> None:
        stats = filled.client.get("/stats").json()
        with Ledger(filled.ledger) as ledger:
            tally = ledger.stats()
        assert {**tally.members(), "bytes": filled.ledger.stat().st_size} == stats
        filled.post(source="new")
        stats = filled.client.get("/stats").json()
        assert stats["count"] == 30_001
        assert stats["by_source"]["new"] == 1
        assert stats["by_kind"]["other"] == 7_501

    def test_over_time(self, filled: Live) -> None:
        def ask(**query: object) -> Any:
            answer = filled.client.get("/stats", params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()["over_time"]

        hours = ask(bucket="hour")
        assert hours["bucket_seconds"] == 3600
        assert hours["start"] == "2026-01-01T00:00:00.000000+00:00"
        assert hours["kinds"]["other"] == [900] * 8 + [300]
        assert hours["kinds"]["request_denied"] == [2700] * 8 + [900]
        auto = ask(bucket="auto")
        lengths = {len(counts) for counts in auto["kinds"].values()}
        assert len(lengths) == 1
        assert 20 <= lengths.pop() <= 121
        some = ask(
            bucket="60", kind="other", since="2026-01-01T01:00:00Z", until="2026-01-01T01:02:00Z"
        )
        assert some == {
            "bucket_seconds": 60,
            "start": "2026-01-01T01:00:00.000000+00:00",
            "kinds": {"other": [15, 15]},
        }
        assert ask(bucket="hour", contains='"n":777,')["kinds"] == {"request_denied": [1]}

    def test_filters(self, filled: Live) -> None:
        stats = filled.client.get("/stats", params={"source": "s1", "kind": "other"}).json()
        assert stats["by_kind"] == {"other": 2500}
        assert stats["by_source"] == {"s1": 2500}
        assert stats["count"] == 30_000
        query = {"contains": '"n":12', "source": "s0"}
        expected = [n for n in range(30_000) if str(n).startswith("12") and n % 3 == 0]
        stats = filled.client.get("/stats", params=query).json()
        assert stats["by_source"] == {"s0": len(expected)}

    @pytest.mark.parametrize("bucket", ["0", "-1", "x", "1.5", "week", "9" * 30])
    def test_a_bad_bucket(self, shared: Live, bucket: str) -> None:
        assert shared.client.get("/stats", params={"bucket": bucket}).status_code == 400

    def test_too_many_buckets(self, filled: Live) -> None:
        answer = filled.client.get("/stats?bucket=1")
        assert answer.status_code == 400
        assert str(MOST_BUCKETS) in answer.json()["detail"]

    def test_an_empty_ledger(self, start: Start) -> None:
        stats = start().client.get("/stats?bucket=auto").json()
        assert stats["count"] == 0
        assert stats["over_time"] == {"bucket_seconds": 60, "start": None, "kinds": {}}


class TestRest:
    def test_info(self, shared: Live) -> None:
        info = shared.client.get("/").json()
        assert info["name"] == "audit-stream"
        assert "POST /events" in info["endpoints"]

    def test_kinds(self, start: Start) -> None:
        live = start("--allow-kind", "deploy_started", config='[kinds.extra]\nbot = ["a.b"]\n')
        kinds = {kind["kind"]: kind["source"] for kind in live.client.get("/kinds").json()["kinds"]}
        assert kinds["other"] == "any"
        assert kinds["a.b"] == "bot"
        assert live.post(kind="deploy_started").status_code == 201
        assert live.post(kind="a.b").status_code == 201
        assert live.client.get("/events?kind=a.b").json()[0]["kind"] == "a.b"

    def test_metrics(self, start: Start) -> None:
        live = start()
        live.post_batch(7)
        live.client.get("/verify")
        text = live.client.get("/metrics")
        assert text.headers["content-type"].startswith("text/plain")
        assert live.metric('audit_stream_appended_events_total{kind="other",source="test"}') == 7
        assert live.metric("audit_stream_batch_events_sum") == 7
        assert live.metric("audit_stream_fsync_seconds_count") == 1
        assert live.metric("audit_stream_append_seconds_count") == 1
        assert live.metric("audit_stream_queue_depth") == 0
        assert live.metric("audit_stream_subscribers") == 0
        assert live.metric("audit_stream_ledger_bytes") == live.ledger.stat().st_size
        assert live.metric("audit_stream_head_event_id") == 7
        assert live.metric('audit_stream_last_verification_verdict{verdict="intact"}') == 1
        assert live.metric("audit_stream_last_verification_timestamp_seconds") > 1.7e9

    def test_the_log(self, start: Start) -> None:
        live = start()
        live.stop()
        assert [line["event"] for line in live.log] == ["serving", "stopped"]
        assert all({"time", "level"} <= set(line) for line in live.log)

    def test_read_only(self, start: Start) -> None:
        import os

        live = start()
        live.post()
        live.ledger.chmod(0o400)
        if os.geteuid() == 0:
            return  # root may write anyway
        assert live.client.get("/readyz").json()["status"] == "read_only"


class TestOpenApi:
    def test_what_it_describes_is_what_there_is(self, shared: Live) -> None:
        document = shared.client.get("/openapi.json").json()
        assert document["openapi"] == "3.1.0"
        listed = {
            f"{method.upper()} {path}"
            for path, operations in document["paths"].items()
            for method in operations
        }
        endpoints = set(shared.client.get("/").json()["endpoints"])
        assert listed == endpoints
        names = [
            operation["operationId"]
            for operations in document["paths"].values()
            for operation in operations.values()
        ]
        assert len(set(names)) == len(names)

    @pytest.mark.parametrize(
        ("path", "model"),
        [
            ("/", models.ServiceInfo),
            ("/healthz", models.Health),
            ("/readyz", models.Readiness),
            ("/verify", models.VerifyResult),
            ("/stats?bucket=auto", models.Stats),
            ("/kinds", models.Vocabulary),
            ("/session", models.SessionState),
            ("/events/1", models.Event),
            ("/events/0", models.Problem),
        ],
    )
    def test_answers_have_the_shapes(self, shared: Live, path: str, model: type[BaseModel]) -> None:
        shared.post()
        answer = shared.client.get(path)
        found = model.model_validate(answer.json(), strict=True)
        assert json.loads(found.model_dump_json(exclude_unset=True)) == answer.json()

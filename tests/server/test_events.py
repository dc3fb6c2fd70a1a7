"""Appending and reading over REST."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pytest

from audit_stream import Ledger
from tests.server.live import Live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.conftest import Start

ZEROS = "0" * 64


class TestAppending:
    def test_the_answer_is_the_stored_line(self, shared: Live) -> None:
        answer = shared.post({"b": 1, "a": "é"})
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "application/json"
        event = answer.json()
        assert answer.headers["location"] == f"/events/{event['event_id']}"
        assert answer.headers["etag"] == f'"{event["hash"]}"'
        assert answer.content == shared.ledger.read_bytes().splitlines()[event["event_id"] - 1]
        assert shared.client.get(answer.headers["location"]).content == answer.content

    def test_a_supplied_time_is_kept(self, shared: Live) -> None:
        answer = shared.post(timestamp="2026-01-31T13:00:00+01:00")
        assert answer.json()["timestamp"] == "2026-01-31T12:00:00.000000+00:00"

    @pytest.mark.parametrize(
        ("body", "member"),
        [
            ({"kind": "no_such_kind", "source": "s"}, "kind"),
            ({"kind": "Other", "source": "s"}, "kind"),
            ({"source": "s"}, "kind"),
            ({"kind": "other"}, "source"),
            ({"kind": "other", "source": ""}, "source"),
            ({"kind": "other", "source": "s", "payload": []}, "payload"),
            ({"kind": "other", "source": "s", "payload": None}, "payload"),
            ({"kind": "other", "source": "s", "timestamp": "2026-01-31T12:00:00"}, "timestamp"),
            ({"kind": "other", "source": "s", "event_id": 7}, "event_id"),
            ({"kind": "other", "source": "s", "colour": 1}, "colour"),
        ],
    )
    def test_an_invalid_event_is_refused_by_member(
        self, shared: Live, body: dict[str, object], member: str
    ) -> None:
        before = shared.client.get("/stats").json()["count"]
        answer = shared.client.post("/events", json=body)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["member"] == member
        assert problem["status"] == 422
        assert {"type", "title", "detail"} <= set(problem)
        assert shared.client.get("/stats").json()["count"] == before

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"kind":"other","kind":"other","source":"s"}',
            b'{"kind":"other","source":"s","payload":{"a":NaN}}',
            b'{"kind":"other","source":"s","payload":{"a":9007199254740992}}',
            b'{"kind":"other","source":"s","payload":{"a":"\\ud800"}}',
            b'{"kind":"other","source":"\xff"}',
            b'{"kind":"other","source":"s","payload":' + b'{"a":' * 65 + b"1" + b"}" * 66,
            b"[" * 100_000,
            b'{"a":' * 100_000,
        ],
        ids=lambda body: str(body[:30]),
    )
    def test_malformed_json_is_refused(self, shared: Live, body: bytes) -> None:
        answer = shared.client.post(
            "/events", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 422
        assert answer.json()["detail"]

    @pytest.mark.parametrize(
        "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
    )
    def test_only_json_content_types(self, shared: Live, kind: str | None) -> None:
        headers = {} if kind is None else {"content-type": kind}
        answer = shared.client.post(
            "/events", content=b'{"kind":"other","source":"s"}', headers=headers
        )
        assert answer.status_code == 415
        assert "application/json" in answer.headers["accept"]

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
    def test_content_type_parameters_do_not_matter(self, shared: Live, kind: str) -> None:
        answer = shared.client.post(
            "/events", content=b'{"kind":"other","source":"s"}', headers={"content-type": kind}
        )
        assert answer.status_code == 201

    def test_too_large(self, start: Start) -> None:
        live = start(config="[limits]\nmax_event_bytes = 600\n[serve]\nmax_body_bytes = 5000\n")
        answer = live.post({"text": "x" * 600})
        assert (answer.status_code, answer.json()["code"]) == (413, "event_too_large")
        for content in (b"x" * 5001, iter([b"x" * 3000, b"x" * 3000])):
            answer = live.client.post(
                "/events", content=content, headers={"content-type": "application/json"}
            )
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert live.post().status_code == 201


class TestIfMatch:
    def test_the_expected_head(self, start: Start) -> None:
        live = start()
        draft = {"kind": "other", "source": "s"}
        first = live.client.post("/events", json=draft, headers={"if-match": f'"{ZEROS}"'})
        assert first.status_code == 201
        second = live.client.post("/events", json=draft, headers={"if-match": f'"{ZEROS}"'})
        assert second.status_code == 412
        assert second.json()["head_hash"] == first.json()["hash"]
        assert second.headers["etag"] == first.headers["etag"]
        third = live.client.post("/events", json=draft, headers={"if-match": first.headers["etag"]})
        assert third.json()["event_id"] == 2
        assert live.client.get("/stats").json()["count"] == 2

    @pytest.mark.parametrize("tag", ['"abc"', "W/" + f'"{ZEROS}"', f'"{ZEROS}", "{ZEROS}"'])
    def test_no_hash_at_all(self, shared: Live, tag: str) -> None:
        answer = shared.client.post(
            "/events", json={"kind": "other", "source": "s"}, headers={"if-match": tag}
        )
        assert answer.status_code == 400

    def test_of_many_that_expect_the_same_head_one_wins(self, start: Start) -> None:
        live = start()
        head = live.post().headers["etag"]

        def attempt(number: int) -> int:
            draft = {"kind": "other", "source": "s", "payload": {"n": number}}
            with httpx.Client(base_url=live.url, trust_env=False) as client:
                return client.post("/events", json=draft, headers={"if-match": head}).status_code

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(attempt, range(24)))
        assert answers.count(201) == 1
        assert answers.count(412) == 23


class TestBatch:
    def test_all_in_one(self, start: Start) -> None:
        live = start()
        live.post()
        answer = live.post_batch(300)
        assert answer.status_code == 201
        with Ledger(live.ledger) as ledger:
            assert answer.json() == {
                "count": 300,
                "first_event_id": 2,
                "last_event_id": 301,
                "latest_hash": ledger.head().hash,
            }
            assert ledger.verify().valid

    def test_or_nothing(self, shared: Live) -> None:
        before = shared.ledger.read_bytes()
        good = '{"kind":"other","source":"s"}'
        body = f"{good}\n\n{good}\nnonsense\n{good}"
        answer = shared.client.post(
            "/events", content=body, headers={"content-type": "application/x-ndjson"}
        )
        assert answer.status_code == 422
        assert answer.json()["line"] == 4
        assert answer.json()["detail"].startswith("line 4: ")
        assert shared.ledger.read_bytes() == before

    @pytest.mark.parametrize("body", [b"", b"\n\n", b"  \n"])
    def test_an_empty_batch(self, shared: Live, body: bytes) -> None:
        answer = shared.client.post(
            "/events", content=body, headers={"content-type": "application/x-ndjson"}
        )
        assert answer.status_code == 422


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server over 2,500 events whose payloads imitate the envelope."""
    path = tmp_path_factory.mktemp("filled") / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append_many(
            {
                "kind": "request_denied" if n % 3 else "request_allowed",
                "source": f"s{n % 2}",
                "payload": {"n": n, "kind": "request_allowed"},
                "timestamp": f"2026-01-01T00:{n // 60:02d}:{n % 60:02d}Z",
            }
            for n in range(1, 2501)
        )
    with Live(path) as live:
        yield live


class TestReading:
    def ids(self, live: Live, **query: object) -> list[int]:
        answer = live.client.get("/events", params=query)
        assert answer.status_code == 200, answer.text
        return [event["event_id"] for event in answer.json()]

    def test_the_most_recent_oldest_first(self, filled: Live) -> None:
        assert self.ids(filled) == list(range(1501, 2501))
        assert self.ids(filled, limit=3) == [2498, 2499, 2500]
        assert self.ids(filled, limit=100_000) == list(range(1, 2501))

    def test_with_after_the_first_ones(self, filled: Live) -> None:
        assert self.ids(filled, after=10, limit=3) == [11, 12, 13]
        assert self.ids(filled, after=0, limit=2) == [1, 2]
        assert self.ids(filled, after=2500) == []
        assert self.ids(filled, before=4) == [1, 2, 3]
        assert self.ids(filled, after=2, before=6, limit=2) == [3, 4]

    def test_filters(self, filled: Live) -> None:
        assert self.ids(filled, kind="request_allowed", limit=2) == [2496, 2499]
        assert self.ids(filled, source="s1", kind="request_allowed", limit=2) == [2493, 2499]
        both = self.ids(filled, kind=["request_allowed", "request_denied"], limit=5)
        assert both == [2496, 2497, 2498, 2499, 2500]
        since = {"since": "2026-01-01T00:01:00Z", "until": "2026-01-01T00:01:02Z"}
        assert self.ids(filled, **since) == [60, 61]
        assert self.ids(filled, contains='"n":777}') == [777]

    @pytest.mark.parametrize("forward", [True, False])
    def test_paging_meets_every_event_once(self, filled: Live, forward: bool) -> None:
        query = {"limit": 90, "kind": "request_denied", "source": "s1"}
        link = "/events?" + urlencode({**query, "after": 0} if forward else query)
        seen: list[int] = []
        while link:
            answer = filled.client.get(link)
            page = [event["event_id"] for event in answer.json()]
            seen = [*seen, *page] if forward else [*page, *seen]
            link = answer.links.get("next", {}).get("url", "")
        assert seen == [n for n in range(1, 2501) if n % 3 and n % 2]

    def test_lines_byte_for_byte(self, filled: Live) -> None:
        answer = filled.client.get(
            "/events", params={"limit": 100_000}, headers={"accept": "application/x-ndjson"}
        )
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.content == filled.ledger.read_bytes()

    def test_an_empty_page(self, filled: Live) -> None:
        assert filled.client.get("/events", params={"contains": "absent"}).text == "[]"
        lines = filled.client.get(
            "/events", params={"contains": "absent"}, headers={"accept": "application/x-ndjson"}
        )
        assert lines.content == b""

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("limit=0", 400),
            ("limit=100001", 400),
            ("limit=-1", 400),
            ("limit=ten", 400),
            ("after=-1", 400),
            ("after=1.5", 400),
            ("before=x", 400),
            ("since=yesterday", 400),
            ("until=2026-01-01", 400),
            ("kind=no_such_kind", 422),
            ("kind=", 422),
        ],
    )
    def test_bad_parameters(self, filled: Live, query: str, status: int) -> None:
        answer = filled.client.get(f"/events?{query}")
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"

    def test_one_event_is_cacheable_for_ever(self, filled: Live) -> None:
        answer = filled.client.get("/events/7")
        assert answer.content == filled.ledger.read_bytes().splitlines()[6]
        assert answer.headers["etag"] == f'"{answer.json()["hash"]}"'
        assert "immutable" in answer.headers["cache-control"]
        again = filled.client.get("/events/7", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.parametrize("name", ["0", "2501", "07", "-1", "x", "1.0", "9" * 5000])
    def test_no_such_event(self, filled: Live, name: str) -> None:
        answer = filled.client.get(f"/events/{name}")
        assert answer.status_code == 404
        assert answer.json()["status"] == 404

    def test_large_pages_need_little_memory(self, start: Start) -> None:
        live = start()
        for _ in range(12):
            assert live.post_batch(12, source="s", payload={"text": "x" * 900_000}).is_success
        before = live.memory()
        size = 0
        with live.client.stream("GET", "/events?limit=100000") as response:
            for piece in response.iter_raw():
                size += len(piece)
        assert size == live.ledger.stat().st_size + 1
        assert live.memory() - before < 60 << 20

    def test_a_damaged_line_is_named_and_left_out(self, start: Start) -> None:
        live = start()
        live.post_batch(3)
        lines = live.ledger.read_bytes().splitlines(keepends=True)
        live.ledger.write_bytes(lines[0] + lines[1].replace(b'"n":1', b'"n":9') + lines[2])
        page = live.client.get("/events")
        assert [event["event_id"] for event in page.json()] == [1, 3]
        assert page.headers["audit-stream-damaged-lines"] == "1"
        assert live.client.get("/events/2").status_code == 500
        assert live.client.get("/verify").json()["reason"] == "hash mismatch at event #2"


def test_appends_by_other_processes_show_at_once(start: Start) -> None:
    live = start()
    live.post()
    with Ledger(live.ledger) as ledger:
        event = ledger.append("other", "elsewhere")
        assert live.client.get("/events/2").content == event.line
        assert live.client.get("/stats").json()["count"] == 2
        assert json.loads(live.post().content)["prev_hash"] == event.hash
        assert ledger.verify().checked == 3

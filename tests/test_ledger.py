"""The library API: what it takes and refuses, threads, fork, several processes."""

from __future__ import annotations

import os
import threading
from collections import UserDict
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from audit_stream import Ledger
from audit_stream.chain import Head
from audit_stream.errors import (
    EventTooLargeError,
    HeadMismatchError,
    InputError,
    IntegrityError,
    InvalidEventError,
    UnknownKindError,
)
from audit_stream.ledger import Append
from audit_stream.storage import Commit
from audit_stream.storage.snapshot import event_id_of
from tests.ledgers import NOON, ZEROS, hash_of, joined, numbered
from tests.ledgers import event as event_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit_stream import Event
    from audit_stream.query import Damage


class Kind(str, Enum):  # noqa: UP042 - str() of it is not its value
    ALLOWED = "request_allowed"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.mark.parametrize("payload", ["", "text", [], [("a", 1)], [1], 5, True, b"{}", {1}])
def test_a_payload_that_is_no_object_is_refused(ledger: Ledger, payload: Any) -> None:
    with pytest.raises(InvalidEventError) as caught:
        ledger.append("other", "test", payload)
    assert caught.value.member == "payload"
    with pytest.raises(InvalidEventError) as caught:
        ledger.append_many([{"kind": "other", "source": "test", "payload": payload}])
    assert (caught.value.member, caught.value.index) == ("payload", 0)


@pytest.mark.parametrize("draft", [None, 5, "text", [("kind", "other")], {1: 2}])
def test_a_draft_that_is_no_object_is_refused(ledger: Ledger, draft: Any) -> None:
    with pytest.raises(InvalidEventError) as caught:
        ledger.append_many([{"kind": "other", "source": "test"}, draft])
    assert caught.value.index == 1


def test_mappings_of_any_kind_are_payloads(ledger: Ledger) -> None:
    for payload in ({"a": 1}, UserDict({"a": 1}), MappingProxyType({"a": 1})):
        assert ledger.append("other", "test", payload).payload == {"a": 1}
        (event,) = ledger.append_many([UserDict(kind="other", source="s", payload=payload)])
        assert event.payload == {"a": 1}


def test_a_kind_from_an_enum_is_its_value(ledger: Ledger) -> None:
    assert ledger.append(Kind.ALLOWED, Kind.ALLOWED, {"a": Kind.ALLOWED}).kind == "request_allowed"
    assert ledger.verify().valid


# -- appending ---------------------------------------------------------------------------------


def test_an_event_comes_back_as_it_is_stored(ledger: Ledger) -> None:
    event = ledger.append(
        "other", "tëst", {"b": 1.0, "a": [None]}, timestamp="2026-01-31T12:00:00Z"
    )
    assert joined([event.line]) == Path(ledger.path).read_bytes()
    assert event.line == event_line(payload={"a": [None], "b": 1}, source="tëst")
    assert event.as_dict() == {
        "event_id": 1,
        "hash": hash_of(event.line),
        "kind": "other",
        "payload": {"a": [None], "b": 1},
        "prev_hash": ZEROS,
        "source": "tëst",
        "timestamp": NOON,
    }


def test_the_clock_stamps_at_commit(tmp_path: Path) -> None:
    now = [1_769_860_800_000_000_000]
    ledger = Ledger(tmp_path / "ledger.jsonl", clock=lambda: now[0])
    drafts = [ledger.draft("other", "test"), ledger.draft("other", "test")]
    first = ledger.commit(drafts)
    assert all(NOON.encode() in line for line in first.lines)
    now[0] += 123_456_789
    assert ledger.append("other", "test").timestamp == "2026-01-31T12:00:00.123456+00:00"


def test_many_are_all_or_nothing(ledger: Ledger) -> None:
    good = {"kind": "other", "source": "test"}
    for bad, member in (
        ({"kind": "other"}, "source"),
        ({**good, "payload": {"a": float("nan")}}, "payload.a"),
        ({**good, "timestamp": "yesterday"}, "timestamp"),
        ({**good, "payload": {"x": "y" * 2_000_000}}, "payload"),
    ):
        with pytest.raises(InvalidEventError) as caught:
            ledger.append_many([good, good, bad, good])
        assert (caught.value.index, caught.value.member) == (2, member)
        assert ledger.head().count == 0
    assert not Path(ledger.path).exists()
    assert ledger.append_many(iter([good] * 3))[-1].event_id == 3
    assert ledger.append_many([]) == []


def test_an_expected_head(ledger: Ledger) -> None:
    first = ledger.append("other", "test", expect_head=ZEROS)
    second = ledger.append("other", "test", expect_head=first.hash.upper())
    with pytest.raises(HeadMismatchError) as caught:
        ledger.append_many([{"kind": "other", "source": "test"}], expect_head=first.hash)
    assert caught.value.head_hash == second.hash
    assert ledger.head() == Head(2, second.hash)


def test_kinds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger, pytest.raises(UnknownKindError):
        ledger.append("deploy_started", "test")
    with Ledger(path, extra_kinds=["deploy_started"]) as ledger:
        ledger.append("deploy_started", "test")
        with pytest.raises(UnknownKindError):
            ledger.append("deploy_finished", "test")
        with pytest.raises(UnknownKindError):
            list(ledger.query(kinds=["deploy_finished"]))
    with Ledger.open(path, any_kind=True) as ledger:
        ledger.append("deploy_finished", "test")
        with pytest.raises(InvalidEventError):
            ledger.append("Deploy", "test")
    with Ledger(path) as ledger:
        assert ledger.verify().checked == 2
        assert len(ledger.tail()) == 2
    with pytest.raises(InvalidEventError):
        Ledger(path, extra_kinds=["Deploy"])


def test_appends_of_several_callers_in_one_transaction(ledger: Ledger) -> None:
    def asked(count: int, expect_head: str | None = None, text: str = "") -> Append:
        drafts = [ledger.draft("other", "test", {"text": text, "n": n}) for n in range(count)]
        return Append(drafts, expect_head)

    first, refused, second, large, empty = ledger.commit_together(
        [asked(1, ZEROS), asked(2, ZEROS), asked(2), asked(1, text="x" * 2_000_000), asked(0)]
    )
    assert isinstance(first, Commit)
    assert isinstance(second, Commit)
    assert isinstance(empty, Commit)
    assert isinstance(refused, HeadMismatchError)
    assert isinstance(large, EventTooLargeError)
    assert (first.before, first.head.count) == (Head(0, ZEROS), 1)
    assert refused.head_hash == first.head.hash
    assert (second.before, second.head.count, len(second.lines)) == (first.head, 3, 2)
    assert (empty.before, empty.head, empty.lines) == (second.head, second.head, [])
    assert Path(ledger.path).read_bytes() == b"".join(first.lines + second.lines)
    assert ledger.verify().checked == 3
    with open(ledger.path, "ab") as file:
        file.write(b"torn")
    refused, third, fourth = ledger.commit_together([asked(1, ZEROS), asked(1), asked(1)])
    assert isinstance(third, Commit)
    assert isinstance(fourth, Commit)
    assert third.healed is not None
    assert fourth.healed is None
    assert Path(third.healed).read_bytes() == b"torn"


def test_a_reader_of_drafts_fills_in(ledger: Ledger) -> None:
    read = ledger.draft_reader({"source": "filled"})
    assert read(b'{"kind":"other"}').source == "filled"
    with pytest.raises(UnknownKindError):
        read(b'{"kind":"unheard_of"}')


def test_a_closed_ledger(ledger: Ledger) -> None:
    with ledger:
        ledger.append("other", "test")
    with pytest.raises(InputError, match="closed"):
        ledger.append("other", "test")


def test_an_error_inside_the_context_closes_too(tmp_path: Path) -> None:
    with pytest.raises(UnknownKindError), Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append("unheard_of", "test")
    with pytest.raises(InputError, match="closed"):
        ledger.append("other", "test")


# -- reading -----------------------------------------------------------------------------------


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    for number in range(1, 21):
        ledger.append(
            "other" if number % 5 else "request_denied",
            f"s{number % 3}",
            {"n": number, "actor": {"name": f"user{number % 4}"}},
            timestamp=f"2026-01-31T12:{number:02d}:00Z",
        )
    return ledger


def ids(events: Iterable[Event]) -> list[int]:
    return [event.event_id for event in events]


def test_single_events_and_the_last(filled: Ledger) -> None:
    assert filled.get(7) == filled.tail(14)[0]
    assert filled.get(0) is filled.get(21) is filled.get(-1) is None
    assert ids(filled.tail()) == list(range(11, 21))
    assert ids(filled.tail(100)) == list(range(1, 21))
    assert filled.tail(0) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, range(1, 21)),
        ({"kinds": ["request_denied"]}, [5, 10, 15, 20]),
        ({"kinds": ["request_denied", "other"], "sources": ["s1"]}, range(1, 21, 3)),
        ({"since": "2026-01-31T12:18:00Z"}, [18, 19, 20]),
        ({"until": "2026-01-31T12:03:00Z"}, [1, 2]),
        ({"after": 17}, [18, 19, 20]),
        ({"before": 3}, [1, 2]),
        ({"after": 5, "before": 8}, [6, 7]),
        ({"after": 8, "before": 5}, []),
        ({"contains": '"n":12,'}, []),
        ({"contains": '"n":12}'}, [12]),
        ({"where": {"n": 12}}, [12]),
        ({"where": {"actor.name": "user3", "n": 7}}, [7]),
        ({"where": {"actor": {"name": "user1"}}}, range(1, 21, 4)),
        ({"limit": 2}, [19, 20]),
        ({"limit": 0}, []),
        ({"limit": 2, "kinds": ["request_denied"]}, [15, 20]),
        ({"limit": 2, "before": 10}, [8, 9]),
        ({"reverse": True, "after": 18}, [20, 19]),
        ({"reverse": True, "limit": 3}, [20, 19, 18]),
        ({"reverse": True, "kinds": ["request_denied"], "limit": 3}, [20, 15, 10]),
    ],
)
def test_queries(filled: Ledger, options: dict[str, Any], expected: Iterable[int]) -> None:
    assert ids(filled.query(**options)) == list(expected)


def test_the_first_so_many(filled: Ledger) -> None:
    wanted = filled.filter(kinds=["request_denied"])
    assert [event_id_of(line) for line in filled.select(wanted, limit=2, oldest=True)] == [5, 10]
    first = filled.select(limit=3, after=4, oldest=True)
    assert [event_id_of(line) for line in first] == [5, 6, 7]


def test_looking_into_a_snapshot_taken_before(filled: Ledger) -> None:
    with filled.snapshot() as snapshot:
        filled.append("other", "test")
        assert len(list(filled.select(within=snapshot))) == 20
        assert len(list(filled.select(within=snapshot, limit=50))) == 20
    assert len(list(filled.select())) == 21


def test_a_query_can_be_left_in_the_middle(filled: Ledger) -> None:
    before = len(os.listdir("/dev/fd"))
    query = filled.query()
    next(query)
    assert len(os.listdir("/dev/fd")) == before + 1
    query.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/dev/fd")) == before


def test_times_ago_are_counted_from_the_ledgers_clock(filled: Ledger, tmp_path: Path) -> None:
    noon = 1_769_860_800 * 10**9
    ledger = Ledger(filled.path, clock=lambda: noon + 20 * 60 * 10**9)
    assert ids(ledger.query(since="2m")) == [18, 19, 20]
    assert ids(ledger.query(until="18m")) == [1]


def test_an_import_of_the_package_is_light() -> None:
    import audit_stream

    assert audit_stream.Ledger is Ledger
    assert audit_stream.errors.InputError is InputError
    assert set(audit_stream.__all__) >= {"Ledger", "Event", "Head", "VerifyResult"}
    for name in audit_stream.__all__:
        assert getattr(audit_stream, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = audit_stream.nonsense


# -- threads -----------------------------------------------------------------------------------


def test_threads_append_and_read_at_once(ledger: Ledger) -> None:
    told: list[Event] = []
    trouble: list[BaseException] = []
    done = threading.Event()

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                trouble.append(error)

        return run

    def write() -> None:
        for number in range(60):
            if number % 3:
                told.append(ledger.append("other", "single"))
            else:
                told.extend(ledger.append_many([{"kind": "other", "source": "batch"}] * 4))

    def read() -> None:
        while not done.is_set():
            head = ledger.head()
            if head.count:
                event = ledger.get(head.count)
                assert event is not None
                assert event.hash == head.hash
                assert ledger.tail(1)[0].event_id >= head.count

    def check() -> None:
        while not done.is_set():
            if os.path.exists(ledger.path):
                assert ledger.verify().verdict in ("intact", "empty")

    writers = [threading.Thread(target=guarded(write)) for _ in range(4)]
    readers = [threading.Thread(target=guarded(work)) for work in (read, read, check)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert trouble == []
    assert sorted(ids(told)) == list(range(1, 4 * 120 + 1))
    assert ledger.verify().checked == 480
    assert sorted(told, key=lambda event: event.event_id) == list(ledger.query())


# -- reading a damaged ledger ------------------------------------------------------------------


def test_bounds_hold_and_nothing_is_left_out_where_lines_lie_about_their_ids(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.jsonl"
    lines = numbered(900)
    for at, lie in ((300, b"1"), (500, b"888888"), (899, b"3")):
        number = b'{"event_id":%d,' % (at + 1)
        lines[at] = lines[at].replace(number, b'{"event_id":%b,' % lie)
    path.write_bytes(joined(lines))
    ledger = Ledger(path)
    for after, before in ((0, None), (100, 200), (290, 310), (480, 520), (890, None), (899, 950)):
        for reverse in (False, True):
            damaged: list[Damage] = []
            found = [
                event.event_id
                for event in ledger.query(
                    after=after, before=before, reverse=reverse, on_damage=damaged.append
                )
            ]
            honest = [
                n for n in range(after + 1, min(before or 1000, 901)) if n not in (301, 501, 900)
            ]
            assert found == (honest[::-1] if reverse else honest)
            within = [at for at in (300, 500, 899) if after <= at < (before or 1000) - 1]
            places = {damage.offset for damage in damaged}
            assert places >= {len(joined(lines[:at])) for at in within}
    assert ledger.get(302) is not None


def test_a_damaged_event_is_not_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(numbered(3)).replace(b'"n":2', b'"n":3'))
    ledger = Ledger(path)
    assert ledger.get(1) is not None
    with pytest.raises(IntegrityError, match="event 2 is damaged: hash mismatch at event #2"):
        ledger.get(2)
    assert ledger.get(4) is None
    assert [event.event_id for event in ledger.tail()] == [1, 3]

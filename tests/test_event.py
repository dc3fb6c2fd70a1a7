"""The envelope: what may be sent, what is refused and by what name, what a stored one must be."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given

from audit_stream import canonical, event
from audit_stream.errors import EventTooLargeError, InvalidEventError, UnknownKindError
from audit_stream.event import MEMBERS, Event
from audit_stream.vocabulary import Vocabulary
from tests.ledgers import NOON, ZEROS, kinds, payloads, sources
from tests.ledgers import event as event_line

VOCABULARY = Vocabulary()
ANY = Vocabulary(any_kind=True)


def draft(text: str | bytes, **defaults: str) -> event.Draft:
    return event.draft_from_json(text, vocabulary=VOCABULARY, defaults=defaults)


# -- drafts ------------------------------------------------------------------------------------


@given(kinds, sources, payloads())
def test_a_draft_holds_the_canonical_bytes(kind: str, source: str, payload: dict[str, Any]) -> None:
    made = event.draft(kind, source, payload, vocabulary=ANY)
    assert (made.kind, made.source, made.timestamp) == (kind, source, None)
    assert b"{%b,%b}" % (made.front, made.back) == rfc8785.dumps(
        {"kind": kind, "payload": payload, "source": source}
    )
    sent = json.dumps({"payload": payload, "source": source, "kind": kind})
    again = event.draft_from_json(sent, vocabulary=ANY)
    assert (again.front, again.back) == (made.front, made.back)


def test_what_may_be_left_out() -> None:
    made = draft('{"kind":"other","source":"s"}')
    assert made.front == b'"kind":"other","payload":{}'
    assert made.timestamp is None
    assert draft('{"kind":"other","source":"s","timestamp":null}').timestamp is None
    assert event.draft("other", "s", None, None, vocabulary=VOCABULARY).front == made.front


def test_a_supplied_timestamp_is_put_into_the_writers_form() -> None:
    sent = '{"kind":"other","source":"s","timestamp":"2026-01-31T13:00:00+01:00"}'
    assert draft(sent).timestamp == NOON


def test_defaults_fill_in_for_what_lacks_and_nothing_else() -> None:
    assert draft("{}", kind="other", source="s").kind == "other"
    assert draft('{"kind":"request_denied"}', kind="other", source="s").kind == "request_denied"
    with pytest.raises(InvalidEventError, match="missing") as caught:
        draft('{"kind":"other"}', kind="other")
    assert caught.value.member == "source"
    with pytest.raises(InvalidEventError, match="expected a string") as caught:
        draft('{"kind":null,"source":"s"}', kind="other")
    assert caught.value.member == "kind"


OTHER = '{"kind":"other","source":"s"'


@pytest.mark.parametrize(
    ("text", "member", "reason"),
    [
        ("[]", None, "an event is a JSON object, got an array"),
        ("null", None, "got null"),
        ('"text"', None, "got a string"),
        ("5", None, "got a number"),
        ("true", None, "got a boolean"),
        ("{}", "kind", "missing"),
        ('{"kind":"other"}', "source", "missing"),
        ('{"kind":5,"source":"s"}', "kind", "expected a string"),
        ('{"kind":["other"],"source":"s"}', "kind", "expected a string"),
        ('{"kind":"Other","source":"s"}', "kind", "lower-case"),
        ('{"kind":"","source":"s"}', "kind", "lower-case"),
        ('{"kind":"other","source":null}', "source", "expected a string"),
        ('{"kind":"other","source":5}', "source", "expected a string"),
        ('{"kind":"other","source":""}', "source", "got an empty string"),
        ('{"kind":"other","source":"' + "x" * 257 + '"}', "source", "at most 256 characters"),
        ('{"kind":"other","source":"a\\u0000"}', "source", "control characters"),
        ('{"kind":"other","source":"a\\n"}', "source", "control characters"),
        ('{"kind":"other","source":"a\u007f"}', "source", "control characters"),
        ('{"kind":"other","source":"a\u0080"}', "source", "control characters"),
        ('{"kind":"other","source":"a\u009f"}', "source", "control characters"),
        ('{"kind":"other","source":"\\ud800"}', "source", "lone surrogate"),
        (OTHER + ',"payload":null}', "payload", "leave it out for {}"),
        (OTHER + ',"payload":[]}', "payload", "expected a JSON object, got an array"),
        (OTHER + ',"payload":"{}"}', "payload", "got a string"),
        (OTHER + ',"payload":0}', "payload", "got a number"),
        (OTHER + ',"payload":false}', "payload", "got a boolean"),
        (OTHER + ',"payload":{"a":[{"b":"\\udc00"}]}}', "payload.a.0.b", "lone surrogate"),
        (OTHER + ',"timestamp":5}', "timestamp", "expected an RFC 3339 string"),
        (OTHER + ',"timestamp":""}', "timestamp", "not an RFC 3339 time"),
        (OTHER + ',"timestamp":"2026-01-31T12:00:00"}', "timestamp", "with an offset"),
        (OTHER + ',"timestamp":"2016-12-31T23:59:60Z"}', "timestamp", "leap second"),
        (OTHER + ',"event_id":1}', "event_id", "the ledger assigns it"),
        (OTHER + ',"hash":""}', "hash", "the ledger assigns it"),
        (OTHER + ',"prev_hash":""}', "prev_hash", "the ledger assigns it"),
        (OTHER + ',"extra":1}', "extra", "unknown member"),
        (OTHER + ',"":1}', "", "unknown member"),
        (OTHER + ',"Kind":1}', "Kind", "unknown member"),
        (OTHER + ',"a\\u001b[2J\\ud800":1}', "a\\x1b[2J\\ud800", "unknown member"),
        (OTHER + ',"kind":"other"}', None, 'the name "kind" appears twice'),
        (OTHER + ',"payload":{"a":1,"a":2}}', None, 'the name "a" appears twice'),
        (OTHER + ',"payload":{"a":9007199254740992}}', None, "beyond"),
        (OTHER + ',"payload":{"a":1e16}}', None, "beyond"),
        (OTHER + ',"payload":{"a":NaN}}', None, "NaN has no JSON form"),
        (OTHER, None, "not JSON"),
    ],
)
def test_what_is_refused(text: str, member: str | None, reason: str) -> None:
    with pytest.raises(InvalidEventError, match=reason) as caught:
        draft(text)
    assert caught.value.member == member
    assert not isinstance(caught.value, (UnknownKindError, EventTooLargeError))
    str(caught.value).encode()
    (caught.value.member or "").encode()


def test_depth_at_the_door() -> None:
    def nested(depth: int) -> str:
        return OTHER + ',"payload":' + '{"a":' * (depth - 1) + "{}" + "}" * depth

    assert draft(nested(64))
    with pytest.raises(InvalidEventError, match="nested deeper than 64"):
        draft(nested(65))


@pytest.mark.parametrize(
    "source", ["s", "x" * 256, "\U0001f600" * 256, "é", "a b", '"\\/', "\u2028"]
)
def test_sources_that_are_taken(source: str) -> None:
    assert event.draft("other", source, vocabulary=VOCABULARY).source == source


def test_an_unknown_kind() -> None:
    with pytest.raises(UnknownKindError) as caught:
        draft('{"kind":"unheard_of","source":"s"}')
    assert caught.value.member == "kind"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ((), "an array"),
        ({}, "an object"),
        (b"", "a bytes"),
    ],
)
def test_types_have_json_names(value: object, name: str) -> None:
    assert event.json_type(value) == name


# -- stored events -----------------------------------------------------------------------------


def test_an_event_gives_back_its_line() -> None:
    line = event_line(payload={"a": 1.5})
    stored = Event.from_line(line)
    assert stored.line == line
    assert list(stored.as_dict()) == list(MEMBERS)
    assert rfc8785.dumps(stored.as_dict()) == line
    assert repr(stored) == "Event(event_id=1, kind='other', source='test')"


def test_events_are_equal_by_their_lines() -> None:
    one, same, other = Event.from_line(event_line()), Event.from_line(event_line()), event_line(2)
    assert one == same
    assert hash(one) == hash(same)
    assert one != Event.from_line(other)
    assert one != event_line()


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"5", b"\xff", b"{", b"[" * 100_000, event_line()[:-1]]
)
def test_what_is_no_event(line: bytes) -> None:
    with pytest.raises(InvalidEventError, match="not a stored event"):
        Event.from_line(line)


def stored_members(**changes: Any) -> dict[str, Any]:
    members = canonical.decode_stored(event_line())
    members.update(changes)
    return {name: value for name, value in members.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "member", "reason"),
    [
        *(({name: ...}, name, "missing") for name in MEMBERS),
        ({"extra": 1}, "extra", "unknown member"),
        ({"e\n": 1}, "e\\n", "unknown member"),
        ({"event_id": 1.5}, "event_id", "expected an integer"),
        ({"event_id": -(2.0**53)}, "event_id", "expected an integer"),
        ({"event_id": 2.0**53}, "event_id", "expected an integer"),
        ({"event_id": float("inf")}, "event_id", "expected an integer"),
        ({"event_id": "1"}, "event_id", "expected an integer"),
        ({"event_id": True}, "event_id", "expected an integer"),
        ({"event_id": None}, "event_id", "expected an integer"),
        ({"hash": "F" * 64}, "hash", "64 lower-case hex"),
        ({"hash": "f" * 63}, "hash", "64 lower-case hex"),
        ({"hash": "f" * 65}, "hash", "64 lower-case hex"),
        ({"hash": "f" * 64 + "\n"}, "hash", "64 lower-case hex"),
        ({"hash": "１" * 64}, "hash", "64 lower-case hex"),
        ({"hash": 5.0}, "hash", "64 lower-case hex"),
        ({"prev_hash": None}, "prev_hash", "64 lower-case hex"),
        ({"prev_hash": "g" * 64}, "prev_hash", "64 lower-case hex"),
        ({"kind": "Other"}, "kind", "not the form"),
        ({"kind": "other\n"}, "kind", "not the form"),
        ({"kind": 5.0}, "kind", "not the form"),
        ({"payload": []}, "payload", "expected an object"),
        ({"payload": None}, "payload", "expected an object"),
        ({"payload": "{}"}, "payload", "expected an object"),
        ({"source": ""}, "source", "empty"),
        ({"source": "x" * 257}, "source", "at most 256"),
        ({"source": "a\x9f"}, "source", "control"),
        ({"source": None}, "source", "expected a string"),
        ({"timestamp": None}, "timestamp", "expected a string"),
        ({"timestamp": 5.0}, "timestamp", "expected a string"),
        ({"timestamp": "2026-01-31T12:00:00"}, "timestamp", "with an offset"),
        ({"timestamp": "2026-02-30T12:00:00Z"}, "timestamp", "no such day"),
    ],
)
def test_what_a_stored_envelope_must_not_be(
    changes: dict[str, Any], member: str, reason: str
) -> None:
    with pytest.raises(InvalidEventError, match=reason) as caught:
        event.check_stored(stored_members(**changes))
    assert caught.value.member == member


@pytest.mark.parametrize("value", [None, [], 5.0, "text", True])
def test_a_stored_event_is_an_object(value: object) -> None:
    with pytest.raises(InvalidEventError, match="expected an object"):
        event.check_stored(value)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": 2.0**53 - 1},
        {"event_id": 0.0},
        {"event_id": -1.0},
        {"kind": "never.heard.of_it"},
        {"timestamp": "2016-12-31T23:59:60z"},
        {"timestamp": "0000-01-01T00:00:00.123456789-23:59"},
        {"source": "\U0001f600" * 256},
        {"payload": {"n": 1e300, "s": "x" * 2_000_000}},
        {"prev_hash": ZEROS},
    ],
)
def test_the_writers_limits_are_not_the_formats(changes: dict[str, Any]) -> None:
    event.check_stored(stored_members(**changes))

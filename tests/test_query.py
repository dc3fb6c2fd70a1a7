"""Filters against a plain reading of every line, and what is said of damaged ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import timestamps
from audit_stream.errors import InputError
from audit_stream.query import Damage, Filter, Where, damage_of, parse_when
from audit_stream.storage.snapshot import Block
from tests.ledgers import (
    NOON,
    chained,
    hash_of,
    joined,
    numbered,
    payloads,
    texts,
    values,
    with_payload,
)

KINDS = ["other", "request_denied", "request_denied2", "a.b"]
SOURCES = ["test", "teß\U0001f600t", 'q"uote\\', "testing"]
BASE = datetime(2026, 1, 31, 12, tzinfo=UTC)
NANO = 10**9


def scan(wanted: Filter, data: bytes, offset: int = 0) -> list[bytes]:
    found = wanted.scan(Block(offset, data))
    assert found.damaged == []
    return found.lines


def at(seconds: float) -> str:
    return (BASE + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


@st.composite
def ledgers(draw: st.DrawFn) -> list[bytes]:
    """Events that share kinds, sources and times, with payloads that look like envelopes."""
    tricky = st.sampled_from(
        [
            {"kind": "other"},
            {"kind": "request_denied", "payload": {}},
            {"source": "test", "timestamp": "x"},
            {"text": '"kind":"request_denied","payload":{'},
            {"a": [{"b": 1}, {"b": "1"}, None]},
        ]
    )
    events = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "kind": st.sampled_from(KINDS),
                    "source": st.sampled_from(SOURCES),
                    "payload": st.one_of(tricky, payloads()),
                    "timestamp": st.integers(-3, 3).map(at),
                }
            ),
            min_size=1,
            max_size=6,
        )
    )
    return chained(events)


@given(
    ledgers(),
    st.sets(st.sampled_from(KINDS), max_size=2),
    st.sets(st.sampled_from(SOURCES), max_size=2),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.sampled_from(["", "kind", "request", '"b":1', "\U0001f600", '"source":"test"', "}}", "\n"]),
)
def test_a_filter_finds_what_a_plain_reading_finds(
    lines: list[bytes],
    kinds: set[str],
    sources: set[str],
    since: int | None,
    until: int | None,
    contains: str,
) -> None:
    def fits(line: bytes) -> bool:
        members = json.loads(line)
        time = datetime.fromisoformat(members["timestamp"])
        return (
            (not kinds or members["kind"] in kinds)
            and (not sources or members["source"] in sources)
            and (since is None or time >= BASE + timedelta(seconds=since))
            and (until is None or time < BASE + timedelta(seconds=until))
            and contains in line.decode()
        )

    wanted = Filter(
        kinds=kinds,
        sources=sources,
        since=None if since is None else timestamps.parse(at(since)),
        until=None if until is None else timestamps.parse(at(until)),
        contains=contains,
    )
    expected = [line for line in lines if fits(line)]
    assert scan(wanted, joined(lines)) == expected
    assert [line for line in lines if wanted.matches(line)] == expected
    nothing = not kinds and not sources and since is until is None and not contains
    assert wanted.is_empty == nothing


# -- times -------------------------------------------------------------------------------------

FOREIGN = [
    "2026-01-31T12:00:00Z",
    "2026-01-31t12:00:00z",
    "2026-01-31T13:00:00+01:00",
    "2026-01-31T12:00:00.0000000+00:00",
]


@pytest.mark.parametrize("time", FOREIGN)
def test_foreign_forms_of_a_time_are_compared_as_instants(time: str) -> None:
    data = joined(chained([{"timestamp": time}]))
    noon, later = timestamps.parse(NOON), timestamps.parse(at(1e-6))
    assert scan(Filter(since=noon), data)
    assert scan(Filter(until=later), data)
    assert not scan(Filter(since=later), data)
    assert not scan(Filter(until=noon), data)


def test_bounds_finer_than_a_microsecond() -> None:
    data = joined(chained([{"timestamp": NOON}, {"timestamp": NOON.replace("Z", "")}]))
    just_after = timestamps.parse("2026-01-31T12:00:00.0000000001Z")
    assert not scan(Filter(since=just_after), data)
    assert len(scan(Filter(until=just_after), data)) == 2


@pytest.mark.parametrize(
    "far",
    ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59.9999999Z"],
)
def test_bounds_at_the_end_of_time(far: str) -> None:
    data = joined(numbered(1))
    assert scan(Filter(until=timestamps.parse(far)), data)
    assert not scan(Filter(since=timestamps.parse(far)), data)


def test_bounds_at_the_beginning_of_time() -> None:
    data = joined(numbered(1))
    first = timestamps.parse("0000-01-01T00:00:00+23:59")
    assert scan(Filter(since=first), data)
    assert not scan(Filter(until=first), data)


def test_times_ago() -> None:
    now = 1_769_860_800 * NANO  # NOON
    for text, seconds in (
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("3d", 259200),
        (" 1w ", 604800),
    ):
        assert parse_when(text, now) == timestamps.parse(at(-seconds))
    assert parse_when("0s", now) == timestamps.parse(NOON)
    assert parse_when(NOON, now) == timestamps.parse(NOON)
    assert parse_when("999999999w", now) == timestamps.parse("0001-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "15",
        "m",
        "-5m",
        "1.5h",
        "1 h",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "1" * 5000 + "s",
        "٣m",
        "5m\n5m",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="or a time ago, like 15m, 2h or 3d") as caught:
        parse_when(text, 0)
    assert "\n" not in str(caught.value)


# -- conditions on the payload -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "condition", "matches"),
    [
        ('{"a":1}', "a=1", True),
        ('{"a":1}', "a=1.0", True),
        ('{"a":1}', "a=1e0", True),
        ('{"a":1}', "a=2", False),
        ('{"a":1}', "a=true", False),
        ('{"a":true}', "a=1", False),
        ('{"a":true}', "a=true", True),
        ('{"a":false}', "a=0", False),
        ('{"a":null}', "a=null", True),
        ('{"a":"null"}', "a=null", True),
        ('{"a":"1"}', "a=1", True),
        ('{"a":"1"}', 'a="1"', True),
        ('{"a":"x y"}', "a=x y", True),
        ('{"a":"x=y"}', "a=x=y", True),
        ('{"a":""}', "a=", True),
        ('{"a":0}', "a=-0", True),
        ('{"a":0.1}', "a=0.1", True),
        ('{"a":1e-7}', "a=0.0000001", True),
        ('{"a":10000000000000000}', "a=10000000000000000", True),
        ('{"a":1e+21}', "a=1e21", True),
        ('{"a":[1,{"b":2}]}', 'a=[1, {"b": 2}]', True),
        ('{"a":[1,{"b":2}]}', "a.1.b=2", True),
        ('{"a":[1,{"b":2}]}', "a.0=1", True),
        ('{"a":[1,{"b":2}]}', "a.2=1", False),
        ('{"a":[1,{"b":2}]}', "a.-1.b=2", False),
        ('{"a":[1]}', "a.٠=1", False),
        ('{"a":[1]}', "a.²=1", False),
        ('{"a":[1]}', "a." + "9" * 5000 + "=1", False),
        ('{"a":{"0":1}}', "a.0=1", True),
        ('{"a":{"b":{"c":"d"}}}', "a.b.c=d", True),
        ('{"a":{"b":1}}', 'a={"b":1}', True),
        ('{"a":{"b":1}}', 'a={"b":1,"b":1}', False),
        ('{"a":{"b":1}}', "a.b.c=1", False),
        ('{"a":1}', "b=1", False),
        ('{"a":1}', "a.b=1", False),
        ('{"":1}', ".=1", False),
        ('{"":{"":1}}', ".=1", True),
        ('{"kind":"other"}', "kind=other", True),
        ('{"a":1}', "a=" + "[" * 100_000, False),
        ('{"a":1}', "a=\udcff", False),
    ],
)  # fmt: skip
def test_conditions(payload: str, condition: str, matches: bool) -> None:
    data = with_payload(payload.encode()) + b"\n"
    assert bool(scan(Filter(where=[Where.parse(condition)]), data)) == matches


@pytest.mark.parametrize("text", ["", "a", "=1", "="])
def test_a_condition_needs_a_path_and_a_value(text: str) -> None:
    with pytest.raises(InputError, match="expected PATH=VALUE"):
        Where.parse(text)


@given(texts.filter(lambda name: "." not in name), values())
def test_every_value_equals_its_own_json(name: str, value: Any) -> None:
    (line,) = chained([{"payload": {name: value}}])
    condition = Where((name,), json.dumps(value))
    assert scan(Filter(where=[condition]), line + b"\n") == [line]


def test_conditions_and_together() -> None:
    data = joined(chained([{"payload": {"a": 1, "b": 2}}]))
    both = [Where.parse("a=1"), Where.parse("b=2")]
    assert scan(Filter(where=both), data)
    assert not scan(Filter(where=[*both, Where.parse("b=3")]), data)


def test_text_to_look_for_must_be_unicode() -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        Filter(contains="\ud800")


# -- damaged lines -----------------------------------------------------------------------------

LINES = numbered(4)


def placed(lines: list[bytes], wanted: Filter) -> tuple[list[bytes], list[Damage]]:
    found = wanted.scan(Block(1000, joined(lines)))
    return found.lines, found.damaged


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"garbage",
        b"\xff\x00",
        LINES[1][:-1],
        LINES[1] + b" ",
        LINES[1].replace(b'"event_id":2', b'"event_id":02'),
        LINES[1].replace(b'{"event_id"', b'{"event-id"'),
    ],
)
@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(kinds=["other"]), Filter(sources=["test"]), Filter(contains="oth")]
)
def test_a_misshapen_line_is_named_and_skipped(damage: bytes, wanted: Filter) -> None:
    lines, damaged = placed([LINES[0], damage, *LINES[2:]], wanted)
    assert lines == [LINES[0], *LINES[2:]]
    (named,) = damaged
    assert named.offset == 1000 + len(LINES[0]) + 1
    assert f"at byte {named.offset} is damaged: not a canonical event" in str(named)


def test_a_candidate_with_a_wrong_hash_is_named() -> None:
    changed = LINES[1].replace(b'"n":2', b'"n":3')
    lines, damaged = placed([LINES[0], changed, *LINES[2:]], Filter(kinds=["other"]))
    assert lines == [LINES[0], *LINES[2:]]
    assert [str(each) for each in damaged] == [
        f"event 2 at byte {1000 + len(LINES[0]) + 1} is damaged: hash mismatch at event #2"
    ]
    assert damaged[0].event_id == 2


def test_damage_is_named_in_the_order_of_the_file() -> None:
    changed = LINES[0].replace(b'"n":1', b'"n":2')
    _, damaged = placed([changed, b"x", LINES[2], b"y", LINES[3]], Filter(kinds=["other"]))
    assert [named.offset for named in damaged] == sorted(named.offset for named in damaged)
    assert len(damaged) == 3


def test_a_line_by_itself() -> None:
    assert damage_of(LINES[1]) is None
    assert damage_of(LINES[1].replace(hash_of(LINES[1]).encode(), b"0" * 64)) == (
        "hash mismatch at event #2"
    )
    assert "member" not in str(damage_of(b"{}"))
    assert str(Damage(5, None, "x")) == "a line at byte 5 is damaged: x"


def test_blocks_are_scanned_by_themselves() -> None:
    wanted = Filter(contains="payload")
    whole = placed(LINES, wanted)[0]
    apart = [placed([line], wanted)[0] for line in LINES]
    assert [line for part in apart for line in part] == whole == LINES

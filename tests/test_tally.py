"""Counts: the same however the lines are cut into blocks, and never ended by a damaged one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import timestamps
from audit_stream.storage.snapshot import Block
from audit_stream.tally import Tally
from tests.ledgers import NOON, chained, hash_of, joined, numbered

LINES = chained(
    {
        "kind": ("other", "request_denied", "request_denied")[n % 3],
        "source": f"s{n % 2}",
        "timestamp": NOON.replace("12:00:00", f"12:0{n // 4}:0{n % 4}"),
    }
    for n in range(12)
)


def tally_of(*blocks: bytes) -> Tally:
    tally, offset = Tally(), 0
    for data in blocks:
        tally.add(Block(offset, data))
        offset += len(data)
    return tally


def told(tally: Tally) -> tuple[object, ...]:
    return (
        tally.members(),
        dict(tally.minutes),
        tally.damaged_count,
        [(damage.offset, damage.event_id) for damage in tally.damaged],
    )


def test_counts() -> None:
    tally = tally_of(joined(LINES))
    assert tally.members() == {
        "count": 12,
        "last_event_id": 12,
        "latest_hash": hash_of(LINES[-1]),
        "first_timestamp": NOON,
        "last_timestamp": NOON.replace("12:00:00", "12:02:03"),
        "by_kind": {"request_denied": 8, "other": 4},
        "by_source": {"s0": 6, "s1": 6},
    }
    assert list(tally.by_kind) == ["other", "request_denied"]
    assert sum(tally.minutes.values()) == 12
    assert tally.minutes["2026-01-31T12:00", "other"] == 2
    assert tally.damaged_count == 0


def test_nothing() -> None:
    tally = Tally()
    tally._add([])
    assert told(tally) == told(Tally())
    assert Tally().members() == {
        "count": 0,
        "last_event_id": 0,
        "latest_hash": None,
        "first_timestamp": None,
        "last_timestamp": None,
        "by_kind": {},
        "by_source": {},
    }


def test_minutes_are_in_utc_whatever_form_a_time_has() -> None:
    times = [
        "2026-01-31T13:00:00+01:00",
        "2026-01-31t12:00:00z",
        "2026-01-31T12:00:59.999Z",
        "2026-01-31t12:00:00.000000+00:00",
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00+23:59",
        "2016-12-31T23:59:60Z",
    ]
    tally = tally_of(joined(chained({"timestamp": time} for time in times)))
    assert Counter({minute: n for (minute, _), n in tally.minutes.items()}) == {
        "2026-01-31T12:00": 4,
        "9999-12-31T23:59": 1,
        "0000-01-01T00:00": 1,
        "2016-12-31T23:59": 1,
    }
    assert tally.first_timestamp == times[0]


DAMAGE = [
    b"",
    b" ",
    b"{}",
    b"[]",
    b"\xff\xfe",
    b"garbage",
    LINES[0] + LINES[1],
    LINES[0] + b" " + LINES[1],
    LINES[0][:-1],
    b" " + LINES[3],
    LINES[3] + b"\r",
    LINES[2].replace(NOON[:4].encode(), b"20?6"),
    LINES[2].replace(b"2026-01-31T", b"2026-02-31T"),
    LINES[2].replace(b"+00:00", b"+99:00"),
    LINES[2].replace(b'"s0"', b"5"),
    LINES[2].replace(b'"s0"', b'"\xff"'),
    b'{"event_id":3,"hash":"","kind":"other","payload":',
    LINES[2].replace(b'"payload":{}', b'"payload":' + b"[" * 100_000),
    LINES[2].replace(b'"payload":{}', b'"payload":{"a":'),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_does_not_end_the_counting(damage: bytes) -> None:
    data = joined([*LINES[:2], damage, *LINES[3:]])
    tally = tally_of(data)
    assert tally.count + tally.damaged_count == 12
    for minute, _ in tally.minutes:
        timestamps.parse(f"{minute}:00Z")
    if tally.damaged_count:
        assert [each.offset for each in tally.damaged] == [len(joined(LINES[:2]))]
        assert tally.damaged[0].reason


@given(
    st.lists(st.sampled_from([*LINES, *DAMAGE, LINES[5].replace(b"s1", b"s2")]), max_size=10),
    st.sets(st.integers(0, 10)),
)
def test_what_counts_does_not_depend_on_the_blocks(lines: list[bytes], cuts: set[int]) -> None:
    parts, last = [], 0
    for cut in [*sorted(cut for cut in cuts if cut <= len(lines)), len(lines)]:
        if cut > last:
            parts.append(joined(lines[last:cut]))
            last = cut
    whole = [joined(lines)] if lines else []
    assert told(tally_of(*parts)) == told(tally_of(*whole))
    assert told(tally_of(*(line + b"\n" for line in lines))) == told(tally_of(*whole))


def test_only_so_many_damaged_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tally, "DAMAGED_LIMIT", 3)
    tally = tally_of(b"x\n" * 10)
    assert (tally.damaged_count, len(tally.damaged), tally.count) == (10, 3, 0)


def test_a_tally_goes_on() -> None:
    tally = tally_of(*(line + b"\n" for line in numbered(5)))
    assert (tally.count, tally.last_event_id) == (5, 5)

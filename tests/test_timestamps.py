"""RFC 3339 instants against `datetime`, and where `datetime` cannot go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit_stream import timestamps
from audit_stream.errors import InvalidEventError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=offsets)


def writers_form(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@given(moments)
@example(datetime(1, 1, 1, tzinfo=UTC))
@example(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
@example(datetime(2000, 2, 29, tzinfo=UTC))
@example(datetime(1900, 2, 28, 23, 59, tzinfo=timezone(timedelta(hours=-1))))
def test_normalize_agrees_with_datetime(moment: datetime) -> None:
    try:
        expected = writers_form(moment)
    except OverflowError:
        with pytest.raises(InvalidEventError, match="outside the years 1 to 9999 in UTC"):
            timestamps.normalize(moment.isoformat())
        return
    assert timestamps.normalize(moment.isoformat()) == expected
    assert timestamps.normalize(expected) == expected


@given(moments, moments)
def test_instants_sort_as_datetimes_do(one: datetime, other: datetime) -> None:
    first, second = timestamps.parse(one.isoformat()), timestamps.parse(other.isoformat())
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 999))
def test_stamp_agrees_with_datetime(moment: datetime, nanoseconds: int) -> None:
    since = (moment - EPOCH) // MICROSECOND * 1000 + nanoseconds
    text = timestamps.stamp(since)
    assert text == writers_form(moment)
    assert timestamps.normalize(text) == text
    instant = timestamps.parse(text)
    assert timestamps.seconds_of(instant) == (moment - EPOCH) // timedelta(seconds=1)
    assert timestamps.text_of(instant) == text[:26]


def test_every_day_of_four_centuries() -> None:
    day, minute = datetime(1999, 12, 31, tzinfo=UTC), None
    for _ in range(146_097):
        text = day.strftime("%Y-%m-%dT00:00:00Z")
        instant = timestamps.parse(text)
        assert minute is None or instant[0] == minute + 1440
        assert timestamps.text_of(instant)[:10] == text[:10]
        minute = instant[0]
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000+00:00"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00.000000+00:00"),
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000+00:00"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456+00:00"),
        ("2026-01-31T12:00:00.9999999Z", "2026-01-31T12:00:00.999999+00:00"),
        ("2026-01-31T12:00:00." + "9" * 5000 + "Z", "2026-01-31T12:00:00.999999+00:00"),
        ("2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00.000000+00:00"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000+00:00"),
        ("2024-02-29T23:59:59-00:01", "2024-03-01T00:00:59.000000+00:00"),
        ("2026-01-31T00:00:00+23:59", "2026-01-30T00:01:00.000000+00:00"),
        ("0000-12-31T23:59:59-00:01", "0001-01-01T00:00:59.000000+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000+00:00"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_what_is_taken(text: str, expected: str) -> None:
    assert timestamps.normalize(text) == expected


FORM = "not an RFC 3339 time with an offset"
DAY = "no such day"
TIME = "no such time of day"
LEAP = "a leap second"
YEARS = "outside the years"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", FORM),
        ("2026-01-31", FORM),
        ("2026-01-31T12:00:00", FORM),
        ("2026-01-31T12:00Z", FORM),
        ("2026-01-31 12:00:00Z", FORM),
        ("2026-01-31T12:00:00+0100", FORM),
        ("2026-01-31T12:00:00+01", FORM),
        ("2026-01-31T12:00:00+1:00", FORM),
        ("2026-01-31T12:00:00 Z", FORM),
        ("2026-01-31T12:00:00Z\n", FORM),
        (" 2026-01-31T12:00:00Z", FORM),
        ("2026-01-31T12:00:00.Z", FORM),
        ("2026-01-31T12:00:00,5Z", FORM),
        ("2026-01-31T12:00:00−01:00", FORM),
        ("26-01-31T12:00:00Z", FORM),
        ("+2026-01-31T12:00:00Z", FORM),
        ("12026-01-31T12:00:00Z", FORM),
        ("2026-W05-6T12:00:00Z", FORM),
        ("20260131T120000Z", FORM),
        ("2026-031T12:00:00Z", FORM),
        ("２026-01-31T12:00:00Z", FORM),
        ("٢026-01-31T12:00:00Z", FORM),
        ("2026-01-31T12:00:00Z" * 2, FORM),
        ("1769860800", FORM),
        ("2026-00-01T12:00:00Z", DAY),
        ("2026-13-01T12:00:00Z", DAY),
        ("2026-01-00T12:00:00Z", DAY),
        ("2026-01-32T12:00:00Z", DAY),
        ("2026-04-31T12:00:00Z", DAY),
        ("2026-02-29T12:00:00Z", DAY),
        ("1900-02-29T12:00:00Z", DAY),
        ("2026-01-31T24:00:00Z", TIME),
        ("2026-01-31T12:60:00Z", TIME),
        ("2026-01-31T12:00:61Z", TIME),
        ("2026-01-31T12:00:00+24:00", TIME),
        ("2026-01-31T12:00:00+12:60", TIME),
        ("2016-12-31T23:59:60Z", LEAP),
        ("2017-01-01T00:59:60.5+01:00", LEAP),
        ("2026-01-15T12:00:60Z", LEAP),
        ("0000-12-31T23:59:59Z", YEARS),
        ("0001-01-01T00:00:59+00:01", YEARS),
        ("9999-12-31T23:59:00-00:01", YEARS),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidEventError, match=reason) as caught:
        timestamps.normalize(text)
    assert caught.value.member == "timestamp"


def test_verification_takes_leap_seconds_at_a_months_end_and_any_year() -> None:
    for text in (
        "2016-12-31T23:59:60Z",
        "2015-06-30T23:59:60.999Z",
        "2017-01-01T00:59:60+01:00",
        "2016-12-31T15:59:60-08:00",
        "2024-02-29T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0000-02-29T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ):
        timestamps.parse(text)
    for text in ("2016-12-31T23:58:60Z", "2016-12-30T23:59:60Z", "2017-01-01T00:59:60Z"):
        with pytest.raises(InvalidEventError, match="a leap second ends a month"):
            timestamps.parse(text)


def test_a_leap_second_lies_between_its_neighbours() -> None:
    instants = [
        timestamps.parse(text)
        for text in (
            "2016-12-31T23:59:59.999999Z",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2017-01-01T00:00:00Z",
        )
    ]
    assert instants == sorted(instants)
    assert len(set(instants)) == 4
    assert timestamps.text_of(instants[1]) == "2016-12-31T23:59:60.000000"


@given(st.text("0123456789", max_size=9), st.text("0123456789", max_size=9))
def test_fractions_sort_by_value(one: str, other: str) -> None:
    def instant(fraction: str) -> timestamps.Instant:
        return timestamps.parse(f"2026-01-31T12:00:00{'.' + fraction if fraction else ''}Z")

    assert (instant(one) < instant(other)) == (float(f"0.{one}0") < float(f"0.{other}0"))


def test_texts_sort_as_instants_do_beyond_the_calendar() -> None:
    texts = [
        timestamps.text_of(timestamps.parse(text))
        for text in (
            "0000-01-01T00:00:00+23:59",
            "0000-01-01T00:00:00Z",
            "0000-01-01T00:00:00.5Z",
            "9999-12-31T23:59:59.5Z",
            "9999-12-31T23:59:60.9999999Z",
            "9999-12-31T23:59:59-23:59",
        )
    ]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {26}

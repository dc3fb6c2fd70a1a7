"""RFC 3339 instants: what the writer stamps, what the door takes, what verification accepts.

Own calendar arithmetic instead of `datetime`: verification has to accept instants that
`datetime` cannot hold (year 0000, more than six fraction digits, leap seconds), and the append
path has to start without importing it. A property test compares the two where both can speak.
"""

from __future__ import annotations

import re

from audit_stream.errors import InvalidEventError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Instant: TypeAlias = tuple[int, int, str]
    """Orders instants: (minute since 0000-03-01 UTC, second 0-60, fraction digits)."""

_DAY = 24 * 60
_EPOCH_DAY = 719468  # 1970-01-01 counted from 0000-03-01

# RFC 3339 section 5.6, with the note that "T" and "Z" may be lower case.
_PATTERN = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_compiled: re.Pattern[str] | None = None


def stamp(nanoseconds: int) -> str:
    """Return the writer's form of a POSIX time given in nanoseconds: UTC, microseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    minutes, second = divmod(seconds, 60)
    return _format(minutes + _EPOCH_DAY * _DAY, second, rest // 1000)


def normalize(text: str) -> str:
    """Return the writer's form (UTC, six fraction digits, `+00:00`) of a supplied timestamp.

    Digits past the microsecond are cut off, not rounded: rounding can move an event forward.

    Raises:
        InvalidEventError: not RFC 3339 with an offset, a leap second, or an instant outside the
            years 1-9999 in UTC.
    """
    minute, second, fraction = parse(text)
    if second == 60:
        raise InvalidEventError("a leap second (:60) cannot be stored; send :59", "timestamp")
    if not _FIRST_MINUTE <= minute <= _LAST_MINUTE:
        raise InvalidEventError("outside the years 1 to 9999 in UTC", "timestamp")
    return _format(minute, second, int(fraction[:6].ljust(6, "0")))


def parse(text: str) -> Instant:
    """Return the instant of an RFC 3339 timestamp (section 5.6; `:60` as section 5.7 allows).

    Raises:
        InvalidEventError: the text is not an RFC 3339 timestamp with an offset.
    """
    global _compiled
    if _compiled is None:
        _compiled = re.compile(_PATTERN)
    match = _compiled.fullmatch(text)
    if match is None:
        raise InvalidEventError(
            "not an RFC 3339 time with an offset, like 2026-01-31T12:00:00Z", "timestamp"
        )
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    if not 1 <= month <= 12 or not 1 <= day <= _days_in_month(year, month):
        raise InvalidEventError("there is no such day in the calendar", "timestamp")
    offset_hour, offset_minute = int(match[9] or 0), int(match[10] or 0)
    if hour > 23 or minute > 59 or second > 60 or offset_hour > 23 or offset_minute > 59:
        raise InvalidEventError("there is no such time of day", "timestamp")
    offset = offset_hour * 60 + offset_minute
    minutes = _days_from_civil(year, month, day) * _DAY + hour * 60 + minute
    minutes += offset if match[8] == "-" else -offset
    if second == 60 and not _ends_month(minutes):
        raise InvalidEventError("a leap second ends a month in UTC; this is none", "timestamp")
    return minutes, second, (match[7] or "").rstrip("0")


def text_of(instant: Instant) -> str:
    """Return `instant` as `YYYY-MM-DDTHH:MM:SS.ffffff`, in UTC, cut to the microsecond.

    An offset can push an instant out of the years 0 to 9999; it is shown as the first or last
    one in them, so that texts always sort as instants do.
    """
    minute, second, fraction = min(max(instant, _FIRST_TEXT), _LAST_TEXT)
    return _format(minute, second, int(fraction[:6].ljust(6, "0")))[:26]


def seconds_of(instant: Instant) -> int:
    """Return the POSIX time of `instant` in whole seconds."""
    return (instant[0] - _EPOCH_DAY * _DAY) * 60 + instant[1]


def _format(minutes: int, second: int, microsecond: int) -> str:
    days, minute = divmod(minutes, _DAY)
    year, month, day = _civil_from_days(days)
    return (
        f"{year:04d}-{month:02d}-{day:02d}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}"
        f".{microsecond:06d}+00:00"
    )


def _days_in_month(year: int, month: int) -> int:
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _ends_month(minutes: int) -> bool:
    return minutes % _DAY == _DAY - 1 and _civil_from_days(minutes // _DAY + 1)[2] == 1


def _days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 0000-03-01 in the proleptic Gregorian calendar (RFC 3339 appendix B's trick:
    a year that starts in March keeps the leap day at its end)."""
    if month <= 2:
        year -= 1
        month += 12
    return (
        365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1
    )


def _civil_from_days(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days, 146097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    month = month_index + 3 if month_index < 10 else month_index - 9
    year = era * 400 + year_of_era + (month <= 2)
    return year, month, day_of_year - (153 * month_index + 2) // 5 + 1


_FIRST_MINUTE = _days_from_civil(1, 1, 1) * _DAY
_LAST_MINUTE = _days_from_civil(10000, 1, 1) * _DAY - 1
_FIRST_TEXT: Instant = (_days_from_civil(0, 1, 1) * _DAY, 0, "")
_LAST_TEXT: Instant = (_LAST_MINUTE, 60, "999999")

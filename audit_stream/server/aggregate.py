"""Counts over time, by kind and source, that grow with the ledger: what `/stats` answers from.

Kept by the second, as two flat arrays for every pair of kind and source: sixteen bytes for every
second in which a pair had events, so that a million events cost a few megabytes at the very worst.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from audit_stream import timestamps
from audit_stream.errors import InvalidEventError
from audit_stream.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_PAIRS = 20_000
"""How many pairs of kind and source are told apart over time; events of further pairs are
counted under the source `REST`."""

REST = ""
"""Not a valid source, so it cannot be mistaken for one."""

STEPS = (1, 5, 10, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
DAY = 86400
AUTO_BUCKETS = 120
MOST_BUCKETS = 5000


class Series:
    """How many events there were in which second (POSIX time), in the order of time."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.seconds = array("q")
        self.counts = array("Q")

    def add(self, second: int, number: int) -> None:
        """Count `number` more events. Quick where time goes forward."""
        seconds = self.seconds
        if not seconds or second > seconds[-1]:
            seconds.append(second)
            self.counts.append(number)
            return
        at = bisect_left(seconds, second)
        if seconds[at] == second:
            self.counts[at] += number
        else:
            seconds.insert(at, second)
            self.counts.insert(at, number)

    def between(self, since: int | None, until: int | None) -> int:
        """Return how many events there were in since <= second < until."""
        low = 0 if since is None else bisect_left(self.seconds, since)
        high = len(self.seconds) if until is None else bisect_left(self.seconds, until)
        return sum(self.counts[low:high])

    def spread(self, start: int, width: int, buckets: list[int]) -> None:
        """Add the counts to `buckets`, each `width` seconds long, the first from `start`."""
        low = bisect_left(self.seconds, start)
        seconds, counts = self.seconds, self.counts
        while low < len(seconds):
            number = (seconds[low] - start) // width
            if number >= len(buckets):
                return
            high = bisect_left(seconds, start + (number + 1) * width, low)
            buckets[number] += sum(counts[low:high])
            low = high


class Wanted(NamedTuple):
    """What to count: kinds and sources (empty: all), POSIX seconds, both ends may be open."""

    kinds: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None


class TooManyBucketsError(Exception):
    """The bucket asked for is too small for the time there is; `buckets` is how many it makes."""

    def __init__(self, buckets: int) -> None:
        super().__init__(buckets)
        self.buckets = buckets


class OverTime(Tally):
    """A tally that also counts by second, kind and source."""

    def __init__(self) -> None:
        super().__init__()
        self.series: dict[tuple[str, str], Series] = {}
        self._minutes: dict[str, int] = {}

    def _spread(self, times: list[str], kinds: list[str], sources: list[str]) -> None:
        try:
            seconds = [self._minute(time[:16]) + int(time[17:19]) for time in times]
        except ValueError:
            raise InvalidEventError("not a time", "timestamp") from None
        cells = Counter(zip(seconds, kinds, sources, strict=True))
        for (second, kind, source), number in cells.items():
            self._series(kind, source).add(second, number)

    def _minute(self, text: str) -> int:
        at = self._minutes.get(text)
        if at is None:
            if len(self._minutes) > 10_000:
                self._minutes.clear()
            at = timestamps.seconds_of(timestamps.parse(text + ":00Z"))
            self._minutes[text] = at
        return at

    def _series(self, kind: str, source: str) -> Series:
        found = self.series.get((kind, source))
        if found is None:
            if len(self.series) >= MOST_PAIRS:
                source = REST
            found = self.series.setdefault((kind, source), Series())
        return found

    def add_read(self, envelopes: list[Any]) -> None:
        """Count lines that were read already (objects with the envelope's members).

        Raises InvalidEventError, with nothing counted, for a timestamp that is none.
        """
        self._add(envelopes)

    def put_before(self, earlier: dict[str, Any]) -> None:
        """Add what `dump` gave of the events before the first one counted here."""
        self.count += earlier["count"]
        self.by_kind.update(earlier["by_kind"])
        self.by_source.update(earlier["by_source"])
        self.damaged_count += earlier["damaged_count"]
        self.first_timestamp = earlier["first_timestamp"] or self.first_timestamp
        self.last_timestamp = self.last_timestamp or earlier["last_timestamp"]
        self.last_event_id = self.last_event_id or earlier["last_event_id"]
        self.latest_hash = self.latest_hash or earlier["latest_hash"]
        for kind, source, seconds, counts in earlier["series"]:
            later = self.series.get((kind, source))
            merged = self.series[(kind, source)] = Series()
            merged.seconds.frombytes(seconds)
            merged.counts.frombytes(counts)
            if later is not None:
                for second, number in zip(later.seconds, later.counts, strict=True):
                    merged.add(second, number)

    def dump(self) -> dict[str, Any]:
        """Return everything as plain data, for another process."""
        return {
            **self.members(),
            "damaged_count": self.damaged_count,
            "series": [
                (kind, source, series.seconds.tobytes(), series.counts.tobytes())
                for (kind, source), series in self.series.items()
            ],
        }

    # -- asking ------------------------------------------------------------------------------

    def totals(self, wanted: Wanted) -> tuple[dict[str, int], dict[str, int]]:
        """Return the counts by kind and by source, largest first."""
        by_kind: Counter[str] = Counter()
        by_source: Counter[str] = Counter()
        for (kind, source), series in self._matching(wanted):
            number = series.between(wanted.since, wanted.until)
            if number:
                by_kind[kind] += number
                by_source[source] += number
        return dict(by_kind.most_common()), dict(by_source.most_common())

    def buckets(self, wanted: Wanted, width: int | None) -> dict[str, Any]:
        """Return `bucket_seconds`, `start` and, by kind, the counts of equally long buckets.

        `width` None chooses one that gives at most about AUTO_BUCKETS. `start` is None when there
        is nothing to show. Raises TooManyBucketsError.
        """
        chosen = list(self._matching(wanted))
        first = _edge(wanted.since, (s.seconds[0] for _, s in chosen if s.seconds), min)
        last = _edge(
            None if wanted.until is None else wanted.until - 1,
            (s.seconds[-1] for _, s in chosen if s.seconds),
            max,
        )
        if first is None or last is None or last < first:
            return {"bucket_seconds": width or STEPS[4], "start": None, "kinds": {}}
        if width is None:
            width = _nice_width(last - first + 1)
        start = first - first % width
        number = (last - start) // width + 1
        if number > MOST_BUCKETS:
            raise TooManyBucketsError(number)
        kinds: dict[str, list[int]] = {}
        for (kind, _), series in chosen:
            series.spread(start, width, kinds.setdefault(kind, [0] * number))
        return {
            "bucket_seconds": width,
            "start": timestamps.stamp(start * 10**9),
            "kinds": {kind: counts for kind, counts in sorted(kinds.items()) if any(counts)},
        }

    def _matching(self, wanted: Wanted) -> Iterable[tuple[tuple[str, str], Series]]:
        for (kind, source), series in self.series.items():
            if (not wanted.kinds or kind in wanted.kinds) and (
                not wanted.sources or source in wanted.sources
            ):
                yield (kind, source), series


def _edge(
    given: int | None, found: Iterable[int], choose: Callable[[Iterable[int]], int]
) -> int | None:
    if given is not None:
        return given
    seen = list(found)
    return choose(seen) if seen else None


def _nice_width(seconds: int) -> int:
    for step in STEPS:
        if seconds <= step * AUTO_BUCKETS:
            return step
    return DAY * max(1, -(-seconds // (DAY * AUTO_BUCKETS)))

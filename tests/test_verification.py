"""The verdict: several processes and one, pins and expectations, precedence, changed bits.

Ranges are made tiny here, so that a small ledger is walked by many of them and every boundary
falls on every kind of place.
"""

from __future__ import annotations

import errno
import io
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import Ledger, pins, verification
from audit_stream.chain import GENESIS, Segment
from audit_stream.errors import (
    InputError,
    LedgerNotFoundError,
    PinError,
    StorageError,
    UnreadableError,
)
from audit_stream.pins import Pin
from audit_stream.storage.file import FileEngine
from audit_stream.storage.snapshot import Snapshot
from audit_stream.verification import (
    Expectations,
    VerifyResult,
    verify_bytes,
    verify_snapshot,
    verify_stream,
)
from tests.ledgers import NOON, ZEROS, chained, flips, hash_of, joined, numbered
from tests.storage.disks import FaultyDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LINES = numbered(5)
HASHES = [hash_of(line) for line in LINES]
DATA = joined(LINES)
REWRITTEN = joined(chained({"payload": {"n": -n}} for n in range(1, 6)))


def offset_of(number: int, lines: list[bytes] = LINES) -> int:
    """Where the line of event `number` starts."""
    return len(joined(lines[: number - 1]))


def in_ranges(data: bytes, size: int, expected: Expectations = Expectations()) -> VerifyResult:  # noqa: B008
    """Verify as several processes do, without starting any."""
    snapshot = Snapshot(lambda length, offset: data[offset : offset + length], len(data))
    verifier = verification._starting_point(snapshot, expected)
    since = verifier.head.count
    verification._worker = (snapshot, verifier.watch, None)
    start = verifier.offset
    while start < snapshot.whole:
        if not verifier.join(verification._check_range((start, min(start + size, snapshot.whole)))):
            break
        start += size
    assert verifier.fault is not None or verifier.offset == snapshot.whole
    return verification._judge(verifier, snapshot.size, snapshot.torn, expected, since)


@pytest.fixture
def tiny_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "RANGE_SIZE", 700)
    monkeypatch.setattr(verification, "BLOCK_SIZE", 300)


# -- verdicts ----------------------------------------------------------------------------------


def test_intact() -> None:
    result = verify_bytes(DATA)
    assert result.as_dict() == {
        "valid": True,
        "checked": 5,
        "first_break_at": None,
        "reason": None,
        "verdict": "intact",
        "byte_offset": None,
        "last_event_id": 5,
        "latest_hash": HASHES[4],
        "bytes": len(DATA),
        "torn_tail_bytes": 0,
        "clock_regressions": 0,
        "pinned": None,
        "since_event_id": 0,
    }
    assert list(result.as_dict())[:4] == ["valid", "checked", "first_break_at", "reason"]
    assert result.exit_code == 0
    assert result.whole_bytes == len(DATA)


def test_empty() -> None:
    result = verify_bytes(b"")
    assert (result.verdict, result.valid, result.exit_code) == ("empty", True, 0)
    assert (result.checked, result.last_event_id, result.latest_hash) == (0, 0, None)


def test_broken() -> None:
    data = DATA.replace(b'"n":3', b'"n":4')
    result = verify_bytes(data + b"torn")
    assert (result.verdict, result.valid, result.exit_code) == ("broken", False, 1)
    assert (result.first_break_at, result.checked) == (3, 2)
    assert result.byte_offset == offset_of(3)
    assert result.reason == "hash mismatch at event #3"
    assert (result.last_event_id, result.latest_hash) == (2, HASHES[1])
    assert result.torn_tail_bytes == 4
    assert result.bytes == len(data) + 4


@pytest.mark.parametrize("whole", [0, 1, 5])
def test_torn(whole: int) -> None:
    data = joined(LINES[:whole]) + b'{"event_id"'
    result = verify_bytes(data)
    assert (result.verdict, result.valid, result.exit_code) == ("torn", False, 3)
    assert (result.first_break_at, result.checked) == (None, whole)
    assert result.byte_offset == offset_of(whole + 1)
    assert result.torn_tail_bytes == len(b'{"event_id"')
    assert "torn tail: 11 bytes" in str(result.reason)


def test_truncated_and_rewritten() -> None:
    pin = Pin(5, HASHES[4], len(DATA))
    for data, verdict in ((joined(LINES[:4]), "truncated"), (b"", "truncated")):
        result = verify_bytes(data, Expectations(pin=pin))
        assert (result.verdict, result.valid, result.exit_code) == (verdict, False, 1)
        assert (result.first_break_at, result.byte_offset, result.pinned) == (None, None, None)
        assert result.checked == data.count(b"\n")
    result = verify_bytes(REWRITTEN, Expectations(pin=pin))
    assert (result.verdict, result.valid, result.exit_code) == ("rewritten", False, 1)
    assert (result.first_break_at, result.byte_offset, result.checked) == (None, None, 5)


BROKEN = DATA.replace(b'"n":5', b'"n":6')


@pytest.mark.parametrize(
    ("data", "expected", "verdict"),
    [
        (BROKEN + b"t", Expectations("f" * 64, 9, Pin(1, "f" * 64, 10)), "broken"),
        (BROKEN, Expectations(at_least=6), "broken"),
        (DATA + b"t", Expectations(None, 9, Pin(1, "f" * 64, 10)), "rewritten"),
        (DATA + b"t", Expectations("f" * 64, None, Pin(6, "f" * 64, 10)), "rewritten"),
        (DATA + b"t", Expectations(at_least=6), "truncated"),
        (DATA + b"t", Expectations(pin=Pin(6, "f" * 64, 10)), "truncated"),
        (DATA + b"t", Expectations(at_least=5), "torn"),
        (b"t", Expectations(pin=Pin(6, "f" * 64, 10)), "truncated"),
        (b"t", Expectations(), "torn"),
    ],
)
def test_the_gravest_verdict_wins(data: bytes, expected: Expectations, verdict: str) -> None:
    assert verify_bytes(data, expected).verdict == verdict
    assert in_ranges(data, 100, expected).verdict == verdict
    if expected.pin is None:
        assert verify_stream(io.BytesIO(data), expected).verdict == verdict


@pytest.mark.parametrize(
    ("head", "at_least", "verdict"),
    [
        (None, 0, "intact"),
        (None, 5, "intact"),
        (None, 6, "truncated"),
        (HASHES[0], None, "intact"),
        (HASHES[4], None, "intact"),
        ("f" * 64, None, "rewritten"),
        (HASHES[2], 3, "intact"),
        (HASHES[2], 2, "rewritten"),
        (HASHES[4], 6, "truncated"),
        (ZEROS, None, "intact"),
        (ZEROS, 0, "intact"),
        (ZEROS, 3, "rewritten"),
        (HASHES[0], 0, "rewritten"),
    ],
)
def test_expectations(head: str | None, at_least: int | None, verdict: str) -> None:
    expected = Expectations(head, at_least)
    assert verify_bytes(DATA, expected).verdict == verdict
    assert verify_stream(io.BytesIO(DATA), expected).verdict == verdict
    for size in (1, 100, 301, 10_000):
        assert in_ranges(DATA, size, expected).verdict == verdict


def test_a_hash_in_a_payload_is_not_an_event() -> None:
    data = joined(chained([{"payload": {"h": "f" * 64}}]))
    assert verify_bytes(data, Expectations(head="f" * 64)).verdict == "rewritten"


def test_what_vouches_for_the_end_is_the_furthest_witness() -> None:
    def by(**expected: Any) -> Any:
        return verify_bytes(DATA, Expectations(**expected)).pinned

    assert by() is None
    assert by(at_least=3) == {"by": "expect-count", "event_id": 3, "hash": None}
    assert by(head=HASHES[1]) == {"by": "expect-head", "event_id": 2, "hash": HASHES[1]}
    both = by(head=HASHES[2], at_least=3)
    assert both == {"by": "expect-head", "event_id": 3, "hash": HASHES[2]}
    pin = Pin(4, HASHES[3], offset_of(5))
    assert by(pin=pin, head=HASHES[1])["by"] == "pin"
    assert by(pin=pin, head=HASHES[4])["by"] == "expect-head"
    torn = verify_bytes(DATA + b"t", Expectations(pin=pin))
    assert (torn.verdict, torn.pinned) == ("torn", by(pin=pin))


# -- every byte --------------------------------------------------------------------------------


def test_changed_bits_of_a_larger_ledger_are_found_where_they_are() -> None:
    lines = chained(
        {
            "payload": {
                "n": n,
                "share": n / 7,
                "small": n * 1e-9,
                "text": 'é😀\x00"\\' * (n % 3),
                "list": [None, True, {"deep": [n]}],
            },
            "source": f"service-{n % 5}",
            "timestamp": NOON.replace(".000000", f".{n:06d}"),
        }
        for n in range(200)
    )
    data = joined(lines)
    starts = [offset_of(number, lines) for number in range(1, 201)]
    sample = random.Random(7).sample(range(len(data) * 8), 400)
    for position, changed in flips(data, sample):
        result = verify_bytes(changed)
        hit = sum(start <= position // 8 for start in starts)
        if position // 8 == len(data) - 1:
            assert result.verdict == "torn"
        else:
            assert result.verdict == "broken"
            assert result.first_break_at == hit
            assert result.checked == hit - 1
        assert result.byte_offset == starts[hit - 1]


def some_ledgers() -> st.SearchStrategy[bytes]:
    """A valid ledger, with bytes exchanged, put in, left out, or lines moved about."""
    lines = [*numbered(6), *numbered(2), *chained([{}], 7, hash_of(numbered(6)[-1])), b"", b"{}"]
    whole = st.lists(st.sampled_from(lines), max_size=9).map(joined)
    good = st.integers(0, 6).map(lambda n: joined(numbered(n)))

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.one_of(good, whole)))
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(data)))
            data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        return bytes(data)

    return damaged()


@given(some_ledgers(), st.integers(1, 2000), st.integers(1, 900))
def test_ranges_and_streams_say_what_one_walk_says(data: bytes, size: int, chunk: int) -> None:
    expected = Expectations(HASHES[1], 2)
    alone = verify_bytes(data, expected)
    assert in_ranges(data, size, expected) == alone
    assert verify_stream(_Trickle(data, chunk), expected) == alone  # type: ignore[arg-type]


class _Trickle:
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, chunk: int) -> None:
        self._stream = io.BytesIO(data)
        self._chunk = chunk

    def read(self, size: int) -> bytes:
        return self._stream.read(min(size, self._chunk))


def test_ranges_of_every_size_agree() -> None:
    broken = joined([*LINES[:3], LINES[4]])
    torn = DATA + b"t"
    for data in (DATA, broken, torn, DATA.replace(b'"n":4', b'"n":5'), DATA + b"\n"):
        alone = verify_bytes(data)
        for size in range(1, len(data) + 2, 7):
            assert in_ranges(data, size) == alone


def test_clock_steps_are_counted_across_ranges() -> None:
    times = [NOON.replace("12:00", f"12:{minute:02d}") for minute in (5, 4, 4, 9, 1, 0, 7)]
    data = joined(chained({"timestamp": time} for time in times))
    assert verify_bytes(data).clock_regressions == 3
    for size in (1, 200, 300, 500):
        assert in_ranges(data, size).clock_regressions == 3


# -- real processes ----------------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(numbered(60)))
    return Ledger(path)


def damage(ledger: Ledger, old: bytes, new: bytes) -> None:
    with open(ledger.path, "rb+") as file:
        data = file.read()
        assert data.count(old) == 1
        file.seek(0)
        file.write(data.replace(old, new))
        file.truncate()


@pytest.mark.usefixtures("tiny_ranges")
def test_processes_say_what_one_says(ledger: Ledger) -> None:
    assert ledger.verify(jobs=3) == ledger.verify(jobs=1)
    assert ledger.verify(jobs=3).checked == 60
    damage(ledger, b'"n":41}', b'"n":42}')
    assert ledger.verify(jobs=3) == ledger.verify(jobs=1)
    assert ledger.verify(jobs=2).first_break_at == 41


@pytest.mark.usefixtures("tiny_ranges")
def test_processes_without_fork(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a program with threads, and on macOS and Windows.
    monkeypatch.setattr(verification.threading, "active_count", lambda: 2)
    assert ledger.verify(jobs=2).checked == 60


def in_workers(
    monkeypatch: pytest.MonkeyPatch, action: Callable[[tuple[int, int]], Segment]
) -> None:
    """Let forked processes do this in place of checking a range."""
    action.__module__ = verification.__name__
    action.__qualname__ = "_check_range"
    monkeypatch.setattr(verification, "_check_range", action)


@pytest.mark.usefixtures("tiny_ranges")
def test_a_killed_process_is_done_without(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    real, parent = verification._check_range, os.getpid()

    def die_in_the_third(bounds: tuple[int, int]) -> Segment:
        if bounds[0] >= 1400 and os.getpid() != parent:
            os._exit(1)
        return real(bounds)

    in_workers(monkeypatch, die_in_the_third)
    assert ledger.verify(jobs=2).checked == 60


@pytest.mark.usefixtures("tiny_ranges")
def test_a_process_that_cannot_read_is_done_without(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(bounds: tuple[int, int]) -> Segment:
        raise OSError(errno.EIO, "I/O error")

    in_workers(monkeypatch, fail)
    assert ledger.verify(jobs=2).checked == 60


@pytest.mark.usefixtures("tiny_ranges")
def test_a_file_replaced_under_the_walk_is_read_to_its_end(
    ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    with ledger.snapshot() as snapshot:
        os.replace(ledger.path, ledger.path + ".1")
        assert verify_snapshot(snapshot, path=ledger.path, jobs=2).checked == 60
        with open(ledger.path, "wb"):
            pass
        assert verify_snapshot(snapshot, path=ledger.path, jobs=2).checked == 60
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.usefixtures("tiny_ranges")
def test_a_file_cut_under_the_walk_is_no_verdict(ledger: Ledger, jobs: int) -> None:
    with ledger.snapshot() as snapshot:
        os.truncate(ledger.path, 5000)
        with pytest.raises(UnreadableError, match="cut while it was being verified"):
            verify_snapshot(snapshot, path=ledger.path, jobs=jobs)


def test_few_ranges_are_under_way_at_once() -> None:
    class Later:
        def __init__(self, bounds: tuple[int, int]) -> None:
            under_way.append(bounds)
            self._bounds = bounds

        def result(self) -> tuple[int, int]:
            under_way.remove(self._bounds)
            return self._bounds

    class Pool:
        def submit(self, check: object, bounds: tuple[int, int]) -> Later:
            return Later(bounds)

    under_way: list[tuple[int, int]] = []
    most = 0
    ranges = [(n, n + 1) for n in range(100)]
    results = []
    for result in verification._in_order(Pool(), iter(ranges), 8):  # type: ignore[arg-type]
        most = max(most, len(under_way))
        results.append(result)
    assert results == ranges
    assert most == 8


def test_progress_rises_to_the_end(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "BLOCK_SIZE", 300)
    size = os.path.getsize(ledger.path)
    calls: list[tuple[int, int]] = []
    ledger.verify(progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert {total for _, total in calls} == {size}
    calls.clear()
    monkeypatch.setattr(verification, "RANGE_SIZE", 700)
    ledger.verify(jobs=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (size, size)
    calls.clear()
    verify_stream(io.BytesIO(DATA), progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (len(DATA), 0)


def test_default_jobs_are_those_we_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verification.default_jobs() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert verification.default_jobs() == (os.cpu_count() or 1)


def test_a_read_error_is_the_machines_fault(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(DATA)
    engine = FileEngine(path, disk=FaultyDisk().fail("read_at", errno.EIO, at=2))
    with pytest.raises(StorageError, match="Input/output error while reading"):
        Ledger(path, engine=engine).verify()


def test_a_missing_ledger_is_an_error_never_a_verdict(tmp_path: Path) -> None:
    with pytest.raises(LedgerNotFoundError):
        Ledger(tmp_path / "ledger.jsonl").verify(pin=tmp_path / "pin")
    assert os.listdir(tmp_path) == []


# -- pins --------------------------------------------------------------------------------------


@pytest.fixture
def pin(tmp_path: Path) -> Path:
    return tmp_path / "pin"


def test_the_first_use_makes_the_pin_and_the_next_is_vouched_for(ledger: Ledger, pin: Path) -> None:
    first = ledger.verify(pin=pin)
    assert first.pinned is None
    made = pins.load(str(pin))
    assert made == Pin(60, str(first.latest_hash), os.path.getsize(ledger.path))
    ledger.append("other", "test")
    second = ledger.verify(pin=pin)
    assert second.pinned == {"by": "pin", "event_id": 60, "hash": made.hash}
    assert pins.load(str(pin)) == Pin(61, str(second.latest_hash), os.path.getsize(ledger.path))


def test_a_pin_moves_on_success_only(ledger: Ledger, pin: Path) -> None:
    ledger.verify(pin=pin)
    before = pin.read_bytes()
    ledger.append("other", "test")
    with open(ledger.path, "ab") as file:
        file.write(b"torn")
    assert ledger.verify(pin=pin).verdict == "torn"
    assert pin.read_bytes() == before
    ledger.append("other", "test")
    assert ledger.verify(pin=pin, expect_count=99).verdict == "truncated"
    assert pin.read_bytes() == before
    damage(ledger, b'"n":60}', b'"n":61}')
    assert ledger.verify(pin=pin).verdict == "broken"
    assert pin.read_bytes() == before


@pytest.mark.parametrize("since_pin", [False, True])
def test_a_cut_or_rewritten_ledger_is_found_by_its_pin(
    ledger: Ledger, pin: Path, since_pin: bool
) -> None:
    ledger.verify(pin=pin)
    lines = numbered(60)
    for other, verdict in (
        (lines[:59], "truncated"),
        ([], "truncated"),
        (numbered(60, source="else"), "rewritten"),
        (numbered(70, source="else"), "rewritten"),
        # The same head, reached in another place: the bytes before it changed.
        (lines[1:], "broken"),
    ):
        with open(ledger.path, "wb") as file:
            file.write(joined(other))
        assert ledger.verify(pin=pin, since_pin=since_pin).verdict == verdict
    assert pins.load(str(pin)) is not None


def test_since_the_pin_only_what_is_new_is_read(ledger: Ledger, pin: Path) -> None:
    ledger.verify(pin=pin)
    damage(ledger, b'"n":7}', b'"n":8}')
    ledger.append("other", "test")
    result = ledger.verify(pin=pin, since_pin=True)
    assert (result.verdict, result.checked, result.since_event_id) == ("intact", 61, 60)
    assert result.latest_hash == ledger.head().hash
    assert ledger.verify(pin=pin).verdict == "broken"
    # An expectation may concern any part, so all is read.
    assert ledger.verify(pin=pin, since_pin=True, expect_count=3).verdict == "broken"


def test_since_the_pin_damage_behind_it_is_found(ledger: Ledger, pin: Path) -> None:
    ledger.verify(pin=pin)
    at = os.path.getsize(ledger.path)
    for n in range(5):
        ledger.append("other", "test", {"m": n})
    damage(ledger, b'"m":0}', b'"m":9}')
    result = ledger.verify(pin=pin, since_pin=True)
    assert (result.verdict, result.first_break_at, result.byte_offset) == ("broken", 61, at)


@pytest.mark.usefixtures("tiny_ranges")
def test_since_the_pin_with_processes(ledger: Ledger, pin: Path) -> None:
    ledger.verify(pin=pin)
    ledger.append_many([{"kind": "other", "source": "test"}] * 40)
    result = ledger.verify(pin=pin, since_pin=True, jobs=2)
    assert (result.verdict, result.checked, result.since_event_id) == ("intact", 100, 60)


def test_the_pinned_line_itself_is_checked(ledger: Ledger, pin: Path) -> None:
    ledger.verify(pin=pin)
    damage(ledger, b'"n":60}', b'"n":61}')
    assert ledger.verify(pin=pin, since_pin=True).first_break_at == 60


def test_a_step_back_right_behind_the_pin_is_counted(tmp_path: Path, pin: Path) -> None:
    lines = chained([{"timestamp": NOON}, {"timestamp": NOON.replace("12:", "11:")}])
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(lines[:1]))
    ledger = Ledger(path)
    assert ledger.verify(pin=pin).clock_regressions == 0
    path.write_bytes(joined(lines))
    result = ledger.verify(pin=pin, since_pin=True)
    assert (result.since_event_id, result.checked, result.clock_regressions) == (1, 2, 1)


def test_the_pin_of_an_empty_ledger_lets_it_grow(tmp_path: Path, pin: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.touch()
    ledger = Ledger(path)
    assert ledger.verify(pin=pin).verdict == "empty"
    assert pins.load(str(pin)) == Pin(0, ZEROS, 0)
    ledger.append("other", "test")
    assert ledger.verify(pin=pin, since_pin=True).verdict == "intact"
    assert pins.load(str(pin)) != Pin(0, ZEROS, 0)


def test_a_damaged_pin_is_an_error_and_stays(ledger: Ledger, pin: Path) -> None:
    pin.write_bytes(b"")
    with pytest.raises(PinError):
        ledger.verify(pin=pin)
    assert pin.read_bytes() == b""


def test_a_pin_that_cannot_be_written_is_no_success(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write the pin"):
        ledger.verify(pin=tmp_path / "missing" / "pin")


def test_expected_hashes_may_be_upper_case(ledger: Ledger) -> None:
    assert ledger.verify(expect_head=ledger.head().hash.upper()).verdict == "intact"


def test_the_first_segment_starts_from_nothing() -> None:
    verification._worker = (
        Snapshot(lambda length, offset: DATA[offset : offset + length], len(DATA)),
        frozenset(),
        None,
    )
    assert verification._check_range((0, 10)).assumed == GENESIS


@pytest.fixture(autouse=True)
def _no_worker_state() -> Iterator[None]:
    yield
    vars(verification).pop("_worker", None)


def test_a_pin_that_another_verification_moved_further_is_not_moved_back(
    ledger: Ledger, pin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.verify(pin=pin)
    ledger.append("other", "test")

    def overtake(done: int, total: int) -> None:
        ledger.append("other", "test")
        Ledger(ledger.path).verify(pin=pin)

    assert ledger.verify(pin=pin, progress=overtake).checked == 61
    made = pins.load(str(pin))
    assert made is not None
    assert made.event_id == 62


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"expect_head": "f" * 63}, "expect_head: expected 64 hex digits"),
        ({"expect_head": "g" * 64}, "expect_head: expected 64 hex digits"),
        ({"expect_head": "f" * 64 + "\n"}, "expect_head: expected 64 hex digits"),
        ({"expect_head": "\ud800"}, "expect_head: expected 64 hex digits"),
        ({"expect_head": ""}, "expect_head: expected 64 hex digits"),
        ({"expect_count": -1}, "expect_count: expected 0 or more"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_no_verdict(
    ledger: Ledger, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        ledger.verify(**options)

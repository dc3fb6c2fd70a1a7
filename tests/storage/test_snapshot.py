"""Finding events by interpolation: exact on whole ledgers, never silent about damaged ones.

The block and probe sizes are made small, so that short ledgers exercise what long ones do. What
the answers should be among damaged lines is worked out here by walking a list of lines.
"""

from __future__ import annotations

import itertools
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.storage import snapshot as module
from audit_stream.storage.snapshot import (
    Block,
    Snapshot,
    end_of_lines,
    event_id_of,
    may_begin_line,
)
from tests.ledgers import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Bytes:
    """A reader that counts what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    def __call__(self, size: int, offset: int) -> bytes:
        assert size >= 0
        assert offset >= 0
        self.reads += 1
        return self.data[offset : offset + size]


def snapshot_of(lines: Sequence[bytes], tail: bytes = b"") -> Snapshot:
    data = joined(lines) + tail
    return Snapshot(Bytes(data), len(data))


def line(event_id: int, length: int = 0) -> bytes:
    """A line whose beginning is that of a stored one."""
    return b'{"event_id":%d,"hash":"%b"}' % (event_id, b"f" * length)


@contextmanager
def small(block: int, probe: int) -> Iterator[None]:
    before = module.BLOCK_SIZE, module._PROBE_SIZE
    module.BLOCK_SIZE, module._PROBE_SIZE = block, probe
    try:
        yield
    finally:
        module.BLOCK_SIZE, module._PROBE_SIZE = before


sizes = st.tuples(st.integers(1, 300), st.integers(1, 90))
raw_lines = st.lists(
    st.one_of(
        st.binary(max_size=40).map(lambda raw: b'{"event_id":' + raw.replace(b"\n", b"\r")),
        st.builds(line, st.integers(1, 9), st.integers(0, 50)),
    ),
    max_size=12,
)


def as_shown(each: bytes) -> bytes:
    """A line with its LF, cut short where it is longer than a block and cannot be an event."""
    hopeless = len(each) + 1 > module.BLOCK_SIZE and not may_begin_line(each)
    return each[: module.BLOCK_SIZE] + b"\n" if hopeless else each + b"\n"


def stands_for(block: Block, snapshot: Snapshot) -> bytes:
    """What stands in the file where a block was taken from."""
    there = snapshot.read_at(block.end - block.offset, block.offset)
    if block.data != there:
        assert there.count(b"\n") == block.data.count(b"\n") == 1
        assert not may_begin_line(there)
        assert there.startswith(block.data[:-1])
        assert block.data.endswith(b"\n")
    return there


# -- blocks and lines --------------------------------------------------------------------------


@given(raw_lines, st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"")), sizes)
def test_blocks_hold_every_line_once_in_either_direction(
    lines: list[bytes], tail: bytes, size: tuple[int, int]
) -> None:
    with small(*size):
        snapshot = snapshot_of(lines, tail)
        assert snapshot.whole == len(joined(lines))
        assert snapshot.torn == len(tail)
        starts = [0]
        for each in lines:
            starts.append(starts[-1] + len(each) + 1)
        for low in (0, len(lines) // 2, len(lines)):
            start, end = starts[low], starts[-1 - low // 2]
            if start > end:
                continue
            wanted = snapshot.read_at(end - start, start)
            forward = list(snapshot.blocks(start, end, size=size[0]))
            backward = list(snapshot.blocks_reversed(start, end, size=size[0]))
            for blocks in (forward, backward[::-1]):
                ends = [start, *(block.end for block in blocks)]
                assert [block.offset for block in blocks] == ends[:-1]
                assert ends[-1] == end
                assert set(ends) <= set(starts)
                assert b"".join(map(stands_for, blocks, itertools.repeat(snapshot))) == wanted


@given(st.binary(min_size=1, max_size=400).map(lambda raw: raw.replace(b"\n", b"")), sizes)
def test_a_hopeless_line_is_as_hopeless_cut_short(raw: bytes, size: tuple[int, int]) -> None:
    with small(*size):
        good = line(2, 5)
        snapshot = snapshot_of([b"x" + raw, good])
        for blocks in (
            list(snapshot.blocks(size=size[0])),
            list(snapshot.blocks_reversed(size=size[0]))[::-1],
        ):
            assert blocks[0].offset == 0
            lines = b"".join(block.data for block in blocks).split(b"\n")
            assert len(lines) == 3
            assert (b"x" + raw).startswith(lines[0])
            assert lines[0]
            assert lines[1] == good
        first = snapshot.line_ending_at(len(raw) + 2)
        assert (b"x" + raw + b"\n").startswith(first[:-1])
        assert not may_begin_line(first)


@given(raw_lines, sizes)
def test_lines_are_found_by_their_places(lines: list[bytes], size: tuple[int, int]) -> None:
    with small(*size):
        snapshot = snapshot_of(lines, b"tail")
        start = 0
        for each in lines:
            shown = as_shown(each)
            assert snapshot.line_at(start) == shown
            assert snapshot.line_ending_at(start + len(each) + 1) == shown
            assert snapshot.line_start_from(start) == start
            assert snapshot.line_start_from(start + 1) == start + len(each) + 1
            start += len(each) + 1
        assert snapshot.last_line() == (as_shown(lines[-1])[:-1] if lines else None)
        assert snapshot.line_at(snapshot.whole) == b""


@given(st.binary(max_size=200), st.integers(1, 50))
def test_the_end_of_the_whole_lines(data: bytes, probe: int) -> None:
    with small(100, probe):
        assert end_of_lines(Bytes(data), len(data)) == data.rfind(b"\n") + 1


def test_a_line_that_cannot_be_an_event_does_not_fill_the_memory() -> None:
    hopeless = b"x" * 1_000_000
    for lines in ([hopeless], [line(1), hopeless, line(3)], [*[hopeless] * 9, b"", line(11)]):
        snapshot = snapshot_of(lines, b"y" * 1_000_000)
        with small(1000, 100):
            for blocks in (snapshot.blocks(size=1000), snapshot.blocks_reversed(size=1000)):
                assert max(len(block.data) for block in blocks) <= 2001
            assert len(snapshot.line_ending_at(snapshot.whole)) <= 1001
            if event_id_of(lines[-1]):
                assert snapshot.event_line(len(lines)) == lines[-1]
                assert snapshot.offset_before(len(lines)) == snapshot.whole - len(lines[-1]) - 1
            assert snapshot.last_event_id() == len(lines)


def test_a_long_line_that_may_be_an_event_is_whole() -> None:
    lines = [line(1, 5000), line(2, 70_000), line(3)]
    snapshot = snapshot_of(lines)
    with small(1000, 100):
        for blocks in (snapshot.blocks(size=1000), snapshot.blocks_reversed(size=1000)):
            given_out = sorted(blocks, key=lambda block: block.offset)
            assert b"".join(block.data for block in given_out) == joined(lines)


def test_a_file_that_shrinks_while_it_is_read_ends_early() -> None:
    data = joined([line(1), line(2)])
    reader = Bytes(data)
    snapshot = Snapshot(reader, len(data))
    reader.data = data[:10]
    assert list(snapshot.blocks()) == []
    assert snapshot.line_start_from(20) == snapshot.whole


def test_closing_twice_closes_once() -> None:
    closed = []
    with Snapshot(Bytes(b""), 0, on_close=lambda: closed.append(1)) as snapshot:
        pass
    snapshot.close()
    assert closed == [1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"event_id":1,"hash":"', 1),
        (b'{"event_id":999999999999999999,"hash":"', 999999999999999999),
        (b'{"event_id":1000000000000000000,"hash":"', None),
        (b'{"event_id":01,"hash":"', None),
        (b'{"event_id":0,"hash":"', None),
        (b'{"event_id":-1,"hash":"', None),
        (b'{"event_id":1.0,"hash":"', None),
        (b'{"event_id":1, "hash":"', None),
        (b' {"event_id":1,"hash":"', None),
        (b"", None),
    ],
)
def test_the_id_that_a_line_starts_with(text: bytes, expected: int | None) -> None:
    assert event_id_of(text) == expected


# -- whole ledgers -----------------------------------------------------------------------------


def lengths(shape: str, count: int) -> list[int]:
    chance = random.Random(3)
    if shape == "uniform":
        return [50] * count
    if shape == "growing":
        return [n // 10 for n in range(count)]
    if shape == "shrinking":
        return [(count - n) // 10 for n in range(count)]
    if shape == "one giant first":
        return [200_000] + [10] * (count - 1)
    if shape == "one giant last":
        return [10] * (count - 1) + [200_000]
    if shape == "few giants":
        return [30_000 if n % 500 == 250 else 20 for n in range(count)]
    return [int(chance.paretovariate(0.8)) % 5000 for _ in range(count)]


SHAPES = [
    "uniform",
    "growing",
    "shrinking",
    "one giant first",
    "one giant last",
    "few giants",
    "random",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_event_is_found_exactly(shape: str) -> None:
    count = 3000
    lines = [line(n + 1, length) for n, length in enumerate(lengths(shape, count))]
    starts = [0]
    for each in lines:
        starts.append(starts[-1] + len(each) + 1)
    snapshot = snapshot_of(lines)
    asked = [*range(60), *range(60, count - 60, 41), *range(count - 60, count + 1)]
    with small(2048, 256):
        for after in asked:
            assert snapshot.offset_after(after) == starts[after]
            assert snapshot.offset_before(after + 1) == starts[after]
            assert snapshot.event_line(after) == (lines[after - 1] if after else None)
        for beyond in (count + 1, 10**6, 10**30):
            assert snapshot.offset_after(beyond) == starts[-1]
            assert snapshot.offset_before(beyond + 1) == starts[-1]
            assert snapshot.event_line(beyond) is None
        assert snapshot.offset_after(-5) == snapshot.offset_before(-5) == 0
        assert snapshot.event_line(-1) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_few_reads_find_an_event_among_many(shape: str) -> None:
    count = 20_000
    lines = [line(n + 1, length) for n, length in enumerate(lengths(shape, count))]
    snapshot = snapshot_of(lines)
    reader = snapshot.read_at
    assert isinstance(reader, Bytes)
    worst = 0
    with small(2048, 256):
        for wanted in range(1, count, 397):
            reader.reads = 0
            assert snapshot.event_line(wanted) == lines[wanted - 1]
            worst = max(worst, reader.reads)
    # Thousands of blocks; where lengths are skewed, halving and long lines cost some reads more.
    assert worst < (20 if shape == "uniform" else 250)


def test_no_lines() -> None:
    for tail in (b"", b"torn"):
        snapshot = snapshot_of([], tail)
        assert snapshot.offset_after(3) == snapshot.offset_before(3) == 0
        assert snapshot.event_line(1) is None
        assert snapshot.last_event_id() == 0
        assert list(snapshot.between()) == list(snapshot.between(1, 9, reverse=True)) == []


# -- damaged ledgers ---------------------------------------------------------------------------


def names(lines: list[bytes]) -> list[int | None]:
    return [event_id_of(each) for each in lines]


@st.composite
def damaged_ledgers(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Lines in order, of which a few name no id, or are missing, or are there twice, and at most
    one, which is also returned, names another line's id."""
    lines = [line(n + 1, draw(st.integers(0, 60))) for n in range(draw(st.integers(1, 30)))]
    lie = b""
    if draw(st.booleans()):
        lie = line(draw(st.sampled_from([1, 2, 7, 15, 29, 999, 10**17])), 99)
        lines[draw(st.integers(0, len(lines) - 1))] = lie
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["none", "blank", "missing", "twice"]))
        if change == "missing" and len(lines) > 1:
            del lines[at]
        elif change == "twice":
            lines.insert(at, lines[at])
        else:
            lines[at] = b"?" * draw(st.integers(0, 80)) * (change == "none")
    return lines, lie


def in_between(lines: list[bytes], lie: bytes, after: int, before: int | None) -> list[bytes]:
    """What must be given out for (after, before): the events in that range, and the lines that
    name no id and stand beside one, or between two of them."""
    wanted = [
        number
        for number, (each, named) in enumerate(zip(lines, names(lines), strict=True))
        if named and each != lie and after < named and (before is None or named < before)
    ]
    if not wanted:
        return []
    first, last = wanted[0], wanted[-1]
    while first and event_id_of(lines[first - 1]) is None:
        first -= 1
    while last + 1 < len(lines) and event_id_of(lines[last + 1]) is None:
        last += 1
    return [
        lines[number]
        for number in range(first, last + 1)
        if number in wanted or event_id_of(lines[number]) is None
    ]


@given(damaged_ledgers(), st.integers(0, 33), st.one_of(st.none(), st.integers(0, 33)), sizes)
def test_nothing_in_the_range_is_left_out_because_of_damage(
    ledger: tuple[list[bytes], bytes], after: int, before: int | None, size: tuple[int, int]
) -> None:
    with small(*size):
        snapshot = snapshot_of(ledger[0])
        for reverse in (False, True):
            blocks = list(snapshot.between(after, before, reverse=reverse))
            blocks.sort(key=lambda block: block.offset)
            remaining = iter(b"".join(block.data for block in blocks).split(b"\n"))
            assert all(each in remaining for each in in_between(*ledger, after, before))


@given(damaged_ledgers(), st.integers(0, 33), sizes)
def test_an_event_is_found_though_others_are_damaged(
    ledger: tuple[list[bytes], bytes], wanted: int, size: tuple[int, int]
) -> None:
    lines, lie = ledger
    with small(*size):
        found = snapshot_of(lines).event_line(wanted)
        assert found is None or event_id_of(found) == wanted
        if wanted in names([each for each in lines if each != lie]):
            assert found is not None


@given(damaged_ledgers(), sizes)
def test_a_last_line_that_names_no_id_counts_on(
    ledger: tuple[list[bytes], bytes], size: tuple[int, int]
) -> None:
    lines, _ = ledger
    named = [(n, id_) for n, id_ in enumerate(names(lines)) if id_ is not None]
    expected = named[-1][1] + len(lines) - 1 - named[-1][0] if named else len(lines)
    with small(*size):
        assert snapshot_of(lines).last_event_id() == expected


def test_a_probe_that_meets_a_lie_is_not_believed() -> None:
    honest = [line(n + 1, 20) for n in range(2000)]
    with small(512, 64):
        for at in range(0, 2000, 11):
            for lie in (1, 10**9):
                lines = list(honest)
                lines[at] = line(lie, 20)
                snapshot = snapshot_of(lines)
                for wanted in (5, 1000, 1990):
                    if wanted != at + 1:
                        assert snapshot.event_line(wanted) == honest[wanted - 1]

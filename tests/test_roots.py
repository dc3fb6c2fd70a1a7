"""Roots taken while a ledger streams by: any blocks, any ranges, the same roots."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.chain import GENESIS, Verifier
from audit_stream.merkle import EMPTY_ROOT, TreeRange, leaf_hashes
from audit_stream.roots import Roots
from tests.signed import event_lines, store

LINES = event_lines(60)
ROOTS = [store(LINES[:size])[0].root() for size in range(61)]
SIZES = st.sets(st.integers(0, 70), max_size=8)
CUTS = st.sets(st.integers(1, 59), max_size=6)


def blocks(cuts: set[int], begin: int = 0, end: int = 60) -> list[bytes]:
    edges = [begin, *(cut for cut in sorted(cuts) if begin < cut < end), end]
    return [b"".join(line + b"\n" for line in LINES[a:b]) for a, b in pairwise(edges)]


def expected(sizes: set[int]) -> dict[int, bytes]:
    return {size: ROOTS[size] for size in sizes if size <= 60}


@given(SIZES, CUTS)
def test_roots_do_not_depend_on_the_blocks(sizes: set[int], cuts: set[int]) -> None:
    roots = Roots(sizes)
    verifier = Verifier(sink=roots)
    assert all(verifier.feed(block) for block in blocks(cuts))
    assert roots.at == expected(sizes)
    assert roots.root() == ROOTS[60]


@given(SIZES, CUTS, CUTS)
def test_roots_do_not_depend_on_the_ranges(
    sizes: set[int], ranges: set[int], cuts: set[int]
) -> None:
    roots = Roots(sizes)
    verifier = Verifier(sink=roots)
    edges = [0, *sorted(ranges), 60]
    for begin, end in pairwise(edges):
        part = Verifier(None if begin else GENESIS, sink=Roots(sizes))
        assert all(part.feed(block) for block in blocks(cuts, begin, end))
        segment = pickle.loads(pickle.dumps(part.segment()))
        segment.start, segment.end = begin, end
        assert verifier.join(segment)
    assert roots.at == expected(sizes)
    assert roots.root() == ROOTS[60]


@given(SIZES, st.integers(0, 60))
def test_roots_go_on_from_a_tree(sizes: set[int], begin: int) -> None:
    tree = TreeRange()
    tree.extend(leaf_hashes(LINES[:begin]))
    roots = Roots(sizes, tree)
    roots.start(begin)
    if begin < 60:
        roots.add(blocks(set(), begin)[0])
    assert roots.at == {n: root for n, root in expected(sizes).items() if n >= begin}
    assert roots.root() == ROOTS[60]


def test_a_tree_of_other_lines_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="stands for 0 lines, not 5"):
        Roots((), TreeRange()).start(5)


def test_nothing_has_the_empty_root() -> None:
    roots = Roots({0})
    Verifier(sink=roots)
    assert roots.at == {0: EMPTY_ROOT}


def test_lines_that_only_the_exact_check_passes_are_taken_too() -> None:
    """An integer of 16 digits sends a block to the slow path."""
    from audit_stream.chain import link
    from audit_stream.event import draft
    from tests.signed import TIME, VOCABULARY

    drafts = [
        draft("other", "tests", {"n": n}, vocabulary=VOCABULARY) for n in (1, 9007199254740991, 3)
    ]
    lines = link(drafts, GENESIS, TIME)[0]
    roots = Roots({2})
    assert Verifier(sink=roots).feed(b"".join(lines))
    assert roots.at == {2: store([line[:-1] for line in lines[:2]])[0].root()}


def test_a_fault_ends_the_taking() -> None:
    roots = Roots({60})
    verifier = Verifier(sink=roots)
    damaged = blocks(set())[0].replace(b'"n":5', b'"n":6', 1)
    assert not verifier.feed(damaged)
    assert not verifier.join(verifier.segment())
    assert roots.at == {}

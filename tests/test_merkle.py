"""RFC 6962 trees against known answers, a naive recursion, other implementations, forgeries."""

from __future__ import annotations

import json
import random
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import merkle
from audit_stream.errors import ProofError
from audit_stream.merkle import TreeRange
from tests.signed import event_lines, store

VECTORS = json.loads((Path(__file__).parent / "known" / "merkle.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]


def naive_root(lines: Sequence[bytes]) -> bytes:
    """MTH, word for word (RFC 6962, section 2.1)."""
    if not lines:
        return sha256(b"").digest()
    if len(lines) == 1:
        return sha256(b"\x00" + lines[0]).digest()
    k = naive_split(len(lines))
    return sha256(b"\x01" + naive_root(lines[:k]) + naive_root(lines[k:])).digest()


def naive_path(m: int, lines: Sequence[bytes]) -> list[bytes]:
    """PATH, word for word (RFC 6962, section 2.1.1)."""
    if len(lines) == 1:
        return []
    k = naive_split(len(lines))
    if m < k:
        return [*naive_path(m, lines[:k]), naive_root(lines[k:])]
    return [*naive_path(m - k, lines[k:]), naive_root(lines[:k])]


def naive_proof(m: int, lines: Sequence[bytes], complete: bool = True) -> list[bytes]:
    """PROOF and SUBPROOF, word for word (RFC 6962, section 2.1.2)."""
    if m == len(lines):
        return [] if complete else [naive_root(lines)]
    k = naive_split(len(lines))
    if m <= k:
        return [*naive_proof(m, lines[:k], complete), naive_root(lines[k:])]
    return [*naive_proof(m - k, lines[k:], False), naive_root(lines[:k])]


def naive_split(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def unbase64(hashes: Sequence[str]) -> list[bytes]:
    return [b64decode(node) for node in hashes]


def unhex(hashes: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(node) for node in hashes]


def random_trees() -> Iterator[tuple[random.Random, list[bytes]]]:
    """A thousand trees, small ones mostly, with the randomness to probe each."""
    for seed in range(1000):
        rng = random.Random(seed)
        size = rng.choice([rng.randint(0, 20), rng.randint(0, 70), rng.randint(0, 300)])
        yield rng, [rng.randbytes(rng.randint(0, 40)) for _ in range(size)]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert TreeRange().root() == merkle.EMPTY_ROOT == sha256().digest()
    assert merkle.tree_root(0, lambda indexes: []) == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_of_the_ct_reference_tree(size: int) -> None:
    tree, read = store(LEAVES[:size])
    assert tree.root() == merkle.tree_root(size, read) == ROOTS[size - 1]


@pytest.mark.parametrize("vector", VECTORS["inclusion"])
def test_inclusion_proofs_of_the_ct_reference_tree(vector: dict[str, object]) -> None:
    index, size, proof = vector["index"], vector["size"], unhex(vector["proof"])  # type: ignore[arg-type]
    assert isinstance(index, int)
    assert isinstance(size, int)
    assert merkle.inclusion_proof(index, size, store(LEAVES)[1]) == proof
    merkle.check_inclusion(index, size, merkle.leaf_hash(LEAVES[index]), proof, ROOTS[size - 1])


@pytest.mark.parametrize("vector", VECTORS["consistency"])
def test_consistency_proofs_of_the_ct_reference_tree(vector: dict[str, object]) -> None:
    old, size, proof = vector["old"], vector["size"], unhex(vector["proof"])  # type: ignore[arg-type]
    assert isinstance(old, int)
    assert isinstance(size, int)
    assert merkle.consistency_proof(old, size, store(LEAVES)[1]) == proof
    merkle.check_consistency(old, size, ROOTS[old - 1], ROOTS[size - 1], proof)


def test_the_worked_example_of_the_rfc() -> None:
    """RFC 6962, section 2.1.3 (and RFC 9162, section 2.1.5): seven leaves, nodes a to l."""
    lines = event_lines(7)
    _, read = store(lines)
    a, b, c, d, e, f, j = merkle.leaf_hashes(lines)
    g, h, i = merkle.node_hash(a, b), merkle.node_hash(c, d), merkle.node_hash(e, f)
    k, m = merkle.node_hash(g, h), merkle.node_hash(i, j)
    assert merkle.tree_root(7, read) == merkle.node_hash(k, m)
    assert merkle.inclusion_proof(0, 7, read) == [b, h, m]
    assert merkle.inclusion_proof(3, 7, read) == [c, g, m]
    assert merkle.inclusion_proof(4, 7, read) == [f, j, k]
    assert merkle.inclusion_proof(6, 7, read) == [i, k]
    assert merkle.consistency_proof(3, 7, read) == [c, d, g, m]
    assert merkle.consistency_proof(4, 7, read) == [m]
    assert merkle.consistency_proof(6, 7, read) == [i, j, k]


def test_a_proof_of_a_real_log_of_a_billion_certificates() -> None:
    """Google's Argon 2020: its answer to get-sth-consistency?first=3654490."""
    log = VECTORS["argon2020"]
    proof, (old_root, root) = unbase64(log["consistency"]), unbase64([log["old_root"], log["root"]])
    merkle.check_consistency(log["old_size"], log["size"], old_root, root, proof)
    with pytest.raises(ProofError):
        merkle.check_consistency(log["old_size"] + 1, log["size"], old_root, root, proof)


def test_a_thousand_random_trees_against_the_naive_recursion() -> None:
    for rng, lines in random_trees():
        size = len(lines)
        tree, read = store(lines)
        root = naive_root(lines)
        assert tree.root() == merkle.tree_root(size, read) == root
        assert merkle.stored_range(size, read).root() == root
        old = rng.randint(0, size)
        proof = merkle.consistency_proof(old, size, read)
        assert proof == (naive_proof(old, lines) if old else [])
        merkle.check_consistency(old, size, naive_root(lines[:old]), root, proof)
        if size:
            index = rng.randrange(size)
            path = merkle.inclusion_proof(index, size, read)
            assert path == naive_path(index, lines)
            merkle.check_inclusion(index, size, merkle.leaf_hash(lines[index]), path, root)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 100])
def test_pymerkle_agrees(size: int) -> None:
    lines = event_lines(size)
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for line in lines:
        other.append_entry(line)
    _, read = store(lines)
    assert other.get_root() == merkle.tree_root(size, read)
    for index in range(size):
        theirs = other.prove_inclusion(index + 1)
        leaf, *path = theirs.path
        assert leaf == merkle.leaf_hash(lines[index])
        assert path == merkle.inclusion_proof(index, size, read)
        old = index + 1
        ours = merkle.consistency_proof(old, size, read)
        merkle.check_consistency(old, size, other.get_root(old), other.get_root(), ours)
        pymerkle.verify_consistency(
            merkle.tree_root(old, read),
            merkle.tree_root(size, read),
            other.prove_consistency(old, size),
        )


def test_stored_hashes_are_dense_and_only_ever_appended() -> None:
    lines = event_lines(200)
    whole = TreeRange().extend_stored(merkle.leaf_hashes(lines))
    for size in range(201):
        assert len(whole[: 32 * merkle.stored_count(size)]) == 32 * merkle.stored_count(size)
        part = TreeRange().extend_stored(merkle.leaf_hashes(lines[:size]))
        assert part == whole[: 32 * merkle.stored_count(size)]
    for level in range(8):
        for index in range(200 >> level):
            covered = lines[index << level : (index + 1) << level]
            place = 32 * merkle.stored_index(level, index)
            assert whole[place : place + 32] == naive_root(covered)


@given(st.integers(0, 2**64))
def test_stored_size_is_the_largest_whole_tree(count: int) -> None:
    size = merkle.stored_size(count)
    assert merkle.stored_count(size) <= count < merkle.stored_count(size + 1)


@given(st.integers(0, 200), st.lists(st.integers(0, 200), max_size=5), st.randoms())
def test_ranges_hashed_apart_join_to_the_same_tree(
    size: int, cuts: list[int], rng: random.Random
) -> None:
    lines = event_lines(size)
    leaves = merkle.leaf_hashes(lines)
    bounds = [0, *sorted(min(cut, size) for cut in cuts), size]
    joined = TreeRange()
    for begin, end in pairwise(bounds):
        part = TreeRange(begin)
        while part.end < end:
            part.extend(leaves[part.end : min(end, part.end + rng.randint(1, 40))])
        joined.merge(part)
    assert (joined.begin, joined.end) == (0, size)
    assert joined.root() == naive_root(lines)


@given(st.integers(0, 130), st.integers(0, 130), st.integers(0, 130))
def test_joining_from_the_right_is_the_same(first: int, second: int, third: int) -> None:
    leaves = merkle.leaf_hashes(event_lines(first + second + third))
    parts = []
    for begin, end in ((0, first), (first, first + second), (first + second, len(leaves))):
        part = TreeRange(begin)
        part.extend(leaves[begin:end])
        parts.append(part)
    parts[1].merge(parts[2])
    parts[0].merge(parts[1])
    whole = TreeRange()
    whole.extend(leaves)
    assert parts[0].root() == whole.root()


def test_a_copy_keeps_the_root_of_a_prefix() -> None:
    leaves = merkle.leaf_hashes(event_lines(100))
    tree = TreeRange()
    tree.extend(leaves[:37])
    prefix = tree.copy()
    tree.extend(leaves[37:])
    assert prefix.root() == naive_root(event_lines(37))
    assert tree.root() == naive_root(event_lines(100))
    assert (prefix.end, tree.end) == (37, 100)


def test_a_range_needs_only_logarithmic_memory() -> None:
    tree = TreeRange()
    tree.extend(merkle.leaf_hashes(event_lines(5000)))
    tail = TreeRange(3)
    tail.extend(merkle.leaf_hashes(event_lines(5000)))
    assert len(tree._nodes()) <= 13
    assert len(tail._nodes()) <= 26


def test_misuse_of_ranges_is_an_error() -> None:
    tail = TreeRange(5)
    tail.extend(merkle.leaf_hashes(event_lines(3)))
    with pytest.raises(ValueError, match="has a root"):
        tail.root()
    with pytest.raises(ValueError, match="can be stored"):
        tail.extend_stored([])
    with pytest.raises(ValueError, match="does not follow"):
        TreeRange().merge(tail)


def test_proofs_that_cannot_be_are_not_asked_for() -> None:
    _, read = store(event_lines(5))
    for index in (-1, 5):
        with pytest.raises(ValueError, match="has no leaf"):
            merkle.inclusion_proof(index, 5, read)
    for old in (-1, 6):
        with pytest.raises(ValueError, match="does not extend"):
            merkle.consistency_proof(old, 5, read)


def test_a_reader_that_gives_too_few_hashes_is_caught() -> None:
    with pytest.raises(ValueError, match="gave 0 hashes"):
        merkle.tree_root(5, lambda indexes: [])


def test_a_proof_asks_for_few_hashes_in_one_call() -> None:
    _, read = store(event_lines(1000))
    calls: list[int] = []

    def counting(indexes: Sequence[int]) -> list[bytes]:
        calls.append(len(indexes))
        return read(indexes)

    merkle.inclusion_proof(500, 1000, counting)
    merkle.consistency_proof(500, 1000, counting)
    assert len(calls) == 2
    assert max(calls) <= 20


def refused(check: Callable[[], None]) -> bool:
    try:
        check()
    except ProofError:
        return True
    return False


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 8, 13])
def test_no_altered_inclusion_proof_is_accepted(size: int) -> None:
    lines = event_lines(size)
    tree, read = store(lines)
    root, leaves = tree.root(), merkle.leaf_hashes(lines)
    for index, leaf in enumerate(leaves):
        good = merkle.inclusion_proof(index, size, read)
        forgeries = [(other, size, leaf, good, root) for other in range(-1, size + 2)]
        forgeries += [(index, other, leaf, good, root) for other in (0, size * 2, size * 4 + 1)]
        forgeries += [(index, size, other, good, root) for other in (root, bytes(32), b"")]
        forgeries += [(index, size, leaf, good, other) for other in (leaf, bytes(32), b"")]
        forgeries += [(index, size, leaf, other, root) for other in altered(good, root)]
        for forged in forgeries:
            if forged != (index, size, leaf, good, root):
                assert refused(lambda forged=forged: merkle.check_inclusion(*forged)), forged  # type: ignore[misc]


@pytest.mark.parametrize("size", [2, 3, 5, 6, 7, 8, 13])
def test_no_altered_consistency_proof_is_accepted(size: int) -> None:
    lines = event_lines(size)
    roots = [naive_root(lines[:old]) for old in range(size + 1)]
    _, read = store(lines)
    for old in range(1, size):
        good = merkle.consistency_proof(old, size, read)
        genuine = (old, size, roots[old], roots[size], good)
        forgeries = [(other, size, roots[old], roots[size], good) for other in range(-1, size + 2)]
        forgeries += [
            (old, other, roots[old], roots[size], good)
            # A proof fits every size of its shape: size and root are bound by the signature.
            for other in (0, old, size * 2, size * 4 + 1)
        ]
        forgeries += [
            (old, size, roots[size], roots[old], good),
            (old, size, bytes(32), roots[size], good),
            (old, size, roots[old], bytes(32), good),
            (old, size, roots[old], roots[size], []),
        ]
        forgeries += [
            (old, size, roots[old], roots[size], other) for other in altered(good, roots[size])
        ]
        for forged in forgeries:
            if forged != genuine:
                assert refused(lambda forged=forged: merkle.check_consistency(*forged)), forged  # type: ignore[misc]


def altered(proof: list[bytes], root: bytes) -> list[list[bytes]]:
    """The proof with hashes added, left out, changed, and out of order."""
    found = [[*proof, extra] for extra in (root, bytes(32), b"")]
    found += [[extra, *proof] for extra in (root, bytes(32), b"")]
    for place, node in enumerate(proof):
        found.append(proof[:place] + proof[place + 1 :])
        found.append([*proof[:place], bytes([node[0] ^ 8]) + node[1:], *proof[place + 1 :]])
        found.append([*proof[:place], node, *proof[place:]])
    return [*found, proof[::-1], [*proof, *proof]]


def test_equal_and_empty_trees_extend_themselves_without_a_proof() -> None:
    root = naive_root(event_lines(4))
    empty = merkle.EMPTY_ROOT
    merkle.check_consistency(4, 4, root, root, [])
    merkle.check_consistency(0, 4, empty, root, [])
    merkle.check_consistency(0, 0, empty, empty, [])
    assert refused(lambda: merkle.check_consistency(4, 4, root, empty, []))
    assert refused(lambda: merkle.check_consistency(0, 4, root, root, []))
    assert refused(lambda: merkle.check_consistency(0, 1, bytes(32), root, []))
    assert refused(lambda: merkle.check_consistency(4, 4, root, root, [root]))
    assert refused(lambda: merkle.check_consistency(0, 4, empty, root, [root]))

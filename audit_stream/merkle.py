"""RFC 6962 Merkle trees: hashing, roots, inclusion and consistency proofs, and their checks.

A ledger's leaves are its stored lines without the LF, leaf 0 being event 1. The mathematics here
does no I/O: what it needs of a big tree it asks of a `HashReader`, and what it writes for one it
returns as bytes. Checks raise `ProofError` and never return false, so a forgotten `if` accepts
nothing.

Hashes of perfect subtrees are kept in one dense order, in which every append only adds at the
end: a leaf's hash is followed by the hashes of the subtrees that this leaf completes (a
post-order walk; Crosby and Wallach, "Efficient Data Structures for Tamper-Evident Logging",
section 3.3). Just under two hashes a leaf.

`TreeRange` is the other half: the handful of subtree hashes that stands for a run of leaves. It
takes leaves as they stream by, gives a root in constant memory, and ranges that were hashed apart
(by several processes) are joined with `merge`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TypeAlias

from audit_stream.errors import ProofError

HASH_BYTES = 32

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves (RFC 6962, section 2.1)."""

HashReader: TypeAlias = Callable[[Sequence[int]], Sequence[bytes]]
"""Given positions in the dense order, the hashes stored there, in the same order."""

# RFC 6962, section 2.1: the prefixes keep a node from being passed off as a leaf.
_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(line: bytes) -> bytes:
    """The hash of one leaf: SHA-256(0x00 || line), `line` without its LF (RFC 6962, 2.1)."""
    return sha256(_LEAF + line).digest()


def leaf_hashes(lines: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of every line, at half the cost of calling it for each."""
    return [sha256(_LEAF + line).digest() for line in lines]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 || left || right) (RFC 6962, 2.1)."""
    return sha256(_NODE + left + right).digest()


# The dense order.


def stored_count(size: int) -> int:
    """How many hashes are stored for a tree of `size` leaves."""
    return 2 * size - size.bit_count()


def stored_index(level: int, index: int) -> int:
    """Where the hash of node `index` of `level` (leaves are level 0) stands in the dense order."""
    last_leaf = ((index + 1) << level) - 1
    return stored_count(last_leaf) + level


def stored_size(count: int) -> int:
    """The size of the largest tree whose hashes all stand among the first `count`."""
    # stored_count lies between 2*size - bit_length and 2*size, so size is at most this far off.
    size = (count + count.bit_length()) // 2
    while stored_count(size) > count:
        size -= 1
    return size


# Ranges of leaves, hashed once and joined at will.


class TreeRange:
    """The hashes of the perfect subtrees that cover the leaves `begin` (included) to `end` (not).

    Memory is O(log n). `extend` and `merge` move `end`; a range that begins at 0 has a `root`.
    """

    # A subtree of level n starts at a multiple of 2**n. `_left` holds those whose left sibling
    # is outside the range, lowest level first; `_right[n]` the one of level n that waits for its
    # right sibling. All of `_left` lies left of all of `_right`; within `_right` higher levels
    # lie further left.
    __slots__ = ("_left", "_right", "begin", "end")

    def __init__(self, begin: int = 0) -> None:
        self.begin = begin
        self.end = begin
        self._left: list[tuple[int, bytes]] = []
        self._right: list[bytes | None] = []

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Adds leaf hashes at the end. Cheapest in runs of a few dozen and more."""
        self._grow(leaves, 0, None)

    def extend_stored(self, leaves: Sequence[bytes]) -> bytes:
        """`extend`, and the hashes that the dense order gains, joined.

        Only for a range that begins at 0: elsewhere the nodes that span the beginning would be
        missing from the order.
        """
        if self.begin:
            raise ValueError("only a range that begins at leaf 0 can be stored")
        return self._grow(leaves, 0, list(leaves))

    def merge(self, right: TreeRange) -> None:
        """Adds the range that begins where this one ends."""
        if right.begin != self.end:
            raise ValueError(f"a range from {right.begin} does not follow one to {self.end}")
        for level, node in right._nodes():
            self._grow([node], level, None)

    def copy(self) -> TreeRange:
        """An independent copy, to take the root of a prefix while the stream goes on."""
        twin = TreeRange(self.begin)
        twin.end = self.end
        twin._left = self._left.copy()
        twin._right = self._right.copy()
        return twin

    def root(self) -> bytes:
        """The Merkle tree hash of the leaves 0 to `end` (RFC 6962, section 2.1)."""
        if self.begin:
            raise ValueError("only a range that begins at leaf 0 has a root")
        return _fold([node for _, node in self._nodes()])

    def _nodes(self) -> list[tuple[int, bytes]]:
        """(level, hash) of every subtree, from left to right."""
        waiting = [(level, node) for level, node in enumerate(self._right) if node is not None]
        return self._left + waiting[::-1]

    def _grow(self, nodes: Sequence[bytes], level: int, texts: list[bytes] | None) -> bytes:
        """Adds whole nodes of one level, the first of which starts at `end`.

        `texts`, when wanted, runs parallel to `nodes`: what each adds to the dense order. Joined
        pairwise with their parents on the way up, they come out in post-order.
        """
        right = self._right
        position = self.end >> level
        self.end += len(nodes) << level
        stored: list[bytes] = []
        while nodes:
            right.extend([None] * (level + 1 - len(right)))
            if position & 1:
                sibling = right[level]
                if sibling is None:
                    self._left.append((level, nodes[0]))
                    nodes = nodes[1:]
                    position += 1
                else:
                    nodes = [sibling, *nodes]
                    texts = texts and [b"", *texts]
                    right[level] = None
                    position -= 1
            if len(nodes) & 1:
                right[level] = nodes[-1]
                stored.extend(texts[-1:] if texts else ())
            nodes = _parents(nodes)
            texts = texts and _post_order(texts, nodes)
            position >>= 1
            level += 1
        return b"".join(reversed(stored))


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    """The nodes one level up; one without a sibling is left out."""
    pair = iter(nodes)
    return [sha256(_NODE + left + right).digest() for left, right in zip(pair, pair, strict=False)]


def _post_order(texts: list[bytes], parents: list[bytes]) -> list[bytes]:
    pair = iter(texts)
    return [left + right + node for left, right, node in zip(pair, pair, parents, strict=False)]


def stored_range(size: int, read: HashReader) -> TreeRange:
    """The range 0 to `size`, taken up again from stored hashes."""
    tree = TreeRange()
    pieces = _perfect(0, size)
    for (level, _), node in zip(pieces, _read(pieces, read), strict=True):
        tree._grow([node], level, None)
    return tree


# Roots and proofs from stored hashes.


def tree_root(size: int, read: HashReader) -> bytes:
    """The root of the first `size` leaves (RFC 6962, section 2.1)."""
    return _range_hashes([(0, size)], read)[0]


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 6962, section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    low, high = 0, size
    siblings: list[tuple[int, int]] = []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            siblings.append((middle, high))
            high = middle
        else:
            siblings.append((low, middle))
            low = middle
    return _range_hashes(siblings[::-1], read)


def consistency_proof(old_size: int, size: int, read: HashReader) -> list[bytes]:
    """The proof that the first `old_size` leaves of a tree of `size` are the old tree.

    RFC 6962, section 2.1.2. Empty for an empty old tree, which everything extends.
    """
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} leaves does not extend one of {old_size}")
    if old_size == 0:
        return []
    low, high = 0, size
    pieces: list[tuple[int, int]] = []
    while high != old_size:
        middle = low + _split(high - low)
        if old_size <= middle:
            pieces.append((middle, high))
            high = middle
        else:
            pieces.append((low, middle))
            low = middle
    # The complete old tree is a hash the verifier has; any other common subtree is not.
    if low > 0:
        pieces.append((low, high))
    return _range_hashes(pieces[::-1], read)


def check_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Checks that `leaf` (a leaf hash) is leaf `index` of the tree with this size and root.

    RFC 9162, section 2.1.3.2. Raises `ProofError`.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    first, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if first & 1 or first == last:
            node = node_hash(sibling, node)
            first, last = _climb(first, last)
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    if last != 0:
        raise ProofError("the inclusion proof is too short")
    if node != root:
        raise ProofError("the inclusion proof does not lead to the root")


def check_consistency(
    old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Checks that the tree (`size`, `root`) extends the tree (`old_size`, `old_root`).

    RFC 9162, section 2.1.4.2; an empty old tree must have the empty root and no proof. Raises
    `ProofError`.
    """
    if not 0 <= old_size <= size:
        raise ProofError(f"a tree of {size} leaves does not extend one of {old_size}")
    if old_size == 0 or old_size == size:
        if proof:
            raise ProofError("the consistency proof is too long")
        if old_root != (root if old_size else EMPTY_ROOT):
            raise ProofError(f"two different roots for a tree of {old_size} leaves")
        return
    if not proof:
        raise ProofError("the consistency proof is too short")
    # A power of two is a complete subtree of every later tree: its hash is the old root itself.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else proof
    first, last = old_size - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_node = node = path[0]
    for piece in path[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if first & 1 or first == last:
            old_node = node_hash(piece, old_node)
            node = node_hash(piece, node)
            first, last = _climb(first, last)
        else:
            node = node_hash(node, piece)
        first, last = first >> 1, last >> 1
    if last != 0:
        raise ProofError("the consistency proof is too short")
    if old_node != old_root:
        raise ProofError("the consistency proof does not lead to the old root")
    if node != root:
        raise ProofError("the consistency proof does not lead to the new root")


def _climb(first: int, last: int) -> tuple[int, int]:
    """Skips the levels at which a rightmost node has no sibling."""
    while first and not first & 1:
        first, last = first >> 1, last >> 1
    return first, last


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (RFC 6962, section 2.1: k)."""
    return 1 << ((size - 1).bit_length() - 1)


def _perfect(low: int, high: int) -> list[tuple[int, int]]:
    """(level, index) of the perfect subtrees that make up the leaves `low` to `high`.

    `low` is where a subtree of the recursion of RFC 6962 starts, so the largest piece fits first.
    """
    pieces: list[tuple[int, int]] = []
    while low < high:
        level = (high - low).bit_length() - 1
        pieces.append((level, low >> level))
        low += 1 << level
    return pieces


def _read(pieces: Sequence[tuple[int, int]], read: HashReader) -> Sequence[bytes]:
    nodes = read([stored_index(level, index) for level, index in pieces]) if pieces else []
    if len(nodes) != len(pieces):
        raise ValueError(f"the hash reader gave {len(nodes)} hashes for {len(pieces)}")
    return nodes


def _range_hashes(ranges: Sequence[tuple[int, int]], read: HashReader) -> list[bytes]:
    """The hash of each range of leaves, all that is needed being read in one call."""
    pieces = [_perfect(low, high) for low, high in ranges]
    nodes = iter(_read([piece for group in pieces for piece in group], read))
    return [_fold([next(nodes) for _ in group]) for group in pieces]


def _fold(nodes: list[bytes]) -> bytes:
    """The root over perfect subtrees of falling size, given from left to right."""
    if not nodes:
        return EMPTY_ROOT
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root

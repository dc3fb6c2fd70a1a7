"""Merkle roots at chosen sizes, taken while a ledger streams by. Pure.

What `chain.Verifier` hands its lines to when signatures are to be held against a ledger: constant
memory, one pass, and ranges that several processes hashed are joined like the segments of the
chain. A root is therefore of exactly the bytes that were verified, in the same reading.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from audit_stream.merkle import TreeRange, leaf_hashes


class Roots:
    """The roots of the first N lines, for every N of `sizes` that is met, and of all of them.

    Args:
        sizes: the sizes whose roots are wanted.
        tree: what stands for the lines before the first that will be added; without it they
            must be none, or come with `join`.
    """

    __slots__ = ("_in_order", "_pieces", "at", "sizes")

    def __init__(self, sizes: Iterable[int] = (), tree: TreeRange | None = None) -> None:
        self.sizes = frozenset(sizes)
        self._in_order = sorted(self.sizes)
        self._pieces: list[TreeRange] = [tree] if tree is not None else []
        self.at: dict[int, bytes] = {}

    def start(self, count: int) -> None:
        """See `chain.Sink`."""
        if not self._pieces:
            self._pieces.append(TreeRange(count))
        if self._pieces[0].end != count:
            raise ValueError(f"the tree stands for {self._pieces[0].end} lines, not {count}")
        self._take_root()

    def add(self, block: bytes) -> None:
        """See `chain.Sink`."""
        leaves = leaf_hashes(block[:-1].split(b"\n"))
        begin = self._pieces[-1].end
        taken = 0
        first = bisect_right(self._in_order, begin)
        for size in self._in_order[first : bisect_right(self._in_order, begin + len(leaves))]:
            self._pieces[-1].extend(leaves[taken : size - begin])
            self._take_root()
            taken = size - begin
        self._pieces[-1].extend(leaves[taken:] if taken else leaves)

    def join(self, later: Any) -> None:
        """See `chain.Sink`."""
        self.at.update(later.at)
        for piece in later._pieces:
            self._pieces[-1].merge(piece)
            self._take_root()

    def root(self) -> bytes:
        """The root of all lines so far (RFC 6962, section 2.1)."""
        return self._pieces[-1].root()

    def _take_root(self) -> None:
        tree = self._pieces[-1]
        if tree.end not in self.sizes:
            return
        if tree.begin == 0:
            self.at[tree.end] = tree.root()
        elif tree.end > tree.begin:
            # The root is only known once what precedes is: end the piece here, for `join` to
            # stop at.
            self._pieces.append(TreeRange(tree.end))

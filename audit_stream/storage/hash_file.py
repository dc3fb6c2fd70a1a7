"""The hashes of a ledger's Merkle tree in a file beside it (`<ledger>.merkle`), made from it.

A cache, and never more: appends do not touch it, verification does not read it, and whoever takes
a hash from it checks where the hash leads before anyone is told. So it may be deleted at any time.
It is brought up to the ledger when a proof or a checkpoint is made, from the lines that were
appended since, at a constant cost for each.

    header   magic, number of leaves, ledger bytes that they cover, root, SHA-256 of all that
    hashes   32 bytes each, in the dense order of `merkle`

The header is written after the hashes that it speaks of are durable, so a crash leaves at most
hashes that no header counts. On opening, the header's sum, the root over the stored hashes and the
line that the last leaf is the hash of are checked, in O(log n); where anything differs (a damaged
file, one of another ledger, a ledger that was cut or rewritten) the file is made anew. An older
copy of the file is simply brought up again.
"""

from __future__ import annotations

import errno
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

from audit_stream import merkle
from audit_stream.merkle import HASH_BYTES, TreeRange
from audit_stream.storage.beside import LOCK_TIMEOUT, locked, translated
from audit_stream.storage.durable import Disk
from audit_stream.storage.snapshot import Snapshot

_MAGIC = b"audit-merkle v1\n"
_HEADER = struct.Struct(">16sQQ32s")
_HEADER_BYTES = _HEADER.size + 32
_CHUNK = 1 << 18
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class Hashes(NamedTuple):
    """The stored hashes of the first `size` lines; `read` is a `merkle.HashReader`."""

    size: int
    read: Callable[[Sequence[int]], list[bytes]]


class HashFile:
    """The hash file at `path`, which need not exist."""

    def __init__(
        self, path: str, *, lock_timeout: float = LOCK_TIMEOUT, disk: Disk | None = None
    ) -> None:
        self.path = path
        self._lock_timeout = lock_timeout
        self._disk = disk or Disk()

    @contextmanager
    def caught_up(
        self, take_snapshot: Callable[[], Snapshot], *, anew: bool = False
    ) -> Iterator[tuple[Snapshot, Hashes]]:
        """Gives a snapshot of the ledger and the hashes of all its lines, the lock being held.

        `anew` makes the file again whatever it says of itself. Where it cannot be written (a
        read-only copy of the ledger), a file without a name is made for this once. Raises what
        `take_snapshot` does, `LockTimeoutError`, `UnreadableError`, `StorageError`.
        """
        # The snapshot is taken under the lock: so the file is never ahead of it, and one that
        # covers more than the ledger has is of a ledger that was cut.
        with self._open() as fd, take_snapshot() as snapshot:
            file = _File(self._disk, fd, self.path)
            with translated(self.path):
                place = _START if anew else file.place(snapshot)
                size = file.catch_up(snapshot, place)
            yield snapshot, Hashes(size, file.read)

    @contextmanager
    def _open(self) -> Iterator[int]:
        if self._is_writable():
            with locked(self._disk, self.path, self._disk.open_update, self._lock_timeout) as fd:
                yield fd
        else:
            with tempfile.TemporaryFile() as nameless:
                yield nameless.fileno()

    def _is_writable(self) -> bool:
        with translated(self.path):
            try:
                self._disk.close(self._disk.open_update(self.path))
            except OSError as error:
                if error.errno not in _READ_ONLY:
                    raise
                return False
        return True


class _Place(NamedTuple):
    """How far the file covers the ledger: the tree, and the ledger bytes that it is made of."""

    tree: TreeRange
    offset: int


_START = _Place(TreeRange(), 0)


class _File:
    """An open hash file."""

    def __init__(self, disk: Disk, fd: int, path: str) -> None:
        self._disk = disk
        self._fd = fd
        self._path = path

    def read(self, positions: Sequence[int]) -> list[bytes]:
        """A `merkle.HashReader`. A hash that is missing reads as something that leads nowhere."""
        with translated(self._path):
            return [
                self._disk.read_at(self._fd, HASH_BYTES, _HEADER_BYTES + HASH_BYTES * position)
                for position in positions
            ]

    def place(self, snapshot: Snapshot) -> _Place:
        """Where to go on; the start, unless everything says that what is there is right."""
        header = self._disk.read_at(self._fd, _HEADER_BYTES, 0)
        body, total = header[: _HEADER.size], header[_HEADER.size :]
        if len(header) < _HEADER_BYTES or sha256(body).digest() != total:
            return _START
        magic, size, offset, root = _HEADER.unpack(body)
        stored = self._disk.fstat(self._fd).st_size - _HEADER_BYTES
        if magic != _MAGIC or size == 0 or stored < HASH_BYTES * merkle.stored_count(size):
            return _START
        if offset > snapshot.whole or snapshot.read_at(1, offset - 1) != b"\n":
            return _START
        last_leaf = merkle.leaf_hash(snapshot.line_ending_at(offset)[:-1])
        tree = merkle.stored_range(size, self.read)
        if [last_leaf] != self.read([merkle.stored_index(0, size - 1)]) or tree.root() != root:
            return _START
        return _Place(tree, offset)

    def catch_up(self, snapshot: Snapshot, place: _Place) -> int:
        """Stores the hashes of the lines from `place` on; returns how many lines there are."""
        tree, offset = place.tree.copy(), place.offset
        if offset == snapshot.whole and tree.end:
            return tree.end
        if not tree.end:
            # What an old header counts is about to be overwritten.
            self._disk.write_at(self._fd, bytes(_HEADER_BYTES), 0)
        position = _HEADER_BYTES + HASH_BYTES * merkle.stored_count(tree.end)
        for block in snapshot.blocks(offset, size=_CHUNK):
            data = tree.extend_stored(merkle.leaf_hashes(block.data[:-1].split(b"\n")))
            self._disk.write_at(self._fd, data, position)
            position += len(data)
            offset = block.offset + len(block.data)
        self._disk.sync_data(self._fd)
        body = _HEADER.pack(_MAGIC, tree.end, offset, tree.root())
        self._disk.write_at(self._fd, body + sha256(body).digest(), 0)
        return tree.end

"""Keys, lines and signed checkpoints for the tests of checkpoints, proofs and witnesses.

Everything is derived from fixed seeds, so a failure shows the same bytes every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_stream import note
from audit_stream.chain import GENESIS, last_line_head, link
from audit_stream.checkpoint import ZERO_HEAD, Checkpoint, Head
from audit_stream.event import draft
from audit_stream.merkle import TreeRange, leaf_hashes
from audit_stream.note import COSIGNATURE_V1, ED25519, Note
from audit_stream.signing import PrivateKey
from audit_stream.vocabulary import Vocabulary

ORIGIN = "example.org/ledger"
VOCABULARY = Vocabulary()
TIME = "2026-01-02T03:04:05.678901+00:00"


def private_key(name: str, algorithm: int = ED25519, seed: str = "") -> PrivateKey:
    """The key of that name; another `seed` gives another key of the same name."""
    secret = sha256(f"{name}/{seed}".encode()).digest()
    return PrivateKey(name, algorithm, Ed25519PrivateKey.from_private_bytes(secret))


LOG = private_key(ORIGIN)
WITNESSES = tuple(private_key(f"w{n}.example.org", COSIGNATURE_V1) for n in range(3))


def event_lines(count: int, salt: str = "") -> list[bytes]:
    """The stored lines, without LF, of a whole ledger; another `salt` gives another ledger."""
    payloads = ({"n": n, "salt": salt} for n in range(1, count + 1))
    drafts = [draft("other", "tests", payload, vocabulary=VOCABULARY) for payload in payloads]
    return [line[:-1] for line in link(drafts, GENESIS, TIME)[0]]


def store(lines: Sequence[bytes]) -> tuple[TreeRange, Callable[[Sequence[int]], list[bytes]]]:
    """The tree of `lines` and a reader of its stored hashes."""
    tree = TreeRange()
    data = tree.extend_stored(leaf_hashes(lines))
    return tree, lambda indexes: [data[32 * i : 32 * i + 32] for i in indexes]


def checkpoint(lines: Sequence[bytes], time: str = TIME, origin: str = ORIGIN) -> Checkpoint:
    chain_head = last_line_head(lines[-1]).hash if lines else ZERO_HEAD
    return Head(len(lines), store(lines)[0].root(), chain_head, time).checkpoint(origin)


def signed(text: bytes, *signers: PrivateKey, timestamp: int = 1_767_323_045) -> bytes:
    """The note of `text`, signed by each signer as its key says."""
    signatures = tuple(note.sign(text, one.key, one, timestamp) for one in signers)
    return note.format_note(Note(text, signatures))


def flips(data: bytes) -> list[bytes]:
    """`data` with each bit of each byte flipped, one at a time."""
    return [
        data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        for place in range(len(data))
        for bit in range(8)
    ]

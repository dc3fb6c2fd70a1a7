"""Checkpoints: a log's signed statement of its size and Merkle root (C2SP tlog-checkpoint).

A ledger's checkpoint is the note text

    example.org/ledger                 the origin: which log this is, also the name of its key
    1204000                            how many events it had
    CsUYapGGPo4dkMgIAUqom/Xajj7h2f…=   the RFC 6962 root over its stored lines, without their LF
    chain-head 9f86d081884c7d659a2f…   the `hash` of the last event; 64 zeros when there is none
    time 2026-01-02T03:04:05.678901+00:00   the signer's clock

The two extension lines repeat what the root already fixes (chain-head: so that a checkpoint can be
compared with a pin or a ticket by eye) or what only the signer knows (time: so that a clock that
went back is seen; it is covered by the log's signature and by every cosignature). Checkpoints of
other logs may have any other extension lines, or none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from audit_stream import note
from audit_stream.encoding import from_base64, from_decimal, to_base64
from audit_stream.errors import ForkError, MalformedError, QuorumError, SignatureError
from audit_stream.merkle import EMPTY_ROOT, HASH_BYTES
from audit_stream.note import COSIGNATURE_V1, ED25519, Note, Verified, VerifierKey, Verify
from audit_stream.policy import Policy

ZERO_HEAD = "0" * 64
"""The chain head of a ledger without events."""

_CHAIN_HEAD = re.compile(r"chain-head ([0-9a-f]{64})")
_TIME = re.compile(r"time (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00)", re.ASCII)


class Checkpoint(NamedTuple):
    """The text of a checkpoint (tlog-checkpoint, "Note text")."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> bytes:
        """The bytes that are signed."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()


class Head(NamedTuple):
    """What a ledger signs: `root` is 32 bytes, `chain_head` the last event's hash in hex, and
    `time` RFC 3339 in UTC with six fraction digits and `+00:00`."""

    size: int
    root: bytes
    chain_head: str
    time: str

    def checkpoint(self, origin: str) -> Checkpoint:
        """The checkpoint of the log `origin`. Raises `MalformedError`."""
        note.check_name(origin)
        extensions = (f"chain-head {self.chain_head}", f"time {self.time}")
        checkpoint = Checkpoint(origin, self.size, self.root, extensions)
        parse_head(checkpoint)
        return checkpoint


class Timestamp(NamedTuple):
    """A verified timestamp: the name under which the authority stands in the note, and its time
    (UTC)."""

    name: str
    time: datetime


class SignedCheckpoint(NamedTuple):
    """A checkpoint that was believed: by whom it is signed, cosigned and timestamped."""

    checkpoint: Checkpoint
    note: Note
    log_keys: tuple[VerifierKey, ...]
    cosignatures: tuple[Verified, ...]
    timestamps: tuple[Timestamp, ...] = ()

    @property
    def chain_head(self) -> str | None:
        """The last event's hash, where the checkpoint is one that a ledger signed."""
        head = self._head()
        return head.chain_head if head else None

    @property
    def time(self) -> str | None:
        """The log's own clock, where the checkpoint is one that a ledger signed."""
        head = self._head()
        return head.time if head else None

    def vouchers(self) -> dict[str, Any]:
        """Who vouches for it, as reports say it: JSON values, times in RFC 3339."""
        return {
            "keys": [str(key) for key in self.log_keys],
            "cosigned": [
                {"key": str(found.key), "time": _posix_time(found.time or 0)}
                for found in self.cosignatures
            ],
            "timestamps": [
                {"by": name, "time": time.isoformat()} for name, time in self.timestamps
            ],
        }

    def _head(self) -> Head | None:
        try:
            return parse_head(self.checkpoint)
        except MalformedError:
            return None


def parse_text(text: bytes) -> Checkpoint:
    """Reads a checkpoint's note text, of any log. Raises `MalformedError`."""
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        raise MalformedError("a checkpoint is valid UTF-8") from None
    if len(lines) < 4 or lines.pop() or "" in lines:
        raise MalformedError("a checkpoint has an origin, a size, a root, and no empty line")
    origin, size, root, *extensions = lines
    checkpoint = Checkpoint(
        origin,
        from_decimal(size, "the size of the checkpoint"),
        from_base64(root, "the root of the checkpoint", HASH_BYTES),
        tuple(extensions),
    )
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise MalformedError("the root of an empty checkpoint is the SHA-256 of nothing")
    return checkpoint


def parse_head(checkpoint: Checkpoint) -> Head:
    """The ledger's head in a checkpoint that a ledger signed. Raises `MalformedError`.

    Exactly the two extension lines, in order: what else a checkpoint says would be signed
    without anyone having checked it.
    """
    if len(checkpoint.extensions) != 2:
        raise MalformedError("a ledger's checkpoint has a chain-head line and a time line")
    head = _CHAIN_HEAD.fullmatch(checkpoint.extensions[0])
    time = _TIME.fullmatch(checkpoint.extensions[1])
    if not head or not time or not _is_time(time[1]):
        raise MalformedError("a ledger's checkpoint has a chain-head line and a time line")
    if (checkpoint.size == 0) != (head[1] == ZERO_HEAD):
        raise MalformedError("the chain head is 64 zeros exactly when there are no events")
    return Head(checkpoint.size, checkpoint.root, head[1], time[1])


def open_checkpoint(data: bytes, policy: Policy, verify: Verify) -> SignedCheckpoint:
    """Reads a signed checkpoint and believes it only if `policy` does.

    A log's key speaks for the origin that it is named after, and for no other. Raises
    `MalformedError`; `SignatureError` when no listed log signed it or a known key's signature is
    not valid; `QuorumError` when the quorum is not met.
    """
    try:
        parsed = note.parse(data)
    except MalformedError:
        if _is_text(data) or _is_text(data.removesuffix(b"\n")):
            raise SignatureError("the checkpoint is not signed") from None
        raise
    checkpoint = parse_text(parsed.text)
    origin = checkpoint.origin
    if policy.logs and all(key.name != origin for key in policy.logs):
        expected = ", ".join(sorted({ascii(key.name) for key in policy.logs}))
        raise SignatureError(f"the checkpoint is of the log {origin!a}, not of {expected}")
    verified = note.check_signatures(parsed, policy.keys(), verify)
    log_keys = tuple(
        found.key
        for found in verified
        if found.key.algorithm == ED25519 and found.key.name == origin
    )
    if not log_keys:
        raise SignatureError(f"the checkpoint has no valid signature by the log {origin!a}")
    cosignatures = tuple(found for found in verified if found.key.algorithm == COSIGNATURE_V1)
    if not policy.is_met({found.key for found in cosignatures}):
        names = ", ".join(sorted({ascii(found.key.name) for found in cosignatures})) or "nobody"
        raise QuorumError(
            f"the policy asks for cosignatures by {policy.describe_quorum()};"
            f" the checkpoint has valid ones by {names}"
        )
    return SignedCheckpoint(checkpoint, parsed, log_keys, cosignatures)


def _is_text(data: bytes) -> bool:
    """Whether this is a checkpoint's text alone, every signature line having been taken away."""
    try:
        parse_text(data)
    except MalformedError:
        return False
    return True


def check_successor(
    previous: Checkpoint, new: Checkpoint, root_at: Callable[[int], bytes | None]
) -> None:
    """Checks that a log which signed `previous` may sign `new`; both are a ledger's.

    `root_at(size)` gives the root of the ledger's first `size` lines as they are now, or None
    when it has fewer. Raises `ForkError`, saying what was found.
    """
    before, after = parse_head(previous), parse_head(new)
    if previous.origin != new.origin:
        raise ForkError(
            f"the last checkpoint is of the log {previous.origin!a}, not of {new.origin!a}"
        )
    if after.size < before.size:
        raise cut(before.size, after.size)
    if root_at(before.size) != before.root:
        raise rewritten(before.size)
    if after.time < before.time:
        raise ForkError(
            f"the clock went back: it is {after.time}, the last checkpoint was signed {before.time}"
        )


def cut(signed: int, count: int) -> ForkError:
    """The error for a ledger of `count` events of which more were signed."""
    return ForkError(f"the ledger has {count} events, but {signed} were signed: it was cut")


def rewritten(signed: int) -> ForkError:
    """The error for a ledger whose first events are others than those that were signed."""
    return ForkError(
        f"the first {signed} events are not the ones that were signed: the ledger was rewritten"
    )


def _posix_time(seconds: int) -> str:
    """RFC 3339, or the bare number where no year of four digits can say it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return str(seconds)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True

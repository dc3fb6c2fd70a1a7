"""Proof files: one event, or one extension, checkable without the ledger.

An event's proof is a C2SP tlog-proof: the stored line stands in its `extra` line, so that the file
alone (and the log's verifier key) confirms that this event, and no other, is the N-th of the log.

    c2sp.org/tlog-proof@v1
    extra <base64 of the stored line, without its LF>
    index <event_id - 1>
    <base64 hash>                      the inclusion proof, leaf to root (RFC 6962, 2.1.1)
    …

    <the signed checkpoint>

That one checkpoint's ledger extends another's is proved by a file of our own; C2SP has no form for
it. No line of a checkpoint is empty, so the empty lines alone tell the parts apart:

    audit-stream/tlog-extension@v1
    <base64 hash>                      the consistency proof (RFC 6962, 2.1.2)
    …

    <the old signed checkpoint>

    <the new signed checkpoint>

Whatever either file says is believed only as far as the checkpoints' signatures reach.
"""

from __future__ import annotations

from typing import NamedTuple

from audit_stream import merkle
from audit_stream.chain import last_line_head
from audit_stream.checkpoint import SignedCheckpoint, open_checkpoint
from audit_stream.encoding import from_base64, from_decimal, from_hash_lines, hash_lines, to_base64
from audit_stream.errors import InvalidEventError, MalformedError, ProofError
from audit_stream.note import Verify
from audit_stream.policy import Policy

EVENT_HEADER = "c2sp.org/tlog-proof@v1"
EXTENSION_HEADER = "audit-stream/tlog-extension@v1"


class EventProof(NamedTuple):
    """That `line`, without LF, is leaf `leaf_index` (event 1 is leaf 0) of a signed checkpoint."""

    line: bytes
    leaf_index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


class ExtensionProof(NamedTuple):
    """That the tree of the signed note `new` begins with the whole tree of the note `old`."""

    hashes: tuple[bytes, ...]
    old: bytes
    new: bytes


def format_event_proof(proof: EventProof) -> bytes:
    """The file (tlog-proof, "Format")."""
    head = f"{EVENT_HEADER}\nextra {to_base64(proof.line)}\nindex {proof.leaf_index}\n"
    return (head + hash_lines(proof.hashes) + "\n").encode() + proof.checkpoint


def parse_event_proof(data: bytes) -> EventProof:
    """Reads the file. Raises `MalformedError`; also when it does not carry the event."""
    head, _, checkpoint = data.partition(b"\n\n")
    lines = _ascii_lines(head, EVENT_HEADER)
    if len(lines) < 3 or not lines[1].startswith("extra "):
        raise MalformedError("the proof does not carry its event in an extra line")
    if not lines[2].startswith("index "):
        raise MalformedError("the proof has no index line")
    proof = EventProof(
        from_base64(lines[1][6:], "the event of the proof"),
        from_decimal(lines[2][6:], "the index of the proof"),
        from_hash_lines(lines[3:]),
        checkpoint,
    )
    if format_event_proof(proof) != data:
        raise MalformedError("the proof is not in its canonical form")
    return proof


def check_event_proof(proof: EventProof, policy: Policy, verify: Verify) -> SignedCheckpoint:
    """The checkpoint that vouches for the event.

    Raises `MalformedError`, `SignatureError`, or `ProofError` when the line is not that leaf, or
    not by itself a valid event that says it is number `leaf_index + 1`.
    """
    signed = open_checkpoint(proof.checkpoint, policy, verify)
    checkpoint = signed.checkpoint
    leaf = merkle.leaf_hash(proof.line)
    merkle.check_inclusion(proof.leaf_index, checkpoint.size, leaf, proof.hashes, checkpoint.root)
    # A log may have signed anything; what it cannot do is make us call it an event.
    try:
        head = last_line_head(proof.line)
    except InvalidEventError as error:
        raise ProofError(
            f"the line at this place of the log is not a valid event: {error}"
        ) from None
    if head.count != proof.leaf_index + 1:
        raise ProofError(f"the line at this place of the log is not event {proof.leaf_index + 1}")
    return signed


def format_extension_proof(proof: ExtensionProof) -> bytes:
    """The file."""
    head = f"{EXTENSION_HEADER}\n{hash_lines(proof.hashes)}\n"
    return head.encode() + proof.old + b"\n" + proof.new


def parse_extension_proof(data: bytes) -> ExtensionProof:
    """Reads the file. Raises `MalformedError`."""
    parts = data.split(b"\n\n")
    if len(parts) != 5:
        raise MalformedError("an extension proof has its hashes and two signed checkpoints")
    head, old_text, old_signatures, new_text, new_signatures = parts
    return ExtensionProof(
        from_hash_lines(_ascii_lines(head, EXTENSION_HEADER)[1:]),
        old_text + b"\n\n" + old_signatures + b"\n",
        new_text + b"\n\n" + new_signatures,
    )


def check_extension_proof(
    proof: ExtensionProof, policy: Policy, verify: Verify
) -> tuple[SignedCheckpoint, SignedCheckpoint]:
    """The two checkpoints, old and new, the second of which extends the first.

    Raises `MalformedError`, `SignatureError`, or `ProofError`.
    """
    old = open_checkpoint(proof.old, policy, verify)
    new = open_checkpoint(proof.new, policy, verify)
    if old.checkpoint.origin != new.checkpoint.origin:
        raise ProofError("the two checkpoints are of different logs")
    merkle.check_consistency(
        old.checkpoint.size,
        new.checkpoint.size,
        old.checkpoint.root,
        new.checkpoint.root,
        proof.hashes,
    )
    return old, new


def _ascii_lines(head: bytes, header: str) -> list[str]:
    if not head.isascii():
        raise MalformedError("a proof is ASCII text before its checkpoint")
    lines = head.decode("ascii").split("\n")
    if lines[0] != header:
        raise MalformedError(f"the first line is not {header}")
    return lines

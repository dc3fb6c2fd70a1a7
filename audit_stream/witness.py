"""The witness: remembers how far it has seen each log, and cosigns only what extends that.

The pure half of C2SP tlog-witness. A request to cosign is decided by `consider` from the bytes
sent and the one state that is kept of a log; storing the new state durably, before `cosign` is
answered, and never two requests of one log at once, is up to the caller ("add-checkpoint").

    request → consider → Accepted → (store its state) → cosign → Answer
                       → Answer (a refusal; nothing changes)

Messages are the same over HTTP and as files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from audit_stream import merkle, note
from audit_stream.checkpoint import Checkpoint, open_checkpoint, parse_text
from audit_stream.encoding import from_decimal, from_hash_lines, hash_lines
from audit_stream.errors import (
    AuditStreamError,
    ForkError,
    MalformedError,
    ProofError,
    SignatureError,
    TransportError,
)
from audit_stream.note import COSIGNATURE_V1, Note, Signature, Signer, VerifierKey, Verify
from audit_stream.policy import Policy

TEXT = "text/plain; charset=utf-8"
TREE_SIZE = "text/x.tlog.size"


class LogState(NamedTuple):
    """The last checkpoint cosigned for a log; a log never cosigned has size 0."""

    origin: str
    size: int
    root: bytes


class Request(NamedTuple):
    """An add-checkpoint request: the proof leads from `old_size` to the signed `checkpoint`."""

    old_size: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


class Answer(NamedTuple):
    """A response: an HTTP status, a media type and a body that ends in LF."""

    status: int
    content_type: str
    body: bytes


class Accepted(NamedTuple):
    """A checkpoint to be cosigned once `state` is stored in place of the one it was judged by."""

    state: LogState
    note: Note


def unseen(origin: str) -> LogState:
    """The state of a log of which nothing was cosigned yet."""
    return LogState(origin, 0, merkle.EMPTY_ROOT)


def format_state(state: LogState) -> bytes:
    """The bytes to store: a checkpoint's text without extension lines."""
    return Checkpoint(state.origin, state.size, state.root).text()


def parse_state(data: bytes) -> LogState:
    """Reads what `format_state` wrote. Raises `MalformedError`."""
    checkpoint = parse_text(data)
    if checkpoint.extensions:
        raise MalformedError("the witness's record of a log has exactly three lines")
    return LogState(checkpoint.origin, checkpoint.size, checkpoint.root)


def format_request(request: Request) -> bytes:
    """The body of an add-checkpoint request."""
    head = f"old {request.old_size}\n{hash_lines(request.hashes)}\n"
    return head.encode() + request.checkpoint


def parse_request(data: bytes) -> Request:
    """Reads the body of an add-checkpoint request. Raises `MalformedError`."""
    head, blank, checkpoint = data.partition(b"\n\n")
    if not head.isascii() or not head.startswith(b"old ") or not blank:
        raise MalformedError("a request starts with the old size, proof lines and an empty line")
    old, *hashes = head.decode("ascii").split("\n")
    return Request(from_decimal(old[4:], "the old size"), from_hash_lines(hashes), checkpoint)


def consider(
    data: bytes, policy: Policy, state_of: Callable[[str], LogState], verify: Verify
) -> Accepted | Answer:
    """Decides on an add-checkpoint request (tlog-witness, "add-checkpoint").

    `policy.logs` are the logs that are watched; `state_of` gives what is kept of one.
    """
    try:
        request = parse_request(data)
        checkpoint = parse_text(note.parse(request.checkpoint).text)
        if all(key.name != checkpoint.origin for key in policy.logs):
            return _refuse(404, f"the log {checkpoint.origin!a} is not witnessed here")
        signed = open_checkpoint(request.checkpoint, policy, verify)
    except MalformedError as error:
        return _refuse(400, str(error))
    except SignatureError as error:
        return _refuse(403, str(error))
    if request.old_size > checkpoint.size:
        return _refuse(400, f"the old size is larger than the checkpoint's {checkpoint.size}")
    state = state_of(checkpoint.origin)
    refusal = _extends(state, request, checkpoint)
    if refusal is not None:
        return refusal
    return Accepted(LogState(checkpoint.origin, checkpoint.size, checkpoint.root), signed.note)


def _extends(state: LogState, request: Request, checkpoint: Checkpoint) -> Answer | None:
    if request.old_size != state.size:
        return Answer(409, TREE_SIZE, b"%d\n" % state.size)
    # Two roots of one size cannot both be of one log: told apart from a proof that does not
    # verify, since only this is evidence against the log and not against the sender.
    if checkpoint.size == state.size and checkpoint.root != state.root:
        return _refuse(409, f"another root was cosigned for size {state.size}: the log forked")
    try:
        merkle.check_consistency(
            state.size, checkpoint.size, state.root, checkpoint.root, request.hashes
        )
    except ProofError as error:
        return _refuse(422, str(error))
    return None


def cosign(accepted: Accepted, key: VerifierKey, signer: Signer, timestamp: int) -> Answer:
    """The cosignature (tlog-cosignature), once the state is stored. `timestamp`: POSIX seconds."""
    signature = note.sign(accepted.note.text, key, signer, timestamp)
    return Answer(200, TEXT, str(signature).encode())


def parse_size(body: bytes) -> int:
    """Reads how much a witness has cosigned, from the body of its 409. Raises `MalformedError`."""
    text = body.decode("ascii", "replace").removesuffix("\n")
    return from_decimal(text, "the witness's size")


def raise_refusal(answer: Answer) -> None:
    """Raises what a refusal means to the log that asked; returns when the answer is none.

    `ForkError` (409), `ProofError` (422), `SignatureError` (403), else `TransportError`.
    """
    if answer.status == 200:
        return
    said = ascii(answer.body[:200].decode("utf-8", "replace").strip())
    kinds: dict[int, type[AuditStreamError]] = {
        409: ForkError,
        422: ProofError,
        403: SignatureError,
    }
    raise kinds.get(answer.status, TransportError)(f"the witness answers {answer.status}: {said}")


def add_cosignatures(
    checkpoint: bytes, body: bytes, witnesses: tuple[VerifierKey, ...], verify: Verify
) -> bytes:
    """The signed note `checkpoint` with the cosignatures of a witness's answer added.

    Only valid cosignatures by `witnesses` are taken over; one by the same witness that the note
    already has gives way. Raises `MalformedError`, or `SignatureError` when there is none.
    """
    parsed = note.parse(checkpoint)
    wanted = {(key.name, key.key_id): key for key in witnesses if key.algorithm == COSIGNATURE_V1}
    new: dict[tuple[str, bytes], Signature] = {}
    for signature in note.parse_signatures(body):
        place = (signature.name, signature.key_id)
        if place in wanted:
            single = Note(parsed.text, (signature,))
            note.check_signatures(single, [wanted[place]], verify)
            new[place] = signature
    if not new:
        raise SignatureError("the answer has no cosignature by a known witness")
    kept = (old for old in parsed.signatures if (old.name, old.key_id) not in new)
    return note.format_note(Note(parsed.text, (*kept, *new.values())))


def _refuse(status: int, reason: str) -> Answer:
    return Answer(status, TEXT, f"{reason}\n".encode())

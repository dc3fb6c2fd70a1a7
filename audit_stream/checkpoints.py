"""A ledger's signed checkpoints: made, kept, extended, and turned into proofs.

What is signed goes to `<ledger>.checkpoints`, an append-only file of signed notes, before anyone
is told. Its lock is held from the look at the last checkpoint until the next one is durable, so
that of all processes together each signs only what extends what was signed last:

    1  lock, read the last checkpoint         nothing was signed
    2  verify the ledger, take its root       nothing was signed
    3  bring the hash file up to it           a cache grew; nothing was signed
    4  compare with the last checkpoint       `ForkError` says what was found
    5  sign; have it timestamped              a signature that nobody has seen
    6  append the note, durably               as 5, or a checkpoint that was not announced
    7  unlock, return the note                done

After a crash the next run starts at 1 and finds either the old last checkpoint or the new one, and
either is extended by the ledger, whose events were durable before step 2 could see them.

Whoever can write all files beside a ledger can put them all back to an older state, and then gets
a fork signed. Only what stands elsewhere reveals that: the checkpoints that others hold, or a
witness (`witness`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from audit_stream import merkle, note, proof, signing, timestamps, verification, witness
from audit_stream.chain import ZERO_HASH, Verifier
from audit_stream.chain import Head as ChainHead
from audit_stream.checkpoint import (
    Checkpoint,
    Head,
    SignedCheckpoint,
    check_successor,
    cut,
    open_checkpoint,
    parse_head,
    parse_text,
    rewritten,
)
from audit_stream.errors import (
    ForkError,
    InputError,
    IntegrityError,
    MalformedError,
    NotSignedError,
    ProofError,
    QuorumError,
    SignatureError,
)
from audit_stream.note import Note, Signer, VerifierKey, Verify
from audit_stream.policy import Policy, trust
from audit_stream.roots import Roots
from audit_stream.storage.beside import beside as beside
from audit_stream.storage.hash_file import HashFile
from audit_stream.storage.journal import END as END
from audit_stream.storage.journal import Journal
from audit_stream.storage.journal import split_records as split_records
from audit_stream.witness import Answer

if TYPE_CHECKING:
    from audit_stream.storage import Engine
    from audit_stream.storage.durable import Disk
    from audit_stream.storage.snapshot import Snapshot
    from audit_stream.verification import Progress

CHECKPOINTS = ".checkpoints"
HASHES = ".merkle"
"""What the files beside a ledger are called, after its own name."""


_T = TypeVar("_T")


class _Walked(NamedTuple):
    """What a walk over the ledger found: its head, its root, and the root at the last checkpoint
    (None when the ledger is shorter)."""

    head: ChainHead
    root: bytes
    previous_root: bytes | None


class Consistency(NamedTuple):
    """That the tree of `new_size` events begins with that of `old_size` (RFC 6962, 2.1.2)."""

    old_size: int
    new_size: int
    old_root: bytes
    new_root: bytes
    hashes: tuple[bytes, ...]


class Checkpoints:
    """The signed checkpoints of the ledger at `path`, whose lines are in `engine`.

    Args:
        clock: POSIX time in nanoseconds.
        disk: the operating system, or a test's stand-in.
    """

    def __init__(
        self,
        engine: Engine,
        path: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        disk: Disk | None = None,
    ) -> None:
        self._engine = engine
        self._ledger = path
        self._clock = clock
        self._journal = Journal(beside(path, CHECKPOINTS), clock=clock, disk=disk)
        self._hashes = HashFile(beside(path, HASHES), disk=disk)

    @property
    def path(self) -> str:
        """Where they are kept."""
        return self._journal.path

    def latest(self) -> bytes | None:
        """The last signed note, or None. Raises `UnreadableError`, `StorageError`."""
        return self._journal.last()

    def all(self) -> list[bytes]:
        """Every signed note, oldest first; one that gained signatures stands there again."""
        return self._journal.records()

    def newest(self, count: int) -> list[bytes]:
        """The last `count` of `all`; the cost does not depend on how many there are before."""
        return self._journal.tail(count)

    def of_size(self, size: int) -> bytes | None:
        """The last signed note over exactly `size` events, or None."""
        for data in reversed(self.all()):
            if parse_text(note.parse(data).text).size == size:
                return data
        return None

    # -- signing ---------------------------------------------------------------------------

    def sign(
        self,
        key: VerifierKey,
        signer: Signer,
        *,
        since_last: bool = False,
        complete: Callable[[bytes], bytes] = bytes,
        verify: Verify = signing.verify,
        jobs: int = 1,
        progress: Progress | None = None,
    ) -> bytes:
        """Signs the ledger as it is now, and returns the note once it is durable.

        Args:
            key: the log's public key; its name is the log's origin.
            signer: holds the private key.
            since_last: check only the events after the last checkpoint, which must end with the
                event that it names. What was signed before cannot be signed differently either
                way; damage inside it is left for `verify` to find.
            complete: adds to the signed note before it is stored (a timestamp).
            jobs, progress: as for `verification`.

        Raises:
            ForkError: the ledger does not extend the last checkpoint, or the clock went back.
            IntegrityError: the ledger is damaged.
            MalformedError: the file of checkpoints is damaged.
            SignatureError: the signer's signature is not valid.
            LedgerNotFoundError, UnreadableError, StorageError: nothing was signed.
        """
        trust(key)  # a witness's key has no business here
        self._engine.snapshot().close()  # a ledger that is not there leaves no file behind
        with self._journal.writing() as writer:
            previous = self._parse(writer.last, key, verify) if writer.last else None
            if since_last and previous is not None and previous.size:
                walked = self._walk_on(previous)
            else:
                walked = self._walk(previous, jobs, progress)
            now = timestamps.stamp(self._clock())
            head = Head(walked.head.count, walked.root, walked.head.hash, now)
            checkpoint = head.checkpoint(key.name)
            if previous is not None:
                check_successor(previous, checkpoint, lambda _: walked.previous_root)
            text = checkpoint.text()
            signed = Note(text, (note.sign(text, key, signer),))
            note.check_signatures(signed, [key], verify)
            data = complete(note.format_note(signed))
            writer.append(data)
            return data

    def add(self, data: bytes) -> bool:
        """Stores the last checkpoint again with more signatures; false when `data` is not the
        last one (any more), since the last record is what the next checkpoint must extend."""
        text = note.parse(data).text
        with self._journal.writing() as writer:
            if writer.last is None or note.parse(writer.last).text != text:
                return False
            writer.append(data)
            return True

    def request(self, old_size: int, data: bytes | None = None) -> bytes:
        """What to send to a witness that has cosigned `old_size` events, to have the signed note
        `data` or the last one cosigned (tlog-witness, "add-checkpoint"). Raises as `prove`."""
        data, checkpoint = self._checkpoint(data)
        hashes = self._joined(old_size, checkpoint.size, checkpoint).hashes
        return witness.format_request(witness.Request(old_size, hashes, data))

    def cosigned(
        self,
        ask: Callable[[bytes], Answer],
        witnesses: tuple[VerifierKey, ...],
        *,
        verify: Verify = signing.verify,
    ) -> bytes:
        """The last checkpoint with the cosignatures of a witness, asked through `ask`.

        Raises:
            ForkError: the witness has seen another ledger, or more of this one.
            ProofError, SignatureError: it does not accept the proof, or the log's signature;
                or its answer has no valid cosignature by `witnesses`.
            TransportError: it answered nonsense. Else as `prove`.
        """
        data, checkpoint = self._checkpoint(None)
        answer = ask(self.request(0, data))
        if answer.status == 409 and answer.content_type == witness.TREE_SIZE:
            known = witness.parse_size(answer.body)
            if known > checkpoint.size:
                raise ForkError(
                    f"the witness has cosigned {known} events, the last checkpoint has"
                    f" {checkpoint.size}: was the ledger put back to an older state?"
                )
            answer = ask(self.request(known, data))
        witness.raise_refusal(answer)
        return witness.add_cosignatures(data, answer.body, witnesses, verify)

    def _parse(self, data: bytes, key: VerifierKey, verify: Verify) -> Checkpoint:
        """The last checkpoint. Its signatures by `key` must be valid; after a change of keys
        there is none, and its text counts all the same."""
        try:
            parsed = note.parse(data)
            note.check_signatures(parsed, [key], verify)
            checkpoint = parse_text(parsed.text)
            parse_head(checkpoint)
        except (MalformedError, SignatureError) as error:
            raise MalformedError(
                f"{self.path}: the last checkpoint is damaged ({error}), so nothing can be signed"
                " after it; restore the file from a copy"
            ) from None
        return checkpoint

    def _walk(self, previous: Checkpoint | None, jobs: int, progress: Progress | None) -> _Walked:
        """Verifies the whole ledger."""
        roots = Roots({previous.size} if previous else ())
        with self._engine.snapshot() as snapshot:
            head = self._verified(snapshot, roots, jobs=jobs, progress=progress)
        self._bring_up(head.count, roots.root())
        return _Walked(head, roots.root(), roots.at.get(previous.size) if previous else None)

    def _walk_on(self, previous: Checkpoint) -> _Walked:
        """Verifies what follows `previous`, going on from hashes that its root vouches for."""
        start = ChainHead(previous.size, parse_head(previous).chain_head)
        for anew in (False, True):
            with self._hashes.caught_up(self._engine.snapshot, anew=anew) as (snapshot, hashes):
                if hashes.size < previous.size:
                    raise cut(previous.size, hashes.size)
                tree = merkle.stored_range(previous.size, hashes.read)
                if tree.root() != previous.root:
                    continue
                offset = snapshot.offset_after(previous.size)
                verifier = verification.behind(snapshot, offset, start)
                if verifier is None:
                    break
                roots = Roots((), tree)
                roots.start(previous.size)
                verifier.sink = roots
                head = self._verified(snapshot, roots, start=verifier)
                return _Walked(head, roots.root(), previous.root)
        raise rewritten(previous.size)

    def _verified(
        self,
        snapshot: Snapshot,
        roots: Roots,
        *,
        start: Verifier | None = None,
        jobs: int = 1,
        progress: Progress | None = None,
    ) -> ChainHead:
        result = verification.verify_snapshot(
            snapshot,
            path=self._ledger,
            jobs=jobs,
            progress=progress,
            start=start,
            roots=roots,
        )
        if result.verdict == "broken":
            raise IntegrityError(f"{self._ledger}: {result.reason}; nothing was signed")
        return ChainHead(result.last_event_id, result.latest_hash or ZERO_HASH)

    def _bring_up(self, size: int, root: bytes) -> None:
        for anew in (False, True):
            with self._hashes.caught_up(self._engine.snapshot, anew=anew) as (_, hashes):
                if hashes.size >= size and merkle.tree_root(size, hashes.read) == root:
                    return
        raise ForkError(f"{self._ledger}: the ledger changed while it was read; nothing was signed")

    # -- proving ---------------------------------------------------------------------------

    def prove(self, event_id: int, data: bytes | None = None) -> bytes:
        """The proof file for one event, against the signed note `data` or the last one.

        Raises:
            NotSignedError: the checkpoint does not cover the event, or there is none.
            ProofError: the ledger is not the one that was signed.
            LedgerNotFoundError, UnreadableError, StorageError.
        """
        data, checkpoint = self._checkpoint(data)
        if not 1 <= event_id <= checkpoint.size:
            raise NotSignedError(
                f"the checkpoint covers the events 1 to {checkpoint.size}, not {event_id};"
                " `audit-stream checkpoint` makes a newer one"
            )

        def attempt(snapshot: Snapshot, hashes: merkle.HashReader) -> bytes:
            line = snapshot.event_line(event_id)
            if line is None:
                raise ProofError(f"event #{event_id} is not to be found")
            index, size = event_id - 1, checkpoint.size
            path = merkle.inclusion_proof(index, size, hashes)
            merkle.check_inclusion(index, size, merkle.leaf_hash(line), path, checkpoint.root)
            return proof.format_event_proof(proof.EventProof(line, index, tuple(path), data))

        return self._proved(checkpoint.size, attempt)

    def prove_extension(self, old: bytes, new: bytes) -> bytes:
        """The file that proves that the signed note `new` extends the signed note `old`.

        Raises as `prove`.
        """
        hashes = self._consistency(
            parse_text(note.parse(old).text), parse_text(note.parse(new).text)
        )
        return proof.format_extension_proof(proof.ExtensionProof(tuple(hashes), old, new))

    def _consistency(self, old: Checkpoint, new: Checkpoint) -> list[bytes]:
        if old.origin != new.origin:
            raise InputError(f"the checkpoints are of {old.origin!a} and {new.origin!a}")
        if old.size > new.size:
            raise InputError("the newer checkpoint is smaller than the older; swap them?")

        def attempt(_: Snapshot, hashes: merkle.HashReader) -> list[bytes]:
            path = merkle.consistency_proof(old.size, new.size, hashes)
            merkle.check_consistency(old.size, new.size, old.root, new.root, path)
            return path

        return self._proved(new.size, attempt)

    def consistency(self, old_size: int, new_size: int | None = None) -> Consistency:
        """The proof that the first `new_size` events (None: all that the last checkpoint signed)
        begin with the first `old_size`. Raises as `prove`."""
        _, checkpoint = self._checkpoint(None)
        return self._joined(old_size, checkpoint.size if new_size is None else new_size, checkpoint)

    def _joined(self, old_size: int, new_size: int, checkpoint: Checkpoint) -> Consistency:
        if not 0 <= old_size <= new_size:
            raise InputError(f"from {old_size} to {new_size} events: the smaller comes first")
        if new_size > checkpoint.size:
            raise NotSignedError(f"the checkpoint covers {checkpoint.size} events, not {new_size}")

        def attempt(_: Snapshot, hashes: merkle.HashReader) -> Consistency:
            old_root, new_root = (merkle.tree_root(n, hashes) for n in (old_size, new_size))
            path = merkle.consistency_proof(old_size, new_size, hashes)
            merkle.check_consistency(old_size, new_size, old_root, new_root, path)
            # What the hash file says of the newer size counts for nothing until it leads to what
            # was signed.
            signed = merkle.consistency_proof(new_size, checkpoint.size, hashes)
            merkle.check_consistency(new_size, checkpoint.size, new_root, checkpoint.root, signed)
            return Consistency(old_size, new_size, old_root, new_root, tuple(path))

        return self._proved(checkpoint.size, attempt)

    def _proved(self, size: int, attempt: Callable[[Snapshot, merkle.HashReader], _T]) -> _T:
        """What `attempt` makes, from a hash file made anew if the one at hand leads nowhere."""
        for anew in (False, True):
            with self._hashes.caught_up(self._engine.snapshot, anew=anew) as (snapshot, hashes):
                if hashes.size < size:
                    raise ProofError(
                        f"the checkpoint has signed {size} events, the ledger has {hashes.size}"
                    )
                try:
                    return attempt(snapshot, hashes.read)
                except ProofError as error:
                    reason = error
        raise ProofError(
            f"{self._ledger}: the ledger is not the one that was signed ({reason});"
            " run `audit-stream verify`"
        )

    def _checkpoint(self, data: bytes | None) -> tuple[bytes, Checkpoint]:
        data = self.latest() if data is None else data
        if data is None:
            raise NotSignedError(
                f"{self.path}: no checkpoint yet; `audit-stream checkpoint` makes one"
            )
        return data, parse_text(note.parse(data).text)


def believe(
    name: str,
    data: bytes,
    policy: Policy,
    *,
    certificates: bytes | None = None,
    verify: Verify = signing.verify,
) -> list[SignedCheckpoint]:
    """What a file of one signed note, or of many as this module keeps them, makes one believe.

    Never nothing. In a file of many, a note for which not enough others vouch is passed over if
    there is a better one: it may just not have been cosigned yet.

    Args:
        name: what to call the file in errors.
        policy: whom to believe.
        certificates: PEM; when given, a note must carry a timestamp that they verify.

    Raises:
        MalformedError: a note is not exactly in its form.
        SignatureError: a note is not signed by a log of the policy, or a signature is not valid.
        QuorumError: not enough others vouch for any of the notes.
        InputError, MissingExtraError: the certificates or an extra cannot be used.
    """
    believed: list[SignedCheckpoint] = []
    lacking: QuorumError | None = None
    for record in split_records(data) or [data]:
        try:
            believed.append(_believed(record, policy, certificates, verify))
        except QuorumError as error:
            lacking = error
        except (MalformedError, SignatureError) as error:
            raise type(error)(f"{name}: {error}") from None
    if not believed and lacking is not None:
        raise QuorumError(f"{name}: {lacking}")
    return believed


def _believed(
    data: bytes, policy: Policy, certificates: bytes | None, verify: Verify
) -> SignedCheckpoint:
    signed = open_checkpoint(data, policy, verify)
    if certificates is None:
        return signed
    from audit_stream.timestamping import check_timestamps

    found = tuple(check_timestamps(signed.note, certificates))
    if not found:
        raise QuorumError("the checkpoint has no timestamp")
    return signed._replace(timestamps=found)

"""The witness: cosigns growth, answers everything else as the protocol says, and loses no state."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from audit_stream import merkle, note, witness
from audit_stream.checkpoint import open_checkpoint
from audit_stream.errors import MalformedError, SignatureError
from audit_stream.policy import parse_policy, trust
from audit_stream.signing import verify
from audit_stream.witness import Accepted, Answer, LogState, Request
from tests.signed import (
    LOG,
    ORIGIN,
    WITNESSES,
    checkpoint,
    event_lines,
    flips,
    private_key,
    signed,
    store,
)

C2SP = json.loads((Path(__file__).parent / "known" / "notes.json").read_text())["c2sp"]
LINES = event_lines(40)
ME = WITNESSES[0]
NOW = 1_800_000_000


def state_after(size: int) -> LogState:
    return LogState(ORIGIN, size, store(LINES[:size])[0].root()) if size else witness.unseen(ORIGIN)


def request(old: int, size: int, lines: list[bytes] = LINES) -> Request:
    hashes = merkle.consistency_proof(old, size, store(lines[:size])[1])
    return Request(old, tuple(hashes), signed(checkpoint(lines[:size]).text(), LOG))


def consider(message: Request | bytes, state: LogState) -> Accepted | Answer:
    data = message if isinstance(message, bytes) else witness.format_request(message)
    return witness.consider(data, trust(LOG.key), lambda origin: state, verify)


def refusal(message: Request | bytes, state: LogState) -> Answer:
    answer = consider(message, state)
    assert isinstance(answer, Answer)
    assert answer.body.endswith(b"\n")
    return answer


def test_the_examples_of_the_specification_are_read() -> None:
    data = C2SP["request"].encode()
    parsed = witness.parse_request(data)
    assert (parsed.old_size, len(parsed.hashes)) == (20852014, 4)
    assert witness.format_request(parsed) == data


@pytest.mark.parametrize(("old", "size"), [(0, 0), (0, 1), (0, 7), (7, 7), (7, 8), (8, 40)])
def test_growth_is_cosigned(old: int, size: int) -> None:
    accepted = consider(request(old, size), state_after(old))
    assert isinstance(accepted, Accepted)
    assert accepted.state == state_after(size)
    answer = witness.cosign(accepted, ME.key, ME, NOW)
    assert (answer.status, answer.content_type) == (200, witness.TEXT)
    data = witness.add_cosignatures(request(old, size).checkpoint, answer.body, (ME.key,), verify)
    policy = parse_policy(f"log {LOG.key}\nwitness w {ME.key}\nquorum w\n".encode())
    found = open_checkpoint(data, policy, verify)
    assert [(one.key, one.time) for one in found.cosignatures] == [(ME.key, NOW)]


def test_a_long_history_is_cosigned_step_by_step() -> None:
    rng = random.Random(4)
    state = witness.unseen(ORIGIN)
    sizes = sorted(rng.choices(range(41), k=30))
    for size in sizes:
        accepted = consider(request(state.size, size), state)
        assert isinstance(accepted, Accepted)
        state = witness.parse_state(witness.format_state(accepted.state))
    assert state == state_after(sizes[-1])


@pytest.mark.parametrize("known", [0, 3, 8, 20])
@pytest.mark.parametrize("old", [0, 5, 8])
def test_another_old_size_is_told_the_known_one(known: int, old: int) -> None:
    if known == old:
        return
    answer = refusal(request(old, 20), state_after(known))
    assert answer == Answer(409, "text/x.tlog.size", b"%d\n" % known)


def test_a_rollback_is_a_conflict() -> None:
    answer = refusal(request(5, 8), state_after(20))
    assert answer == Answer(409, "text/x.tlog.size", b"20\n")
    assert (
        refusal(
            request(20, 20)._replace(old_size=20, checkpoint=request(0, 8).checkpoint),
            state_after(20),
        ).status
        == 400
    )


def test_another_root_for_a_known_size_is_a_fork() -> None:
    forged = request(20, 20, event_lines(20, "other"))
    answer = refusal(forged, state_after(20))
    assert (answer.status, answer.content_type) == (409, witness.TEXT)
    assert b"the log forked" in answer.body


@pytest.mark.parametrize("old", [1, 8, 13])
def test_a_rewritten_log_is_not_cosigned(old: int) -> None:
    """The insider's case: everything is validly signed, only the past is another."""
    forged = request(old, 20, event_lines(20, "rewritten"))
    assert refusal(forged, state_after(old)).status == 422


def test_a_bad_proof_is_not_cosigned() -> None:
    good = request(7, 20)
    for hashes in (
        (),
        good.hashes[1:],
        good.hashes[:-1],
        good.hashes[::-1],
        (*good.hashes, bytes(32)),
        (bytes(32), *good.hashes[1:]),
    ):
        assert refusal(good._replace(hashes=hashes), state_after(7)).status == 422


@pytest.mark.parametrize("size", [0, 7])
def test_a_proof_where_none_is_due_is_not_cosigned(size: int) -> None:
    first = request(0, 7)._replace(hashes=(bytes(32),))
    assert refusal(first, witness.unseen(ORIGIN)).status == 422
    again = request(size, size)._replace(hashes=(bytes(32),))
    assert refusal(again, state_after(size)).status == 422


def test_an_unknown_log_is_not_found() -> None:
    other = private_key("example.org/other")
    data = signed(checkpoint(LINES, origin="example.org/other").text(), other)
    assert refusal(Request(0, (), data), witness.unseen(ORIGIN)).status == 404


@pytest.mark.parametrize(
    "signer", [private_key(ORIGIN, seed="other"), private_key("example.org/other"), ME]
)
def test_a_checkpoint_not_signed_by_its_log_is_forbidden(signer: note.Signer) -> None:
    data = signed(checkpoint(LINES).text(), signer)  # type: ignore[arg-type]
    assert refusal(Request(0, (), data), witness.unseen(ORIGIN)).status == 403


def test_a_forged_signature_is_forbidden() -> None:
    lines = signed(checkpoint(LINES).text(), LOG).partition(b"\n\n")[2]
    data = checkpoint(LINES[:9]).text() + b"\n" + lines
    assert refusal(Request(0, (), data), witness.unseen(ORIGIN)).status == 403


GOOD = witness.format_request(request(7, 20))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 7\n",
        b"old 7\n\n",
        b"\n\n" + GOOD,
        GOOD.replace(b"old 7", b"old 07"),
        GOOD.replace(b"old 7", b"old -7"),
        GOOD.replace(b"old 7", b"old  7"),
        GOOD.replace(b"old 7", b"Old 7"),
        GOOD.replace(b"old 7", b"7"),
        GOOD.replace(b"old 7", b"old 30"),
        GOOD.replace(b"old 7\n", b"old 7\r\n"),
        GOOD.replace(b"old 7\n", b"old 7\nQQ==\n"),
        GOOD.replace(b"old 7\n", b"old 7\n\xff\n"),
        GOOD.replace(b"old 7\n", b"old 7\n" + b"A" * 43 + b"=\n" * 64),
        GOOD[:-1],
        GOOD + b"\n",
    ],
)
def test_malformed_requests_are_bad_requests(data: bytes) -> None:
    assert refusal(data, state_after(7)).status == 400


def test_no_altered_request_changes_what_is_remembered() -> None:
    for data in flips(GOOD):
        assert isinstance(consider(data, state_after(7)), Answer)


def test_cosignatures_of_other_witnesses_may_come_along() -> None:
    text = checkpoint(LINES).text()
    accepted = consider(Request(0, (), signed(text, LOG, WITNESSES[1])), witness.unseen(ORIGIN))
    assert isinstance(accepted, Accepted)


def test_another_logs_extension_lines_are_none_of_our_business() -> None:
    plain = checkpoint(LINES)._replace(extensions=())
    strange = checkpoint(LINES)._replace(extensions=("anything", "at all"))
    for one in (plain, strange):
        accepted = consider(Request(0, (), signed(one.text(), LOG)), witness.unseen(ORIGIN))
        assert isinstance(accepted, Accepted)
        body = witness.cosign(accepted, ME.key, ME, NOW).body
        data = witness.add_cosignatures(signed(one.text(), LOG), body, (ME.key,), verify)
        assert note.parse(data).text == one.text()


# The state.


@pytest.mark.parametrize("size", [0, 1, 40])
def test_the_record_of_a_log_reads_back(size: int) -> None:
    state = state_after(size)
    assert witness.parse_state(witness.format_state(state)) == state


def test_a_damaged_record_is_an_error_and_never_a_fresh_start() -> None:
    data = witness.format_state(state_after(20))
    for bad in [data[:n] for n in range(len(data))] + [data + b"more\n", data + b"\n"]:
        with pytest.raises(MalformedError):
            witness.parse_state(bad)


# The log's side.


def answer_for(text: bytes, *witnesses: int, timestamp: int = NOW) -> bytes:
    return b"".join(
        str(note.sign(text, WITNESSES[n].key, WITNESSES[n], timestamp)).encode() for n in witnesses
    )


TEXT = checkpoint(LINES).text()


def test_only_valid_cosignatures_of_known_witnesses_are_taken_over() -> None:
    keys = (WITNESSES[0].key, WITNESSES[1].key)
    data = witness.add_cosignatures(signed(TEXT, LOG), answer_for(TEXT, 0, 1, 2), keys, verify)
    names = [line.name for line in note.parse(data).signatures]
    assert names == [ORIGIN, keys[0].name, keys[1].name]


def test_a_newer_cosignature_replaces_the_older() -> None:
    data = signed(TEXT, LOG, ME, WITNESSES[1], timestamp=NOW - 5)
    body = answer_for(TEXT, 0)
    lines = note.parse(witness.add_cosignatures(data, body, (ME.key,), verify)).signatures
    assert [line.name for line in lines] == [ORIGIN, WITNESSES[1].key.name, ME.key.name]
    assert lines[-1].value[:8] == NOW.to_bytes(8, "big")


@pytest.mark.parametrize(
    "body",
    [
        answer_for(checkpoint(LINES[:9]).text(), 0),
        answer_for(TEXT, 1),
        str(note.sign(TEXT, LOG.key, LOG)).encode(),
    ],
)
def test_an_answer_without_a_valid_cosignature_is_refused(body: bytes) -> None:
    for keys in ((ME.key,), (ME.key, LOG.key)):
        with pytest.raises(SignatureError):
            witness.add_cosignatures(signed(TEXT, LOG), body, keys, verify)


def test_an_answer_that_is_no_signature_line_is_refused() -> None:
    for body in (b"", b"20\n", answer_for(TEXT, 0)[:-1], b"text\n\n" + answer_for(TEXT, 0)):
        with pytest.raises(MalformedError):
            witness.add_cosignatures(signed(TEXT, LOG), body, (ME.key,), verify)

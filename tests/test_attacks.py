"""Attacks on a signed ledger, each with the verdict that it must meet, through the command line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from audit_stream import note
from audit_stream.chain import last_line_head, link
from audit_stream.event import draft
from audit_stream.ledger import Ledger
from tests.desk import Desk
from tests.signed import LOG, TIME, VOCABULARY, WITNESSES, event_lines, private_key, signed

LINES = event_lines(40)
OTHER = event_lines(40, "other")


def from_event(k: int, count: int) -> list[bytes]:
    """The ledger up to event k - 1, and others after it in a chain that is whole."""
    drafts = [
        draft("other", "insider", {"n": n}, vocabulary=VOCABULARY) for n in range(k, count + 1)
    ]
    added = link(drafts, last_line_head(LINES[k - 2]), TIME)[0]
    return LINES[: k - 1] + [line[:-1] for line in added]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """The ledger had 20 events when `old` was signed and 30 when `new` was; now it has 33."""
    desk = Desk(tmp_path)
    for size, name in ((20, "old"), (30, "new")):
        desk.lines("l", LINES[:size])
        desk.sign("l", name)
    desk.lines("l", LINES[:33])
    return desk


def test_the_honest_ledger_passes(desk: Desk) -> None:
    assert desk.verify("l", "--checkpoint", "old", "--checkpoint", "new") == ("intact", 0)
    assert desk.verify("l") == ("intact", 0)


CUTS = {
    "cut tail": LINES[:29],
    "cut to the older checkpoint": LINES[:20],
    "cut to one event": LINES[:1],
}
REWRITES = {
    "rewritten from event 30": from_event(30, 33),
    "rewritten from event 12": from_event(12, 33),
    "rewritten from event 12, and longer": from_event(12, 40),
    "all rewritten": OTHER[:33],
    "all rewritten, and longer": OTHER,
}
since_or_not = pytest.mark.parametrize("since", [[], ["--since-checkpoint"]], ids=["all", "since"])


@since_or_not
@pytest.mark.parametrize("name", CUTS)
def test_a_cut_is_truncated(desk: Desk, name: str, since: list[str]) -> None:
    desk.lines("l", CUTS[name])
    assert desk.verify("l", "--checkpoint", "new", *since) == ("truncated", 1)


@since_or_not
@pytest.mark.parametrize("name", REWRITES)
def test_a_rewrite_is_rewritten(desk: Desk, name: str, since: list[str]) -> None:
    desk.lines("l", REWRITES[name])
    assert desk.run("verify", "l").code == 0, "the chain alone does not tell"
    assert desk.verify("l", "--checkpoint", "new", *since) == ("rewritten", 1)


def test_cut_and_rewritten_is_rewritten_before_truncated(desk: Desk) -> None:
    desk.lines("l", from_event(12, 25))
    assert desk.verify("l", "--checkpoint", "new") == ("truncated", 1)
    assert desk.verify("l", "--checkpoint", "new", "--checkpoint", "old") == ("rewritten", 1)


def test_a_changed_byte_is_broken_whatever_was_signed(desk: Desk) -> None:
    desk.lines("l", [*LINES[:4], LINES[4].replace(b'"n":5', b'"n":6'), *LINES[5:33]])
    assert desk.verify("l", "--checkpoint", "new") == ("broken", 1)


def test_appending_after_the_checkpoint_is_seen_as_unsigned(desk: Desk) -> None:
    """The chain cannot tell these from honest events; the report says that nothing vouches."""
    desk.lines("l", from_event(31, 1240))
    done = desk.done("verify", "l", "--key", desk.vkey)
    assert b"signed up to event 30; 1,210 events after it are unsigned\n" in done.out


def test_a_replayed_old_checkpoint_reaches_no_further_than_it_did(desk: Desk) -> None:
    done = desk.done("verify", "l", "--key", desk.vkey, "--checkpoint", "old")
    assert b"signed up to event 20; 13 events after it are unsigned\n" in done.out
    desk.lines("l", from_event(21, 30))
    assert desk.verify("l", "--checkpoint", "old") == ("intact", 0)
    # Who kept the newer one, or a number from it, is not taken in; nor does it extend.
    assert desk.verify("l", "--checkpoint", "old", "--checkpoint", "new") == ("rewritten", 1)
    assert desk.verify("l", "--checkpoint", "old", "--expect-count", "31") == ("truncated", 1)
    assert desk.run("prove-extends", "new", "old", "l").code == 2


def test_a_checkpoint_of_another_ledger_vouches_for_nothing(desk: Desk) -> None:
    desk.lines("m", OTHER[:30])
    other = private_key("example.org/other")
    desk.write("other.key", f"{other.export()}\n".encode())
    desk.path("other.key").chmod(0o600)
    desk.write("foreign", desk.done("checkpoint", "m", "--key", "other.key").out)
    assert desk.verify("l", "--checkpoint", "foreign") == (
        "error: foreign: the checkpoint is of the log 'example.org/other',"
        " not of 'example.org/ledger'",
        1,
    )
    # The same key under another ledger: the signature is good, the events are not.
    desk.path("m.checkpoints").unlink()
    desk.sign("m", "twin")
    assert desk.verify("l", "--checkpoint", "twin") == ("rewritten", 1)


def test_a_checkpoint_renamed_to_this_log_is_not_signed_by_it(desk: Desk) -> None:
    other = private_key("example.org/other")
    text = note.parse(desk.read("new")).text
    for signer in (other, private_key(LOG.key.name, seed="attacker")):
        desk.write("forged", signed(text, signer))
        assert desk.verify("l", "--checkpoint", "forged") == (
            "error: forged: the checkpoint has no valid signature by the log 'example.org/ledger'",
            1,
        )


def test_a_wrong_signature_under_the_right_key_id_is_not_valid(desk: Desk) -> None:
    text = note.parse(desk.read("new")).text
    right = note.parse(desk.read("new")).signatures[0]
    forged = note.parse(signed(text, private_key(LOG.key.name, seed="attacker"))).signatures[0]
    claimed = forged._replace(key_id=right.key_id)
    desk.write("forged", note.format_note(note.Note(text, (claimed,))))
    verdict, code = desk.verify("l", "--checkpoint", "forged")
    assert (verdict.endswith("is not valid"), code) == (True, 1)


def test_a_stripped_signature_is_a_failure_and_never_a_pass(desk: Desk) -> None:
    text = note.parse(desk.read("new")).text
    for name, data in (("bare", text), ("blank", text + b"\n")):
        desk.write(name, data)
        expected = (f"error: {name}: the checkpoint is not signed", 1)
        assert desk.verify("l", "--checkpoint", name) == expected
    for kept in (b"", text, desk.read("new")[:-9], None):
        if kept is None:
            desk.path("l.checkpoints").unlink()
        else:
            desk.write("l.checkpoints", kept)
        verdict, code = desk.verify("l")
        assert ("no signed checkpoint there" in verdict, code) == (True, 1)


def test_a_witness_alone_does_not_replace_the_log(desk: Desk) -> None:
    desk.write("witnessed", signed(note.parse(desk.read("new")).text, WITNESSES[0]))
    assert desk.verify("l", "--checkpoint", "witnessed")[1] == 1


@pytest.mark.parametrize("length", [1, 2, 3, 4, 40])
def test_truncated_base64_is_not_a_signature(desk: Desk, length: int) -> None:
    data = desk.read("new")
    desk.write("cut", data[: -1 - length] + b"\n")
    assert desk.verify("l", "--checkpoint", "cut")[1] in (1, 2)
    desk.write("cut", data[:-1])
    assert desk.verify("l", "--checkpoint", "cut")[1] == 2


def test_extra_lines_are_not_covered_by_the_signature(desk: Desk) -> None:
    head, signatures = desk.read("new").split(b"\n\n")
    lines = head.split(b"\n")
    for place in range(len(lines) + 1):
        extra = b"\n".join([*lines[:place], b"approved by the board", *lines[place:]])
        desk.write("extra", extra + b"\n\n" + signatures)
        assert desk.verify("l", "--checkpoint", "extra")[1] in (1, 2)
    for more in (b"\n", b"junk\n", b" \n"):
        for data in (more + desk.read("new"), desk.read("new") + more):
            desk.write("extra", data)
            assert desk.verify("l", "--checkpoint", "extra")[1] in (1, 2)


def test_a_split_view_is_caught_when_two_verifiers_meet(desk: Desk) -> None:
    """The log's operator shows each verifier a ledger and a checkpoint of its own."""
    shutil.copy(desk.path("log.key"), desk.path("stolen.key"))
    desk.lines("m", from_event(25, 30))
    desk.write("theirs", desk.done("checkpoint", "m", "--key", "stolen.key").out)
    assert desk.verify("l", "--checkpoint", "new") == ("intact", 0)
    assert desk.verify("m", "--checkpoint", "theirs") == ("intact", 0)
    for ledger in ("l", "m"):
        both = ["--checkpoint", "new", "--checkpoint", "theirs"]
        assert desk.verify(ledger, *both) == ("rewritten", 1)
        assert desk.run("prove-extends", "theirs", "new", ledger).code == 1
        assert desk.run("prove-extends", "new", "theirs", ledger).code == 1


def test_a_rolled_back_or_forged_hash_file_changes_nothing(desk: Desk) -> None:
    good = desk.done("prove", "l", 3, "--checkpoint", "new").out
    desk.lines("m", OTHER[:30])
    desk.sign("m", "m.checkpoint")
    for hashes in (b"", desk.read("l.merkle")[:500], desk.read("m.merkle")):
        desk.write("l.merkle", hashes)
        assert desk.verify("l", "--checkpoint", "new") == ("intact", 0)
        assert desk.done("prove", "l", 3, "--checkpoint", "new").out == good
        desk.write("l.merkle", hashes)
        desk.write(
            "again", desk.done("checkpoint", "l", "--key", "log.key", "--since-checkpoint").out
        )
        assert desk.verify("l", "--checkpoint", "again") == ("intact", 0)


def test_a_clock_that_went_back_signs_nothing(desk: Desk) -> None:
    ahead = Ledger(desk.path("l"), clock=lambda: 4_102_444_800 * 10**9)
    ahead.checkpoints.sign(LOG.key, LOG)
    before = desk.read("l.checkpoints")
    done = desk.run("checkpoint", "l", "--key", "log.key")
    assert (done.code, done.out) == (1, b"")
    assert re.fullmatch(
        r"error: the clock went back: it is \S+, the last checkpoint was signed"
        r" 2100-01-01T00:00:00\.000000\+00:00\n",
        done.err,
    )
    assert desk.read("l.checkpoints") == before


@since_or_not
@pytest.mark.parametrize("name", [*CUTS, *REWRITES])
def test_a_fork_is_not_signed(desk: Desk, name: str, since: list[str]) -> None:
    desk.lines("l", {**CUTS, **REWRITES}[name])
    before = desk.read("l.checkpoints")
    done = desk.run("checkpoint", "l", "--key", "log.key", *since)
    assert (done.code, done.out) == (1, b"")
    assert done.err.endswith(": it was cut\n" if name in CUTS else ": the ledger was rewritten\n")
    assert desk.read("l.checkpoints") == before


POLICY = f"log {LOG.key}\nwitness w {WITNESSES[0].key}\nquorum w\n".encode()


def test_who_puts_back_all_files_is_caught_by_the_witness(desk: Desk) -> None:
    """Root on the ledger's host, with the log's key: everything there is put back to event 20 and
    goes on differently. The host itself sees nothing wrong; the witness does."""
    desk.lines("l", LINES[:30])
    witness = ["--key", "witness.key", "--log", desk.vkey, "--state", "state"]
    desk.write("request", desk.done("witness", "request", "l").out)
    desk.write("answer", desk.done("witness", "cosign", "request", *witness).out)
    keys = ["--witness-key", WITNESSES[0].key]
    desk.write("cosigned", desk.done("witness", "add", "l", "answer", *keys).out)
    desk.write("policy", POLICY)
    assert desk.verify("l", "--policy", "policy") == ("intact", 0)

    desk.path("l.checkpoints").unlink()
    desk.path("l.merkle").unlink()
    desk.lines("l", from_event(21, 35))
    desk.sign("l", "forked")
    assert desk.verify("l") == ("intact", 0), "the log's signature alone cannot tell"
    verdict, code = desk.verify("l", "--policy", "policy")
    assert ("the policy asks for cosignatures by w" in verdict, code) == (True, 1)
    assert desk.verify("l", "--policy", "policy", "--checkpoint", "cosigned") == ("rewritten", 1)

    desk.write("request", desk.done("witness", "request", "l", "--old", 30).out)
    done = desk.run("witness", "cosign", "request", *witness)
    assert (done.code, done.out) == (1, b"")
    assert done.err == "error: the consistency proof does not lead to the old root\n"


def test_a_rolled_back_ledger_is_caught_by_the_witness(desk: Desk) -> None:
    desk.lines("l", LINES[:30])
    witness = ["--key", "witness.key", "--log", desk.vkey, "--state", "state"]
    desk.write("request", desk.done("witness", "request", "l").out)
    desk.done("witness", "cosign", "request", *witness)
    desk.path("l.checkpoints").unlink()
    desk.lines("l", LINES[:25])
    desk.sign("l", "shorter")
    desk.write("request", desk.done("witness", "request", "l").out)
    done = desk.run("witness", "cosign", "request", *witness)
    assert (done.code, "30 events of this log were cosigned here" in done.err) == (1, True)


# -- every byte ----------------------------------------------------------------------------------


def flipped(data: bytes) -> list[bytes]:
    """One bit of every byte; which one goes round. (All eight: the tests of `note` and `proof`.)"""
    return [
        data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        for place in range(len(data))
    ]


def test_no_flipped_byte_of_a_checkpoint_is_accepted(desk: Desk) -> None:
    for data in flipped(desk.read("new")):
        desk.write("flipped", data)
        verdict, code = desk.verify("l", "--checkpoint", "flipped")
        assert code in (1, 2), (data, verdict)
        assert verdict.startswith("error: flipped: ")


def test_no_flipped_byte_of_the_kept_checkpoints_reaches_further(desk: Desk) -> None:
    """A flip in the last record's end leaves a record that looks cut off while it was written:
    the one before it still counts, and no more."""
    data = desk.read("l.checkpoints")
    reached = set()
    for altered in flipped(data):
        desk.write("flipped", altered)
        done = desk.run("verify", "l", "--json", "--key", desk.vkey, "--checkpoint", "flipped")
        assert done.code in (0, 1, 2)
        reached.add(done.json()["pinned"]["event_id"] if done.code == 0 else None)
    assert reached == {None, 20}


@pytest.mark.parametrize("what", ["event", "extension"])
def test_no_flipped_byte_of_a_proof_is_accepted(desk: Desk, what: str) -> None:
    made = ("prove", "l", 7) if what == "event" else ("prove-extends", "old", "new", "l")
    data = desk.write("proof", desk.done(*made).out)
    desk.done("check-proof", "proof", "--key", desk.vkey)
    for altered in flipped(desk.read(data)):
        desk.write("flipped", altered)
        done = desk.run("check-proof", "flipped", "--key", desk.vkey)
        assert (done.code in (1, 2), done.out) == (True, b""), altered

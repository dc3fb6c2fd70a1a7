"""The standalone verifier and checkpoints: the same answer as `audit-stream verify`."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from audit_stream import note
from audit_stream.merkle import leaf_hash
from tests.desk import Desk
from tests.signed import LOG, WITNESSES, event_lines, private_key, signed, store
from tests.standalone import run, verify_ledger
from tests.test_attacks import CUTS, LINES, OTHER, REWRITES, flipped

SAME = ("valid", "verdict", "checked", "reason", "byte_offset", "latest_hash", "torn_tail_bytes")
PINNED = ("by", "event_id", "hash", "origin", "root", "unsigned")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """As in `test_attacks`: signed at 20 and at 30 events."""
    assert shutil.which("openssl"), "these tests need the openssl program"
    desk = Desk(tmp_path)
    for size, name in ((20, "old"), (30, "new")):
        desk.lines("l", LINES[:size])
        desk.sign("l", name)
    desk.lines("l", LINES[:33])
    return desk


def agree(desk: Desk, *arguments: str) -> tuple[str | None, int]:
    """The verdict and exit code, on which both verifiers agree."""
    more = ("--key", desk.vkey, *arguments)
    ours = desk.run("verify", "l", "--json", *more)
    theirs = run("--json", "l", *more, cwd=desk.home)
    assert theirs.returncode == ours.code, (ours, theirs)
    if not ours.out:
        assert theirs.stdout == b""
        return None, ours.code
    result, other = ours.json(), json.loads(theirs.stdout)
    assert {name: other[name] for name in SAME} == {name: result[name] for name in SAME}
    if result["pinned"] is None:
        assert other["pinned"] is None
    elif result["pinned"]["by"] == "checkpoint":
        assert other["pinned"] == {name: result["pinned"][name] for name in PINNED}
    return result["verdict"], ours.code


BOTH = ("--checkpoint", "old", "--checkpoint", "new")


@pytest.mark.parametrize(
    "arguments", [(), BOTH, BOTH[:2], BOTH[2:], (*BOTH, "--expect-count", "33")]
)
def test_the_honest_ledger_is_intact(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert agree(desk, *arguments) == ("intact", 0)


@pytest.mark.parametrize("name", [*CUTS, *REWRITES])
def test_fraud_meets_the_same_verdict(desk: Desk, name: str) -> None:
    desk.lines("l", {**CUTS, **REWRITES}[name])
    expected = "truncated" if name in CUTS else "rewritten"
    assert agree(desk, *BOTH[2:]) == (expected, 1)
    assert agree(desk, *BOTH) in (("truncated", 1), ("rewritten", 1))
    assert agree(desk, "--expect-count", "40")[1] == 1


def test_breaks_and_torn_tails_are_as_they_were(desk: Desk) -> None:
    desk.lines("l", [*LINES[:4], LINES[4].replace(b'"n":5', b'"n":6'), *LINES[5:33]])
    assert agree(desk, *BOTH) == ("broken", 1)
    desk.write("l", b"".join(line + b"\n" for line in LINES[:30]) + LINES[30][:9])
    assert agree(desk, *BOTH) == ("torn", 3)


def test_a_head_that_lies_about_the_root_is_told(desk: Desk) -> None:
    text = note.parse(desk.read("new")).text
    lying = text.replace(text[text.index(b"chain-head ") + 11 :][:4], b"0bad", 1)
    desk.write("lying", signed(lying, LOG))
    assert agree(desk, "--checkpoint", "lying") == ("rewritten", 1)


def test_other_signatures_are_passed_over(desk: Desk) -> None:
    desk.write("many", signed(note.parse(desk.read("new")).text, *WITNESSES, LOG))
    assert agree(desk, "--checkpoint", "many") == ("intact", 0)


def test_what_is_not_signed_is_never_a_pass(desk: Desk) -> None:
    text = note.parse(desk.read("new")).text
    stranger = private_key(LOG.key.name, seed="attacker")
    for data, code in (
        (signed(text, stranger), 1),
        (signed(text, WITNESSES[0]), 1),
        (signed(text.replace(b"/ledger", b"/other"), LOG), 1),
        (text, 1),
        (text + b"\n", 1),
        (b"", 2),
        (desk.read("new") + b"\n", 2),
        (desk.read("new") * 2, 2),
    ):
        desk.write("forged", data)
        assert agree(desk, "--checkpoint", "forged") == (None, code), data
    assert agree(desk, "--checkpoint", "missing") == (None, 2)
    desk.path("l.checkpoints").unlink()
    assert agree(desk) == (None, 1)
    assert run("l", "--checkpoint", "new", cwd=desk.home).returncode == 2
    for key in ("", "junk", str(WITNESSES[0].key), desk.vkey[:-1], desk.vkey.replace("+", "+0", 1)):
        assert run("l", "--checkpoint", "new", "--key", key, cwd=desk.home).returncode == 2


def test_no_flipped_byte_of_a_checkpoint_is_accepted(desk: Desk) -> None:
    keys = [verify_ledger.parse_key(desk.vkey)]
    assert verify_ledger.open_checkpoint(desk.read("new"), keys)[0] == 30
    altered = flipped(desk.read("new"))
    for data in random.Random(1).sample(altered, 60):
        with pytest.raises((ValueError, verify_ledger.BadSignature)):
            verify_ledger.open_checkpoint(data, keys)


def test_its_tree_is_the_tree() -> None:
    tree = verify_ledger.Tree()
    for size, line in enumerate([*event_lines(70), b""]):
        assert tree.root() == store(event_lines(70)[:size])[0].root()
        tree.add(line)
    assert leaf_hash(b"") == tree.subtrees[-1] or tree.size % 2 == 0


def test_without_openssl_it_says_so(desk: Desk) -> None:
    done = run("l", "--key", desk.vkey, cwd=desk.home, env={"PATH": "/nonexistent"})
    assert (done.returncode, b"openssl" in done.stderr) == (2, True)


def test_the_other_ledger_is_not_this_one(desk: Desk) -> None:
    desk.lines("l", OTHER[:33])
    assert agree(desk) == ("rewritten", 1)

"""Proof files: what they prove is confirmed without the ledger, and nothing altered is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import merkle, proof
from audit_stream.errors import MalformedError, ProofError, SignatureError
from audit_stream.policy import trust
from audit_stream.proof import EventProof, ExtensionProof
from audit_stream.signing import verify
from tests.signed import LOG, checkpoint, event_lines, flips, private_key, signed, store

TRUST = trust(LOG.key)
LINES = event_lines(13)
NOTE = signed(checkpoint(LINES).text(), LOG)


def event_proof(index: int, size: int = 13) -> EventProof:
    read = store(LINES[:size])[1]
    hashes = tuple(merkle.inclusion_proof(index, size, read))
    note = signed(checkpoint(LINES[:size]).text(), LOG)
    return EventProof(LINES[index], index, hashes, note)


def extension_proof(old: int, size: int) -> ExtensionProof:
    hashes = tuple(merkle.consistency_proof(old, size, store(LINES[:size])[1]))
    old_note, note = (signed(checkpoint(LINES[:n]).text(), LOG) for n in (old, size))
    return ExtensionProof(hashes, old_note, note)


def refuses(check: Callable[[], object]) -> bool:
    try:
        check()
    except (MalformedError, SignatureError, ProofError):
        return True
    return False


def check_event(data: bytes) -> object:
    return proof.check_event_proof(proof.parse_event_proof(data), TRUST, verify)


def check_extension(data: bytes) -> object:
    return proof.check_extension_proof(proof.parse_extension_proof(data), TRUST, verify)


def test_an_event_proof_is_a_tlog_proof() -> None:
    lines = proof.format_event_proof(event_proof(4)).decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 4"
    assert len(lines[3 : lines.index("")]) == 4
    assert proof.format_event_proof(event_proof(4)).endswith(b"\n\n" + NOTE)


@pytest.mark.parametrize("size", [1, 2, 7, 13])
def test_every_event_is_confirmed_from_its_file_alone(size: int) -> None:
    for index in range(size):
        data = proof.format_event_proof(event_proof(index, size))
        parsed = proof.parse_event_proof(data)
        assert parsed == event_proof(index, size)
        assert proof.check_event_proof(parsed, TRUST, verify).checkpoint.size == size


@pytest.mark.parametrize(("old", "size"), [(0, 0), (0, 5), (1, 2), (5, 5), (6, 7), (8, 13)])
def test_every_extension_is_confirmed_from_its_file_alone(old: int, size: int) -> None:
    data = proof.format_extension_proof(extension_proof(old, size))
    parsed = proof.parse_extension_proof(data)
    assert parsed == extension_proof(old, size)
    found = proof.check_extension_proof(parsed, TRUST, verify)
    assert [one.checkpoint.size for one in found] == [old, size]


def test_no_altered_event_proof_is_accepted() -> None:
    for data in flips(proof.format_event_proof(event_proof(4, 7))):
        assert refuses(lambda data=data: check_event(data))  # type: ignore[misc]


def test_no_altered_extension_proof_is_accepted() -> None:
    for data in flips(proof.format_extension_proof(extension_proof(3, 7))):
        assert refuses(lambda data=data: check_extension(data))  # type: ignore[misc]


@pytest.mark.parametrize("separator", [b"\n", b"\n\n"])
def test_no_part_left_out_or_repeated_is_accepted(separator: bytes) -> None:
    for data, check in (
        (proof.format_event_proof(event_proof(4, 7)), check_event),
        (proof.format_extension_proof(extension_proof(3, 7)), check_extension),
    ):
        parts = data.split(separator)
        variants = [parts[:n] + parts[n + 1 :] for n in range(len(parts))]
        # A signature line says no more when it is said twice, and Go's package takes that too.
        repeated = [n for n, part in enumerate(parts) if not part.startswith("—".encode())]
        variants += [[*parts[:n], parts[n], *parts[n:]] for n in repeated]
        for variant in variants:
            altered = separator.join(variant)
            assert refuses(lambda a=altered, c=check: c(a)), altered  # type: ignore[misc]


def test_no_beginning_of_a_proof_is_accepted() -> None:
    for data, check in (
        (proof.format_event_proof(event_proof(4, 7)), check_event),
        (proof.format_extension_proof(extension_proof(3, 7)), check_extension),
    ):
        for length in range(len(data)):
            assert refuses(lambda d=data[:length], c=check: c(d))  # type: ignore[misc]


def test_another_event_is_not_confirmed() -> None:
    good = event_proof(4)
    for index, line in enumerate(LINES):
        if index != 4:
            forged = good._replace(line=line)
            assert refuses(lambda f=forged: proof.check_event_proof(f, TRUST, verify))  # type: ignore[misc]
            forged = good._replace(leaf_index=index)
            assert refuses(lambda f=forged: proof.check_event_proof(f, TRUST, verify))  # type: ignore[misc]


def test_an_inner_node_is_not_passed_off_as_an_event() -> None:
    """Second preimage: the two children of a node as a leaf, its path as the proof."""
    left, right = merkle.leaf_hashes(LINES[:2])
    good = event_proof(0)
    forged = EventProof(b"\x01" + left + right, 0, good.hashes[1:], good.checkpoint)
    with pytest.raises(ProofError):
        proof.check_event_proof(forged, TRUST, verify)


def test_a_line_must_be_the_event_of_its_place() -> None:
    """A log that signs a shuffled ledger proves nothing about event ids."""
    lines = [LINES[1], LINES[0]]
    hashes = tuple(merkle.inclusion_proof(0, 2, store(lines)[1]))
    shuffled = EventProof(lines[0], 0, hashes, signed(checkpoint(lines).text(), LOG))
    with pytest.raises(ProofError, match="is not event 1"):
        proof.check_event_proof(shuffled, TRUST, verify)


def test_a_line_must_be_a_valid_event() -> None:
    """A log may sign what it likes: a line whose own hash is wrong is still not an event."""
    lines = [LINES[0], LINES[1].replace(b'"n":2', b'"n":3')]
    hashes = tuple(merkle.inclusion_proof(1, 2, store(lines)[1]))
    note = signed(checkpoint(LINES[:2])._replace(root=store(lines)[0].root()).text(), LOG)
    with pytest.raises(ProofError, match="not a valid event: hash mismatch at event #2"):
        proof.check_event_proof(EventProof(lines[1], 1, hashes, note), TRUST, verify)


def test_a_proof_of_another_log_or_key_is_not_accepted() -> None:
    for other in (private_key("example.org/other"), private_key(LOG.key.name, seed="other")):
        for checked in (
            lambda key=other.key: proof.check_event_proof(event_proof(4), trust(key), verify),
            lambda key=other.key: proof.check_extension_proof(
                extension_proof(3, 7), trust(key), verify
            ),
        ):
            with pytest.raises(SignatureError):
                checked()


def test_a_split_view_cannot_be_bridged() -> None:
    """Two verifiers hold checkpoints of one size that differ: no proof joins them."""
    other = signed(checkpoint(event_lines(13, "other")).text(), LOG)
    with pytest.raises(ProofError, match="two different roots for a tree of 13"):
        proof.check_extension_proof(ExtensionProof((), NOTE, other), TRUST, verify)
    for old in range(1, 13):
        good = extension_proof(old, 13)
        with pytest.raises(ProofError):
            proof.check_extension_proof(good._replace(new=other), TRUST, verify)


def test_an_extension_does_not_run_backwards_or_across_logs() -> None:
    good = extension_proof(3, 7)
    backwards = ExtensionProof(good.hashes, good.new, good.old)
    with pytest.raises(ProofError, match="does not extend"):
        proof.check_extension_proof(backwards, TRUST, verify)
    other = private_key("example.org/other")
    foreign = signed(checkpoint(LINES[:7], origin="example.org/other").text(), other)
    with pytest.raises(ProofError, match="different logs"):
        proof.check_extension_proof(good._replace(new=foreign), trust(LOG.key, other.key), verify)


GOOD = proof.format_event_proof(event_proof(4, 7)).decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tlog-proof@v1", "tlog-proof@v2"),
        ("index 4", "index 04"),
        ("index 4", "index  4"),
        ("index 4", "Index 4"),
        ("index 4", f"index {2**64}"),
        ("extra ", "extra"),
        ("extra ", "Extra "),
        ("extra ", "extra  "),
        ("\n", "\r\n"),
        ("index 4\n", "index 4\n\n"),
        ("c2sp", "ｃ2sp"),
    ],
)
def test_malformed_event_proofs_are_refused(old: str, new: str) -> None:
    with pytest.raises(MalformedError):
        check_event(GOOD.replace(old, new, 1).encode())


def test_a_tlog_proof_without_its_event_says_so() -> None:
    without = "\n".join(line for line in GOOD.split("\n") if not line.startswith("extra"))
    with pytest.raises(MalformedError, match="does not carry its event"):
        proof.parse_event_proof(without.encode())


@given(st.binary(max_size=120))
def test_whatever_is_read_is_formatted_the_same(noise: bytes) -> None:
    """Fuzz: neither file has a second spelling."""
    good = GOOD.encode()
    longer = proof.format_extension_proof(extension_proof(3, 7))
    for data in (noise, good + noise, good[:90] + noise, longer + noise, longer[:40] + noise):
        if not refuses(lambda data=data: proof.parse_event_proof(data)):  # type: ignore[misc]
            assert proof.format_event_proof(proof.parse_event_proof(data)) == data
        if not refuses(lambda data=data: proof.parse_extension_proof(data)):  # type: ignore[misc]
            assert proof.format_extension_proof(proof.parse_extension_proof(data)) == data


def test_consecutive_extensions_chain() -> None:
    for old, size in pairwise([1, 2, 5, 8, 13]):
        assert check_extension(proof.format_extension_proof(extension_proof(old, size)))

"""Checkpoints: one spelling, believed only when the right log signed, never signed over a fork."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.checkpoint import (
    ZERO_HEAD,
    Checkpoint,
    Head,
    SignedCheckpoint,
    check_successor,
    open_checkpoint,
    parse_head,
    parse_text,
)
from audit_stream.encoding import MAX_NUMBER, to_base64
from audit_stream.errors import ForkError, MalformedError, SignatureError
from audit_stream.merkle import EMPTY_ROOT
from audit_stream.note import COSIGNATURE_V1, parse_key
from audit_stream.policy import Policy, parse_policy, trust
from audit_stream.signing import PrivateKey, verify
from tests.signed import (
    LOG,
    ORIGIN,
    TIME,
    WITNESSES,
    checkpoint,
    event_lines,
    flips,
    private_key,
    signed,
    store,
)

VECTORS = json.loads((Path(__file__).parent / "known" / "notes.json").read_text())
ARCHE = VECTORS["arche2025h1"]
LINES = event_lines(11)
HEAD = parse_head(checkpoint(LINES))
TEXT = checkpoint(LINES).text()
TRUST = trust(LOG.key)


def quorum(rule: str) -> Policy:
    witnesses = "".join(f"witness w{n} {one.key}\n" for n, one in enumerate(WITNESSES))
    text = f"log {LOG.key}\n{witnesses}group g {rule} w0 w1 w2\nquorum g\n"
    return parse_policy(text.encode())


def opened(data: bytes, policy: Policy = TRUST) -> SignedCheckpoint:
    return open_checkpoint(data, policy, verify)


# The text.


def test_a_ledgers_checkpoint_is_five_lines() -> None:
    root = to_base64(HEAD.root)
    assert TEXT.decode().split("\n") == [
        "example.org/ledger",
        "11",
        root,
        f"chain-head {HEAD.chain_head}",
        f"time {TIME}",
        "",
    ]
    assert parse_head(parse_text(TEXT)) == HEAD


def test_an_empty_ledger_can_be_signed() -> None:
    text = Head(0, EMPTY_ROOT, ZERO_HEAD, TIME).checkpoint(ORIGIN).text()
    assert parse_head(parse_text(text)).chain_head == ZERO_HEAD


def test_go_s_example_of_a_tree_is_read() -> None:
    """golang.org/x/mod/sumdb/tlog, TestFormatTree: an origin may have spaces."""
    root = "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0="
    text = f"go.sum database tree\n123456789012\n{root}\n".encode()
    found = parse_text(text)
    assert (found.origin, found.size) == ("go.sum database tree", 123456789012)
    assert found.text() == text


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30),
    st.integers(1, MAX_NUMBER),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), max_size=3),
)
def test_any_logs_checkpoint_reads_back(
    origin: str, size: int, root: bytes, extensions: list[str]
) -> None:
    written = Checkpoint(origin, size, root, tuple(extensions))
    assert parse_text(written.text()) == written


ROOT = to_base64(bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"origin\n1\n{ROOT}",
        "origin\n1\n",
        f"\n1\n{ROOT}\n",
        f"origin\n\n{ROOT}\n",
        f"origin\n1\n{ROOT}\n\n",
        f"origin\n1\n{ROOT}\n\nextension\n",
        f"origin\n01\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n0x1\n{ROOT}\n",
        f"origin\n{2**63}\n{ROOT}\n",
        f"origin\n1\n{ROOT[:-1]}\n",
        f"origin\n1\n{ROOT} \n",
        f"origin\n1\n{to_base64(bytes(31))}\n",
        f"origin\n1\n{to_base64(bytes(33))}\n",
        f"origin\n0\n{ROOT}\n",
    ],
)
def test_malformed_texts_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_text(text.encode())


def test_a_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(MalformedError, match="UTF-8"):
        parse_text(b"\xff\n1\n" + ROOT.encode() + b"\n")


CHAIN = f"chain-head {'ab' * 32}"


@pytest.mark.parametrize(
    "extensions",
    [
        (),
        (CHAIN,),
        (f"time {TIME}",),
        (f"time {TIME}", CHAIN),
        (CHAIN, f"time {TIME}", "more"),
        (CHAIN.upper(), f"time {TIME}"),
        (CHAIN[:-1], f"time {TIME}"),
        (f"chain-head {ZERO_HEAD}", f"time {TIME}"),
        (CHAIN, "time 2026-01-02T03:04:05.678901Z"),
        (CHAIN, "time 2026-01-02T03:04:05+00:00"),
        (CHAIN, "time 2026-01-02T03:04:05.678901+01:00"),
        (CHAIN, "time 2026-02-30T03:04:05.678901+00:00"),
        (CHAIN, "time 2026-01-02T24:04:05.678901+00:00"),
        (CHAIN, "time ٢026-01-02T03:04:05.678901+00:00"),
    ],
)
def test_what_a_ledger_would_not_sign_is_not_its_head(extensions: tuple[str, ...]) -> None:
    with pytest.raises(MalformedError):
        parse_head(Checkpoint(ORIGIN, 5, bytes(32), extensions))


def test_a_ledger_signs_only_what_can_be_read_back() -> None:
    for bad in (
        HEAD._replace(time="now"),
        HEAD._replace(chain_head="AB" * 32),
        HEAD._replace(chain_head=ZERO_HEAD),
        Head(0, EMPTY_ROOT, "ab" * 32, TIME),
    ):
        with pytest.raises(MalformedError):
            bad.checkpoint(ORIGIN)
    with pytest.raises(MalformedError, match="key name"):
        HEAD.checkpoint("two words")


# Belief.


def test_a_checkpoint_signed_by_the_log_is_believed() -> None:
    found = opened(signed(TEXT, LOG))
    assert found.checkpoint == parse_text(TEXT)
    assert found.log_keys == (LOG.key,)
    assert found.cosignatures == ()


def test_a_real_checkpoint_with_a_real_quorum_is_believed() -> None:
    witnesses = [f"witness w{n} {key}" for n, key in enumerate(ARCHE["witnesses"])]
    rule = ["group g all w0 w1 w2 w3", "quorum g", ""]
    policy = parse_policy("\n".join([f"log {ARCHE['log']}", *witnesses, *rule]).encode())
    found = opened(ARCHE["checkpoint"].encode(), policy)
    assert (found.checkpoint.size, len(found.cosignatures)) == (1432088532, 4)


@pytest.mark.parametrize(
    ("signers", "why"),
    [
        ((private_key(ORIGIN, seed="other"),), "no valid signature by the log"),
        ((private_key("example.org/other"),), "no valid signature by the log"),
        (WITNESSES, "no valid signature by the log"),
        ((private_key(ORIGIN, COSIGNATURE_V1),), "no valid signature by the log"),
    ],
)
def test_who_else_signs_does_not_matter(signers: tuple[PrivateKey, ...], why: str) -> None:
    with pytest.raises(SignatureError, match=why):
        opened(signed(TEXT, *signers))
    assert opened(signed(TEXT, *signers, LOG)).log_keys == (LOG.key,)


def test_a_log_speaks_for_no_other_log() -> None:
    other = private_key("example.org/other")
    data = signed(checkpoint(LINES, origin="example.org/other").text(), LOG)
    with pytest.raises(
        SignatureError, match=r"of the log 'example.org/other', not of 'example.org"
    ):
        opened(data)
    with pytest.raises(SignatureError, match=r"no valid signature by the log 'example.org/other'"):
        opened(data, trust(LOG.key, other.key))


def test_a_policy_without_logs_believes_nobody() -> None:
    with pytest.raises(SignatureError, match="no valid signature"):
        opened(signed(TEXT, LOG), parse_policy(b"quorum none\n"))


def test_a_known_but_invalid_signature_spoils_the_checkpoint() -> None:
    stolen = signed(TEXT, LOG).partition(b"\n\n")[2]
    other = checkpoint(event_lines(11, "rewritten")).text()
    with pytest.raises(SignatureError, match="not valid"):
        opened(other + b"\n" + stolen)


@pytest.mark.parametrize(("rule", "needed"), [("any", 1), ("2", 2), ("all", 3)])
@pytest.mark.parametrize("count", range(4))
def test_a_quorum_is_asked_for(rule: str, needed: int, count: int) -> None:
    data = signed(TEXT, LOG, *WITNESSES[:count], timestamp=1_800_000_000)
    if count < needed:
        with pytest.raises(SignatureError, match=r"asks for cosignatures by \d of \(w0, w1, w2\)"):
            opened(data, quorum(rule))
    else:
        found = opened(data, quorum(rule))
        assert [one.time for one in found.cosignatures] == [1_800_000_000] * count


def test_one_witness_twice_is_one_witness() -> None:
    with pytest.raises(SignatureError):
        opened(signed(TEXT, LOG, WITNESSES[0], WITNESSES[0]), quorum("2"))


def test_no_altered_checkpoint_is_believed() -> None:
    for data in flips(signed(TEXT, LOG)):
        with pytest.raises((MalformedError, SignatureError)):
            opened(data)


def test_no_altered_checkpoint_meets_a_full_quorum() -> None:
    for data in flips(signed(TEXT, LOG, *WITNESSES)):
        with pytest.raises((MalformedError, SignatureError)):
            opened(data, quorum("all"))


@pytest.mark.parametrize("line", ["more", f"time {TIME}", "chain-head " + "ab" * 32])
def test_no_line_can_be_added_to_a_checkpoint(line: str) -> None:
    data = signed(TEXT, LOG)
    lines = data.split(b"\n")
    for place in range(len(lines)):
        longer = b"\n".join([*lines[:place], line.encode(), *lines[place:]])
        with pytest.raises((MalformedError, SignatureError)):
            opened(longer)


def test_no_beginning_of_a_checkpoint_is_believed() -> None:
    data = signed(TEXT, LOG)
    for length in range(len(data)):
        with pytest.raises((MalformedError, SignatureError)):
            opened(data[:length])


def test_the_key_of_a_log_from_elsewhere_is_just_a_key() -> None:
    with pytest.raises(SignatureError):
        opened(ARCHE["checkpoint"].encode(), trust(parse_key(VECTORS["go"]["peter_key"])))


# What may be signed next.


def successor(old: list[bytes], new: list[bytes], now: str = TIME, origin: str = ORIGIN) -> None:
    def root_at(size: int) -> bytes | None:
        return store(new[:size])[0].root() if size <= len(new) else None

    check_successor(checkpoint(old), checkpoint(new, now, origin), root_at)


def test_growth_and_repetition_may_be_signed() -> None:
    later = "2026-01-02T03:04:05.678902+00:00"
    successor(LINES, event_lines(30), later)
    successor(LINES, LINES, later)
    successor(LINES, LINES)
    successor([], LINES)


def test_a_cut_ledger_is_not_signed() -> None:
    with pytest.raises(ForkError, match="has 10 events, but 11 were signed: it was cut"):
        successor(LINES, LINES[:10])


@pytest.mark.parametrize("size", [11, 12, 30])
def test_a_rewritten_ledger_is_not_signed(size: int) -> None:
    forged = LINES[:5] + event_lines(size, "rewritten")[5:]
    with pytest.raises(ForkError, match="first 11 events are not the ones that were signed"):
        successor(LINES, forged)


def test_a_clock_that_went_back_is_not_signed() -> None:
    with pytest.raises(ForkError, match=r"went back: it is 2026-01-02T03:04:05.678900"):
        successor(LINES, event_lines(30), "2026-01-02T03:04:05.678900+00:00")


def test_another_log_is_not_continued() -> None:
    with pytest.raises(ForkError, match=r"of the log 'example.org/ledger', not of"):
        successor(LINES, event_lines(30), origin="example.org/other")


def test_only_a_ledgers_checkpoint_is_continued() -> None:
    foreign = Checkpoint(ORIGIN, 11, bytes(32))
    with pytest.raises(MalformedError):
        check_successor(foreign, checkpoint(LINES), lambda size: None)

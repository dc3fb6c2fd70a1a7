"""Trust policies: the quorum is counted as written, and a doubtful file is no policy."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from audit_stream import note
from audit_stream.errors import MalformedError
from audit_stream.note import COSIGNATURE_V1
from audit_stream.policy import parse_policy, trust
from tests.signed import LOG, WITNESSES, private_key

ARCHE = json.loads((Path(__file__).parent / "known" / "notes.json").read_text())["arche2025h1"]
X = [private_key(f"x{n}", COSIGNATURE_V1) for n in range(3)]
Y = [private_key(f"y{n}", COSIGNATURE_V1) for n in range(3)]
W = [str(witness.key) for witness in WITNESSES]

THREE = f"log {LOG.key}\n" + "".join(f"witness w{n} {key}\n" for n, key in enumerate(W))

# The example of tlog-policy, "Example policy".
EXAMPLE = f"""log {LOG.key}

witness X1 {X[0].key}
witness X2 {X[1].key}
witness X3 {X[2].key}
group X-witnesses 2 X1 X2 X3

witness Y1 {Y[0].key}
witness Y2 {Y[1].key}
witness Y3 {Y[2].key}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_of_the_specification_counts_as_it_says() -> None:
    policy = parse_policy(EXAMPLE.encode())
    keys = [one.key for one in X + Y]
    for size in range(7):
        for cosigners in combinations(keys, size):
            xs = sum(one.key in cosigners for one in X)
            ys = sum(one.key in cosigners for one in Y)
            assert policy.is_met(cosigners) == (xs >= 2 and ys >= 1)
    assert policy.logs == (LOG.key,)
    assert policy.keys() == [LOG.key, *keys]
    assert policy.describe_quorum() == "2 of (2 of (X1, X2, X3), 1 of (Y1, Y2, Y3))"


@pytest.mark.parametrize(("rule", "needed"), [("any", 1), ("1", 1), ("2", 2), ("3", 3), ("all", 3)])
def test_k_of_n(rule: str, needed: int) -> None:
    policy = parse_policy(f"{THREE}group g {rule} w0 w1 w2\nquorum g\n".encode())
    keys = [witness.key for witness in WITNESSES]
    for size in range(4):
        for cosigners in combinations(keys, size):
            assert policy.is_met(cosigners) == (size >= needed)


def test_the_log_itself_is_no_witness() -> None:
    policy = parse_policy(f"{THREE}quorum w0\n".encode())
    assert not policy.is_met([LOG.key])
    assert not policy.is_met([WITNESSES[1].key])
    assert policy.is_met([WITNESSES[0].key])


def test_quorum_none_asks_for_nobody() -> None:
    policy = parse_policy(b"quorum none\n")
    assert policy.is_met([])
    assert policy.describe_quorum() == "nobody"
    assert trust(LOG.key) == parse_policy(f"log {LOG.key}\nquorum none\n".encode())


def test_space_comments_and_urls() -> None:
    text = (
        f"# a comment\n\t \n  log\t{LOG.key}   https://log.example.org/ \n \t# another: é\n"
        f"\twitness w0 {W[0]} https://w0.example.org/\n quorum\tw0 \n"
    )
    policy = parse_policy(text.encode())
    assert policy.witnesses[b"w0"].url == "https://w0.example.org/"
    assert policy.logs == (LOG.key,)


def test_names_are_opaque_bytes() -> None:
    text = THREE.encode().replace(b"witness w0", b"witness K").replace(b"w1", "\u212a".encode(), 1)
    policy = parse_policy(text + b"group \xff any \xe2\x84\xaa\nquorum \xff\n")
    assert not policy.is_met([WITNESSES[0].key])
    assert policy.is_met([WITNESSES[1].key])
    assert policy.describe_quorum() == "1 of (\\u212a)"


def test_real_keys_make_a_policy() -> None:
    lines = [f"witness w{n} {key}" for n, key in enumerate(ARCHE["witnesses"])]
    text = "\n".join([f"log {ARCHE['log']}", *lines, "group g 3 w0 w1 w2 w3", "quorum g", ""])
    assert len(parse_policy(text.encode()).keys()) == 5


RENAMED = str(note.make_key("other", COSIGNATURE_V1, WITNESSES[0].public_key))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "one quorum line, not 0"),
        (THREE, "one quorum line, not 0"),
        ("quorum none\nquorum none\n", "one quorum line, not 2"),
        ("quorum none", "does not end in LF"),
        ("quorum w0\n" + THREE, "line 1: w0 is not defined above"),
        ("quorum none\r\n", "control characters"),
        ("quorum\x0bnone\n", "control characters"),
        ("quorum none\x7f\n", "control characters"),
        ("quorum\u2003none\n", "not a valid"),
        ("quorum none extra\n", "not a valid quorum line"),
        ("qourum none\n", "not a valid qourum line"),
        ("log\nquorum none\n", "not a valid log line"),
        (f"log {LOG.key} https://a b\nquorum none\n", "not a valid log line"),
        (f"log {W[0]}\nquorum none\n", "not a log key"),
        (f"log {LOG.key}\nlog {LOG.key}\nquorum none\n", "line 2: .*listed twice"),
        (f"witness w0 {LOG.key}\nquorum w0\n", "not a witness key"),
        (f"{THREE}witness w3 {RENAMED}\nquorum none\n", "listed twice"),
        (f"{THREE}witness w0 {X[0].key}\nquorum none\n", "w0 is taken"),
        (f"witness none {W[0]}\nquorum none\n", "none is taken"),
        (f"{THREE}group w0 any w1\nquorum none\n", "w0 is taken"),
        (f"{THREE}group none any w1\nquorum none\n", "none is taken"),
        (f"{THREE}group g any\nquorum none\n", "not a valid group line"),
        (f"{THREE}group g any none\nquorum g\n", "none is not defined"),
        (f"{THREE}group g any g\nquorum g\n", "g is not defined"),
        (f"{THREE}group g any w0 w0\nquorum g\n", "member twice"),
        (f"{THREE}group g any w0\ngroup h any w0\nquorum g\n", "member twice"),
        (f"{THREE}group g 0 w0 w1\nquorum g\n", "1 to 2"),
        (f"{THREE}group g 3 w0 w1\nquorum g\n", "1 to 2"),
        (f"{THREE}group g -1 w0 w1\nquorum g\n", "1 to 2"),
        (f"{THREE}group g {'9' * 5000} w0 w1\nquorum g\n", "1 to 2"),
        (f"{THREE}group g most w0 w1\nquorum g\n", "1 to 2"),
        ("log name+00000000+AAAA\nquorum none\n", "line 1"),
    ],
)
def test_a_doubtful_file_is_no_policy(text: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        parse_policy(text.encode())


@pytest.mark.parametrize("line", [b"log \xff\n", b"witness w " + W[0].encode() + b" \xff\n"])
def test_keys_and_urls_are_utf8(line: bytes) -> None:
    with pytest.raises(MalformedError, match="UTF-8"):
        parse_policy(line + b"quorum none\n")


def test_a_witness_key_is_not_trusted_as_a_log() -> None:
    with pytest.raises(MalformedError, match="not a log key"):
        trust(WITNESSES[0].key)

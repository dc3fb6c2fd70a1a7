"""The chain: building lines, checking them, and that no changed bit is missed.

Blocks take the quick way and single lines the exact one; both are asked about everything here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pickle
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import bulk, chain, event, timestamps
from audit_stream.chain import GENESIS, Fault, Head, Verifier
from audit_stream.errors import EventTooLargeError, HeadMismatchError, InvalidEventError
from audit_stream.vocabulary import Vocabulary
from tests.ledgers import (
    NOON,
    ZEROS,
    any_floats,
    chained,
    flips,
    hash_of,
    joined,
    kinds,
    numbered,
    payloads,
    seal,
    sources,
    with_payload,
)
from tests.ledgers import event as event_line

if TYPE_CHECKING:
    from collections.abc import Iterator

ANY = Vocabulary(any_kind=True)
LINES = chained(
    [
        {"payload": {"a": "é\U0001f600", "n": 1.5}},
        {"kind": "request_denied", "payload": {}, "timestamp": "2026-01-31T13:00:00Z"},
        {"payload": {"list": [None, True, -7, 1e-7]}, "source": "tëst"},
    ]
)
DATA = joined(LINES)
STARTS = [0, len(LINES[0]) + 1, len(LINES[0]) + len(LINES[1]) + 2, len(DATA)]


def draft(**members: Any) -> event.Draft:
    return event.draft(
        members.get("kind", "other"),
        members.get("source", "test"),
        members.get("payload"),
        members.get("timestamp"),
        vocabulary=ANY,
    )


def verified(blocks: list[bytes], exactly: bool = False) -> Verifier:
    """Feed blocks; `exactly` leaves the accelerator out."""
    verifier = Verifier()
    for block in blocks:
        if not (verifier._feed_lines(block) if exactly else verifier.feed(block)):
            break
    return verifier


# -- building ----------------------------------------------------------------------------------

drafts = st.fixed_dictionaries(
    {"kind": kinds, "source": sources, "payload": payloads()},
    optional={"timestamp": st.just("2026-01-31T13:00:00+01:00")},
)


@given(st.lists(drafts, min_size=1, max_size=4), st.integers(0, 2**53 - 6))
def test_linked_lines_are_what_rfc8785_and_hashlib_make(
    members: list[dict[str, Any]], count: int
) -> None:
    head = Head(count, "ab" * 32)
    lines, after = chain.link([draft(**each) for each in members], head, NOON)
    expected = chained(({**each, "timestamp": NOON} for each in members), count + 1, head.hash)
    assert lines == [line + b"\n" for line in expected]
    assert after == Head(count + len(members), hash_of(expected[-1]))


@given(st.lists(drafts, min_size=1, max_size=4))
def test_linked_lines_verify_either_way(members: list[dict[str, Any]]) -> None:
    lines, head = chain.link([draft(**each) for each in members], GENESIS, NOON)
    assert chain.last_line_head(lines[-1][:-1]) == head
    for exactly in (False, True):
        verifier = verified([b"".join(lines)], exactly)
        assert verifier.fault is None
        assert verifier.head == head


def test_linking_nothing() -> None:
    assert chain.link([], GENESIS, NOON) == ([], GENESIS)


def test_the_limit_counts_the_line_without_its_lf() -> None:
    (line,), _ = chain.link([draft()], GENESIS, NOON)
    size = len(line) - 1
    assert chain.link([draft()], GENESIS, NOON, max_event_bytes=size)
    with pytest.raises(EventTooLargeError, match=f"would have {size} bytes") as caught:
        chain.link([draft()], GENESIS, NOON, max_event_bytes=size - 1)
    assert (caught.value.index, caught.value.member) == (0, "payload")
    large = draft(payload={"x": "y" * 100})
    with pytest.raises(EventTooLargeError) as caught:
        chain.link([draft(), draft(), large, large], GENESIS, NOON, max_event_bytes=size + 9)
    assert caught.value.index == 2


def test_an_expected_head() -> None:
    head = Head(3, "ab" * 32)
    chain.expect(head, None)
    chain.expect(head, "ab" * 32)
    chain.expect(head, "AB" * 32)
    chain.expect(GENESIS, ZEROS)
    with pytest.raises(HeadMismatchError, match="nothing was written") as caught:
        chain.expect(head, ZEROS)
    assert (caught.value.expected, caught.value.head_hash) == (ZEROS, head.hash)


def test_heads() -> None:
    assert Head(1, "a") == Head(1, "a") != Head(2, "a")
    assert hash(Head(1, "a")) == hash(Head(1, "a"))
    assert Head(1, "a") != "a"
    assert repr(Head(1, "a")) == "Head(count=1, hash='a')"


# -- checking one line -------------------------------------------------------------------------


def fault_of(line: bytes, head: Head = GENESIS) -> str:
    found = chain.check_line(line, head)
    assert isinstance(found, Fault)
    assert found.number == head.count + 1
    # The quick way must not say yes.
    assert bulk.check_block(line + b"\n", head) is None
    return found.reason


SECOND = Head(1, hash_of(LINES[0]))


@pytest.mark.parametrize(
    ("line", "head", "reason"),
    [
        (LINES[1], GENESIS, "event_id should be 1, got 2"),
        (LINES[0], SECOND, "event_id should be 2, got 1"),
        (event_line(7), SECOND, "event_id should be 2, got 7"),
        (event_line(2), SECOND, "prev_hash mismatch at event #2"),
        (event_line(1, "f" * 64), GENESIS, "prev_hash mismatch at event #1"),
        (LINES[1].replace(b"13:00", b"13:01"), SECOND, "hash mismatch at event #2"),
        (
            LINES[0].replace(hash_of(LINES[0]).encode(), b"0" * 64),
            GENESIS,
            "hash mismatch at event #1",
        ),
        (b"", GENESIS, "not a canonical event at event #1: does not begin with"),
        (b'{"event_id":\xff', SECOND, "not a canonical event at event #2: not UTF-8 at byte 13"),
        (b"[]", GENESIS, "not a canonical event at event #1: does not begin with"),
        (b"{}", GENESIS, "not a canonical event at event #1: does not begin with"),
        (b'{"event_id":1}', GENESIS, "not a canonical event at event #1: hash: missing"),
        (LINES[0] + b" ", GENESIS, "not a canonical event at event #1: not in RFC 8785"),
        (LINES[0] + b"\r", GENESIS, "not a canonical event at event #1: not in RFC 8785"),
        (b"\xef\xbb\xbf" + LINES[0], GENESIS, "not a canonical event at event #1: does not begin"),
        (LINES[0] + LINES[1], GENESIS, "not a canonical event at event #1: not JSON: Extra data"),
    ],
)  # fmt: skip
def test_the_first_thing_wrong_gives_the_reason(line: bytes, head: Head, reason: str) -> None:
    assert fault_of(line, head).startswith(reason)


def test_canonical_form_goes_before_id_before_link_before_hash() -> None:
    everything = seal({**json.loads(event_line(9, "f" * 64)), "kind": "Bad"})
    wrong = everything.replace(hash_of(everything).encode(), b"0" * 64)
    assert fault_of(wrong, SECOND).endswith("kind: not the form of a kind")
    line = event_line(9, "f" * 64)
    wrong = line.replace(hash_of(line).encode(), b"0" * 64)
    assert fault_of(wrong, SECOND) == "event_id should be 2, got 9"
    assert fault_of(wrong, Head(8, "e" * 64)) == "prev_hash mismatch at event #9"
    assert fault_of(wrong, Head(8, "f" * 64)) == "hash mismatch at event #9"


NOT_CANONICAL = [
    b'{"a": 1}', b'{ "a":1}', b'{"a":1 }', b'{"a":\t1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}',
    b'{"a":1.0}', b'{"a":-0}', b'{"a":-0.0}', b'{"a":1E5}', b'{"a":1e5}', b'{"a":1e+2}',
    b'{"a":0.10}', b'{"a":1e-07}', b'{"a":1e21}', b'{"a":100000000000000000000000}',
    b'{"a":9007199254740993}', b'{"a":1e400}', b'{"a":00}', b'{"a":01}', b'{"a":+1}', b'{"a":.5}',
    b'{"a":1.}', b'{"a":0x1}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":0.1000000000000000055}',
    b'{"a":4.9e-324}', b'{"a":1e-400}', b'{"a":"\\u0061"}', b'{"\\u0061":1}', b'{"a":"\\/"}',
    b'{"a":"\\u001F"}', b'{"a":"\\u000a"}', b'{"a":"\\u007f"}', b'{"a":"\x00"}', b'{"a":"\x1f"}',
    b'{"a":"\t"}', b'{"a":"\\ud83d\\ude00"}', b'{"a":"\\ud800"}', b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xff"}', b'{"\xc3":1}', b'{"a":"\xc0\x80"}', b'{"a":"\xf5\x80\x80\x80"}',
    '{"\uffff":1,"\U00010000":2}'.encode(), b'{"a":tru}', b'{"a":True}', b"{'a':1}", b"{a:1}",
    b'{"a":1,}', b'{"a":[1,]}', b'{"a":[1,,2]}', b'{"a":1}}', b'{"a":1', b'{"a":"x}', b"[]",
    b"null", b"1", b'""', b"", b'{"a":1}\x00', b'{"a":1}/**/', b'{"a":\xc2\xa01}',
    b'{"a":' * 64 + b"{}" + b"}" * 64, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"[" * 200_000,
]  # fmt: skip


@pytest.mark.parametrize("payload", NOT_CANONICAL)
def test_a_payload_that_is_not_canonical_fails_though_its_hash_is_right(payload: bytes) -> None:
    assert fault_of(with_payload(payload)).startswith("not a canonical event at event #1: ")


CANONICAL = [
    b'{"a":1}', b"{}", b'{"":{}}', b'{"a":[]}', b'{"a":10000000000000000}', b'{"a":1e+21}',
    b'{"a":100000000000000000000}', b'{"a":-295147905179352830000}', b'{"a":5e-324}',
    b'{"a":0.000001}', b'{"a":1e-7}', b'{"a":9007199254740992}', b'{"a":1.7976931348623157e+308}',
    b'{"a":"/"}', b'{"a":"\x7f"}', '{"a":"\u2028\u2029\u0085\ufeff"}'.encode(),
    '{"a":"\ue000","\U00010000":1,"\ue000":2}'.encode(), b'{"a":"\\u0000\\u001f\\b\\t\\n\\f\\r"}',
    b'{"a":"\\"\\\\"}', b'{"a":"12345678901234567890"}', b'{"12345678901234567890":1}',
    b'{"a":' * 63 + b"{}" + b"}" * 63, b'{"a":' + b"[" * 63 + b"]" * 63 + b"}",
    b'{"a":"[[[[[{{{{{' + b"[" * 100 + b'"}',
    b'{"kind":"other","payload":{"hash":"x"}}', b'{"event_id":1,"hash":"' + b"0" * 64 + b'"}',
]  # fmt: skip


@pytest.mark.parametrize("payload", CANONICAL)
def test_a_canonical_payload_verifies_whoever_wrote_it(payload: bytes) -> None:
    line = with_payload(payload)
    head = Head(1, hash_of(line))
    assert chain.check_line(line, GENESIS) == (head, timestamps.parse(NOON))
    assert chain.last_line_head(line) == head
    facts = bulk.check_block(line + b"\n", GENESIS)
    assert facts is None or facts.hashes == [head.hash]
    assert verified([line + b"\n"]).head == head


@given(payloads(any_floats))
def test_lines_of_another_implementation_verify(payload: dict[str, Any]) -> None:
    lines = chained([{"payload": payload}, {"payload": {}}])
    for exactly in (False, True):
        verifier = verified([joined(lines)], exactly)
        assert verifier.fault is None
        assert verifier.head == Head(2, hash_of(lines[1]))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not a canonical event: does not begin"),
        (b"{}", "not a canonical event: does not begin"),
        (LINES[1][:-1], "not a canonical event: not JSON"),
        (LINES[1].replace(b"13:00", b"13:01"), "hash mismatch at event #2"),
        (event_line(1, "f" * 64), "prev_hash mismatch at event #1"),
        (event_line(5).replace(b'"test"', b'"t\\u0065st"'), "not a canonical event at event #5"),
    ],
)
def test_a_last_line_that_gives_no_head(line: bytes, reason: str) -> None:
    with pytest.raises(InvalidEventError) as caught:
        chain.last_line_head(line)
    assert str(caught.value).startswith(reason)


def test_a_reason_is_one_printable_line() -> None:
    reason = fault_of(seal({**json.loads(LINES[0]), "\x1b[2J\n\u202e": 1}))
    assert reason.isascii()
    assert reason.isprintable()


# -- every bit ---------------------------------------------------------------------------------


@pytest.mark.parametrize("exactly", [False, True])
def test_every_bit_of_a_ledger_counts(exactly: bool) -> None:
    for position, changed in flips(DATA):
        byte = position // 8
        hit = sum(start <= byte for start in STARTS[:3])
        whole = changed[: changed.rfind(b"\n") + 1]
        verifier = verified([whole] if whole else [], exactly)
        assert verifier.offset == STARTS[hit - 1]
        assert verifier.head.count == hit - 1
        if byte == len(DATA) - 1:  # the last LF: what it ended is now a torn tail
            assert verifier.fault is None
            assert len(whole) == STARTS[2]
        else:
            assert verifier.fault is not None
            assert verifier.fault.number == hit


def test_every_byte_left_out_or_put_in_is_found() -> None:
    for at in range(len(DATA)):
        for changed in (
            DATA[:at] + DATA[at + 1 :],
            DATA[:at] + b"0" + DATA[at:],
            DATA[:at] + b" " + DATA[at:],
            DATA[:at] + b"\n" + DATA[at:],
            DATA[:at] + DATA[at : at + 1] + DATA[at:],
        ):
            whole = changed[: changed.rfind(b"\n") + 1]
            verifier = verified([whole])
            assert verifier.fault is not None or len(whole) == STARTS[2]


def test_lines_moved_about_are_found() -> None:
    for order in product(range(3), repeat=3):
        verifier = verified([joined(LINES[n] for n in order)])
        assert (verifier.fault is None) == (order == (0, 1, 2))


# -- blocks and segments -----------------------------------------------------------------------

MANY = numbered(6)
PLACES = [len(joined(MANY[:n])) for n in range(7)]


def cuts(count: int) -> Iterator[list[bytes]]:
    """Yield every way to cut the lines into blocks."""
    for marks in product((False, True), repeat=count - 1):
        blocks, block = [], [MANY[0]]
        for mark, line in zip(marks, MANY[1:count], strict=True):
            if mark:
                blocks.append(joined(block))
                block = []
            block.append(line)
        yield [*blocks, joined(block)]


def test_blocks_may_be_cut_anywhere() -> None:
    for blocks in cuts(6):
        verifier = verified(blocks)
        assert verifier.fault is None
        assert verifier.head == Head(6, hash_of(MANY[5]))
        assert verifier.offset == PLACES[6]


def segment_of(lines: list[bytes], offset: int, *, first: bool) -> chain.Segment:
    verifier = Verifier(GENESIS if first else None, offset, watch={3, hash_of(MANY[3])})
    if lines:
        verifier.feed(joined(lines))
    segment = verifier.segment()
    copy = pickle.loads(pickle.dumps(segment))
    assert isinstance(copy, chain.Segment)
    return copy


@pytest.mark.parametrize("damaged", [None, 0, 1, 2, 3, 4, 5])
def test_segments_are_stitched_at_every_boundary(damaged: int | None) -> None:
    lines = list(MANY)
    if damaged is not None:
        lines[damaged] = lines[damaged].replace(b'"n":', b'"m":')
    alone = verified([joined(lines)])
    for low, high in product(range(7), repeat=2):
        if low > high:
            continue
        verifier = Verifier()
        for start, end in ((0, low), (low, high), (high, 6)):
            segment = segment_of(lines[start:end], PLACES[start], first=start == 0)
            if not verifier.join(segment):
                break
        assert verifier.head == alone.head
        assert verifier.offset == alone.offset
        if damaged is None:
            assert verifier.fault is None
            assert verifier.seen[3] == Head(3, hash_of(MANY[2]))
            assert verifier.seen[hash_of(MANY[3])] == Head(4, hash_of(MANY[3]))
        else:
            assert verifier.fault is not None
            assert alone.fault is not None
            assert verifier.fault.number == alone.fault.number == damaged + 1
            assert verifier.fault.reason == alone.fault.reason


@pytest.mark.parametrize(
    "second",
    [
        numbered(6)[3:],  # a gap
        numbered(6)[1:],  # a line twice
        numbered(6),  # a ledger after a ledger
        numbered(6, source="else")[2:],  # another chain's continuation
        [b"garbage", *numbered(6)[3:]],
        [b""],
    ],
)
def test_a_segment_that_does_not_follow_is_not_joined(second: list[bytes]) -> None:
    first = numbered(6)[:2]
    alone = verified([joined([*first, *second])])
    verifier = Verifier()
    assert verifier.join(segment_of(first, 0, first=True))
    assert not verifier.join(segment_of(second, PLACES[2], first=False))
    assert alone.fault is not None
    assert verifier.fault is not None
    assert verifier.fault.reason == alone.fault.reason
    assert (verifier.head, verifier.offset) == (alone.head, alone.offset)
    assert not verifier.join(segment_of(first, 0, first=True))  # a fault stays
    assert not verifier.feed(joined(first))


def test_feeding_nothing() -> None:
    verifier = Verifier()
    assert verifier.feed(b"")
    assert verifier.join(verifier.segment())
    assert verifier.head == GENESIS


def test_a_range_in_the_middle_takes_its_first_lines_word() -> None:
    verifier = Verifier(None, PLACES[3])
    assert verifier.feed(joined(MANY[3:]))
    segment = verifier.segment()
    assert segment.assumed == Head(3, hash_of(MANY[2]))
    assert segment.reached == Head(6, hash_of(MANY[5]))
    assert (segment.start, segment.end) == (PLACES[3], PLACES[6])
    unread = Verifier(None, 7)
    assert not unread.feed(b"garbage\n")
    assert unread.segment().assumed is None


def test_a_segment_cannot_lie_about_its_first_line() -> None:
    segment = segment_of(MANY[2:], PLACES[2], first=False)
    segment.assumed = Head(7, "f" * 64)
    verifier = verified([joined(MANY[:2])])
    with pytest.raises(AssertionError, match="follows one head only"):
        verifier.join(segment)


@pytest.mark.parametrize("exactly", [False, True])
def test_events_watched_for_are_seen(exactly: bool) -> None:
    verifier = Verifier(watch={2, 5, 99, hash_of(MANY[0]), hash_of(MANY[5]), "f" * 64})
    feed = verifier._feed_lines if exactly else verifier.feed
    for start in (0, 3):
        assert feed(joined(MANY[start : start + 3]))
    heads = [Head(n + 1, hash_of(line)) for n, line in enumerate(MANY)]
    assert verifier.seen == {
        0: GENESIS,
        2: heads[1],
        5: heads[4],
        heads[0].hash: heads[0],
        heads[5].hash: heads[5],
    }


@pytest.mark.parametrize("exactly", [False, True])
def test_steps_back_are_counted_however_times_are_written(exactly: bool) -> None:
    times = [
        "2026-01-31T12:00:00.000000+00:00",
        "2026-01-31T11:59:59.999999+00:00",  # back
        "2026-01-31T12:59:59.9999991+01:00",
        "2026-01-31T12:59:59.999999+01:00",  # back
        "2016-12-31T23:59:60Z",  # back
        "2016-12-31T23:59:59.5Z",  # back
        "2016-12-31T23:59:59.5Z",
    ]
    lines = chained({"timestamp": time} for time in times)
    for cut in range(8):
        blocks = [joined(part) for part in (lines[:cut], lines[cut:]) if part]
        verifier = verified(blocks, exactly)
        assert verifier.fault is None
        assert verifier.regressions == 4


def test_ids_grow_by_a_digit_inside_a_block() -> None:
    for start in (8, 97, 996, 99_998):
        lines = chained(({} for _ in range(8)), start, "ab" * 32)
        verifier = Verifier(Head(start - 1, "ab" * 32))
        assert bulk.check_block(joined(lines), verifier.head) is not None
        assert verifier.feed(joined(lines))
        assert verifier.head.count == start + 7


# -- which SHA-256 -----------------------------------------------------------------------------


def test_either_sha256_gives_the_same_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [draft(payload={"n": n}) for n in range(5)]
    assert chain._sha256() is hashlib.sha256
    by_openssl = chain.link(sent, GENESIS, NOON)
    monkeypatch.delitem(sys.modules, "hashlib")
    assert chain._sha256() is chain._own_sha256
    assert chain.link(sent, GENESIS, NOON) == by_openssl
    line = by_openssl[0][0][:-1]
    assert chain.line_hash(line) == hash_of(line)


def test_openssl_is_loaded_for_many_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hashlib")
    chain.get_ready_for(1)
    assert "hashlib" not in sys.modules
    chain.get_ready_for(chain._FEW_LINES + 1)
    assert "hashlib" in sys.modules


@pytest.mark.parametrize("absent", [("_sha2",), ("_sha256",), ("_sha2", "_sha256")])
def test_a_python_without_a_sha256_of_its_own(
    monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...]
) -> None:
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("chain_elsewhere", chain.__file__)
    assert spec is not None
    assert spec.loader is not None
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    assert elsewhere._own_sha256(b"abc").hexdigest() == hashlib.sha256(b"abc").hexdigest()

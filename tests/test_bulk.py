"""`bulk` may say yes only where the exact code says yes, and must then say the same.

This is the most dangerous code of the package: what it wrongly lets in is stored, cannot be
verified any more, and stops every later append. So each of its answers is compared with the
exact code's (`event`, `chain`, `query.damage_of`), over generated input and over a list of
everything JSON readers are known to disagree about.
"""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from audit_stream import bulk, chain, event, timestamps
from audit_stream.bulk import DraftReader, check_block, read_block
from audit_stream.chain import GENESIS, Fault, Head
from audit_stream.errors import InvalidEventError, UnknownKindError
from audit_stream.query import damage_of
from audit_stream.vocabulary import Vocabulary
from tests.ledgers import (
    NOON,
    ZEROS,
    any_floats,
    chained,
    flips,
    hash_of,
    joined,
    numbered,
    payloads,
    with_payload,
)
from tests.ledgers import event as event_line

VOCABULARY = Vocabulary(any_kind=True)


def told(draft: event.Draft | None) -> tuple[object, ...] | None:
    """All that a draft says."""
    return None if draft is None else tuple(getattr(draft, name) for name in draft.__slots__)


def quick_and_exact(text: bytes) -> tuple[tuple[object, ...] | None, tuple[object, ...] | None]:
    """What the accelerator and the exact code make of a draft; None for "no"."""
    quick = told(DraftReader(VOCABULARY)._read_quickly(text))
    try:
        exact = told(event.draft_from_json(text, vocabulary=VOCABULARY))
    except InvalidEventError:
        exact = None
    return quick, exact


def sent(payload: bytes) -> bytes:
    """A draft with this payload text."""
    return b'{"kind":"other","source":"test","payload":' + payload + b"}"


WHITE = (b" ", b"\t", b"\r", b"\n", b"  \n\t\r ")


def test_long_integers_are_refused_wherever_white_space_stands() -> None:
    for digits in (b"9007199254740992", b"12345678901234567890", b"-9007199254740993"):
        for white in WHITE:
            for payload in (b'{"a":%b%b}', b'{"a":[1,%b%b]}', b'{"a":[%b%b]}'):
                quick, exact = quick_and_exact(sent(payload % (white, digits)))
                assert exact is None
                assert quick is None


def test_depth_is_counted_whatever_white_space_stands_between() -> None:
    for depth in (62, 63, 64, 65, 66, 200):
        for white in (b"", *WHITE, b"\n" * 500):
            nested = (b'{"a":' + white) * (depth - 1) + b"{}" + b"}" * (depth - 1)
            quick, exact = quick_and_exact(white + sent(white + nested))
            assert (exact is not None) == (depth <= 64)
            assert quick in (None, exact)


def test_a_line_by_itself_needs_a_positive_id_and_the_first_follows_nothing() -> None:
    for line in (event_line(0), event_line(-5), event_line(1, "1" * 64)):
        assert damage_of(line) is not None
        assert read_block(line + b"\n") is None
    assert read_block(event_line(1) + b"\n" + event_line(2, "1" * 64) + b"\n") is not None


# -- JSON as strangers write it ----------------------------------------------------------------

NUMBERS = [
    b"0", b"-0", b"00", b"01", b"-01", b"1", b"-1", b"+1", b"1.", b".5", b"-.5", b"1.0", b"-0.0",
    b"1.50", b"1e5", b"1E5", b"1e+5", b"1E-05", b"1e", b"1e+", b"0e0", b"0E-5", b"1e-7", b"1e-400",
    b"1e400", b"-1e400", b"1e16", b"1e15", b"5e-324", b"4.9e-324", b"0.1", b"0.10", b"1e21",
    b"123456789012345", b"999999999999999", b"1000000000000000", b"9007199254740991",
    b"9007199254740992", b"9007199254740993", b"-9007199254740991", b"-9007199254740992",
    b"9007199254740991.0", b"9007199254740991.5", b"9007199254740990.9", b"123456789012345.6",
    b"999999999999999.9999", b"18446744073709551615", b"18446744073709551616", b"9" * 40,
    b"1" * 400, b"0." + b"1" * 400, b"1e0000000000005", b"1e99999999999", b"0x1", b"1_0", b"NaN",
    b"Infinity", b"-Infinity", b"-", b"--1", b"1 2", b"\xd9\xa1",
]  # fmt: skip
STRINGS = [
    b'""', b'"a"', b'"b"', b'"aa"', b'"\\u0061"', b'"\\u0022"', b'"\\""', b'"\\\\"', b'"\\\\u0061"',
    b'"\\/"', b'"/"', b'"\\n"', b'"\\u000a"', b'"\\u000A"', b'"\n"', b'"\t"', b'"\x00"', b'"\x1f"',
    b'"\x7f"', b'"\\u007f"', b'"\\x41"', b'"\\"', b'"open', b"'a'", b'"\\ud83d\\ude00"',
    b'"\\ud83d"', b'"\\ude00\\ud83d"', '"\U0001f600"'.encode(), '"\ue000"'.encode(),
    '"\uffff"'.encode(), '"\u2028"'.encode(), b'"\xed\xa0\x80"', b'"\xff"', b'"\xc0\x80"',
    b'"\xc3"', b'"\xf4\x90\x80\x80"', b'"\xef\xbb\xbf"', b'"1234567890123456"',
    b'"x:1234567890123456"', b'"[[[[{{{{"', b'"kind"', b'"hash"', b'"payload"',
]  # fmt: skip
WORDS = [b"true", b"false", b"null", b"True", b"nul", b"undefined", b"//", b""]

white = st.sampled_from([b"", b"", b"", b" ", b"\n", b"\t", b"\r\n", b"  ", b"\x0b", b"\xc2\xa0"])


def tokens(*kinds: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.sampled_from([token for kind in kinds for token in kind])


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 3) -> bytes:
    """Text that is nearly, often wholly, and seldom canonically JSON."""

    def spaced(token: bytes) -> bytes:
        return draw(white) + token + draw(white)

    shape = draw(st.integers(0, 5)) if depth else 0
    if shape <= 2:
        return spaced(draw(tokens(NUMBERS, STRINGS, WORDS[:3])))
    if shape == 3:
        items = draw(st.lists(json_texts(depth - 1), max_size=3))
        return spaced(b"[" + b",".join(items) + b"]")
    if shape == 4:
        return draw(tokens(WORDS))
    return draw(json_objects(depth))


@st.composite
def json_objects(draw: st.DrawFn, depth: int = 3) -> bytes:
    members = draw(st.lists(st.tuples(tokens(STRINGS), json_texts(depth - 1)), max_size=4))
    if draw(st.booleans()):
        members.sort()
    return b"{" + b",".join(name + b":" + value for name, value in members) + b"}"


def mutated(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same with a few bytes exchanged, now and then."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(texts))
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(data)))
            data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        return bytes(data)

    return st.one_of(texts, change())


# -- drafts ------------------------------------------------------------------------------------


@given(mutated(json_objects()))
@example(b'{"a":"\\"","a":""}')
@example(b'{"a":{"b":1,"b":"\\""}}')
@example(b'{"":1,"":1}')
def test_payloads_are_read_as_the_exact_code_reads_them(payload: bytes) -> None:
    quick, exact = quick_and_exact(sent(payload))
    assert quick in (None, exact)


@given(payloads())
def test_payloads_of_json_libraries_take_the_quick_way(payload: dict[str, Any]) -> None:
    for text in (json.dumps(payload, ensure_ascii=False), json.dumps(payload, indent=1)):
        quick, exact = quick_and_exact(sent(text.encode()))
        assert exact is not None
        assert exact[1] == b'"kind":"other","payload":' + rfc8785.dumps(payload)
        assert quick in (None, exact)
    plain = {f"n{n}": [n, n / 8, "text", None, {"a b": "c: 1"}] for n in range(5)}
    quick, exact = quick_and_exact(sent(json.dumps(plain).encode()))
    assert quick == exact is not None


@pytest.mark.parametrize(
    "time", ["2026-01-31T13:00:00+01:00", "2026-01-31t12:00:00z", "2026-02-31T12:00:00Z", ""]
)
def test_supplied_timestamps(time: str) -> None:
    text = b'{"kind":"other","source":"test","timestamp":"%b"}' % time.encode()
    quick, exact = quick_and_exact(text)
    assert quick == exact
    assert (exact is None) == (time in ("2026-02-31T12:00:00Z", ""))


MEMBERS = [
    b'"kind":"other"', b'"kind":"request_denied"', b'"kind":"Other"', b'"kind":5', b'"kind":null',
    b'"kind":"a\\u0062"', b'"source":"s"', b'"source":""', b'"source":"a\\n"', b'"source":null',
    b'"source":"\\u0073"', b'"source":"\x7f"', '"source":"\u0085"'.encode(), b'"payload":{}',
    b'"payload":null', b'"payload":[]', b'"payload":{"a":1,"a":2}', b'"timestamp":null',
    b'"timestamp":"2026-01-31T12:00:00Z"', b'"timestamp":"2026-01-31T12:00:00"', b'"timestamp":5',
    b'"timestamp":"2016-12-31T23:59:60Z"', b'"event_id":1', b'"hash":""', b'"extra":1', b'"":1',
    b'"k\\u0069nd":"other"', b'"Kind":"other"', b'"source":"' + b"x" * 257 + b'"',
    b'"source":"' + "\U0001f600".encode() * 256 + b'"',
]  # fmt: skip


@given(
    st.lists(st.sampled_from(MEMBERS), max_size=5),
    st.sampled_from([{}, {"kind": "other"}, {"source": "s"}, {"kind": "other", "source": "d"}]),
)
def test_members_are_read_as_the_exact_code_reads_them(
    members: list[bytes], defaults: dict[str, str]
) -> None:
    text = b"{" + b",".join(members) + b"}"
    quick = told(DraftReader(VOCABULARY, defaults)._read_quickly(text))
    try:
        exact = told(event.draft_from_json(text, vocabulary=VOCABULARY, defaults=defaults))
    except InvalidEventError:
        exact = None
    assert quick in (None, exact)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_form_of_a_number(number: bytes) -> None:
    for payload in (b'{"a":%b}', b'{"a":[%b]}', b'{"a":[1,%b]}', b'{"a": %b }', b'{"a":{"b":%b}}'):
        quick, exact = quick_and_exact(sent(payload % number))
        assert quick in (None, exact)


@pytest.mark.parametrize("string", STRINGS)
def test_every_form_of_a_string(string: bytes) -> None:
    for payload in (b'{"a":%b}', b"{%b:1}", b'{"a":1,%b:2}', b"{%b:[%b]}" % (string, b"%b")):
        quick, exact = quick_and_exact(sent(payload % string))
        assert quick in (None, exact)


def test_every_character_is_written_alike() -> None:
    every = [chr(code) for code in range(0x20, 0x3000)]
    for start in range(0, len(every), 512):
        text = "".join(every[start : start + 512])
        for payload in ({"a": text}, {text: 1}):
            quick, exact = quick_and_exact(sent(json.dumps(payload, ensure_ascii=False).encode()))
            assert quick in (None, exact)
            assert exact is not None


def test_odd_texts_as_a_whole() -> None:
    good = sent(b"{}")
    for text in (
        b"", b" ", b"{}", b"[]", b"null", b"\xef\xbb\xbf" + good, good + b"\x00", good + b"{}",
        good + good, good + b"\n" + good, b"\n" + good + b"\n", good[:-1], good + b"}",
        b"[" * 99999,
        good.decode().encode("utf-16"), sent(b"[" * 99999), sent(b'{"a":' + b"[" * 99999),
    ):  # fmt: skip
        quick, exact = quick_and_exact(text)
        assert quick in (None, exact)


def test_a_reader_goes_on_after_errors_and_remembers_only_what_is_good() -> None:
    reader = DraftReader(Vocabulary())
    for _ in range(2):
        with pytest.raises(UnknownKindError):
            reader.read(b'{"kind":"unheard_of","source":"s"}')
        with pytest.raises(InvalidEventError):
            reader.read(b'{"kind":"other","source":"\x7f"}')
        assert reader.read(b'{"kind":"other","source":"s"}').kind == "other"
    assert list(reader._fronts) == ["other"]
    assert list(reader._backs) == ["s"]


def test_what_a_reader_remembers_is_bounded() -> None:
    reader = DraftReader(VOCABULARY)
    for number in range(5000):
        made = reader.read(b'{"kind":"k%d","source":"s%d"}' % (number, number))
        assert (made.kind, made.source) == (f"k{number}", f"s{number}")
    assert len(reader._fronts) == len(reader._backs) == 4096


# -- stored lines ------------------------------------------------------------------------------


def facts_of(lines: list[bytes], head: Head) -> bulk.BlockFacts | None:
    """What `check_block` has to say, worked out by the exact code."""
    hashes, instants = [], []
    for line in lines:
        checked = chain.check_line(line, head)
        if isinstance(checked, Fault):
            return None
        head, instant = checked
        hashes.append(head.hash)
        instants.append(instant)
    back = sum(later < earlier for earlier, later in pairwise(instants))
    return bulk.BlockFacts(hashes, instants[0], instants[-1], back)


def agree_on(data: bytes, head: Head = GENESIS) -> None:
    """Hold both block readers against the exact code, on whole lines."""
    assert data.endswith(b"\n")
    lines = data[:-1].split(b"\n")
    checked = check_block(data, head)
    assert checked is None or checked == facts_of(lines, head)
    read = read_block(data)
    if read is not None:
        assert [damage_of(line) for line in lines] == [None] * len(lines)
        assert len(read) == len(lines)
        for stored, line in zip(read, lines, strict=True):
            members = json.loads(line)
            for name in ("event_id", "hash", "kind", "prev_hash", "source", "timestamp"):
                assert getattr(stored, name) == members[name]


@given(mutated(json_objects()).filter(lambda text: b"\n" not in text))
def test_payloads_with_a_right_hash_need_canonical_form(payload: bytes) -> None:
    agree_on(with_payload(payload) + b"\n")
    agree_on(joined([event_line(), with_payload(payload, 2, hash_of(event_line()))]))


@given(st.lists(payloads(any_floats), min_size=1, max_size=4))
def test_good_blocks(events: list[dict[str, Any]]) -> None:
    lines = chained({"payload": payload} for payload in events)
    agree_on(joined(lines))


def test_ordinary_blocks_take_the_quick_way() -> None:
    lines = chained({"payload": {"n": n, "f": n / 3, "t": "é"}} for n in range(50))
    assert check_block(joined(lines), GENESIS) == facts_of(lines, GENESIS)
    read = read_block(joined(lines))
    assert read is not None
    assert [stored.hash for stored in read] == [hash_of(line) for line in lines]


@given(mutated(st.sampled_from([joined(numbered(3)), joined(numbered(1))])))
def test_mutated_blocks(data: bytes) -> None:
    if data.endswith(b"\n"):
        agree_on(data)


def test_every_bit_of_a_block() -> None:
    data = joined(
        chained([{"payload": {"f": 0.5, "t": "é"}}, {"timestamp": "2026-01-31t12:00:00Z"}])
    )
    for _, changed in flips(data[:-1]):
        agree_on(changed + b"\n")


ENVELOPE = {
    "event_id": b"1",
    "kind": b'"other"',
    "payload": b"{}",
    "prev_hash": b'"%b"' % ZEROS.encode(),
    "source": b'"test"',
    "timestamp": b'"%b"' % NOON.encode(),
}


def raw_line(members: list[tuple[bytes, bytes]]) -> bytes:
    """A line of raw members whose hash, where it stands second, is right."""
    texts = [b'"%b":%b' % member for member in members]
    rest = b"{" + b",".join(texts) + b"}"
    digest = hashlib.sha256(rest).hexdigest().encode()
    return b"{" + b",".join([*texts[:1], b'"hash":"%b"' % digest, *texts[1:]]) + b"}"


VALUES = {
    "event_id": [
        b"0", b"-1", b"2", b"1.0", b"1e0", b"01", b'"1"', b"true", b"null", b"[1]", b"-0",
        b"9007199254740993", b"18446744073709551616", b" 1", b"1 ",
    ],
    "kind": [
        b'"Other"', b'""', b'"a\\u0062"', b"5", b"null", b'"other "', b'"a.b.c.d.e"', b'"a.b"',
    ],
    "payload": [b"[]", b"null", b'""', b"1", b"{ }", b'{"a":1}', b'{"a":{"a":{}}}'],
    "prev_hash": [
        b'"%b"' % (b"f" * 64), b'"%b"' % (b"F" * 64), b'""', b"null", b'"%b"' % (b"0" * 63),
    ],
    "source": [b'""', b'"\\u0000"', b'"\x7f"', '"\u0085"'.encode(), b'"' + b"x" * 257 + b'"', b"5"],
    "timestamp": [
        b'""', b"null", b"5", b'"2026-01-31T12:00:00Z"', b'"2026-02-30T12:00:00.000000+00:00"',
        b'"2026-01-31T24:00:00.000000+00:00"', b'"2026-01-31T12:00:60.000000+00:00"',
        b'"2016-12-31T23:59:60.000000+00:00"', b'"2026-01-31T12:00:00.000000-00:00"',
        b'"2026-01-31T12:00:00.000000+00:0"', b'"0000-01-01T00:00:00.000000+00:00"',
        b'"2026-01-31 12:00:00.000000+00:00"', '"٢٠٢٦-01-31T12:00:00.000000+00:00"'.encode(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ENVELOPE)
def test_envelopes_with_one_wrong_member_and_a_right_hash(name: str) -> None:
    good = [(member.encode(), value) for member, value in ENVELOPE.items()]
    at = list(ENVELOPE).index(name)
    for value in VALUES[name]:
        agree_on(raw_line([*good[:at], (name.encode(), value), *good[at + 1 :]]) + b"\n")
    agree_on(raw_line([*good[:at], *good[at + 1 :]]) + b"\n")
    agree_on(raw_line([*good[: at + 1], good[at], *good[at + 1 :]]) + b"\n")
    agree_on(raw_line([*good[: at + 1], (b"x", b"1"), *good[at + 1 :]]) + b"\n")
    agree_on(raw_line([*good[at:], *good[:at]]) + b"\n")


@given(
    st.lists(st.tuples(st.sampled_from(list(ENVELOPE)), st.integers(0, 14)), min_size=4, max_size=8)
)
def test_envelopes_of_any_members(chosen: list[tuple[str, int]]) -> None:
    members = []
    for name, number in chosen:
        others = VALUES[name]
        value = others[number] if number < len(others) else ENVELOPE[name]
        members.append((name.encode(), value))
    agree_on(raw_line(members) + b"\n")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"2026-01-31T12:00:00.000000+00:0", b"02026-01-31T12:00:00.000000+00:00"],
        [b"2026-01-31T12:00:00.000000+00:002", b"026-01-31T12:00:00.000000+00:00"],
        [b"2026-01-31T12:00:00.000000+00:00" * 2, b""],
        [b"", b"2026-01-31T12:00:00.000000+00:00" * 2],
        [b"2026-01-31T12:00:00.000000+00:00" * 3, b"", b""],
        [b"2026-01-31", b"T12:00:00.000000+00:00" + b"2026-01-31T12:00:00.000000+00:00"],
    ],
)
def test_timestamps_that_are_only_right_when_joined(pieces: list[bytes]) -> None:
    lines = chained({"timestamp": piece.decode()} for piece in pieces)
    agree_on(joined(lines))
    assert check_block(joined(lines), GENESIS) is None
    assert read_block(joined(lines)) is None
    assert not bulk.in_writers_form([piece.decode() for piece in pieces])


ONE, TWO = numbered(2)


@pytest.mark.parametrize(
    "data",
    [
        b"\n", b"\n\n", ONE + b"\n\n", b"\n" + ONE + b"\n", ONE + b"\n\n" + TWO + b"\n",
        ONE + TWO + b"\n", ONE + b" " + TWO + b"\n", b"\n" + ONE + TWO + b"\n", ONE + b"\r\n",
        ONE + b" \n", b" " + ONE + b"\n", ONE + b"\x00\n", b"\x00" + ONE + b"\n", ONE + b",\n",
        ONE[:100] + b"\n" + ONE[100:] + b"\n", ONE.replace(b",", b",\n") + b"\n",
        ONE + b"\n" + ONE + b"\n", TWO + b"\n" + ONE + b"\n", b"\xef\xbb\xbf" + ONE + b"\n",
        b"\x00" * 500 + b"\n", ONE + b"\n\x00\n",
    ],
)  # fmt: skip
def test_lines_that_are_not_one_event_each(data: bytes) -> None:
    agree_on(data)
    assert check_block(data, GENESIS) is None


def test_depth_of_stored_lines() -> None:
    for depth in (61, 62, 63, 64, 65, 66, 2000):
        for opened, closed in ((b'{"a":', b"}"), (b"[", b"]")):
            payload = b'{"a":' + opened * (depth - 2) + b"{}" + closed * (depth - 2) + b"}"
            line = with_payload(payload)
            agree_on(line + b"\n")
            assert (damage_of(line) is None) == (depth <= 64)
            before = numbered(40)
            deep = with_payload(payload, 41, hash_of(before[-1]))
            agree_on(joined([*before, deep]))


def test_astral_names_are_sorted_by_the_exact_code() -> None:
    right = '{"\U00010000":1,"\uffff":2}'.encode()
    wrong = '{"\uffff":2,"\U00010000":1}'.encode()
    assert damage_of(with_payload(right)) is None
    assert damage_of(with_payload(wrong)) is not None
    agree_on(with_payload(right) + b"\n")
    agree_on(with_payload(wrong) + b"\n")


def test_ids_beyond_what_a_double_holds() -> None:
    last = event_line(2**53 - 1, "ab" * 32)
    agree_on(last + b"\n", Head(2**53 - 2, "ab" * 32))
    assert damage_of(last) is None
    beyond = last.replace(b"9007199254740991", b"9007199254740992")
    agree_on(beyond + b"\n", Head(2**53 - 1, "ab" * 32))


def test_the_accelerators_own_words_are_never_shown() -> None:
    with pytest.raises(InvalidEventError, match="not JSON: Expecting value"):
        DraftReader(VOCABULARY).read(b"nonsense")
    assert not issubclass(msgspec.MsgspecError, InvalidEventError)


@given(st.lists(st.text("0123456789-T:.+Z ", max_size=34), min_size=1, max_size=3))
def test_the_writers_form_is_judged_text_by_text(texts: list[str]) -> None:
    def alone(text: str) -> bool:
        try:
            return timestamps.normalize(text) == text
        except InvalidEventError:
            return False

    texts = [text if len(text) < 20 else NOON for text in texts]
    assert bulk.in_writers_form(texts) == all(map(alone, texts))

"""Canonical JSON against the `rfc8785` package, and what is refused before anything is stored."""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from audit_stream import canonical
from audit_stream.errors import InvalidEventError
from tests.ledgers import SAFE, any_floats, safe_floats, texts, values

if TYPE_CHECKING:
    from collections.abc import Callable

# ECMA-262 Number::toString where its layout changes, and RFC 8785 appendix B.
BOUNDARIES = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
    ("4341c37937e08000", "10000000000000000"),
    ("3f1a36e2eb1c432d", "0.0001"),
    ("3ee4f8b588e368f1", "0.00001"),
]


@pytest.mark.parametrize(("bits", "text"), BOUNDARIES)
def test_numbers_print_as_ecmascript_prints_them(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical.number_text(value) == text
    assert rfc8785.dumps(value).decode() == text
    assert canonical.decode_stored(text.encode()) == value


@given(any_floats)
def test_every_float_prints_as_rfc8785_prints_it(value: float) -> None:
    assert canonical.encode_stored(value) == rfc8785.dumps(value)


@given(st.integers(0, 2**64 - 1))
def test_every_bit_pattern_prints_as_rfc8785_prints_it(bits: int) -> None:
    (value,) = struct.unpack(">d", bits.to_bytes(8, "big"))
    if math.isfinite(value):
        assert canonical.encode_stored(value) == rfc8785.dumps(value)
    else:
        with pytest.raises(InvalidEventError, match="no JSON form"):
            canonical.encode_stored(value)


def test_floats_around_every_power_of_ten() -> None:
    for exponent in range(-324, 309):
        value = float(f"1e{exponent}")
        for near in (math.nextafter(value, 0), value, math.nextafter(value, math.inf), -value):
            assert canonical.number_text(near).encode() == rfc8785.dumps(near)


@given(values())
@example({"\U00010000": 1, "\uffff": 2, "\ue000": 3, "\ud7ff": 4, "": 5})
@example({"a": -0.0, "b": [1e15, 123456789012345.6], "c": {"\x00\x1f\x7f\x80": "\x00\x1f\x7f\x80"}})
def test_values_encode_as_rfc8785_encodes_them(value: Any) -> None:
    text = canonical.encode(value)
    assert text == rfc8785.dumps(value)
    assert canonical.encode_stored(value) == text
    assert canonical.encode(canonical.decode(text)) == text
    assert canonical.encode_stored(canonical.decode_stored(text)) == text


@given(values(any_floats))
def test_stored_values_of_any_size_keep_their_text(value: Any) -> None:
    text = rfc8785.dumps(value)
    assert canonical.encode_stored(canonical.decode_stored(text)) == text


@given(st.dictionaries(texts, st.none(), max_size=12))
def test_names_are_sorted_by_utf16_code_units(value: dict[str, None]) -> None:
    names = list(canonical.decode(canonical.encode(value)))
    assert names == sorted(value, key=lambda name: name.encode("utf-16-be"))


def test_every_character_is_escaped_as_rfc8785_escapes_it() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(every), 4096):
        text = "".join(every[start : start + 4096])
        assert canonical.encode(text) == rfc8785.dumps(text)
        assert canonical.encode({text: 0}) == rfc8785.dumps({text: 0})
    assert canonical.encode('\b\t\n\f\r"\\/\x00\x1f\x7f') == (
        b'"\\b\\t\\n\\f\\r\\"\\\\/\\u0000\\u001f\x7f"'
    )


def nested(depth: int, make: Callable[[Any], Any]) -> Any:
    value = make(1)
    for _ in range(depth - 1):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda v: {"a": v}, lambda v: [v], lambda v: (0, v)])
def test_64_levels_are_taken_and_65_are_not(make: Callable[[Any], Any]) -> None:
    assert canonical.encode(nested(64, make)) == rfc8785.dumps(nested(64, make))
    assert canonical.encode(nested(65, make), max_depth=65)
    for depth in (65, 66, 5000):
        with pytest.raises(InvalidEventError, match="nested deeper than 64 levels"):
            canonical.encode(nested(depth, make))


def test_scalars_need_no_level() -> None:
    assert canonical.encode(1, max_depth=0) == b"1"
    for value in ({}, [], ()):
        with pytest.raises(InvalidEventError):
            canonical.encode(value, max_depth=0)


def test_wide_values() -> None:
    value = {f"n{n}": list(range(n % 7)) for n in range(20_000)}
    assert canonical.encode(value) == rfc8785.dumps(value)


def test_a_value_that_holds_itself_is_too_deep() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidEventError, match="nested deeper"):
        canonical.encode(value)


class Colour(Enum):
    RED = 1


class Word(StrEnum):
    YES = "yes"


class Name(str, Enum):  # noqa: UP042 - str() of it is not its value
    KEY = "key"


class Number(IntEnum):
    ONE = 1


class Real(float):
    def __repr__(self) -> str:
        return "0"


def test_instances_of_subclasses_count_as_what_they_are() -> None:
    value = OrderedDict(b=Word.YES, a=Number.ONE, c=Real(1.5), d=(1, 2), e=Name.KEY, f=[Word.YES])
    value[Name.KEY] = None
    assert canonical.encode(value) == (
        b'{"a":1,"b":"yes","c":1.5,"d":[1,2],"e":"key","f":["yes"],"key":null}'
    )

    class Listed(list[int]):
        pass

    assert canonical.encode(Listed([1])) == b"[1]"


REFUSED = [
    ({"a": {"b": [1, float("nan")]}}, "a.b.1", "NaN and Infinity"),
    ({"a": float("inf")}, "a", "NaN and Infinity"),
    ([float("-inf")], "0", "NaN and Infinity"),
    ({"a": SAFE + 1}, "a", "beyond"),
    ({"a": [0, -SAFE - 1]}, "a.1", "beyond"),
    ({"a": 10**5000}, "a", "beyond"),
    ({"a": 2.0**53}, "a", "beyond"),
    ({"a": -1e300}, "a", "beyond"),
    ({"a": {1}}, "a", "a set has no JSON form"),
    ({"a": b"x"}, "a", "a bytes has no JSON form"),
    ({"a": Colour.RED}, "a", "a Colour has no JSON form"),
    ({"a": {1: 2}}, "a", "the name 1 is not a string"),
    ({"a": {None: 2}}, "a", "the name None is not a string"),
    ({"a": ["x", {"b": "\ud800"}]}, "a.1.b", "lone surrogate"),
    ({"a": {"b\udfff": 1}}, "a.b\\udfff", "lone surrogate"),
    (("\ud83d", "\ude00"), "0", "lone surrogate"),
    ("\ud800", None, "lone surrogate"),
    (float("nan"), None, "NaN and Infinity"),
    ({"tab\there": {"\x1b[2J": object()}}, "tab\\there.\\x1b[2J", "a object has no JSON form"),
    ({"n" * 500: {1}}, "n" * 59 + "…", "no JSON form"),
]


@pytest.mark.parametrize(("value", "member", "reason"), REFUSED)
def test_what_has_no_json_form_is_refused_and_named(
    value: Any, member: str | None, reason: str
) -> None:
    with pytest.raises(InvalidEventError, match=reason) as caught:
        canonical.encode(value)
    assert caught.value.member == member
    str(caught.value).encode()


def test_the_largest_safe_numbers_pass() -> None:
    assert canonical.encode([SAFE, -SAFE, float(SAFE)]) == (
        b"[9007199254740991,-9007199254740991,9007199254740991]"
    )


def test_stored_numbers_beyond_the_safe_ones_keep_their_canonical_text() -> None:
    for text in (b"10000000000000000", b"1e+21", b"-295147905179352830000"):
        assert canonical.encode_stored(canonical.decode_stored(text)) == text
    odd = b"9007199254740993"  # not what its double prints
    assert canonical.encode_stored(canonical.decode_stored(odd)) == b"9007199254740992"
    with pytest.raises(InvalidEventError, match="no JSON form"):
        canonical.encode_stored(canonical.decode_stored(b"1e400"))


NOT_DECODED = [
    ("", "Expecting value at column 1"),
    (" ", "Expecting value"),
    ("{", "Expecting property name"),
    ('{"a":1,}', "not JSON"),
    ("[1,]", "not JSON"),
    ("{'a':1}", "not JSON"),
    ("{a:1}", "not JSON"),
    ('{"a" 1}', "not JSON"),
    ('{"a":1}{', "Extra data"),
    ('{"a":1} x', "Extra data"),
    ("// c\n1", "not JSON"),
    ("\ufeff{}", "BOM"),
    ('"\x01"', "Invalid control character"),
    ('"a\nb"', "Invalid control character"),
    ('"\\x41"', "Invalid \\\\escape"),
    ('"\\u12"', "Invalid"),
    ('"\\u+123"', "Invalid"),
    ('"open', "Unterminated"),
    ("tru", "not JSON"),
    ("True", "not JSON"),
    ("01", "Extra data"),
    ("-", "not JSON"),
    ("+1", "not JSON"),
    ("1.", "Extra data"),
    (".5", "not JSON"),
    ("0x10", "Extra data"),
    ("1_000", "Extra data"),
    ("١", "not JSON"),
    ("1\u00a0", "Extra data"),
    ("[1,\n 2,\n 3", "line 3 column 3"),
    ("NaN", "NaN has no JSON form"),
    ("[Infinity]", "Infinity has no JSON form"),
    ("[-Infinity]", "-Infinity has no JSON form"),
    ('{"a":1,"a":1}', 'the name "a" appears twice'),
    ('{"a":1,"\\u0061":2}', 'the name "a" appears twice'),
    ('{"b":{"c":[{"":1,"":1}]}}', 'the name "" appears twice'),
    ('{"\\ud800":1,"\\ud800":2}', r'the name "\\ud800" appears twice'),
    ("9007199254740992", "9007199254740992 is beyond"),
    ("-9007199254740992", "beyond"),
    ("[1e400]", "1e400 is beyond"),
    ("1e16", "beyond"),
    ("9007199254740991.9", "beyond"),
    ("9" * 5000, "number 9{24}… is beyond"),
    ("1" * 5000 + ".5", "… is beyond"),
    ("[" * 100_000, "nested deeper"),
    ('{"a":' * 100_000, "nested deeper"),
]


@pytest.mark.parametrize(("text", "reason"), NOT_DECODED)
def test_what_cannot_round_trip_is_refused(text: str, reason: str) -> None:
    for sent in (text, text.encode()):
        with pytest.raises(InvalidEventError, match=reason) as caught:
            canonical.decode(sent)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 200
        str(caught.value).encode()


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b"\xff", 1),
        (b'"\xed\xa0\x80"', 2),
        (b'"\xc0\x80"', 2),
        (b'"\xf4\x90\x80\x80"', 2),
        (b'{"a":"\xe2\x82"}', 7),
        ("{}".encode("utf-16"), 1),
    ],
)
def test_what_is_not_utf8_is_refused(data: bytes, position: int) -> None:
    for decode in (canonical.decode, canonical.decode_stored):
        with pytest.raises(InvalidEventError, match=f"not UTF-8 at byte {position}$"):
            decode(data)


@given(st.binary(max_size=60))
def test_bytes_decode_or_are_refused(data: bytes) -> None:
    for decode in (canonical.decode, canonical.decode_stored):
        try:
            value = decode(data)
        except InvalidEventError:
            continue
        try:
            text = canonical.encode_stored(value)
        except InvalidEventError:
            continue  # a lone surrogate, or an infinite number
        assert text == rfc8785.dumps(value)


@given(st.one_of(safe_floats, st.integers(-SAFE, SAFE)))
def test_numbers_survive_the_round_trip(value: float) -> None:
    assert canonical.decode(canonical.encode(value)) == value

"""Canonical JSON (RFC 8785, JCS) with the standard library alone, and strict decoding.

The hash of an event is taken over canonical bytes, so this file decides what "the same event"
means. It promises two things, both shown by property tests against the `rfc8785` package:

* `encode` gives the bytes RFC 8785 asks for, or refuses;
* `decode` refuses whatever could not be encoded again without loss: duplicate names,
  NaN and Infinity, numbers beyond ±(2^53 − 1), invalid UTF-8.

`rfc8785` itself is not used at run time: importing it doubles the start-up time of `append`,
and it is seven times slower. `orjson` and `json.dumps` are not canonical (floats, order of
astral names).
"""

from __future__ import annotations

import json
from itertools import pairwise
from json.encoder import encode_basestring as _quote

from audit_stream.errors import InvalidEventError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 7493 section 2.2)."""

MAX_DEPTH = 64
"""How deep objects and arrays may nest; the payload object itself is depth 1."""


def encode(value: Any, *, max_depth: int = MAX_DEPTH) -> bytes:
    """Return the canonical JSON of `value` as UTF-8 bytes (RFC 8785 section 3.2).

    Takes what `json.loads` gives: dict, list (or tuple), str, int, float, bool, None.

    Raises:
        InvalidEventError: a value has no I-JSON form (RFC 7493): another type, a name that is
            not a string, a lone surrogate, NaN, Infinity, a number beyond ±(2^53 − 1), or
            nesting deeper than `max_depth`. `member` is the dotted path to it.
    """
    return _encode(value, max_depth, _door_number)


def encode_stored(value: Any, *, max_depth: int = MAX_DEPTH) -> bytes:
    """Like `encode`, but any finite number passes: for values that `decode_stored` gave.

    A ledger may hold numbers beyond 2^53 − 1 that another implementation wrote; RFC 8785
    section 3.2.2.3 says how they print.
    """
    return _encode(value, max_depth, number_text)


def _encode(value: Any, max_depth: int, number: Callable[[float], str]) -> bytes:
    try:
        return _text(value, max_depth, number).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidEventError(
            "text holds a lone surrogate, which has no UTF-8 form", _surrogate_path(value) or None
        ) from None


def _text(value: Any, depth: int, number: Callable[[float], str]) -> str:
    kind = type(value)
    if kind is str:
        return _quote(value)
    if kind is dict:
        return _object_text(value, depth, number)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if kind is int:
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise _too_large()
        return str(value)
    if kind is float:
        return number(value)
    if kind is list or kind is tuple:
        return _array_text(value, depth, number)
    return _text(_plain(value), depth, number)


def _plain(value: Any) -> Any:
    """Turn an instance of a subclass (an enum, a defaultdict, …) into the plain built-in."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    raise InvalidEventError(f"a {type(value).__name__} has no JSON form; send it as a string")


def _object_text(value: dict[Any, Any], depth: int, number: Callable[[float], str]) -> str:
    if depth < 1:
        raise _too_deep()
    parts = []
    for name in _sorted_names(value):
        try:
            parts.append(f"{_quote(name)}:{_text(value[name], depth - 1, number)}")
        except InvalidEventError as error:
            raise _inside(name, error) from None
    return "{" + ",".join(parts) + "}"


def _array_text(value: Any, depth: int, number: Callable[[float], str]) -> str:
    if depth < 1:
        raise _too_deep()
    parts = []
    for position, item in enumerate(value):
        try:
            parts.append(_text(item, depth - 1, number))
        except InvalidEventError as error:
            raise _inside(str(position), error) from None
    return "[" + ",".join(parts) + "]"


def _sorted_names(value: dict[Any, Any]) -> list[str]:
    """Sort by UTF-16 code units (RFC 8785 section 3.2.3), which differs from code-point order
    only where astral characters meet U+E000 and above."""
    for name in value:
        if not isinstance(name, str):
            raise InvalidEventError(f"the name {shown(repr(name))} is not a string")
    if all(map(str.isascii, value)):
        return sorted(value)
    return sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def number_text(value: float) -> str:
    """Return the ECMAScript text of a finite double (RFC 8785 section 3.2.2.3).

    Python's `repr` finds the same shortest digits; only the layout differs.

    Raises:
        InvalidEventError: NaN or an infinity.
    """
    text = repr(value)
    if "e" not in text:
        if text.endswith(".0"):
            return "0" if value == 0 else text[:-2]
        if "n" not in text:  # nan, inf
            # repr is positional from 1e-4 up to 1e16, where ECMAScript is too.
            return text
        raise InvalidEventError("NaN and Infinity have no JSON form; send a string or null")
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).rstrip("0")
    # ECMA-262 Number::toString: the value is 0.digits × 10^point.
    point = int(exponent) + len(whole)
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def _door_number(value: float) -> str:
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        if value - value != 0:
            return number_text(value)  # refuses, and says why
        raise _too_large()
    return number_text(value)


def decode(text: bytes | str) -> Any:
    """Decode JSON that somebody sends in.

    Raises:
        InvalidEventError: not JSON, not UTF-8, a byte order mark, a duplicate name (at any
            depth), NaN or Infinity, a number beyond ±(2^53 − 1), or absurdly deep nesting.
    """
    return _decode(text, _door_integer, _door_float)


def decode_stored(line: bytes) -> Any:
    """Decode a stored line, every number as the double it stands for.

    Raises:
        InvalidEventError: as `decode`, but numbers of any size pass here.
    """
    return _decode(line, float, float)


def _decode(
    text: bytes | str, parse_int: Callable[[str], Any], parse_float: Callable[[str], Any]
) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(
            text,
            object_pairs_hook=_unique_names,
            parse_constant=_refuse_constant,
            parse_int=parse_int,
            parse_float=parse_float,
        )
    except UnicodeDecodeError as error:
        raise InvalidEventError(f"not UTF-8 at byte {error.start + 1}") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        where = (
            f"line {error.lineno} column {error.colno}"
            if error.lineno > 1
            else (f"column {error.colno}")
        )
        raise InvalidEventError(f"not JSON: {error.msg} at {where}") from None


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = sorted(name for name, _ in pairs)
        twice = next(one for one, other in pairwise(names) if one == other)
        raise InvalidEventError(f'the name "{shown(twice)}" appears twice in one object')
    return members


def _refuse_constant(name: str) -> Any:
    raise InvalidEventError(f"{name} has no JSON form; send a string or null")


def _door_integer(text: str) -> int:
    # 17 characters hold every safe integer with its sign; int() of thousands of digits is slow.
    if len(text) > 17 or not -MAX_SAFE_INTEGER <= (value := int(text)) <= MAX_SAFE_INTEGER:
        raise _too_large(text)
    return value


def _door_float(text: str) -> float:
    value = float(text)
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise _too_large(text)
    return value


def _too_large(text: str = "") -> InvalidEventError:
    digits = f" {text[:24]}{'…' if len(text) > 24 else ''}" if text else ""
    return InvalidEventError(f"the number{digits} is beyond ±(2^53-1); send it as a string")


def _too_deep() -> InvalidEventError:
    return InvalidEventError(f"nested deeper than {MAX_DEPTH} levels")


def _inside(name: str, error: InvalidEventError) -> InvalidEventError:
    member = shown(name) if error.member is None else f"{shown(name)}.{error.member}"
    return InvalidEventError(error.args[0], member)


def shown(name: str, limit: int = 60) -> str:
    """Return a name as an error message may carry it: printable, valid Unicode, not long."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _surrogate_path(value: Any) -> str:
    """Say where the lone surrogate is, in a value or in its name; "" when `value` is the one."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, (list, tuple))
        else ()
    )
    for name, item in items:
        try:
            (str(name) + _text(item, 1000, number_text)).encode("utf-8")
        except UnicodeEncodeError:
            rest = _surrogate_path(item)
            return f"{shown(str(name))}.{rest}" if rest else shown(str(name))
    return ""

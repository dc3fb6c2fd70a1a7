"""Ledgers and ways to damage them, for holding verifiers against each other.

Why it exists: the product and `scripts/verify_ledger.py` must give one answer for any bytes.
Random bytes never get past the first check, so the interesting ledgers are made here: good ones,
and good ones changed in one place, many with all hashes computed anew, so that only the rule in
question stands between the change and "intact".

Guarantees: nothing here imports the package or the verifier under test. The `rfc8785` package
says what is canonical and `hashlib` what a hash is. All choices come from the `random.Random`
passed in, so a case that fails can be made again from its seed.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import rfc8785

ZEROS = "0" * 64
KINDS = ("other", "request_allowed", "a", "deploy.step_1.x.y", "k" + "z" * 63)
TIMES = (
    "2026-01-31T12:00:00.000000+00:00",
    "2026-01-31T12:00:00.000001+00:00",
    "1999-12-31T23:59:59.999999+00:00",
)


class Case(NamedTuple):
    """One ledger. `verdict` is what it must get, or None where only agreement is asked for."""

    name: str
    data: bytes
    verdict: str | None = None


# Raw text of a payload -> is that text canonical (and so valid)?
PAYLOADS: dict[str, bool] = {
    "{}": True,
    '{"a":1}': True,
    '{"":""}': True,
    '{"a":[],"b":{},"c":null,"d":true,"e":false}': True,
    '{"hash":"' + "f" * 64 + '","event_id":9,"prev_hash":"x"}': False,
    '{"event_id":9,"hash":"' + "f" * 64 + '","prev_hash":"x"}': True,
    # space and order
    '{"a": 1}': False,
    '{ "a":1}': False,
    '{"a":1 }': False,
    '{"a":[1, 2]}': False,
    '{"a":\t1}': False,
    '{"b":1,"a":2}': False,
    '{"a":1,"a":1}': False,
    '{"a":1,"\\u0061":1}': False,
    '{"x":{"a":1,"a":2}}': False,
    '{"a":1,"aa":2,"b":3}': True,
    '{"aa":1,"a":2}': False,
    '{"A":1,"a":2}': True,
    '{"1":1,"10":2,"2":3}': True,
    # UTF-16 order puts astral keys before U+E000..U+FFFF; code points and UTF-8 do not
    '{"\U0001f600":1,"\ufb33":2}': True,
    '{"\ufb33":2,"\U0001f600":1}': False,
    '{"\U0001f600":1,"\ue000":2,"\uffff":3}': True,
    '{"\ud7ff":0,"\U00010000":1,"\U0010ffff":1,"\ue000":2}': True,
    '{"a\U0001f600":1,"a\uff5e":2}': True,
    # strings
    '{"a":"\\u0041"}': False,
    '{"a":"\\/"}': False,
    '{"a":"\\u001F"}': False,
    '{"a":"\\u001f\\u0000\\u000b"}': True,
    '{"a":"\\b\\t\\n\\f\\r\\"\\\\"}': True,
    '{"a":"\\u0008"}': False,
    '{"a":"\\u0009"}': False,
    '{"a":"\\u000a"}': False,
    '{"a":"\\u000c"}': False,
    '{"a":"\\u000d"}': False,
    '{"a":"\\u0022"}': False,
    '{"a":"\\u005c"}': False,
    '{"a":"\x7f\x80\x9f\xa0"}': True,
    '{"a":"\\u007f"}': False,
    '{"a":"\u2028\u2029\x85\ufeff\ufffe\uffff\U0010ffff"}': True,
    '{"a":"\\u2028"}': False,
    '{"a":"e\u0301"}': True,
    '{"\x7f":1,"\x80":2}': True,
    '{"\\b":1,"\\u0000":2}': False,
    '{"\\u0000":2,"\\b":1}': True,
    '{"\\n":1,"1":2}': True,
    '{"a":"\\ud83d\\ude00"}': False,
    '{"a":"\\ud83d"}': False,
    '{"a":"\\ude00\\ud83d"}': False,
    '{"\\udc00":1}': False,
    '{"a":"\t"}': False,
    '{"a":"\x00"}': False,
    '{"a":"\x1f"}': False,
    '{"a":"\\x41"}': False,
    '{"a":"\\u00 1"}': False,
    '{"a":"\\u+041"}': False,
    '{"a":"\\u"}': False,
    '{"a":"\\U00000041"}': False,
    "{\"a\":'b'}": False,
    '{"a":"b}': False,
    # numbers
    '{"a":0}': True,
    '{"a":-1}': True,
    '{"a":-0}': False,
    '{"a":-0.0}': False,
    '{"a":0.0}': False,
    '{"a":1.0}': False,
    '{"a":1.50}': False,
    '{"a":1.5}': True,
    '{"a":01}': False,
    '{"a":-01}': False,
    '{"a":+1}': False,
    '{"a":.5}': False,
    '{"a":1.}': False,
    '{"a":1e2}': False,
    '{"a":1E2}': False,
    '{"a":1e+21}': True,
    '{"a":1e21}': False,
    '{"a":1E+21}': False,
    '{"a":1e+021}': False,
    '{"a":1.0e+21}': False,
    '{"a":1000000000000000000000}': False,
    '{"a":100000000000000000000}': True,
    '{"a":999999999999999900000}': True,
    '{"a":999999999999999999999}': False,
    '{"a":9007199254740991}': True,
    '{"a":9007199254740992}': True,
    '{"a":9007199254740993}': False,
    '{"a":-9007199254740993}': False,
    '{"a":9007199254740994}': True,
    '{"a":10000000000000000}': True,
    '{"a":1e16}': False,
    '{"a":1e+16}': False,
    '{"a":123456789012345680}': True,
    '{"a":123456789012345678}': False,
    '{"a":18446744073709552000}': True,
    '{"a":18446744073709551615}': False,
    '{"a":18446744073709551616}': False,
    '{"a":-9223372036854775808}': False,
    '{"a":-9223372036854776000}': True,
    '{"a":0.000001}': True,
    '{"a":0.0000001}': False,
    '{"a":1e-7}': True,
    '{"a":1e-07}': False,
    '{"a":1E-7}': False,
    '{"a":1.5e-7}': True,
    '{"a":15e-8}': False,
    '{"a":0.1}': True,
    '{"a":0.10000000000000001}': False,
    '{"a":0.30000000000000004}': True,
    '{"a":0.3000000000000000444}': False,
    '{"a":5e-324}': True,
    '{"a":4.9e-324}': False,
    '{"a":3e-324}': False,
    '{"a":1e-400}': False,
    '{"a":2.2250738585072014e-308}': True,
    '{"a":1.7976931348623157e+308}': True,
    '{"a":1.7976931348623159e+308}': False,
    '{"a":1e400}': False,
    '{"a":1e+400}': False,
    '{"a":-1e400}': False,
    '{"a":1' + "0" * 5000 + "}": False,
    '{"a":0.' + "1" * 5000 + "}": False,
    '{"a":333333333.3333333}': True,
    '{"a":333333333.33333329}': False,
    '{"a":NaN}': False,
    '{"a":Infinity}': False,
    '{"a":-Infinity}': False,
    '{"a":nan}': False,
    '{"a":0x10}': False,
    '{"a":1_000}': False,
    '{"a":\u0661}': False,
    '{"a":--1}': False,
    '{"a":1e}': False,
    '{"a":1e+}': False,
    '{"a":-}': False,
    # not JSON, or not an object
    '{"a":True}': False,
    '{"a":nul}': False,
    '{"a":1,}': False,
    '{"a":[1,]}': False,
    '{"a":[1,,2]}': False,
    "{,}": False,
    '{"a"}': False,
    '{"a":1 "b":2}': False,
    "{a:1}": False,
    "{1:1}": False,
    '{"a":1}/**/': False,
    "[]": False,
    "[{}]": False,
    "null": False,
    "true": False,
    "1": False,
    '""': False,
    '"{}"': False,
    "": False,
    "{": False,
    "}": False,
    "{}}": False,
    "{}{}": False,
    # depth: the payload is 1
    '{"a":' + "[" * 63 + "]" * 63 + "}": True,
    '{"a":' + "[" * 64 + "]" * 64 + "}": False,
    '{"a":' * 64 + "1" + "}" * 64: True,
    '{"a":' * 65 + "1" + "}" * 65: False,
    '{"a":' + "[" * 62 + '{"' + "[" * 200 + '":"' + "{" * 200 + '"}' + "]" * 62 + "}": True,
    '{"a":[' + ",".join(["[]"] * 200) + "]}": True,
    '{"a":"' + "[" * 100_000 + '"}': True,
    '{"a":"\\"' + "[" * 300 + '\\\\"}': True,
    '{"a":' + "[" * 100_000 + "]" * 100_000 + "}": False,
    '{"a":' + "[" * 100_000: False,
    '{"a":' * 100_000: False,
    "[" * 100_000: False,
    # wide
    '{"a":"' + "x" * 200_000 + '"}': True,
    '{"a":[' + ",".join(["1"] * 5000) + "]}": True,
    "{" + ",".join(f'"k{n:04d}":{n}' for n in range(500)) + "}": True,
}

# Text of a timestamp -> is it RFC 3339 with an offset?
TIMESTAMPS: dict[str, bool] = {
    "2026-01-31T12:00:00Z": True,
    "2026-01-31t12:00:00z": True,
    "2026-01-31T12:00:00.5Z": True,
    "2026-01-31T12:00:00.123456789012345678901234567890+05:30": True,
    "2026-01-31T12:00:00-00:00": True,
    "2026-01-31T12:00:00+23:59": True,
    "2026-01-31T12:00:00-23:59": True,
    "0000-01-01T00:00:00Z": True,
    "0000-02-29T00:00:00+23:59": True,
    "9999-12-31T23:59:59.999999-23:59": True,
    "2024-02-29T00:00:00Z": True,
    "2000-02-29T00:00:00Z": True,
    "2016-12-31T23:59:60Z": True,
    "2016-12-31T23:59:60.999Z": True,
    "2017-01-01T00:59:60+01:00": True,
    "2016-12-31T18:59:60-05:00": True,
    "2017-01-01T05:29:60+05:30": True,
    "2015-06-30T23:59:60Z": True,
    "2026-02-28T23:59:60Z": True,
    "2024-02-29T23:59:60Z": True,
    "2024-02-28T23:59:60Z": False,
    "2016-12-31T23:59:60+01:00": False,
    "2016-12-31T22:59:60Z": False,
    "2016-12-30T23:59:60Z": False,
    "2017-01-01T23:59:60Z": False,
    "2016-12-31T23:58:60Z": False,
    "2016-12-31T23:59:61Z": False,
    "2026-01-31T12:00:00": False,
    "2026-01-31 12:00:00Z": False,
    "2026-01-31T12:00:00 Z": False,
    "2026-01-31T12:00Z": False,
    "2026-01-31T12Z": False,
    "2026-01-31": False,
    "20260131T120000Z": False,
    "2026-01-31T12:00:00.Z": False,
    "2026-01-31T12:00:00,5Z": False,
    "2026-01-31T12:00:00+0530": False,
    "2026-01-31T12:00:00+05": False,
    "2026-01-31T12:00:00+5:30": False,
    "2026-01-31T12:00:00+24:00": False,
    "2026-01-31T12:00:00+00:60": False,
    "2026-01-31T12:00:00\u221205:00": False,
    "2026-01-31T24:00:00Z": False,
    "2026-01-31T12:60:00Z": False,
    "2026-00-10T12:00:00Z": False,
    "2026-13-10T12:00:00Z": False,
    "2026-01-00T12:00:00Z": False,
    "2026-01-32T12:00:00Z": False,
    "2026-02-29T12:00:00Z": False,
    "2026-04-31T12:00:00.000000+00:00": False,
    "1900-02-29T12:00:00Z": False,
    "99999-01-01T00:00:00Z": False,
    "-2026-01-01T00:00:00Z": False,
    "+2026-01-01T00:00:00Z": False,
    "226-01-01T00:00:00Z": False,
    " 2026-01-31T12:00:00Z": False,
    "2026-01-31T12:00:00Z ": False,
    "2026-01-31T12:00:00Z\\n": False,
    "2026-01-31T12:00:00ZZ": False,
    "\u0662026-01-31T12:00:00Z": False,
    "202\u0666-01-31T12:00:00Z": False,
    "2026-W05-6T12:00:00Z": False,
    "": False,
}

# Member -> raw JSON text of a value -> is it valid there?
MEMBERS: dict[str, dict[str, bool]] = {
    "event_id": {
        **dict.fromkeys(
            ("1.0", "1e0", "01", "-1", "0", "-0", '"2"', "null", "true", "[2]", "{}", "2.5", ""),
            False,
        ),
        **dict.fromkeys(("9007199254740993", "1e400", "NaN", "1e21", "5e-324", " 2", "2 "), False),
    },
    "kind": {
        '"a"': True,
        '"' + "a" * 64 + '"': True,
        '"a.b.c.d"': True,
        '"a.1._"': True,
        '"a.' + "b" * 63 + '"': True,
        **dict.fromkeys(
            ('"' + "a" * 65 + '"', '"a.' + "b" * 64 + '"', '"a.b.c.d.e"', '"a..b"', '".a"', '"a."'),
            False,
        ),
        **dict.fromkeys(('""', '"A"', '"1a"', '"_a"', '"a-b"', '"a b"', '"\u00e4"'), False),
        **dict.fromkeys(('"a\\n"', '"a\u0661"', "null", "1", "true", "[]", "{}", '["a"]'), False),
    },
    "source": {
        '"s"': True,
        '" "': True,
        '"\u00a0\u2028\u202e\ufeff"': True,
        '"' + "s" * 256 + '"': True,
        '"' + "\U0001f600" * 256 + '"': True,
        '"quote \\" backslash \\\\"': True,
        **dict.fromkeys(('""', '"' + "s" * 257 + '"', '"' + "\u00e9" * 257 + '"'), False),
        **dict.fromkeys(('"a\\n"', '"\\u0000"', '"\x7f"', '"\x80"', '"\x9f"', '"\\t"'), False),
        **dict.fromkeys(("null", "1", "false", "[]", "{}"), False),
    },
    "prev_hash": dict.fromkeys(
        ('""', '"0"', '"' + "A" * 64 + '"', '"' + "0" * 63 + '"', '"' + "0" * 65 + '"', "null"),
        False,
    ),
    "timestamp": {
        **{f'"{text}"': valid for text, valid in TIMESTAMPS.items()},
        **dict.fromkeys(("null", "0", "true", "[]", "{}"), False),
    },
}


def seal(body: bytes, marker: bytes = b'"hash":"?",') -> tuple[bytes, str]:
    """Fill in the hash of a raw line (no LF) that holds `marker` once, whatever else it holds.

    Returns the line and its hash: SHA-256 over the bytes around the marker.
    """
    before, found, after = body.partition(marker)
    assert found, body[:200]
    digest = hashlib.sha256(before + after).hexdigest()
    return before + marker.replace(b"?", digest.encode()) + after, digest


def raw_line(event_id: int, prev_hash: str, /, **members: str) -> bytes:
    """Return an unsealed line from the raw JSON text of its members; defaults are valid."""
    texts = {
        "event_id": str(event_id),
        "hash": '"?"',
        "kind": '"other"',
        "payload": "{}",
        "prev_hash": f'"{prev_hash}"',
        "source": '"test"',
        "timestamp": f'"{TIMES[0]}"',
        **members,
    }
    text = "{" + ",".join(f'"{name}":{value}' for name, value in texts.items()) + "}"
    return text.encode("utf-8", "surrogatepass")


def chain(bodies: Iterable[dict[str, str]]) -> list[bytes]:
    """Link and seal lines from raw member texts; returns them without LF."""
    lines, prev_hash = [], ZEROS
    for number, members in enumerate(bodies, 1):
        line, prev_hash = seal(raw_line(number, prev_hash, **members))
        lines.append(line)
    return lines


def event_line(event: dict[str, Any]) -> tuple[bytes, str]:
    """Return the stored line (no LF) of an event without `hash`, by definition, and its hash."""
    digest = hashlib.sha256(rfc8785.dumps(event)).hexdigest()
    return rfc8785.dumps({**event, "hash": digest}), digest


def join(lines: Iterable[bytes]) -> bytes:
    """Return the lines as a file: an LF after each."""
    return b"".join(line + b"\n" for line in lines)


def random_number(rng: random.Random) -> float:
    """Return a finite double of any magnitude, or a whole number below 2^53."""
    choice = rng.randrange(4)
    if choice == 0:
        return rng.randint(-(2**53) + 1, 2**53 - 1) >> rng.randrange(54)
    if choice == 1:
        return rng.uniform(-1, 1) * 10.0 ** rng.randint(-9, 23)
    if choice == 2:
        return round(rng.uniform(-1000, 1000), rng.randrange(5))
    value: float = struct.unpack("<d", rng.randbytes(8))[0]
    return value if value - value == 0 else 0.5


def random_text(rng: random.Random) -> str:
    """Return text that meets the corners: controls, quotes, DEL, U+2028, both ends of planes."""
    alphabet = (
        'ab:,{}[]"\\/\x00\x08\n\x1f\x7f\x80\u00e9\u2028\ud7ff\ue000\uffff\U00010000\U0010ffff'
    )
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(8)))


def random_value(rng: random.Random, depth: int = 3) -> Any:
    """Return a JSON value of at most `depth` levels."""
    choice = rng.randrange(8 if depth else 6)
    if choice < 2:
        return random_number(rng)
    if choice < 4:
        return random_text(rng)
    if choice < 6:
        return rng.choice((None, True, False))
    if choice == 6:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {random_text(rng): random_value(rng, depth - 1) for _ in range(rng.randrange(5))}


def build_lines(count: int, rng: random.Random, *, plain: bool = False) -> list[bytes]:
    """Return the lines (no LF) of a good ledger; `plain` ones hold ASCII text and integers."""
    lines, prev_hash = [], ZEROS
    for number in range(1, count + 1):
        payload = {"n": rng.randrange(1000)} if plain else {"v": random_value(rng), "n": number}
        event = {
            "event_id": number,
            "kind": rng.choice(KINDS),
            "payload": payload,
            "prev_hash": prev_hash,
            "source": "test" if plain else rng.choice(("test", "a b", "\u00fc", "\U0001f600 \\")),
            "timestamp": rng.choice(TIMES),
        }
        line, prev_hash = event_line(event)
        lines.append(line)
    return lines


# ---------------------------------------------------------------- cases known by construction


def known_cases() -> Iterator[Case]:
    """Yield ledgers whose verdict follows from how they are made: all hashes are right, so one
    rule alone decides."""
    yield Case("empty", b"", "empty")
    good: dict[str, str] = {}
    for label, payload in enumerate(PAYLOADS):
        verdict = "intact" if PAYLOADS[payload] else "broken"
        for place in (0, 1, 2):
            bodies = [good, good, good]
            bodies[place] = {"payload": payload}
            yield Case(f"payload-{label}-at-{place}: {payload:.40}", join(chain(bodies)), verdict)
    for member, values in MEMBERS.items():
        for value, valid in values.items():
            bodies = [good, {member: value}, good]
            verdict = "intact" if valid else "broken"
            yield Case(f"{member}: {value:.60}", join(chain(bodies)), verdict)
    yield from _every_character()
    yield from _shapes_of_envelopes()


def _every_character() -> Iterator[Case]:
    """Each of the first 0x300 characters, and those around the edges, raw and escaped."""
    codes = [*range(0x300), 0x2027, 0x2028, 0x2029, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF]
    codes += [0x10000, 0x1F600, 0x10FFFF]
    for code in codes:
        right = rfc8785.dumps({"k": chr(code), chr(code): 1}).decode()
        raw = f'{{"k":"{chr(code)}"}}'
        escaped = f'{{"k":"\\u{code:04x}"}}' if code < 0x10000 else None
        yield Case(f"char-{code:x}-right", join(chain([{"payload": right}])), "intact")
        for name, text in (("raw", raw), ("escaped", escaped)):
            if text is not None and chr(code) != "\n":
                same = text.encode() == rfc8785.dumps({"k": chr(code)})
                verdict = "intact" if same else "broken"
                yield Case(f"char-{code:x}-{name}", join(chain([{"payload": text}])), verdict)


def _shapes_of_envelopes() -> Iterator[Case]:
    first = chain([{}])
    prev_hash = seal(raw_line(1, ZEROS))[1]
    line = raw_line(2, prev_hash)
    changes: dict[str, tuple[bytes, bytes]] = {
        "space after brace": (b'{"event', b'{ "event'),
        "space before brace": (b'{"event', b' {"event'),
        "space at end": (b'"}', b'"} '),
        "tab at end": (b'"}', b'"}\t'),
        "CR at end": (b'"}', b'"}\r'),
        "NUL at end": (b'"}', b'"}\0'),
        "second value": (b'"}', b'"}{}'),
        "BOM": (b'{"event', b'\xef\xbb\xbf{"event'),
        "array": (b'{"event_id":2', b'[{"event_id":2'),
        "extra member last": (b'"}', b'","trailer":1}'),
        "extra member sorted": (b'"kind":', b'"extra":1,"kind":'),
        "extra member empty": (b'{"event_id"', b'{"":1,"event_id"'),
        "escaped name": (b'"kind"', b'"\\u006bind"'),
        "upper-case name": (b'"kind"', b'"Kind"'),
        "missing source": (b',"source":"test"', b""),
        "missing kind": (b'"kind":"other",', b""),
        "missing event_id": (b'"event_id":2,', b""),
        "missing payload": (b'"payload":{},', b""),
        "missing prev_hash": (b'"prev_hash":"' + prev_hash.encode() + b'",', b""),
        "duplicate source": (b',"source":"test"', b',"source":"test","source":"test"'),
        "duplicate event_id": (b'"event_id":2,', b'"event_id":2,"event_id":2,'),
        "comma at end": (b'"}', b'",}'),
        "no brace at end": (b'"}', b'"'),
        "invalid UTF-8 in source": (b'"test"', b'"te\xffst"'),
        "overlong UTF-8": (b'"test"', b'"te\xc0\xafst"'),
        "UTF-8 surrogate": (b'"test"', b'"te\xed\xa0\x80st"'),
        "UTF-8 beyond U+10FFFF": (b'"test"', b'"te\xf4\x90\x80\x80st"'),
        "cut UTF-8": (b'"test"', b'"te\xe2\x82st"'),
        "NUL in source": (b'"test"', b'"te\0st"'),
        "C1 in source": (b'"test"', '"te\x85st"'.encode()),
    }
    for name, (old, new) in changes.items():
        assert old in line, name
        damaged = seal(line.replace(old, new, 1) if old != b'"}' else line[:-2] + new)[0]
        yield Case(f"envelope: {name}", join([*first, damaged]), "broken")
    reordered = line.replace(b'"event_id":2,"hash":"?",', b'"hash":"?","event_id":2,')
    yield Case("envelope: hash first", join([*first, seal(reordered)[0]]), "broken")
    for value in (b"null", b"1", b"[]", b'"' + b"F" * 64 + b'"', b'""', b'"' + b"0" * 63 + b'"'):
        wrong = line.replace(b'"hash":"?"', b'"hash":' + value)
        yield Case(f"envelope: hash {value.decode():.8}", join([*first, wrong]), "broken")
    yield Case("envelope: only names", join([*first, b"{}"]), "broken")
    for text in (b"", b" ", b"null", b"[]", b"0", b'""', b"{", b"\xff", b"\0", b"\xef\xbb\xbf"):
        yield Case(f"not an event: {text!r}", join([*first, text]), "broken")
        yield Case(f"not an event first: {text!r}", join([text, *first]), "broken")
    yield from _numbering()
    yield from _joined_timestamps()
    yield from _tails()


def _numbering() -> Iterator[Case]:
    """Events whose hashes are right, with other numbers or links."""
    for number in (0, 1, 3, 12, 2**53 - 1, 2**53, 10**16, 10**20):
        first, prev_hash = seal(raw_line(1, ZEROS))
        second, _ = seal(raw_line(number, prev_hash))
        yield Case(f"numbered {number}", join([first, second]), "broken")
        alone, _ = seal(raw_line(number, ZEROS))
        yield Case(f"alone {number}", join([alone]), "intact" if number == 1 else "broken")
    first, prev_hash = seal(raw_line(1, ZEROS))
    for name, other in (("zeros", ZEROS), ("f", "f" * 64), ("own", prev_hash[::-1])):
        second, _ = seal(raw_line(2, other))
        yield Case(f"linked to {name}", join([first, second]), "broken")
    yield Case("first linked", join([seal(raw_line(1, "f" * 64))[0]]), "broken")
    lines = chain([{}] * 12)
    yield Case("twelve", join(lines), "intact")
    yield Case("a cut front", join(lines[1:]), "broken")
    yield Case("a cut end", join(lines[:-1]), "intact")
    yield Case("CR LF", b"".join(line + b"\r\n" for line in lines), "broken")
    edited = lines[11].replace(b'"test"', b'"tent"')
    yield Case("edited last", join([*lines[:11], edited]), "broken")


def _joined_timestamps() -> Iterator[Case]:
    """Neighbours that are valid only when their texts are put together."""
    whole = TIMES[0]
    for cut in (1, 6, 10, 22):
        bodies = [
            {"timestamp": f'"{whole[:-cut]}"'},
            {"timestamp": f'"{whole[-cut:]}{whole}"'},
        ]
        yield Case(f"timestamps joined at -{cut}", join(chain(bodies)), "broken")
    bodies = [{"timestamp": f'"{whole}{whole}"'}, {"timestamp": '""'}]
    yield Case("timestamps joined whole", join(chain(bodies)), "broken")


def _tails() -> Iterator[Case]:
    lines = chain([{}, {"payload": '{"a":"\u00e9\U0001f600"}'}, {}])
    whole = join(lines)
    for end in range(len(whole)):
        verdict = "torn"
        if end == 0:
            verdict = "empty"
        elif whole[end - 1 : end] == b"\n":
            verdict = "intact"
        yield Case(f"cut at {end}", whole[:end], verdict)
    for tail in (b"\0", b"\0" * 5000, b"\r", b" ", b"{", b"x", b"\xff", lines[0], b"[" * 100_000):
        yield Case(f"tail {tail[:8]!r}", whole + tail, "torn")
        yield Case(f"tail only {tail[:8]!r}", tail, "torn")
        yield Case(f"broken and tail {tail[:8]!r}", whole + b"\n" + tail, "broken")


# ---------------------------------------------------------------- mutations of a good ledger


def mutations(lines: list[bytes], rng: random.Random, count: int) -> Iterator[Case]:
    """Yield `count` damaged copies of a good ledger (lines without LF), of every sort in turn.

    The verdict is given where the damage cannot but break the chain.
    """
    for number in range(count):
        mutate = _MUTATIONS[number % len(_MUTATIONS)]
        case = mutate(list(lines), rng)
        if case is not None:
            yield Case(f"{number}: {case.name}", case.data, case.verdict)


def bit_flips(data: bytes, rng: random.Random | None = None, count: int = 0) -> Iterator[Case]:
    """Yield copies with one bit changed: each bit, or `count` random ones."""
    bits = range(8 * len(data)) if rng is None else rng.sample(range(8 * len(data)), count)
    for bit in bits:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        yield Case(f"bit {bit}", bytes(damaged))


def _flip(lines: list[bytes], rng: random.Random) -> Case:
    return next(bit_flips(join(lines), rng, 1))


def _byte(lines: list[bytes], rng: random.Random) -> Case:
    data = bytearray(join(lines))
    at = rng.randrange(len(data))
    what = rng.choice(("set", "insert", "delete", "double"))
    value = rng.choice(b'\0\t\n\r "0,:[]{}\\aA\x7f\x80\xc3\xff')
    if what == "set":
        data[at] = value
    elif what == "delete":
        del data[at]
    else:
        data.insert(at, value if what == "insert" else data[at])
    return Case(f"{what} byte {at}", bytes(data))


def _line(lines: list[bytes], rng: random.Random) -> Case:
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.choice(("delete", "double", "swap", "move", "blank", "other"))
    if what == "delete":
        del lines[at]
    elif what == "double":
        lines.insert(at, lines[at])
    elif what == "swap":
        lines[at], lines[to] = lines[to], lines[at]
    elif what == "move":
        lines.insert(to, lines.pop(at))
    elif what == "blank":
        lines.insert(at, b"")
    else:
        lines[at] = build_lines(1, rng)[0]
    return Case(f"{what} line {at + 1} ({to + 1})", join(lines))


def _tear(lines: list[bytes], rng: random.Random) -> Case:
    data = join(lines)
    return Case("torn", data[: rng.randrange(len(data))])


def _ends(lines: list[bytes], rng: random.Random) -> Case:
    at = rng.randrange(len(lines))
    end = rng.choice((b"\r\n", b"\r", b"\n\n", b"", b"\n\r", b"\xe2\x80\xa8", b"\x0b", b"\x1e"))
    parts = [line + (end if number == at else b"\n") for number, line in enumerate(lines)]
    return Case(f"line {at + 1} ends in {end!r}", b"".join(parts))


def _text(lines: list[bytes], rng: random.Random) -> Case | None:
    """Change the text of one line in a way that leaves its meaning alone, and reseal it."""
    at = rng.randrange(len(lines))
    cut = lines[at].index(b'"hash":"')
    body = lines[at][:cut] + b'"hash":"?",' + lines[at][cut + 74 :]
    places = [n for n, byte in enumerate(body) if byte in b",:{}[]" and n > cut + 11]
    place = rng.choice(places)
    what = rng.choice((" ", "\t", "\r", "\\u", "+", "0", ".0", "e0", "E0"))
    body = body[:place] + what.encode() + body[place:]
    return Case(f"{what!r} at {place} of line {at + 1}, resealed", _resealed(lines, at, body))


def _float(lines: list[bytes], rng: random.Random) -> Case:
    """A random double, written as JCS does or in some other way, in a line that is resealed."""
    at = rng.randrange(len(lines))
    value = float(random_number(rng))
    right = rfc8785.dumps(value).decode()
    text = rng.choice((right, right, repr(value), f"{value:.17g}", f"{value:.16e}", right + "0"))
    text = rng.choice((text, text, text.upper(), text.replace("+", ""), right[:-1] + "7"))
    body = raw_line(at + 1, _prev(lines, at), payload='{"f":' + text + "}")
    try:
        same = rfc8785.dumps(float(text)).decode() == text
    except ValueError:
        same = False
    return Case(f"number {text}", _resealed(lines, at, body), "intact" if same else "broken")


def _member(lines: list[bytes], rng: random.Random) -> Case:
    at = rng.randrange(len(lines))
    member = rng.choice(sorted(MEMBERS))
    value = rng.choice(sorted(MEMBERS[member]))
    body = raw_line(at + 1, _prev(lines, at), **{member: value})
    verdict = "intact" if MEMBERS[member][value] else "broken"
    return Case(f"{member} {value:.60} resealed", _resealed(lines, at, body), verdict)


def _payload(lines: list[bytes], rng: random.Random) -> Case:
    at = rng.randrange(len(lines))
    payload = rng.choice(sorted(text for text in PAYLOADS if len(text) < 1000))
    body = raw_line(at + 1, _prev(lines, at), payload=payload)
    verdict = "intact" if PAYLOADS[payload] else "broken"
    return Case(f"payload {payload:.60} resealed", _resealed(lines, at, body), verdict)


def _keys(lines: list[bytes], rng: random.Random) -> Case:
    """Random keys, in JCS order, code-point order, or shuffled; resealed."""
    at = rng.randrange(len(lines))
    keys = sorted({random_text(rng) for _ in range(4)})
    right = rfc8785.dumps(dict.fromkeys(keys, 1)).decode()
    if rng.random() < 0.5:
        rng.shuffle(keys)
    quoted = (rfc8785.dumps(key).decode() for key in keys)
    text = "{" + ",".join(f"{key}:1" for key in quoted) + "}"
    body = raw_line(at + 1, _prev(lines, at), payload=text)
    verdict = "intact" if text == right else "broken"
    return Case(f"keys {text!r}", _resealed(lines, at, body), verdict)


def _prev(lines: list[bytes], at: int) -> str:
    return _hash_of(lines[at - 1]) if at else ZEROS


def _hash_of(line: bytes) -> str:
    start = line.index(b'"hash":"') + 8
    return line[start : start + 64].decode()


def _resealed(lines: list[bytes], at: int, body: bytes) -> bytes:
    """Put an unsealed line at index `at`, and link and seal all that follow anew."""
    sealed, prev_hash = seal(body)
    after = []
    for line in lines[at + 1 :]:
        old = line.rindex(b'"prev_hash":"') + 13
        linked = line[:old] + prev_hash.encode() + line[old + 64 :]
        cut = linked.index(b'"hash":"')
        unsealed = linked[:cut] + b'"hash":"?",' + linked[cut + 74 :]
        line, prev_hash = seal(unsealed)
        after.append(line)
    return join([*lines[:at], sealed, *after])


_MUTATIONS = (_flip, _byte, _line, _tear, _ends, _text, _float, _member, _payload, _keys)

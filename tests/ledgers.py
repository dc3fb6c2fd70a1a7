"""Ledgers made without the package under test: `rfc8785` for the bytes, `hashlib` for the hash.

A test that compares the package with itself proves little, so what should be stored is worked
out here a second time, from the format's definition and nothing else. The strategies generate
what a caller may send.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import rfc8785
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ZEROS = "0" * 64
NOON = "2026-01-31T12:00:00.000000+00:00"
SAFE = 2**53 - 1


def seal(members: dict[str, Any]) -> bytes:
    """Return the stored line (without LF) of an event whose `hash` is still to be worked out."""
    rest = {name: value for name, value in members.items() if name != "hash"}
    digest = hashlib.sha256(rfc8785.dumps(rest)).hexdigest()
    return rfc8785.dumps({**rest, "hash": digest})


def hash_of(line: bytes) -> str:
    """Return the hash that a stored line carries: it follows `{"event_id":N,"hash":"`."""
    start = line.index(b'"hash":"') + len('"hash":"')
    return line[start : start + 64].decode()


def event(event_id: int = 1, prev_hash: str = ZEROS, **members: Any) -> bytes:
    """Return one stored line (without LF); `members` replace the defaults."""
    return seal(
        {
            "event_id": event_id,
            "kind": "other",
            "payload": {},
            "prev_hash": prev_hash,
            "source": "test",
            "timestamp": NOON,
            **members,
        }
    )


def sealed_text(event_id: int, middle: bytes, prev_hash: str = ZEROS) -> bytes:
    """Return a line with the right hash over raw bytes that `rfc8785` would never write.

    `middle` stands where `"kind":…,"payload":…` belong.
    """
    tail = b',%b,"prev_hash":"%b","source":"test","timestamp":"%b"}' % (
        middle,
        prev_hash.encode(),
        NOON.encode(),
    )
    digest = hashlib.sha256(b'{"event_id":%d%b' % (event_id, tail)).hexdigest()
    return b'{"event_id":%d,"hash":"%b"%b' % (event_id, digest.encode(), tail)


def with_payload(payload: bytes, event_id: int = 1, prev_hash: str = ZEROS) -> bytes:
    """Return a line with the right hash over a payload given as raw text."""
    return sealed_text(event_id, b'"kind":"other","payload":%b' % payload, prev_hash)


def chained(
    events: Iterable[dict[str, Any]], start: int = 1, prev_hash: str = ZEROS
) -> list[bytes]:
    """Return the stored lines (without LF) of events that follow one another."""
    lines = []
    for event_id, members in enumerate(events, start):
        lines.append(event(event_id, prev_hash, **members))
        prev_hash = hash_of(lines[-1])
    return lines


def numbered(count: int, **members: Any) -> list[bytes]:
    """Return `count` chained lines that differ in their payloads."""
    return chained({"payload": {"n": n}, **members} for n in range(1, count + 1))


def joined(lines: Iterable[bytes]) -> bytes:
    """Return the ledger of these lines."""
    return b"".join(line + b"\n" for line in lines)


def flips(data: bytes, positions: Sequence[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield (bit position, data with that bit changed)."""
    for position in range(len(data) * 8) if positions is None else positions:
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        yield position, bytes(changed)


# -- what callers may send ---------------------------------------------------------------------

texts = st.text(
    st.one_of(
        st.characters(exclude_categories=("Cs",)),
        st.sampled_from('\x00\x01\x1f"\\/\x7f\x80\x9f\u2028\u2029\ud7ff\ue000\uffff\U00010000😀'),
    ),
    max_size=12,
)
"""Text with the characters that JSON escapes, that terminals obey, and that UTF-16 sorts apart."""

_EDGES = [
    0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1e-7, 1e-6, 9.999999e-7, 0.0001, 1e-5, 0.1, 1.0,
    1.5, 123456789012345.6, 9007199254740991.0, 1e15, 1e14, 333333333.33333329, 1e-27, 4.5e-5,
]  # fmt: skip
safe_floats = st.one_of(
    st.sampled_from([*_EDGES, *(-edge for edge in _EDGES)]),
    st.floats(-float(SAFE), float(SAFE)),
    st.floats(-1e-3, 1e-3),
)
"""Finite doubles within ±(2^53 - 1), of every magnitude."""

any_floats = st.one_of(
    safe_floats,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e16, 1e20, 1e21, 999999999999999900000.0, 1.7976931348623157e308, 2.0**53]),
)
"""All finite doubles."""

safe_integers = st.one_of(
    st.integers(-SAFE, SAFE), st.integers(-1000, 1000), st.sampled_from([SAFE, -SAFE])
)


def values(floats: st.SearchStrategy[float] = safe_floats) -> st.SearchStrategy[Any]:
    """JSON values, nested a few levels."""
    leaves = st.one_of(st.none(), st.booleans(), safe_integers, floats, texts)
    return st.recursive(
        leaves,
        lambda inside: st.one_of(
            st.lists(inside, max_size=4), st.dictionaries(texts, inside, max_size=4)
        ),
        max_leaves=12,
    )


def payloads(floats: st.SearchStrategy[float] = safe_floats) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects."""
    return st.dictionaries(texts, values(floats), max_size=5)


sources = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
_words = st.text("abcxyz019_", min_size=1, max_size=8)
kinds = st.builds(
    lambda first, rest: ".".join(["k" + first, *rest]), _words, st.lists(_words, max_size=3)
)

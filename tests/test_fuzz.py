"""Bytes in, verdict out.

The invariant: nothing that a file contains makes verify, query, tail, stats, follow or get raise
anything but an AuditStreamError, and what they say agrees:

* verification gives a verdict, the same from a file, from memory and through a pipe;
* what a query prints is in the file, byte for byte, and every printed line is a valid event by
  itself; every other complete line is reported as damaged;
* an append either is refused and changes nothing, or leaves a ledger whose verdict it cannot
  have made worse, with all complete lines in their places;
* a follower gives out every complete line.

Random bytes hardly ever get past the first check, so most files start out as valid ledgers.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit_stream import Ledger
from audit_stream.errors import AuditStreamError, DamagedTailError, InvalidEventError, PinError
from audit_stream.pins import Pin
from audit_stream.query import Damage, damage_of
from audit_stream.storage.snapshot import BLOCK_SIZE, may_begin_line
from audit_stream.verification import Expectations, verify_bytes, verify_stream
from tests.ledgers import NOON, chained, hash_of, joined, numbered, payloads, with_payload

GOOD = [
    *numbered(5),
    *chained(
        {"payload": {"f": n / 7, "t": "é😀\x00\u2028", "l": [[], {}, None]}, "timestamp": time}
        for n, time in enumerate([NOON, "2016-12-31T23:59:60Z", "0000-01-01t00:00:00+23:59"])
    ),
]
ODD = [
    b"",
    b" ",
    b"{}",
    b"null",
    b"[" * 3000,
    b'{"event_id":1,"hash":"',
    b'{"event_id":999999999999999999,"hash":"' + b"0" * 64 + b'"}',
    b'{"event_id":' + b"9" * 5000 + b',"hash":"',
    b"\xff\xfe\x00",
    b"\x00" * 300,
    b'{"event_id":2,' + b"x" * 70_000,
    b"y" * 70_000,
    GOOD[1].replace(b'"n":2', b'"n":' + b"1" * 400),
    GOOD[1].replace(b'{"n":2}', b"[" * 2000 + b"]" * 2000),
    GOOD[2].replace(NOON.encode(), b"+00:00"),
    GOOD[2].replace(b'"other"', b'"\\ud800"'),
    with_payload(b'{"a":1e400}'),
    with_payload(b'{"a":' * 2000 + b"1" + b"}" * 2000),
]
SNIPPETS = [
    b"\n", b"\r", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"9" * 30, b"1e999", b"-",
    b"\\u0000", b"\\ud83d", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xff", b"\x00", b"null",
    b'"event_id":', b'"hash":"', b'"kind":"other","payload":{', b"+00:00", b"\xe2\x80\xa8",
]  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A valid ledger, lines of any kind, or bytes; then a few bytes exchanged, moved, cut off."""
    whole = draw(st.integers(0, 5))
    lines = draw(
        st.one_of(
            st.just(GOOD[:whole]),
            st.lists(st.sampled_from([*GOOD, *ODD]), max_size=8),
            st.lists(payloads(), max_size=3).map(
                lambda many: chained({"payload": p} for p in many)
            ),
        )
    )
    data = bytearray(draw(st.one_of(st.just(joined(lines)), st.binary(max_size=120))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 4]))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.sampled_from([0, 0, 1, 1, 2, 90]))
        data[at:end] = draw(st.one_of(st.sampled_from(SNIPPETS), st.binary(max_size=3)))
    return bytes(data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 7, 200]))])


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def attempt(use: Callable[[], Any]) -> tuple[Any, AuditStreamError | None]:
    """What `use` gives, or the one kind of error that it may raise."""
    try:
        return use(), None
    except AuditStreamError as error:
        return None, error


def complete_lines(data: bytes) -> list[bytes]:
    return data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]


@given(files())
@example(b"")
@example(b"\n")
@example(joined(ODD))
@example(joined(GOOD))
def test_verification_gives_a_verdict(data: bytes) -> None:
    result = verify_bytes(data)
    lines = complete_lines(data)
    assert verify_stream(io.BytesIO(data)) == result
    assert result.valid == (result.verdict in ("intact", "empty"))
    assert result.bytes == len(data)
    assert result.torn_tail_bytes == len(data) - len(joined(lines))
    good = lines[: result.checked]
    assert all(damage_of(line) is None for line in good)
    if result.verdict == "broken":
        assert result.first_break_at == result.checked + 1
        assert result.byte_offset == len(joined(good))
        assert f"event #{result.first_break_at}" in str(result.reason) or "event_id" in str(
            result.reason
        )
    else:
        assert result.checked == len(lines)
        assert result.verdict == (
            "torn" if not data.endswith(b"\n") and data else "intact" if data else "empty"
        )
    if result.checked:
        assert result.latest_hash == hash_of(good[-1])
    str(result.as_dict()).encode()


@given(files(), st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9)))
def test_reading_reports_or_prints_every_line(
    directory: Path, data: bytes, after: int, before: int | None
) -> None:
    path = directory / "ledger.jsonl"
    path.write_bytes(data)
    ledger = Ledger(path, any_kind=True)
    lines = complete_lines(data)
    damaged: list[Damage] = []
    printed = list(ledger.select(on_damage=damaged.append))
    repeated = {damage.offset for damage in damaged if "repeats" in damage.reason}
    expected, places = [], []
    for number, line in enumerate(lines):
        at = len(joined(lines[:number]))
        if at in repeated:
            assert line in lines[:number]
        if damage_of(line) or at in repeated:
            places.append(at)
        else:
            expected.append(line)
    assert printed == expected
    assert [damage.offset for damage in damaged] == places
    assert all(str(damage).isprintable() for damage in damaged)
    assert [event.line for event in ledger.query(reverse=True)] == printed[::-1]
    assert [event.line for event in ledger.tail(3)] == printed[-3:]
    within = [event.event_id for event in ledger.query(after=after, before=before)]
    assert all(after < event_id and (before is None or event_id < before) for event_id in within)
    for options in (
        {"kinds": ["other"]},
        {"sources": ["test"]},
        {"contains": "n"},
        {"where": {"n": 2}},
        {"since": "2020-01-01T00:00:00Z", "until": "9999-12-31T23:59:59-23:59"},
        {"limit": 2, "kinds": ["other"], "where": {"l.1": "x"}},
    ):
        found = [event.line for event in ledger.query(**options)]  # type: ignore[arg-type]
        assert set(found) <= set(printed)


@given(files())
def test_the_other_readers_raise_nothing_else(directory: Path, data: bytes) -> None:
    path = directory / "ledger.jsonl"
    path.write_bytes(data)
    ledger = Ledger(path)
    lines = complete_lines(data)
    tally = ledger.stats()
    assert tally.count + tally.damaged_count == len(lines)
    str(tally.members()).encode("utf-8", "backslashreplace")
    for event_id in (0, 1, 2, 5, 99, 10**18, 10**30):
        event, refused = attempt(lambda wanted=event_id: ledger.get(wanted))
        assert str(refused).isprintable()
        assert event is None or (event.event_id == event_id and event.line in lines)
    head, refused = attempt(ledger.head)
    if head is None:
        assert isinstance(refused, DamagedTailError)
        assert damage_of(lines[-1]) is not None
    else:
        assert head.count == 0 or hash_of(lines[-1]) == head.hash
    follower = ledger.follow(0)
    given_out: list[bytes] = []
    while blocks := follower.poll(500):
        for block in blocks:
            given_out += block.data[:-1].split(b"\n")
    follower.close()
    assert len(given_out) == len(lines)
    for shown, line in zip(given_out, lines, strict=True):
        hopeless = len(line) >= BLOCK_SIZE and not may_begin_line(line)
        assert line.startswith(shown) if hopeless else line == shown
    assert ledger.follow(3).poll() is not None


@given(files())
def test_an_append_is_refused_or_makes_nothing_worse(directory: Path, data: bytes) -> None:
    path = directory / "ledger.jsonl"
    path.write_bytes(data)
    lines = complete_lines(data)
    before = verify_bytes(data)
    with Ledger(path) as ledger:
        event, refused = attempt(lambda: ledger.append("other", "afterwards"))
    if event is None:
        assert isinstance(refused, DamagedTailError)
        assert str(refused).isprintable()
        assert path.read_bytes() == data
        assert damage_of(lines[-1]) is not None
        return
    after = path.read_bytes()
    assert after == joined([*lines, event.line])
    copies = list(directory.glob("*.torn-*"))
    assert [copy.read_bytes() for copy in copies] == [data[len(joined(lines)) :]] * len(copies)
    assert bool(copies) == (not data.endswith(b"\n") and data != b"")
    for copy in copies:
        os.unlink(copy)
    result = verify_bytes(after)
    if before.verdict == "broken":
        assert (result.verdict, result.first_break_at) == ("broken", before.first_break_at)
    else:
        assert (result.verdict, result.checked) == ("intact", len(lines) + 1)


@given(files(), st.integers(0, 2000), st.integers(0, 9))
def test_any_pin_with_any_file(data: bytes, offset: int, count: int) -> None:
    pin = Pin(count, hash_of(GOOD[count % 5]), offset)
    for since_pin in (False, True):
        result = verify_bytes(data, Expectations(pin=pin, since_pin=since_pin))
        assert result.verdict in ("intact", "empty", "broken", "rewritten", "truncated", "torn")
        if result.since_event_id:
            assert data[:offset].endswith(b"\n")


@given(
    st.one_of(st.binary(max_size=200), st.just(Pin(3, "ab" * 32, 9).encode())),
    st.binary(max_size=3),
)
def test_a_pin_file_is_a_pin_or_an_error(data: bytes, more: bytes) -> None:
    try:
        pin = Pin.decode(data + more)
    except PinError:
        return
    assert pin.encode() == data + more


@given(files())
def test_a_file_as_a_batch_of_drafts(directory: Path, data: bytes) -> None:
    ledger = Ledger(directory / "other.jsonl")
    read = ledger.draft_reader({"kind": "other", "source": "test"})
    drafts: list[Any] = []
    for line in data.split(b"\n"):
        made, refused = attempt(lambda text=line: read(text))
        if made is None:
            assert isinstance(refused, InvalidEventError)
            assert str(refused).isprintable()
            (refused.member or "").encode()
        else:
            drafts.append(made)
    if drafts:
        ledger.commit(drafts)
        assert ledger.verify().verdict == "intact"
        os.unlink(ledger.path)

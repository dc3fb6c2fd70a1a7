"""The contract of a storage engine: one suite, run against every engine, never skipped.

An engine that comes later is added to `ENGINES` and has to pass as it is.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from audit_stream import Ledger
from audit_stream.chain import GENESIS, Head, link
from audit_stream.errors import DamagedTailError, HeadMismatchError, InputError
from audit_stream.event import draft
from audit_stream.storage.file import FileEngine
from audit_stream.storage.memory import MemoryEngine
from audit_stream.vocabulary import Vocabulary
from tests.ledgers import NOON, chained, hash_of, joined, numbered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit_stream.storage import Build, Engine


def make_memory(directory: Path, data: bytes) -> Engine:
    return MemoryEngine(data)


def make_file(directory: Path, data: bytes) -> Engine:
    path = directory / "ledger.jsonl"
    path.write_bytes(data)
    return FileEngine(path)


ENGINES = {"memory": make_memory, "file": make_file}


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], Engine]:
    engine = ENGINES[request.param]
    return lambda data=b"": engine(tmp_path, data)  # type: ignore[misc]


def adding(*payloads: dict[str, Any]) -> Build:
    drafts = [draft("other", "test", each, vocabulary=Vocabulary()) for each in payloads]
    return lambda head: link(drafts, head, NOON)


def content(engine: Engine) -> bytes:
    with engine.snapshot() as snapshot:
        return snapshot.read_at(snapshot.size, 0)


def test_a_new_ledger_has_the_empty_head(make: Callable[..., Engine]) -> None:
    engine = make()
    assert engine.head() == GENESIS
    assert list(engine.read()) == []
    with engine.snapshot() as snapshot:
        assert (snapshot.size, snapshot.whole, snapshot.last_event_id()) == (0, 0, 0)


def test_a_commit_says_what_it_did(make: Callable[..., Engine]) -> None:
    engine = make()
    lines = chained([{"payload": {"n": 1}}, {"payload": {"n": 2}}, {"payload": {"n": 3}}])
    first = engine.commit(adding({"n": 1}))
    assert (first.before, first.head) == (GENESIS, Head(1, hash_of(lines[0])))
    assert first.lines == [lines[0] + b"\n"]
    assert first.healed is None
    second = engine.commit(adding({"n": 2}, {"n": 3}))
    assert (second.before, second.head) == (first.head, Head(3, hash_of(lines[2])))
    assert second.lines == [line + b"\n" for line in lines[1:]]
    assert engine.head() == second.head
    assert content(engine) == joined(lines)


def test_an_engine_goes_on_with_what_is_there(make: Callable[..., Engine]) -> None:
    lines = numbered(3)
    engine = make(joined(lines))
    assert engine.head() == Head(3, hash_of(lines[2]))
    assert engine.commit(adding({})).before == Head(3, hash_of(lines[2]))
    assert Ledger("ledger", engine=engine).verify().checked == 4


def test_what_build_raises_passes_through_and_nothing_is_written(
    make: Callable[..., Engine],
) -> None:
    class RefusedError(Exception):
        pass

    def refuse(head: Head) -> Any:
        raise RefusedError

    for data in (b"", joined(numbered(2)), joined(numbered(2)) + b"torn"):
        engine = make(data)
        with pytest.raises(RefusedError):
            engine.commit(refuse)
        assert content(engine) == data
        assert engine.commit(adding({})).head.count == data.count(b"\n") + 1


def test_build_may_be_called_again_so_it_is_given_every_head_anew(
    make: Callable[..., Engine],
) -> None:
    engine = make()
    heads: list[Head] = []

    def build(head: Head) -> Any:
        heads.append(head)
        return adding({})(head)

    first = engine.commit(build)
    assert heads[-1] == first.before == GENESIS
    second = engine.commit(build)
    assert heads[-1] == second.before == first.head


def test_an_empty_transaction_changes_nothing(make: Callable[..., Engine]) -> None:
    for data in (b"", joined(numbered(2)), joined(numbered(2)) + b"torn"):
        engine = make(data)
        commit = engine.commit(lambda head: ([], head))
        assert (commit.lines, commit.healed) == ([], None)
        assert commit.before == commit.head == engine.head()
        assert content(engine) == data


@pytest.mark.parametrize(
    "last",
    [
        b"",
        b"garbage",
        b"\xff",
        b"{}",
        numbered(3)[2].replace(b'"n":3', b'"n":4'),
        numbered(3)[2] + b" ",
    ],
)
def test_nothing_is_chained_onto_a_damaged_last_line(
    make: Callable[..., Engine], last: bytes
) -> None:
    data = joined([*numbered(2), last])
    engine = make(data)
    for use in (lambda: engine.commit(adding({})), engine.head):
        with pytest.raises(DamagedTailError, match="verify"):
            use()
    assert content(engine) == data


def test_damage_further_up_is_for_verification_to_find(make: Callable[..., Engine]) -> None:
    lines = numbered(3)
    engine = make(joined([lines[0], b"garbage", lines[2]]))
    assert engine.commit(adding({})).before == Head(3, hash_of(lines[2]))
    assert Ledger("ledger", engine=engine).verify().first_break_at == 2


@pytest.mark.parametrize("whole", [0, 1, 2])
@pytest.mark.parametrize("tail", [b"{", b"garbage", b"\x00" * 5000, numbered(3)[2]])
def test_an_unterminated_tail_is_no_event_and_the_next_commit_heals(
    make: Callable[..., Engine], whole: int, tail: bytes
) -> None:
    lines = numbered(whole)
    engine = make(joined(lines) + tail)
    assert engine.head() == (Head(whole, hash_of(lines[-1])) if lines else GENESIS)
    with engine.snapshot() as snapshot:
        assert (snapshot.whole, snapshot.torn) == (len(joined(lines)), len(tail))
    assert b"".join(block.data for block in engine.read()) == joined(lines)
    commit = engine.commit(adding({"n": whole + 1}))
    assert commit.before.count == whole
    assert content(engine) == joined(numbered(whole + 1))


def test_reading_from_and_to(make: Callable[..., Engine]) -> None:
    lines = numbered(9)
    engine = make(joined(lines))
    for after, before in itertools.product(range(-1, 11), [None, *range(-1, 11)]):
        wanted = lines[max(after, 0) : None if before is None else max(before - 1, 0)]
        for reverse in (False, True):
            blocks = list(engine.read(after, before=before, reverse=reverse))
            if reverse:
                blocks.reverse()
            assert b"".join(block.data for block in blocks) == joined(wanted)
            for block in blocks:
                assert block.data == content(engine)[block.offset :][: len(block.data)]


def test_a_snapshot_does_not_change(make: Callable[..., Engine]) -> None:
    engine = make(joined(numbered(2)))
    with engine.snapshot() as snapshot:
        reading = engine.read()
        first = next(reading)
        engine.commit(adding({"n": 3}))
        assert snapshot.whole == len(joined(numbered(2)))
        assert b"".join(block.data for block in snapshot.blocks()) == joined(numbered(2))
        assert first.data + b"".join(block.data for block in reading) == joined(numbered(2))
        assert snapshot.identity is not None
        with engine.snapshot() as later:
            assert later.whole > snapshot.whole
            assert later.identity == snapshot.identity
        assert snapshot.again().whole in (snapshot.whole, later.whole)


def test_waiting(make: Callable[..., Engine]) -> None:
    engine = make(joined(numbered(2)))
    assert engine.wait(1, 0)
    assert engine.wait(0, 5)
    assert not engine.wait(2, 0)
    before = time.monotonic()
    assert not engine.wait(2, 0.05)
    assert time.monotonic() - before >= 0.05
    thread = threading.Timer(0.05, lambda: engine.commit(adding({})))
    thread.start()
    before = time.monotonic()
    assert engine.wait(2, 30)
    assert time.monotonic() - before < 10
    thread.join()
    assert not engine.wait(3, 0)


def test_a_closed_engine_takes_nothing_more(make: Callable[..., Engine]) -> None:
    engine = make()
    engine.commit(adding({}))
    engine.close()
    engine.close()
    with pytest.raises(InputError, match="closed; open it again"):
        engine.commit(adding({}))


def test_threads_commit_at_once(make: Callable[..., Engine]) -> None:
    engine = make()
    acknowledged: list[bytes] = []

    def work(number: int) -> None:
        for turn in range(20):
            payloads = [{"n": number, "turn": turn, "part": part} for part in range(turn % 3 + 1)]
            acknowledged.extend(engine.commit(adding(*payloads)).lines)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = content(engine)
    assert sorted(acknowledged) == sorted(data.splitlines(keepends=True))
    assert Ledger("ledger", engine=engine).verify().checked == len(acknowledged) == 6 * 39


def test_a_commit_may_say_how_long_it_waits(make: Callable[..., Engine]) -> None:
    engine = make()
    assert engine.commit(adding({}), lock_timeout=0).head.count == 1
    assert engine.commit(adding({}), lock_timeout=5).head.count == 2


def test_an_expected_head_lets_one_of_many_win(make: Callable[..., Engine]) -> None:
    engine = make(joined(numbered(1)))
    ledger = Ledger("ledger", engine=engine)
    expected = ledger.head().hash
    outcomes: list[str] = []

    def try_it(number: int) -> None:
        try:
            outcomes.append(ledger.append("other", f"s{number}", expect_head=expected).hash)
        except HeadMismatchError as error:
            outcomes.append(error.head_hash)

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The one that won made the head that all the others were told of.
    assert outcomes == [ledger.head().hash] * 8
    assert ledger.head().count == 2


def test_the_api_over_an_engine(make: Callable[..., Engine]) -> None:
    with Ledger("ledger", engine=make()) as ledger:
        first = ledger.append("request_denied", "s1", {"n": 1})
        rest = ledger.append_many([{"kind": "other", "source": "s2"}] * 3)
        assert ledger.get(1) == first
        assert ledger.tail(2) == rest[1:]
        assert list(ledger.query(kinds=["request_denied"])) == [first]
        assert list(ledger.query(reverse=True, limit=2)) == [rest[2], rest[1]]
        assert ledger.stats().by_kind == {"other": 3, "request_denied": 1}
        assert ledger.verify(expect_head=first.hash, expect_count=1).valid
        assert ledger.verify(jobs=4).checked == 4

"""Signing a ledger: only what extends what was signed, whatever fails, whoever else signs."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from audit_stream import merkle, note, proof, verification
from audit_stream.chain import Segment
from audit_stream.checkpoint import check_successor, parse_text
from audit_stream.checkpoints import Checkpoints, believe
from audit_stream.errors import (
    ForkError,
    InputError,
    IntegrityError,
    LedgerNotFoundError,
    MalformedError,
    ProofError,
    QuorumError,
    SignatureError,
    StorageError,
)
from audit_stream.ledger import Ledger
from audit_stream.policy import parse_policy, trust
from audit_stream.signing import verify
from audit_stream.storage.file import FileEngine
from tests.faults import HOWS, Crash, FaultyDisk
from tests.signed import LOG, ORIGIN, WITNESSES, event_lines, private_key, signed, store

LINES = event_lines(40)
OTHER = event_lines(40, "other")
START = 1_767_323_045_678_901_000
TRUST = trust(LOG.key)


class Site:
    """A ledger in a directory, and a clock that a test moves."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ledger = home / "ledger.jsonl"
        self.now = START
        self.checkpoints = self.with_disk(None)

    def with_disk(self, disk: FaultyDisk | None) -> Checkpoints:
        return Checkpoints(
            FileEngine(str(self.ledger)), str(self.ledger), clock=lambda: self.now, disk=disk
        )

    def write(self, lines: list[bytes]) -> None:
        self.ledger.write_bytes(b"".join(line + b"\n" for line in lines))

    def sign(self, *, since_last: bool = False) -> bytes:
        self.now += 10**9
        return self.checkpoints.sign(LOG.key, LOG, since_last=since_last)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


both_ways = pytest.mark.parametrize("since_last", [False, True])


@both_ways
def test_each_checkpoint_is_of_the_whole_ledger(site: Site, *, since_last: bool) -> None:
    made = []
    for size in (0, 1, 2, 7, 7, 8, 40):
        site.write(LINES[:size])
        made.append(site.sign(since_last=since_last))
        (believed,) = believe("it", made[-1], TRUST)
        assert believed.checkpoint.size == size
        assert believed.checkpoint.root == store(LINES[:size])[0].root()
        assert site.checkpoints.latest() == made[-1]
    assert site.checkpoints.all() == made
    assert believe("all", Path(site.checkpoints.path).read_bytes(), TRUST) == [
        one for data in made for one in believe("it", data, TRUST)
    ]


def test_a_ledger_that_is_not_there_leaves_nothing_behind(site: Site) -> None:
    with pytest.raises(LedgerNotFoundError):
        site.sign()
    assert list(site.home.iterdir()) == []


def test_a_torn_tail_is_not_signed(site: Site) -> None:
    site.write(LINES[:5])
    with site.ledger.open("ab") as file:
        file.write(LINES[5][:30])
    assert parse_text(note.parse(site.sign()).text).size == 5


@both_ways
def test_a_symlink_is_the_same_ledger(site: Site, *, since_last: bool) -> None:
    site.write(LINES[:5])
    link = site.home / "link.jsonl"
    link.symlink_to(site.ledger)
    site.sign()
    through = Checkpoints(FileEngine(str(link)), str(link), clock=lambda: site.now)
    assert through.path == site.checkpoints.path
    through.sign(LOG.key, LOG, since_last=since_last)
    assert len(site.checkpoints.all()) == 2


# -- never a fork ------------------------------------------------------------------------------

FORKS = {
    "cut": (LINES[:9], "the ledger has 9 events, but 10 were signed: it was cut"),
    "cut to nothing": ([], "the ledger has 0 events, but 10 were signed: it was cut"),
    "rewritten from event 6": (None, "the first 10 events are not the ones that were signed"),
    "rewritten and longer": (OTHER[:20], "the first 10 events are not the ones that were signed"),
    "rewritten, same length": (OTHER[:10], "the first 10 events are not the ones that were"),
}


def rewritten_from_six() -> list[bytes]:
    """Five old events, then others, in a chain that is whole."""
    from audit_stream.chain import last_line_head, link
    from audit_stream.event import draft
    from tests.signed import TIME, VOCABULARY

    drafts = [draft("other", "insider", {"n": n}, vocabulary=VOCABULARY) for n in range(8)]
    return LINES[:5] + [line[:-1] for line in link(drafts, last_line_head(LINES[4]), TIME)[0]]


@both_ways
@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("name", FORKS)
def test_a_fork_is_never_signed(site: Site, name: str, *, anew: bool, since_last: bool) -> None:
    lines, message = FORKS[name]
    site.write(LINES[:10])
    first = site.sign()
    site.write(rewritten_from_six() if lines is None else lines)
    if anew:
        (site.home / "ledger.jsonl.merkle").unlink()
    for _ in range(2):
        with pytest.raises(ForkError, match=message):
            site.sign(since_last=since_last)
    assert site.checkpoints.all() == [first]
    site.write(LINES[:12])
    site.sign(since_last=since_last)


@both_ways
def test_a_clock_that_went_back_signs_nothing(site: Site, *, since_last: bool) -> None:
    site.write(LINES[:10])
    site.sign()
    site.now -= 3 * 10**9
    with pytest.raises(ForkError, match="the clock went back: it is 2026-01-02T03:04:04"):
        site.sign(since_last=since_last)


def test_another_logs_key_signs_nothing(site: Site) -> None:
    site.write(LINES[:10])
    site.sign()
    other = private_key("example.org/other")
    with pytest.raises(ForkError, match=r"of the log 'example\.org/ledger', not of"):
        site.checkpoints.sign(other.key, other)


@both_ways
def test_a_broken_ledger_is_not_signed(site: Site, *, since_last: bool) -> None:
    site.write(LINES[:10])
    site.sign()
    site.write([*LINES[:12], LINES[12].replace(b'"n":13', b'"n":31')])
    with pytest.raises(IntegrityError, match="hash mismatch at event #13; nothing was signed"):
        site.sign(since_last=since_last)


def test_damage_inside_what_was_signed_stops_the_full_check_only(site: Site) -> None:
    """What is signed is the same either way: the tree that began with the signed one."""
    site.write(LINES[:10])
    site.sign()
    site.write([LINES[0].replace(b'"n":1', b'"n":9'), *LINES[1:20]])
    with pytest.raises(IntegrityError, match="hash mismatch at event #1"):
        site.sign()
    (believed,) = believe("it", site.sign(since_last=True), TRUST)
    assert believed.checkpoint.root == store(LINES[:20])[0].root()


def test_a_new_key_of_the_same_log_goes_on(site: Site) -> None:
    site.write(LINES[:10])
    site.sign()
    new = private_key(ORIGIN, seed="new")
    site.write(OTHER[:12])
    with pytest.raises(ForkError):
        site.checkpoints.sign(new.key, new)
    site.write(LINES[:12])
    believe("it", site.checkpoints.sign(new.key, new), trust(new.key))


def test_a_damaged_last_checkpoint_stops_signing(site: Site) -> None:
    site.write(LINES[:10])
    site.sign()
    path = Path(site.checkpoints.path)
    good = path.read_bytes()
    for damaged in (
        good.replace(b"\n10\n", b"\n11\n"),
        good.replace(b"chain-head", b"chain-tail"),
        signed(b"example.org/ledger\n10\n" + good.split(b"\n")[2] + b"\n", LOG) + b"\n\n",
    ):
        path.write_bytes(damaged)
        with pytest.raises(MalformedError, match="the last checkpoint is damaged"):
            site.sign()
        assert path.read_bytes() == damaged


def test_a_signer_that_signs_nonsense_is_not_believed(site: Site) -> None:
    class Faulty:
        public_key = LOG.key.public_key

        def sign(self, message: bytes) -> bytes:
            return bytes(64)

    site.write(LINES[:10])
    with pytest.raises(SignatureError):
        site.checkpoints.sign(LOG.key, Faulty())
    assert site.checkpoints.all() == []


def test_a_timestamp_that_fails_leaves_nothing_signed(site: Site) -> None:
    site.write(LINES[:10])

    def fail(data: bytes) -> bytes:
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        site.checkpoints.sign(LOG.key, LOG, complete=fail)
    assert site.checkpoints.all() == []


# -- crashes, and others who sign ---------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("how", HOWS)
def test_a_crash_at_any_step_leads_to_no_fork(
    tmp_path: Path, how: str, *, since_last: bool
) -> None:
    """Between ledger append, hash file and checkpoint, each step fails or is the last; then the
    ledger grows, and the next process signs it. All that was ever told, or stored, is one line of
    trees that extend each other."""
    step = 0
    while True:
        step += 1
        site = Site(tmp_path / f"{step}")
        site.home.mkdir()
        told: list[bytes] = []
        site.write(LINES[:10])
        told.append(site.sign(since_last=since_last))
        site.write(LINES[:20])
        disk = FaultyDisk(step, how)
        site.now += 10**9
        with suppress(StorageError, Crash):
            told.append(site.with_disk(disk).sign(LOG.key, LOG, since_last=since_last))
        site.write(LINES[:25])
        told.append(site.sign(since_last=since_last))
        kept = site.checkpoints.all()
        assert [data for data in kept if data in told] == told
        roots = {n: store(LINES[:n])[0].root() for n in (10, 20, 25)}
        for before, after in pairwise(kept):
            old, new = (parse_text(note.parse(data).text) for data in (before, after))
            check_successor(old, new, roots.get)
        site.checkpoints.prove(25)
        if disk.steps < step:
            assert len(told) == 3
            break
    assert step > 4


@both_ways
@pytest.mark.parametrize("how", HOWS)
def test_a_crash_from_append_to_checkpoint_leaves_one_history(
    tmp_path: Path, how: str, *, since_last: bool
) -> None:
    """Append, hash file and checkpoint through one disk that fails once or dies: what is there
    afterwards verifies against every checkpoint that was stored, and goes on."""
    step = 0
    while True:
        step += 1
        path = str(tmp_path / f"{step}.jsonl")
        told = 0

        def one_more(disk: FaultyDisk | None, path: str = path) -> int:
            """Appends and signs; returns the event's number."""
            engine = FileEngine(path, disk=disk)
            event = Ledger(path, engine=engine).append("other", "tests")
            Checkpoints(engine, path, disk=disk).sign(LOG.key, LOG, since_last=since_last)
            return event.event_id

        one_more(None)
        disk = FaultyDisk(step, how)
        with suppress(StorageError, Crash):
            told = one_more(disk)
        last = one_more(None)
        assert last > told
        with Ledger(path) as ledger:
            kept = [one for data in ledger.checkpoints.all() for one in believe("it", data, TRUST)]
            result = ledger.verify(checkpoints=kept)
            assert (result.verdict, result.checked) == ("intact", last)
            assert result.pinned is not None
            assert result.pinned["unsigned"] == 0
        if disk.steps < step:
            assert told == 2
            break
    assert step > 6


def _sign_often(path: str) -> None:
    ledger = Ledger(path)
    for _ in range(10):
        ledger.append("other", "tests")
        ledger.checkpoints.sign(LOG.key, LOG, since_last=True)


def test_processes_that_sign_at_once_sign_one_history(site: Site) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_sign_often, args=(str(site.ledger),)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    believed = believe("all", Path(site.checkpoints.path).read_bytes(), TRUST)
    assert len(believed) == 30
    result = Ledger(site.ledger).verify(checkpoints=believed)
    assert (result.verdict, result.checked) == ("intact", 30)
    sizes = [one.checkpoint.size for one in believed]
    assert sizes == sorted(sizes)


# -- more signatures -----------------------------------------------------------------------------


def test_cosignatures_are_added_to_the_last_checkpoint_only(site: Site) -> None:
    site.write(LINES[:5])
    old = site.sign()
    text = note.parse(old).text
    cosigned = signed(text, LOG, WITNESSES[0])
    assert site.checkpoints.add(cosigned)
    assert site.checkpoints.latest() == cosigned
    site.write(LINES[:6])
    new = site.sign()
    assert not site.checkpoints.add(cosigned)
    assert site.checkpoints.all() == [old, cosigned, new]


def test_there_is_nothing_to_add_to_an_empty_file(site: Site) -> None:
    assert not site.checkpoints.add(signed(note.parse(made(site)).text, LOG, WITNESSES[0]))


def made(site: Site) -> bytes:
    """A checkpoint that the site does not keep."""
    site.write(LINES[:5])
    data = site.sign()
    Path(site.checkpoints.path).unlink()
    return data


# -- believing -----------------------------------------------------------------------------------


def policy(count: int) -> bytes:
    lines = [f"log {LOG.key}"]
    lines += [f"witness w{n} {one.key}" for n, one in enumerate(WITNESSES)]
    return "\n".join([*lines, f"group g {count} w0 w1 w2", "quorum g", ""]).encode()


def test_a_note_not_cosigned_yet_gives_way_to_one_that_is(site: Site) -> None:
    two = parse_policy(policy(2))
    site.write(LINES[:5])
    old = site.sign()
    site.checkpoints.add(signed(note.parse(old).text, LOG, *WITNESSES[:2]))
    site.write(LINES[:6])
    site.sign()
    data = Path(site.checkpoints.path).read_bytes()
    assert [one.checkpoint.size for one in believe("all", data, two)] == [5]
    with pytest.raises(QuorumError, match="all: the policy asks for cosignatures by 3 of"):
        believe("all", data, parse_policy(policy(3)))


def test_one_bad_signature_spoils_a_file(site: Site) -> None:
    site.write(LINES[:5])
    good, bad = site.sign(), site.sign()
    bad = bad[:-10] + (b"AAAA" if bad[-10:-6] != b"AAAA" else b"BBBB") + bad[-6:]
    for records in ([good, bad], [bad, good]):
        with pytest.raises((SignatureError, MalformedError), match="both: "):
            believe("both", b"".join(record + b"\n\n" for record in records), TRUST)


def test_a_stripped_signature_is_a_missing_one(site: Site) -> None:
    data = made(site)
    text = note.parse(data).text
    for stripped in (text, text + b"\n"):
        with pytest.raises(SignatureError, match="it: the checkpoint is not signed"):
            believe("it", stripped, TRUST)


# -- proofs --------------------------------------------------------------------------------------


def test_every_event_is_proved(site: Site) -> None:
    site.write(LINES)
    site.sign()
    for event_id in range(1, 41):
        data = site.checkpoints.prove(event_id)
        found = proof.parse_event_proof(data)
        assert found.line == LINES[event_id - 1]
        assert proof.check_event_proof(found, TRUST, verify).checkpoint.size == 40


@pytest.mark.parametrize("event_id", [-1, 0, 11])
def test_an_event_that_was_not_signed_is_not_proved(site: Site, event_id: int) -> None:
    site.write(LINES[:10])
    site.sign()
    site.write(LINES)
    with pytest.raises(InputError, match="covers the events 1 to 10, not"):
        site.checkpoints.prove(event_id)


def test_there_is_no_proof_without_a_checkpoint(site: Site) -> None:
    site.write(LINES)
    with pytest.raises(InputError, match="no checkpoint yet"):
        site.checkpoints.prove(1)


def test_any_two_checkpoints_are_joined(site: Site) -> None:
    notes = []
    for size in (0, 1, 7, 8, 40):
        site.write(LINES[:size])
        notes.append(site.sign())
    for index, new in enumerate(notes):
        for old in notes[: index + 1]:
            data = site.checkpoints.prove_extension(old, new)
            proof.check_extension_proof(proof.parse_extension_proof(data), TRUST, verify)
    with pytest.raises(InputError, match="swap them"):
        site.checkpoints.prove_extension(notes[-1], notes[0])


def test_any_two_sizes_are_joined(site: Site) -> None:
    site.write(LINES[:20])
    site.sign()
    roots = [store(LINES[:n])[0].root() for n in range(21)]
    for new in range(21):
        for old in range(new + 1):
            found = site.checkpoints.consistency(old, new)
            assert (found.old_root, found.new_root) == (roots[old], roots[new])
            merkle.check_consistency(old, new, roots[old], roots[new], found.hashes)
    assert site.checkpoints.consistency(3).new_size == 20
    for old, new in ((3, 21), (5, 4), (-1, 4)):
        with pytest.raises(InputError):
            site.checkpoints.consistency(old, new)
    site.write(OTHER[:30])
    with pytest.raises(ProofError, match="not the one that was signed"):
        site.checkpoints.consistency(3, 5)


def test_a_checkpoint_is_found_by_its_size(site: Site) -> None:
    notes = []
    for size in (5, 6, 6, 9):
        site.write(LINES[:size])
        notes.append(site.sign())
    found = [site.checkpoints.of_size(size) for size in (5, 6, 9, 7)]
    assert found == [notes[0], notes[2], notes[3], None]
    assert site.checkpoints.newest(2) == notes[-2:]


def test_checkpoints_of_two_logs_are_not_joined(site: Site) -> None:
    site.write(LINES)
    old = site.sign()
    other = signed(note.parse(old).text.replace(b"/ledger", b"/other"), LOG)
    with pytest.raises(InputError, match=r"'example\.org/ledger' and 'example\.org/other'"):
        site.checkpoints.prove_extension(old, other)


FRAUDS: list[Callable[[Site], None]] = [
    lambda site: site.write(OTHER),
    lambda site: site.write(LINES[:20] + OTHER[20:]),
    lambda site: site.write([*LINES[:3], LINES[3].replace(b'"n":4', b'"n":5'), *LINES[4:]]),
    lambda site: site.write(LINES[:39]),
    lambda site: site.write(LINES[:3] + LINES[4:]),
]


@pytest.mark.parametrize("fraud", FRAUDS)
def test_another_ledger_proves_nothing(site: Site, fraud: Callable[[Site], None]) -> None:
    site.write(LINES)
    site.sign()
    fraud(site)
    with pytest.raises(ProofError):
        site.checkpoints.prove(4)


def test_a_rolled_back_or_damaged_hash_file_changes_no_proof(site: Site) -> None:
    hashes = site.home / "ledger.jsonl.merkle"
    site.write(LINES[:10])
    old = site.sign()
    expected = site.checkpoints.prove(3)
    kept = hashes.read_bytes()
    site.write(LINES)
    new = site.sign(since_last=True)
    extension = site.checkpoints.prove_extension(old, new)
    for damaged in (kept, kept[:200], bytes(len(kept)), kept[:96] + bytes(len(kept) - 96)):
        hashes.write_bytes(damaged)
        assert site.checkpoints.prove(3, old) == expected
        hashes.write_bytes(damaged)
        assert site.checkpoints.prove_extension(old, new) == extension
        hashes.write_bytes(damaged)
        assert note.parse(site.sign(since_last=True)).text[:60] == note.parse(new).text[:60]


def test_a_read_only_copy_proves_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write(LINES)
    note_ = site.sign()
    copy = site.home / "copy"
    copy.mkdir()
    shutil.copy(site.ledger, copy)

    class ReadOnly(FaultyDisk):
        def open_update(self, path: str) -> int:
            raise PermissionError(13, "Permission denied")

    path = str(copy / "ledger.jsonl")
    checkpoints = Checkpoints(FileEngine(path), path, disk=ReadOnly())
    assert checkpoints.prove(7, note_) == site.checkpoints.prove(7)
    assert list(copy.iterdir()) == [copy / "ledger.jsonl"]


# -- verifying -----------------------------------------------------------------------------------


@pytest.fixture
def history(site: Site) -> tuple[Site, list[bytes]]:
    notes = []
    for size in (10, 20, 30):
        site.write(LINES[:size])
        notes.append(site.sign())
    site.write(LINES)
    return site, notes


def held(site: Site, notes: list[bytes], *, since: bool = False) -> tuple[str, str | None]:
    believed = [one for data in notes for one in believe("it", data, TRUST)]
    result = Ledger(site.ledger).verify(checkpoints=believed, since_checkpoint=since)
    assert result.valid == (result.verdict == "intact")
    if result.valid:
        assert result.pinned is not None
        assert result.pinned["event_id"] + result.pinned["unsigned"] == result.checked
        assert result.since_event_id == (result.pinned["event_id"] if since else 0)
    else:
        assert result.pinned is None
    return result.verdict, result.reason


since_or_not = pytest.mark.parametrize("since", [False, True])


@since_or_not
def test_the_ledger_that_was_signed_is_intact(
    history: tuple[Site, list[bytes]], *, since: bool
) -> None:
    site, notes = history
    for some in (notes, notes[:1], notes[1:], notes[::-1]):
        assert held(site, some, since=since) == ("intact", None)


@since_or_not
def test_a_cut_ledger_is_truncated(history: tuple[Site, list[bytes]], *, since: bool) -> None:
    site, notes = history
    site.write(LINES[:25])
    reason = "the checkpoint has signed 30 events, the ledger has 25"
    assert held(site, notes, since=since) == ("truncated", reason)
    assert held(site, notes[:2], since=since) == ("intact", None)


@since_or_not
def test_a_rewritten_ledger_is_rewritten(history: tuple[Site, list[bytes]], *, since: bool) -> None:
    site, notes = history
    site.write(OTHER)
    verdict, reason = held(site, notes, since=since)
    assert verdict == "rewritten"
    assert reason == "the first 10 events are not the ones that the checkpoint has signed"
    site.write(rewritten_from_six())
    assert held(site, notes, since=since)[0] == "rewritten"


def test_the_report_says_what_still_holds(history: tuple[Site, list[bytes]]) -> None:
    from audit_stream.chain import last_line_head, link
    from audit_stream.event import draft
    from tests.signed import TIME, VOCABULARY

    site, notes = history
    drafts = [draft("other", "insider", {"n": n}, vocabulary=VOCABULARY) for n in range(20)]
    site.write(
        LINES[:15] + [line[:-1] for line in link(drafts, last_line_head(LINES[14]), TIME)[0]]
    )
    assert held(site, notes) == (
        "rewritten",
        "the first 20 events are not the ones that the checkpoint has signed; "
        "the first 10 still are",
    )


def test_only_what_follows_is_read_since_a_checkpoint(
    history: tuple[Site, list[bytes]],
) -> None:
    site, notes = history
    site.write([LINES[0].replace(b'"n":1', b'"n":9'), *LINES[1:]])
    assert held(site, notes, since=True) == ("intact", None)
    assert held(site, notes) == ("broken", "hash mismatch at event #1")
    site.write([*LINES[:35], LINES[35].replace(b'"n":36', b'"n":63'), *LINES[36:]])
    assert held(site, notes, since=True) == ("broken", "hash mismatch at event #36")


def test_a_split_view_fails_against_one_of_its_halves(site: Site, tmp_path: Path) -> None:
    """The log's own key signed both: each verifier alone is content, together they are not."""
    site.write(LINES[:10])
    one = site.sign()
    (tmp_path / "twin").mkdir()
    twin = Site(tmp_path / "twin")
    twin.write(OTHER[:10])
    other = twin.sign()
    assert held(site, [one])[0] == held(twin, [other])[0] == "intact"
    for at in (site, twin):
        for since in (False, True):
            assert held(at, [one, other], since=since)[0] == "rewritten"


def test_a_head_that_lies_about_the_root_is_told(site: Site) -> None:
    site.write(LINES[:10])
    text = note.parse(site.sign()).text
    lying = text.replace(text[text.index(b"chain-head ") + 11 :][:4], b"0bad", 1)
    assert held(site, [signed(lying, LOG)]) == (
        "rewritten",
        "event #10 does not have the hash that the checkpoint names",
    )


@since_or_not
def test_a_checkpoint_of_another_tool_has_no_head(site: Site, *, since: bool) -> None:
    """tlog-checkpoint asks for no extension line: the root alone is held against the ledger."""
    site.write(LINES[:10])
    text = b"".join(note.parse(site.sign()).text.splitlines(keepends=True)[:3])
    believed = believe("it", signed(text, LOG), TRUST)
    result = Ledger(site.ledger).verify(checkpoints=believed, since_checkpoint=since)
    assert (result.verdict, result.since_event_id) == ("intact", 0)
    assert result.pinned is not None
    assert result.pinned["hash"] is None
    site.write(OTHER[:10])
    result = Ledger(site.ledger).verify(checkpoints=believed, since_checkpoint=since)
    assert result.verdict == "rewritten"


def test_several_processes_take_the_same_roots(site: Site) -> None:
    """Ranges of 4 MiB each, with signed sizes inside and at every place between them."""
    from audit_stream.chain import GENESIS, link
    from audit_stream.event import draft
    from tests.signed import TIME, VOCABULARY

    def lines(salt: str) -> list[bytes]:
        payloads = ({"n": n, "text": salt * 20_000} for n in range(700))
        drafts = [draft("other", "tests", payload, vocabulary=VOCABULARY) for payload in payloads]
        return [line[:-1] for line in link(drafts, GENESIS, TIME)[0]]

    large = lines("a")
    notes = []
    for size in (1, 150, 207, 208, 209, 400, 699):
        site.write(large[:size])
        site.now += 10**9
        notes.append(site.checkpoints.sign(LOG.key, LOG, jobs=2))
    site.write(large)
    believed = [one for data in notes for one in believe("it", data, TRUST)]
    for jobs in (1, 2):
        result = Ledger(site.ledger).verify(checkpoints=believed, jobs=jobs)
        assert (result.verdict, result.checked) == ("intact", 700)
        assert result.pinned is not None
        assert (result.pinned["event_id"], result.pinned["unsigned"]) == (699, 1)
    roots = [one.checkpoint.root for one in believed]
    assert roots == [store(large[:n])[0].root() for n in (1, 150, 207, 208, 209, 400, 699)]
    site.write(lines("b"))
    for jobs in (1, 2):
        assert Ledger(site.ledger).verify(checkpoints=believed, jobs=jobs).verdict == "rewritten"


def test_a_verifying_process_that_dies_changes_no_root(
    history: tuple[Site, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent goes on where the last range ended, with the same tree."""
    site, notes = history
    real, parent = verification._check_range, os.getpid()

    def die_in_the_third(bounds: tuple[int, int]) -> Segment:
        if bounds[0] >= 1400 and os.getpid() != parent:
            os._exit(1)
        return real(bounds)

    die_in_the_third.__module__ = verification.__name__
    die_in_the_third.__qualname__ = "_check_range"
    monkeypatch.setattr(verification, "_check_range", die_in_the_third)
    monkeypatch.setattr(verification, "RANGE_SIZE", 700)
    believed = [one for data in notes for one in believe("it", data, TRUST)]
    result = Ledger(site.ledger).verify(checkpoints=believed, jobs=2)
    assert (result.verdict, result.checked) == ("intact", 40)
    site.now += 10**9
    site.checkpoints.sign(LOG.key, LOG, jobs=2)


def test_a_pin_does_not_shorten_what_a_checkpoint_is_held_against(
    history: tuple[Site, list[bytes]],
) -> None:
    site, notes = history
    ledger, pin = Ledger(site.ledger), site.home / "pin"
    believed = [one for data in notes for one in believe("it", data, TRUST)]
    ledger.verify(pin=pin)
    for since in ({"since_pin": True}, {"since_checkpoint": True}):
        result = ledger.verify(pin=pin, checkpoints=believed, **since)
        assert (result.verdict, result.since_event_id) == ("intact", 0)
    site.write(OTHER)
    for since in ({"since_pin": True}, {"since_checkpoint": True}):
        assert ledger.verify(pin=pin, checkpoints=believed, **since).verdict == "rewritten"


def test_a_clock_step_right_behind_the_checkpoint_is_counted(site: Site) -> None:
    ledger = Ledger(site.ledger)
    ledger.append("other", "tests", timestamp="2026-01-02T00:00:00Z")
    believed = believe("it", site.sign(), TRUST)
    ledger.append("other", "tests", timestamp="2026-01-01T00:00:00Z")
    for since in (False, True):
        result = ledger.verify(checkpoints=believed, since_checkpoint=since)
        assert result.clock_regressions == 1

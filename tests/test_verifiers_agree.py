"""Holds the product's verifier and the standalone one against each other.

They share no code, so a rule that one of them has wrong shows as a difference. Each gets the
same bytes: ledgers that hold every corner of the format, and thousands of damaged copies. Every
member of the result must be equal; of a reason that ends in a detail (`…: detail`) all before
the colon. The product is asked along each of its ways through a ledger: in one piece, in blocks
that end anywhere, as a stream, and in ranges that are stitched.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from audit_stream import verification
from audit_stream.chain import Verifier
from audit_stream.storage.snapshot import Snapshot
from audit_stream.verification import Expectations, VerifyResult
from tests.ledger_mutations import (
    ZEROS,
    Case,
    bit_flips,
    build_lines,
    chain,
    join,
    known_cases,
    mutations,
)
from tests.standalone import check, verify_ledger

COMPARED = tuple(check(b""))
SEEDS = range(120)


def _product(result: VerifyResult) -> dict[str, Any]:
    members = result.as_dict()
    return _comparable({name: members[name] for name in COMPARED})


def _comparable(result: dict[str, Any]) -> dict[str, Any]:
    reason = result["reason"]
    if reason is not None and reason.startswith("not a canonical event at event #"):
        head, colon, detail = reason.partition(": ")
        assert colon
        assert detail.isprintable()
        result = {**result, "reason": head}
    return result


def _difference(case: Case) -> tuple[Any, ...] | None:
    """Return what the two say where they differ, or where both contradict the construction."""
    product = _product(verification.verify_bytes(case.data))
    standalone = _comparable(check(case.data))
    if product == standalone and case.verdict in (None, product["verdict"]):
        return None
    return case.name, case.verdict, product, standalone


def _ledgers(seeds: range) -> Iterator[tuple[random.Random, list[bytes]]]:
    for seed in seeds:
        rng = random.Random(seed)
        yield rng, build_lines(rng.randrange(1, 7), rng, plain=seed % 3 == 0)


def test_cases_known_by_construction() -> None:
    assert [found for case in known_cases() if (found := _difference(case))] == []


@pytest.mark.parametrize("first_seed", SEEDS[::30])
def test_mutations(first_seed: int) -> None:
    """Thousands, each of another kind than the one before; see tests/ledger_mutations.py."""
    differences = []
    seen = set()
    for rng, lines in _ledgers(range(first_seed, first_seed + 30)):
        assert _difference(Case("good", join(lines), "intact")) is None
        for case in mutations(lines, rng, 100):
            seen.add(check(case.data)["verdict"])
            if (found := _difference(case)) is not None:
                differences.append(found)
    assert differences == []
    assert seen >= {"intact", "broken", "torn"}


def test_every_bit_of_three_events() -> None:
    ledger = join(chain([{}, {"payload": '{"a":[1.5,"\U0001f600"],"\ue000":1e+21}'}, {}]))
    assert [found for case in bit_flips(ledger) if (found := _difference(case))] == []


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_expectations(count: int) -> None:
    lines = build_lines(3, random.Random(count), plain=True)
    hashes = [json.loads(line)["hash"] for line in lines]
    wholes = [b"", join(lines[:1]), join(lines), join(lines) + b"{", join(lines) + b"\n"]
    for data in wholes:
        for head in (None, *hashes, "f" * 64):
            product = verification.verify_bytes(data, Expectations(head, count))
            standalone = check(data, expect_head=head, expect_count=count)
            assert _product(product) == _comparable(standalone), (data[-40:], head)
        for head in (*hashes, ZEROS, "f" * 64):
            product = verification.verify_bytes(data, Expectations(head))
            standalone = check(data, expect_head=head)
            assert _product(product) == _comparable(standalone), (data[-40:], head)


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_blocks_that_end_anywhere(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "BLOCK_SIZE", size)
    monkeypatch.setattr(verify_ledger, "BLOCK", max(size, len(verify_ledger.FIRST_BYTES)))
    for rng, lines in _ledgers(range(1000, 1015)):
        for case in mutations(lines, rng, 30):
            expected = _comparable(check(case.data))
            assert _product(verification.verify_bytes(case.data)) == expected, case.name
            stream = verification.verify_stream(io.BytesIO(case.data))
            assert _product(stream) == expected, case.name


def test_ranges_that_are_stitched() -> None:
    """Cut in ranges at any places, as several processes do it, and joined in order."""
    for rng, lines in _ledgers(range(2000, 2060)):
        for case in mutations(lines, rng, 50):
            result = check(case.data)
            stitched = _stitched(case.data, rng)
            assert stitched.head.count == result["checked"], case.name
            assert (stitched.head.hash if result["checked"] else None) == result["latest_hash"]
            assert stitched.regressions == result["clock_regressions"], case.name
            reason = None if stitched.fault is None else stitched.fault.reason
            expected = result["reason"] if result["verdict"] == "broken" else None
            assert _before_detail(reason) == _before_detail(expected), case.name
            if result["verdict"] in ("broken", "torn"):
                assert stitched.offset == result["byte_offset"], case.name


def _stitched(data: bytes, rng: random.Random) -> Verifier:
    snapshot = Snapshot(lambda size, offset: data[offset : offset + size], len(data))
    bounds = sorted(rng.randrange(snapshot.whole + 1) for _ in range(rng.randrange(5)))
    whole = Verifier()
    for low, high in pairwise([0, *bounds, snapshot.whole]):
        start, end = snapshot.line_start_from(low), snapshot.line_start_from(high)
        part = Verifier(None, start) if start else Verifier()
        part.feed(data[start:end])
        if not whole.join(part.segment()):
            break
    return whole


def _before_detail(reason: str | None) -> str | None:
    return None if reason is None else reason.partition(": ")[0]

"""The verdict: several processes and one, pins and expectations, precedence, changed bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit_stream import Ledger
from audit_stream.verification import Expectations, VerifyResult, verify_bytes
from tests.ledgers import NOON, ZEROS, chained, hash_of, joined, numbered

if TYPE_CHECKING:
    from pathlib import Path

LINES = numbered(5)
HASHES = [hash_of(line) for line in LINES]
DATA = joined(LINES)


def verdict(data: bytes, **expected: object) -> str:
    return verify_bytes(data, Expectations(**expected)).verdict  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "at_least", "expected"),
    [
        (None, 0, "intact"),
        (None, 5, "intact"),
        (None, 6, "truncated"),
        (HASHES[0], None, "intact"),
        (HASHES[4], None, "intact"),
        ("f" * 64, None, "rewritten"),
        (HASHES[2], 3, "intact"),
        (HASHES[2], 2, "rewritten"),
        (HASHES[4], 6, "truncated"),
        (ZEROS, None, "intact"),
        (ZEROS, 0, "intact"),
        (ZEROS, 3, "rewritten"),
        (HASHES[0], 0, "rewritten"),
    ],
)
def test_expectations(head: str | None, at_least: int | None, expected: str) -> None:
    assert verdict(DATA, head=head, at_least=at_least) == expected


def test_a_step_back_right_behind_the_pin_is_counted(tmp_path: Path) -> None:
    lines = chained([{"timestamp": NOON}, {"timestamp": NOON.replace("12:", "11:")}])
    path, pin = tmp_path / "ledger.jsonl", tmp_path / "pin"
    path.write_bytes(joined(lines[:1]))
    ledger = Ledger(path)
    assert ledger.verify(pin=pin).clock_regressions == 0
    path.write_bytes(joined(lines))
    result = ledger.verify(pin=pin, since_pin=True)
    assert (result.since_event_id, result.checked, result.clock_regressions) == (1, 2, 1)

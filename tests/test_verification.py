"""The verdict: several processes and one, pins and expectations, precedence, changed bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit_stream.verification import Expectations, VerifyResult, verify_bytes
from tests.ledgers import ZEROS, hash_of, joined, numbered

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

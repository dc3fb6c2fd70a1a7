"""The library API: what it takes and refuses, threads, fork, several processes."""

from __future__ import annotations

from collections import UserDict
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from audit_stream import Ledger
from audit_stream.errors import IntegrityError, InvalidEventError
from tests.ledgers import joined, numbered

if TYPE_CHECKING:
    from pathlib import Path

    from audit_stream.query import Damage


class Kind(str, Enum):  # noqa: UP042 - str() of it is not its value
    ALLOWED = "request_allowed"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.mark.parametrize("payload", ["", "text", [], [("a", 1)], [1], 5, True, b"{}", {1}])
def test_a_payload_that_is_no_object_is_refused(ledger: Ledger, payload: Any) -> None:
    with pytest.raises(InvalidEventError) as caught:
        ledger.append("other", "test", payload)
    assert caught.value.member == "payload"
    with pytest.raises(InvalidEventError) as caught:
        ledger.append_many([{"kind": "other", "source": "test", "payload": payload}])
    assert (caught.value.member, caught.value.index) == ("payload", 0)


@pytest.mark.parametrize("draft", [None, 5, "text", [("kind", "other")], {1: 2}])
def test_a_draft_that_is_no_object_is_refused(ledger: Ledger, draft: Any) -> None:
    with pytest.raises(InvalidEventError) as caught:
        ledger.append_many([{"kind": "other", "source": "test"}, draft])
    assert caught.value.index == 1


def test_mappings_of_any_kind_are_payloads(ledger: Ledger) -> None:
    for payload in ({"a": 1}, UserDict({"a": 1}), MappingProxyType({"a": 1})):
        assert ledger.append("other", "test", payload).payload == {"a": 1}
        (event,) = ledger.append_many([UserDict(kind="other", source="s", payload=payload)])
        assert event.payload == {"a": 1}


def test_a_kind_from_an_enum_is_its_value(ledger: Ledger) -> None:
    assert ledger.append(Kind.ALLOWED, Kind.ALLOWED, {"a": Kind.ALLOWED}).kind == "request_allowed"
    assert ledger.verify().valid


# -- reading a damaged ledger ------------------------------------------------------------------


def test_bounds_hold_and_nothing_is_left_out_where_lines_lie_about_their_ids(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.jsonl"
    lines = numbered(900)
    for at, lie in ((300, b"1"), (500, b"888888"), (899, b"3")):
        number = b'{"event_id":%d,' % (at + 1)
        lines[at] = lines[at].replace(number, b'{"event_id":%b,' % lie)
    path.write_bytes(joined(lines))
    ledger = Ledger(path)
    for after, before in ((0, None), (100, 200), (290, 310), (480, 520), (890, None), (899, 950)):
        for reverse in (False, True):
            damaged: list[Damage] = []
            found = [
                event.event_id
                for event in ledger.query(
                    after=after, before=before, reverse=reverse, on_damage=damaged.append
                )
            ]
            honest = [
                n for n in range(after + 1, min(before or 1000, 901)) if n not in (301, 501, 900)
            ]
            assert found == (honest[::-1] if reverse else honest)
            within = [at for at in (300, 500, 899) if after <= at < (before or 1000) - 1]
            places = {damage.offset for damage in damaged}
            assert places >= {len(joined(lines[:at])) for at in within}
    assert ledger.get(302) is not None


def test_a_damaged_event_is_not_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(joined(numbered(3)).replace(b'"n":2', b'"n":3'))
    ledger = Ledger(path)
    assert ledger.get(1) is not None
    with pytest.raises(IntegrityError, match="event 2 is damaged: hash mismatch at event #2"):
        ledger.get(2)
    assert ledger.get(4) is None
    assert [event.event_id for event in ledger.tail()] == [1, 3]

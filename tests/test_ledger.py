"""The library API: what it takes and refuses, threads, fork, several processes."""

from __future__ import annotations

from collections import UserDict
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from audit_stream import Ledger
from audit_stream.errors import InvalidEventError

if TYPE_CHECKING:
    from pathlib import Path


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

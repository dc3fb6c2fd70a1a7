"""The vocabulary: what is built in, what can be declared, and how a slip is answered."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import InvalidEventError, UnknownKindError
from audit_stream.vocabulary import BUILT_IN, Vocabulary, check_form, nearest, shorten
from tests.ledgers import kinds

# The table of the specification, written out once more.
SPECIFIED = """
procurement-decision-api decision_card_drafted decision_card_signed decision_card_status_changed
policy-as-code-engine policy_bundle_registered request_allowed request_denied
policy-as-code-engine policy_condition_asserted
data-contract-registry contract_promoted contract_deprecated contract_compatibility_failed
aeo-validator-service watch_created watch_drifted watch_validity_flipped
incident-correlation-rs incident_filed remediation_planned
hash-attestation-rs attestation_signed attestation_verified attestation_failed attestation_tampered
feature-flag-rs flag_swapped
request-shadow-rs shadow_divergence_recorded
mcp-permission-broker tool_invocation_allowed tool_invocation_denied
mcp-permission-broker tool_invocation_required_approval
slo-budget-tracker slo_burn_started slo_recovered
reliability-toolkit breaker_opened breaker_recovered
any other
"""


def test_the_built_in_kinds_are_those_specified() -> None:
    rows = [line.split() for line in SPECIFIED.split("\n") if line]
    expected = {kind: source for source, *kinds in rows for kind in kinds}
    assert Vocabulary().origins == expected
    assert sum(map(len, BUILT_IN.values())) == len(expected) == 29
    for kind in expected:
        Vocabulary().check(kind)


def test_a_kind_is_declared_with_where_it_comes_from() -> None:
    vocabulary = Vocabulary({"deploy-bot": ["deploy_started", "other"]})
    vocabulary.check("deploy_started")
    assert vocabulary.origins["deploy_started"] == "deploy-bot"
    assert vocabulary.origins["other"] == "any"  # declared again is no change
    with pytest.raises(UnknownKindError):
        Vocabulary().check("deploy_started")


def test_every_well_formed_kind_goes_when_the_vocabulary_is_off() -> None:
    vocabulary = Vocabulary(any_kind=True)
    vocabulary.check("whatever.it.is_1.x")
    with pytest.raises(InvalidEventError) as caught:
        vocabulary.check("Whatever")
    assert not isinstance(caught.value, UnknownKindError)


@given(kinds)
def test_generated_kinds_have_the_form(kind: str) -> None:
    check_form(kind)


@pytest.mark.parametrize(
    "kind", ["a", "a" * 64, "a0_", "a.b", "a.0", "a._", "a." + "b" * 63, "a.b.c.d", "other"]
)
def test_forms_that_are_taken(kind: str) -> None:
    check_form(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "", " ", "A", "Other", "oTher", "0a", "_a", ".a", "a.", "a..b", "a" * 65, "a." + "b" * 64,
        "a.b.c.d.e", "a-b", "a b", "a\n", "\na", "a\x00", "é", "aé", "ａ", "a/b", "ſ", "K",
        "a.B", None, 5, True, b"other", ["other"],
    ],
)  # fmt: skip
def test_forms_that_are_refused(kind: object) -> None:
    with pytest.raises(InvalidEventError) as caught:
        check_form(kind)
    assert caught.value.member == "kind"
    assert not isinstance(caught.value, UnknownKindError)
    assert re.fullmatch(r"[\x20-\x7e…]+", str(caught.value))
    with pytest.raises(InvalidEventError):
        Vocabulary({"s": [kind]})  # type: ignore[list-item]


@given(st.text())
def test_any_text_is_a_kind_or_refused_in_one_printable_line(text: str) -> None:
    vocabulary = Vocabulary(any_kind=True)
    if re.fullmatch(r"[a-z][a-z0-9_]{0,63}(\.[a-z0-9_]{1,63}){0,3}", text):
        vocabulary.check(text)
        return
    with pytest.raises(InvalidEventError) as caught:
        vocabulary.check(text)
    assert re.fullmatch(r"[\x20-\x7e…]{1,200}", str(caught.value))


def test_a_slip_gets_the_nearest_kind() -> None:
    with pytest.raises(UnknownKindError) as caught:
        Vocabulary().check("request_dennied")
    assert str(caught.value) == (
        'unknown kind "request_dennied"; did you mean "request_denied"? '
        "(--allow-kind request_dennied declares it)"
    )
    with pytest.raises(UnknownKindError, match=r"declare it with --allow-kind zzz or under"):
        Vocabulary().check("zzz")


def test_nearest() -> None:
    assert nearest("ohter", ["other", "another"]) == "other"
    assert nearest("x", ["other"]) is None
    assert nearest("x", []) is None


def test_shorten() -> None:
    assert shorten("abc") == "'abc'"
    assert shorten("\x1b\ud800é") == "'\\x1b\\ud800\\xe9'"
    assert len(shorten("x" * 1000)) == 60

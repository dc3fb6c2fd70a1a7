"""The vocabulary of kinds: closed by default, so that a typo is an error and not a new kind.

It is consulted when an event is written and when a query names a kind, never by verification:
a ledger stays verifiable when the list changes.
"""

from __future__ import annotations

import re

from audit_stream.errors import InvalidEventError, UnknownKindError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KIND_PATTERN = r"[a-z][a-z0-9_]{0,63}(?:\.[a-z0-9_]{1,63}){0,3}"

ANY_SOURCE = "any"
"""Shown as the source of a kind that no single producer owns."""

BUILT_IN: dict[str, tuple[str, ...]] = {
    "procurement-decision-api": (
        "decision_card_drafted",
        "decision_card_signed",
        "decision_card_status_changed",
    ),
    "policy-as-code-engine": (
        "policy_bundle_registered",
        "request_allowed",
        "request_denied",
        "policy_condition_asserted",
    ),
    "data-contract-registry": (
        "contract_promoted",
        "contract_deprecated",
        "contract_compatibility_failed",
    ),
    "aeo-validator-service": ("watch_created", "watch_drifted", "watch_validity_flipped"),
    "incident-correlation-rs": ("incident_filed", "remediation_planned"),
    "hash-attestation-rs": (
        "attestation_signed",
        "attestation_verified",
        "attestation_failed",
        "attestation_tampered",
    ),
    "feature-flag-rs": ("flag_swapped",),
    "request-shadow-rs": ("shadow_divergence_recorded",),
    "mcp-permission-broker": (
        "tool_invocation_allowed",
        "tool_invocation_denied",
        "tool_invocation_required_approval",
    ),
    "slo-budget-tracker": ("slo_burn_started", "slo_recovered"),
    "reliability-toolkit": ("breaker_opened", "breaker_recovered"),
    ANY_SOURCE: ("other",),
}
"""Kind lists by the service that usually sends them; a kind is not tied to its source."""


class Vocabulary:
    """The kinds in force. Immutable; `origins` maps each kind to where it comes from."""

    __slots__ = ("any_kind", "origins")

    def __init__(
        self, extra: Mapping[str, Iterable[str]] | None = None, *, any_kind: bool = False
    ) -> None:
        """Declare the kinds of `extra` (source to kinds) besides the built-in ones.

        Raises:
            InvalidEventError: a declared kind does not match the pattern.
        """
        self.any_kind = any_kind
        self.origins = {kind: source for source, kinds in BUILT_IN.items() for kind in kinds}
        for source, kinds in (extra or {}).items():
            for kind in kinds:
                check_form(kind)
                self.origins.setdefault(kind, source)

    def check(self, kind: str) -> None:
        """Raise UnknownKindError (or InvalidEventError for a malformed one) unless in force."""
        if kind in self.origins:
            return
        check_form(kind)
        if not self.any_kind:
            raise UnknownKindError(f'unknown kind "{kind}"{self._hint(kind)}', "kind")

    def _hint(self, kind: str) -> str:
        near = nearest(kind, self.origins)
        if near:
            return f'; did you mean "{near}"? (--allow-kind {kind} declares it)'
        return f"; declare it with --allow-kind {kind} or under [kinds.extra] in audit-stream.toml"


def check_form(kind: object) -> None:
    """Raise InvalidEventError unless `kind` is a string of the form that every kind has."""
    if not isinstance(kind, str):
        raise InvalidEventError("expected a string", "kind")
    if re.fullmatch(KIND_PATTERN, kind) is None:
        raise InvalidEventError(
            "expected lower-case letters, digits and _, with up to three dots, like "
            f"request_denied; got {shorten(kind)}",
            "kind",
        )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` is most likely a slip of, or None."""
    import difflib  # only after a mistake: keeps the append path quick to start

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def shorten(text: str, limit: int = 60) -> str:
    """Quote `text` for a one-line message: printable ASCII, and no longer than `limit`."""
    shown = ascii(text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"

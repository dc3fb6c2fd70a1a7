"""The shapes of what is sent and answered, for the OpenAPI document only.

Nothing is validated with them: events are checked by the ledger's own door, several times faster
and by the one set of rules; tests hold real answers against these shapes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256, lower-case hex.")]
KindName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}(\.[a-z0-9_]{1,63}){0,3}$",
        description="A word of the vocabulary; see `/kinds`.",
        examples=["request_denied"],
    ),
]
SourceName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]+$",
        description="The producing service.",
        examples=["policy-as-code-engine"],
    ),
]
Payload = Annotated[
    dict[str, Any],
    Field(
        description="Any I-JSON object (RFC 7493), at most 64 levels deep; integers beyond "
        "±(2^53−1) are refused.",
        examples=[{"rule": 7}],
    ),
]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Draft(_Closed):
    """An event as it is sent."""

    kind: KindName
    source: SourceName
    payload: Payload = Field(default={})
    timestamp: str | None = Field(
        default=None,
        description="RFC 3339 with an offset; left out or null: the time of the commit.",
        examples=["2026-01-31T12:00:00Z"],
    )


class Event(_Closed):
    """An event as it is stored: exactly the ledger's line, in canonical form (RFC 8785)."""

    event_id: int = Field(ge=1)
    hash: Hash
    kind: KindName
    payload: Payload
    prev_hash: Hash
    source: SourceName
    timestamp: str


class BatchAppended(_Closed):
    """What a batch became."""

    count: int = Field(ge=1)
    first_event_id: int = Field(ge=1)
    last_event_id: int = Field(ge=1)
    latest_hash: Hash


class Pinned(_Closed):
    """What, outside the file, vouches for its end."""

    by: str
    event_id: int
    hash: Hash | None


class VerifyResult(_Closed):
    """The verdict on the whole ledger."""

    valid: bool
    checked: int = Field(ge=0, description="How many events check, counted from the first.")
    first_break_at: int | None = Field(description="The number of the event that fails.")
    reason: str | None
    verdict: Literal["intact", "empty", "broken", "truncated", "rewritten", "torn"]
    byte_offset: int | None
    last_event_id: int = Field(ge=0)
    latest_hash: Hash | None
    bytes: int = Field(ge=0)
    torn_tail_bytes: int = Field(ge=0)
    clock_regressions: int = Field(ge=0)
    pinned: Pinned | None
    since_event_id: int = Field(ge=0)


class OverTime(_Closed):
    """Counts in equally long buckets."""

    bucket_seconds: int = Field(ge=1)
    start: str | None = Field(description="When the first bucket starts; null without events.")
    kinds: dict[str, list[int]]


class Stats(_Closed):
    """Counts of the ledger's events."""

    count: int = Field(ge=0)
    last_event_id: int = Field(ge=0)
    latest_hash: Hash | None
    bytes: int = Field(ge=0)
    first_timestamp: str | None
    last_timestamp: str | None
    by_kind: dict[str, int]
    by_source: dict[str, int]
    over_time: OverTime | None = None
    damaged_lines: int | None = None


class KindOrigin(_Closed):
    """A kind and where it comes from."""

    kind: str
    source: str


class Vocabulary(_Closed):
    """The kinds in force; with `any` every kind of the right form is taken."""

    any: bool
    kinds: list[KindOrigin]


class ConsistencyProof(_Closed):
    """RFC 6962, section 2.1.2: the tree of `to` events begins with that of `from`."""

    from_: int = Field(ge=0, serialization_alias="from")
    to: int = Field(ge=0)
    from_root: str = Field(description="Base64 of 32 bytes.")
    to_root: str = Field(description="Base64 of 32 bytes.")
    hashes: list[str] = Field(description="Base64 of 32 bytes each.")


class Health(_Closed):
    """The process lives."""

    status: Literal["ok"]


class Verification(_Closed):
    """The last verdict."""

    verdict: str
    checked: int
    first_break_at: int | None
    byte_offset: int | None
    reason: str | None
    pinned: Pinned | None
    last_event_id: int
    finished_at: str


class Readiness(_Closed):
    """Whether an append would be accepted; `status` is `ready`, or a stable word for why not."""

    status: str
    detail: str
    verification: Verification | None


class ServiceInfo(_Closed):
    """What this service is."""

    name: str
    version: str
    description: str
    endpoints: list[str]


class SessionState(_Closed):
    """Whether a sign-in is needed, and who is signed in."""

    required: bool
    signed_in: bool
    name: str | None
    roles: list[Literal["append", "read", "admin"]]


class SignIn(_Closed):
    """A token to exchange for a cookie."""

    token: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable, `detail` is a sentence."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    member: str | None = Field(default=None, description="The offending member of the event.")
    line: int | None = Field(default=None, description="The offending line of a batch.")
    parameter: str | None = Field(default=None, description="The offending parameter.")
    head_hash: Hash | None = Field(default=None, description="The present head (412).")


ALL: tuple[type[BaseModel], ...] = (
    Draft,
    Event,
    BatchAppended,
    VerifyResult,
    Stats,
    Vocabulary,
    ConsistencyProof,
    Health,
    Readiness,
    ServiceInfo,
    SessionState,
    SignIn,
    Problem,
)

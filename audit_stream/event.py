"""The envelope: from what a caller sends (a draft) to a stored line, and back to an event.

Everything that can be wrong with an event is refused here, before any state changes. What
depends on the ledger's head (`event_id`, `prev_hash`, `hash`, the clock) is added by `chain`,
under the lock; a `Draft` therefore carries the finished bytes of the rest, so that as little as
possible is done there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from audit_stream import canonical, timestamps
from audit_stream.errors import InvalidEventError
from audit_stream.vocabulary import KIND_PATTERN, Vocabulary, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_MAX_EVENT_BYTES = 1024 * 1024
"""How long a stored line may be, the LF not counted, unless configured otherwise."""

MEMBERS = ("event_id", "hash", "kind", "payload", "prev_hash", "source", "timestamp")
"""The members of a stored event; this is also their canonical order."""

LINE_PREFIX = b'{"event_id":'
"""What every stored line begins with."""

DRAFT_MEMBERS = frozenset(("kind", "payload", "source", "timestamp"))
_ASSIGNED = frozenset(("event_id", "hash", "prev_hash"))

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_HEX64 = re.compile("[0-9a-f]{64}")
_SOURCE_LIMIT = 256


class Draft:
    """A checked event that waits for its place in the chain.

    `kind` and `source` are text; `front` and `back` are the canonical bytes of the members
    around `prev_hash` (`"kind":…,"payload":…` and `"source":…`); `timestamp` is in the writer's
    form, or None where the ledger is to stamp the time of the commit.
    """

    __slots__ = ("back", "front", "kind", "source", "timestamp")

    def __init__(
        self, kind: str, source: str, front: bytes, back: bytes, timestamp: str | None
    ) -> None:
        self.kind = kind
        self.source = source
        self.front = front
        self.back = back
        self.timestamp = timestamp


class Event:
    """One stored event. `line` is the stored line without its LF, byte for byte."""

    __slots__ = (
        "event_id",
        "hash",
        "kind",
        "line",
        "payload",
        "prev_hash",
        "source",
        "timestamp",
    )

    def __init__(
        self,
        event_id: int,
        hash: str,
        kind: str,
        payload: dict[str, Any],
        prev_hash: str,
        source: str,
        timestamp: str,
        line: bytes,
    ) -> None:
        self.event_id = event_id
        self.hash = hash
        self.kind = kind
        self.payload = payload
        self.prev_hash = prev_hash
        self.source = source
        self.timestamp = timestamp
        self.line = line

    @classmethod
    def from_line(cls, line: bytes) -> Event:
        """Read a stored line (without LF) that is known to be a valid event.

        Raises:
            InvalidEventError: it is not JSON, or a member is missing.
        """
        try:
            members = json.loads(line)
            return cls(**{name: members[name] for name in MEMBERS}, line=line)
        except (KeyError, TypeError, ValueError, RecursionError):
            raise InvalidEventError("not a stored event") from None

    def as_dict(self) -> dict[str, Any]:
        """Return the seven members in canonical order."""
        return {name: getattr(self, name) for name in MEMBERS}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and other.line == self.line

    def __hash__(self) -> int:
        return hash(self.line)

    def __repr__(self) -> str:
        return f"Event(event_id={self.event_id}, kind={self.kind!r}, source={self.source!r})"


def draft(
    kind: object,
    source: object,
    payload: object = None,
    timestamp: object = None,
    *,
    vocabulary: Vocabulary,
) -> Draft:
    """Check the members a caller sends and return them ready to be linked.

    `payload` None means `{}`; `timestamp` None means "stamp it at commit".

    Raises:
        InvalidEventError: a member breaks its rule; `member` names it.
        UnknownKindError: the kind is not in `vocabulary`.
    """
    if not isinstance(kind, str):
        raise InvalidEventError("expected a string", "kind")
    if not isinstance(source, str):
        raise InvalidEventError("expected a string", "source")
    # An enum's str() may be another text than its value.
    kind, source = str.__str__(kind), str.__str__(source)
    vocabulary.check(kind)
    check_source(source)
    if payload is None:
        payload_text = b"{}"
    elif isinstance(payload, Mapping):
        payload_text = _payload_bytes(dict(payload))
    else:
        raise InvalidEventError(f"expected a JSON object, got {json_type(payload)}", "payload")
    if timestamp is not None:
        if not isinstance(timestamp, str):
            raise InvalidEventError("expected an RFC 3339 string", "timestamp")
        timestamp = timestamps.normalize(timestamp)
    return Draft(
        kind,
        source,
        b'"kind":"%b","payload":%b' % (kind.encode(), payload_text),
        b'"source":%b' % _source_bytes(source),
        timestamp,
    )


def draft_from_json(
    text: bytes | str, *, vocabulary: Vocabulary, defaults: Mapping[str, str] | None = None
) -> Draft:
    """Check one draft sent as JSON: `{kind, source, payload?, timestamp?}`.

    `defaults` fills in for `kind` and `source` where the text lacks them.

    Raises:
        InvalidEventError, UnknownKindError: as `draft`, and for malformed JSON or a member that
            is unknown, missing, or the ledger's to assign.
    """
    return draft_from_members(canonical.decode(text), vocabulary=vocabulary, defaults=defaults)


def draft_from_members(
    members: object, *, vocabulary: Vocabulary, defaults: Mapping[str, str] | None = None
) -> Draft:
    """The same for decoded JSON, or any mapping. Raises as `draft_from_json`."""
    if not isinstance(members, Mapping):
        raise InvalidEventError(f"an event is a JSON object, got {json_type(members)}")
    for name in members:
        if name in _ASSIGNED:
            raise InvalidEventError("the ledger assigns it; leave it out", name)
        if name not in DRAFT_MEMBERS:
            raise InvalidEventError(
                "unknown member; an event has kind, source, payload and timestamp",
                shorten(name)[1:-1],
            )
    if defaults:
        members = {**defaults, **members}
    for name in ("kind", "source"):
        if name not in members:
            raise InvalidEventError("missing", name)
    if members.get("payload", {}) is None:
        raise InvalidEventError("expected a JSON object, got null; leave it out for {}", "payload")
    return draft(
        members["kind"],
        members["source"],
        members.get("payload"),
        members.get("timestamp"),
        vocabulary=vocabulary,
    )


def check_source(source: str) -> None:
    """Raise InvalidEventError unless `source` has 1-256 characters and no control character."""
    if not source:
        raise InvalidEventError(
            "expected the producing service's name, got an empty string", "source"
        )
    if len(source) > _SOURCE_LIMIT:
        raise InvalidEventError(
            f"expected at most {_SOURCE_LIMIT} characters, got {len(source)}", "source"
        )
    if _CONTROLS.search(source):
        raise InvalidEventError("control characters are not allowed", "source")


def check_stored(members: Any) -> None:
    """Check the envelope's rules on a line decoded by `canonical.decode_stored`.

    Unlike the door this takes any RFC 3339 timestamp and any kind of the right form: limits and
    vocabulary belong to the writer's configuration, and a ledger outlives it.

    Raises:
        InvalidEventError: the first rule that is broken.
    """
    if not isinstance(members, dict):
        raise InvalidEventError(f"expected an object, got {json_type(members)}")
    for name in MEMBERS:
        if name not in members:
            raise InvalidEventError("missing", name)
    for name in members:
        if name not in MEMBERS:
            raise InvalidEventError("unknown member", shorten(name)[1:-1])
    event_id = members["event_id"]
    # Which integer it should be is the chain's to say: "event_id should be N, got 0".
    if type(event_id) is not float or not event_id.is_integer() or abs(event_id) >= 2**53:
        raise InvalidEventError("expected an integer", "event_id")
    for name in ("hash", "prev_hash"):
        value = members[name]
        if not isinstance(value, str) or _HEX64.fullmatch(value) is None:
            raise InvalidEventError("expected 64 lower-case hex digits", name)
    kind = members["kind"]
    if not isinstance(kind, str) or re.fullmatch(KIND_PATTERN, kind) is None:
        raise InvalidEventError("not the form of a kind", "kind")
    if not isinstance(members["payload"], dict):
        raise InvalidEventError("expected an object", "payload")
    if not isinstance(members["source"], str):
        raise InvalidEventError("expected a string", "source")
    check_source(members["source"])
    if not isinstance(members["timestamp"], str):
        raise InvalidEventError("expected a string", "timestamp")
    timestamps.parse(members["timestamp"])


def json_type(value: object) -> str:
    """Name the JSON type of a decoded value, with its article, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (list, tuple)):
        return "an array"
    return "an object" if isinstance(value, dict) else f"a {type(value).__name__}"


def _payload_bytes(payload: dict[str, Any]) -> bytes:
    try:
        return canonical.encode(payload)
    except InvalidEventError as error:
        member = "payload" if error.member is None else f"payload.{error.member}"
        raise InvalidEventError(error.args[0], member) from None


def _source_bytes(source: str) -> bytes:
    try:
        return canonical.encode(source)
    except InvalidEventError as error:
        raise InvalidEventError(error.args[0], "source") from None

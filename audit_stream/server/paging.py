"""One page of events, in constant memory however large the events are.

A page is looked up first, so that the headers can say where the next one starts; its lines are
kept while they are few, and read a second time, as they are sent, when they are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from audit_stream.server.lines import event_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_stream.ledger import Ledger
    from audit_stream.query import Damage, Filter

KEPT_BYTES = 8 << 20
PIECE_BYTES = 64 * 1024


class Ask(NamedTuple):
    """What page is wanted: with `after`, the first `limit` events behind it, else the last."""

    wanted: Filter
    limit: int
    after: int | None
    before: int | None


class Page:
    """The page found: the ids of its first and last event (0 when empty), and how many.

    `more` says whether events may lie beyond it, in its direction; `damaged` counts the lines that
    were met on the way and are not valid events.
    """

    def __init__(self, ledger: Ledger, ask: Ask) -> None:
        self._ledger = ledger
        self._ask = ask
        self._lines: list[bytes] | None = []
        self.first = self.last = self.count = self.damaged = 0
        self._find()

    def _find(self) -> None:
        ask = self._ask
        forward = ask.after is not None
        kept: list[bytes] | None = []
        size = 0
        for line in self._ledger.select(
            ask.wanted,
            after=ask.after or 0,
            before=ask.before,
            limit=ask.limit,
            oldest=forward,
            reverse=not forward,
            on_damage=self._on_damage,
        ):
            self.count += 1
            found = event_id_of(line) or 0
            if self.count == 1:
                self.first = found
            self.last = found
            size += len(line)
            if kept is not None:
                kept.append(line)
                if size > KEPT_BYTES:
                    kept = None
        if not forward:
            self.first, self.last = self.last, self.first
            if kept is not None:
                kept.reverse()
        self._lines = kept

    def _on_damage(self, damage: Damage) -> None:
        self.damaged += 1

    @property
    def more(self) -> bool:
        """Whether there may be further pages in this direction."""
        return self.count == self._ask.limit and (self._ask.after is not None or self.first > 1)

    def next_query(self) -> list[tuple[str, str]]:
        """Return the parameters, besides the filters and the limit, that lead to the next page."""
        if self._ask.after is None:
            return [("before", str(self.first))]
        beyond = [("after", str(self.last))]
        return beyond if self._ask.before is None else [*beyond, ("before", str(self._ask.before))]

    def lines(self) -> Iterator[bytes]:
        """Yield the stored lines (without LF), oldest first."""
        if self._lines is not None:
            return iter(self._lines)
        return self._ledger.select(
            self._ask.wanted,
            after=self.first - 1,
            before=self.last + 1,
            limit=self.count,
            oldest=True,
        )

    def pieces(self, *, as_lines: bool) -> Iterator[bytes]:
        """Yield the body, as a JSON array or as JSON lines, in pieces of about 64 KiB."""
        between, end = (b"\n", b"\n") if as_lines else (b",", b"]")
        parts: list[bytes] = [] if as_lines else [b"["]
        size, first = 0, True
        for line in self.lines():
            if not first:
                parts.append(between)
            first = False
            parts.append(line)
            size += len(line)
            if size >= PIECE_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        if not (as_lines and first):
            parts.append(end)
        if parts:
            yield b"".join(parts)

    @property
    def is_small(self) -> bool:
        """Whether the body is at hand and can be sent at once."""
        return self._lines is not None

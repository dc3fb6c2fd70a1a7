"""`bulk` may say yes only where the exact code says yes, and must then say the same.

This is the most dangerous code of the package: what it wrongly lets in is stored, cannot be
verified any more, and stops every later append. So each of its answers is compared with the
exact code's (`event`, `chain`, `query.damage_of`), over generated input and over a list of
everything JSON readers are known to disagree about.
"""

from __future__ import annotations

from audit_stream import event
from audit_stream.bulk import DraftReader, read_block
from audit_stream.errors import InvalidEventError
from audit_stream.query import damage_of
from audit_stream.vocabulary import Vocabulary
from tests.ledgers import event as event_line

VOCABULARY = Vocabulary(any_kind=True)


def told(draft: event.Draft | None) -> tuple[object, ...] | None:
    """All that a draft says."""
    return None if draft is None else tuple(getattr(draft, name) for name in draft.__slots__)


def quick_and_exact(text: bytes) -> tuple[tuple[object, ...] | None, tuple[object, ...] | None]:
    """What the accelerator and the exact code make of a draft; None for "no"."""
    quick = told(DraftReader(VOCABULARY)._read_quickly(text))
    try:
        exact = told(event.draft_from_json(text, vocabulary=VOCABULARY))
    except InvalidEventError:
        exact = None
    return quick, exact


def sent(payload: bytes) -> bytes:
    """A draft with this payload text."""
    return b'{"kind":"other","source":"test","payload":' + payload + b"}"


WHITE = (b" ", b"\t", b"\r", b"\n", b"  \n\t\r ")


def test_long_integers_are_refused_wherever_white_space_stands() -> None:
    for digits in (b"9007199254740992", b"12345678901234567890", b"-9007199254740993"):
        for white in WHITE:
            for payload in (b'{"a":%b%b}', b'{"a":[1,%b%b]}', b'{"a":[%b%b]}'):
                quick, exact = quick_and_exact(sent(payload % (white, digits)))
                assert exact is None
                assert quick is None


def test_depth_is_counted_whatever_white_space_stands_between() -> None:
    for depth in (62, 63, 64, 65, 66, 200):
        for white in (b"", *WHITE, b"\n" * 500):
            nested = (b'{"a":' + white) * (depth - 1) + b"{}" + b"}" * (depth - 1)
            quick, exact = quick_and_exact(white + sent(white + nested))
            assert (exact is not None) == (depth <= 64)
            assert quick in (None, exact)


def test_a_line_by_itself_needs_a_positive_id_and_the_first_follows_nothing() -> None:
    for line in (event_line(0), event_line(-5), event_line(1, "1" * 64)):
        assert damage_of(line) is not None
        assert read_block(line + b"\n") is None
    assert read_block(event_line(1) + b"\n" + event_line(2, "1" * 64) + b"\n") is not None

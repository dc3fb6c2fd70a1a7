"""Pins: a small file, kept away from the ledger, that remembers the last verified head.

A hash chain cannot speak for its own end; a pin can, for whoever keeps it. The file is one line
of canonical JSON. It moves forward only, by a new file and a rename.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from audit_stream import canonical
from audit_stream.chain import ZERO_HASH
from audit_stream.errors import InvalidEventError, PinError, StorageError
from audit_stream.storage.durable import Disk

_FORMAT = "audit-stream pin v1"
_is_hash = re.compile("[0-9a-f]{64}").fullmatch


class Pin(NamedTuple):
    """A verified head: `event_id` events, the last one's `hash`, and where it ends (bytes)."""

    event_id: int
    hash: str
    byte_offset: int

    def encode(self) -> bytes:
        """Return the pin file's content."""
        return canonical.encode({"format": _FORMAT, **self._asdict()}) + b"\n"

    @classmethod
    def decode(cls, data: bytes, name: str = "pin") -> Pin:
        """Read a pin file's content. Raises PinError when it is not exactly what `encode` gives."""
        try:
            members = canonical.decode(data)
            pin = cls(members["event_id"], members["hash"], members["byte_offset"])
            if pin._is_sound() and pin.encode() == data:
                return pin
        except (InvalidEventError, KeyError, TypeError, ValueError):
            pass
        raise PinError(
            f"{name}: an empty or damaged pin; restore it from a copy, or delete it and verify "
            "against another witness before you make a new one"
        )

    def _is_sound(self) -> bool:
        return (
            type(self.event_id) is int
            and type(self.byte_offset) is int
            and isinstance(self.hash, str)
            and self.event_id >= 0
            and (self.byte_offset > 0) == (self.event_id > 0)
            and (self.event_id > 0 or self.hash == ZERO_HASH)
            and _is_hash(self.hash) is not None
        )


def load(path: str) -> Pin | None:
    """Return the pin at `path`, or None when there is no such file yet.

    Raises:
        PinError: the file is empty, damaged or unreadable.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(4096)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PinError(f"{path}: cannot read the pin: {_why(error)}") from None
    return Pin.decode(data, path)


def advance(path: str, reached: Pin) -> None:
    """Make the pin, or move it forward to `reached`. Never back: another verification may have
    come further meanwhile. Raises PinError, StorageError."""
    present = load(path)
    if present is None or present.event_id < reached.event_id:
        save(path, reached)


def save(path: str, pin: Pin, disk: Disk | None = None) -> None:
    """Write `pin` durably: a new file, then a rename. Raises StorageError."""
    try:
        (disk or Disk()).replace_file(path, pin.encode())
    except OSError as error:
        raise StorageError(f"{path}: cannot write the pin: {_why(error)}") from None


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

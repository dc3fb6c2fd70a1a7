"""Private key files, as `key new` makes them: one line, for their owner's eyes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from audit_stream import signing
from audit_stream.errors import InputError, MalformedError
from audit_stream.storage.beside import translated
from audit_stream.storage.durable import Disk

if TYPE_CHECKING:
    from audit_stream.signing import PrivateKey

_MAX_BYTES = 1 << 16


def load(path: str) -> PrivateKey:
    """The key in a file. No error repeats any of it.

    Raises `InputError`, `MalformedError`, `MissingExtraError`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: cannot read it: {why}") from None
    try:
        return signing.parse_private_key(data.decode().removesuffix("\n"))
    except UnicodeDecodeError:
        raise MalformedError(f"{path}: not a private key") from None
    except MalformedError as error:
        raise MalformedError(f"{path}: {error}") from None


def save(path: str, key: PrivateKey) -> None:
    """Write a key to a new file, mode 0600, durably.

    Raises `InputError` when the file exists, `UnreadableError`, `StorageError`.
    """
    with translated(path):
        try:
            Disk().create_secret(path, f"{key.export()}\n".encode())
        except FileExistsError:
            raise InputError(f"{path}: exists already; a key is never overwritten") from None


def is_exposed(path: str) -> bool:
    """Whether others than its owner may read the file, as far as its mode says."""
    return os.name == "posix" and bool(stat.S_IMODE(os.stat(path).st_mode) & 0o077)

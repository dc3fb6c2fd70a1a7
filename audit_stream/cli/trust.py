"""Keys, policies and documents that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audit_stream import key_files
from audit_stream.cli.exits import warn
from audit_stream.cli.streams import Output, safe
from audit_stream.errors import InputError, MalformedError
from audit_stream.policy import Policy, parse_policy, trust

if TYPE_CHECKING:
    from audit_stream.signing import PrivateKey

_MAX_BYTES = 1 << 30


def read_file(path: str) -> bytes:
    """A whole document; `-` is stdin. Raises `InputError`."""
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            return file.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: cannot read it: {why}") from None


def load_policy(keys: Sequence[str], path: str | None) -> Policy:
    """Whom to believe: the policy in `path`, whose logs give way to `keys` where there are any.

    Raises `InputError` when there is neither, since what anyone signed proves nothing.
    """
    from audit_stream.note import parse_key

    logs = []
    for key in keys:
        try:
            logs.append(parse_key(key))
        except MalformedError as error:
            raise MalformedError(f"--key: {error}") from None
    if path is None:
        if not logs:
            raise InputError("a signature proves nothing without --key VKEY or --policy FILE")
        return trust(*logs)
    try:
        policy = parse_policy(read_file(path))
    except MalformedError as error:
        raise MalformedError(f"{path}: {error}") from None
    if logs:
        return policy._replace(logs=trust(*logs).logs)
    if not policy.logs:
        raise InputError(f"{path}: the policy lists no log, and no --key was given")
    return policy


def load_private_key(path: str) -> PrivateKey:
    """The key in a file that `key new` made; warns when others may read it."""
    key = key_files.load(path)
    if key_files.is_exposed(path):
        warn(f"{path}: others may read this private key; chmod 600 it")
    return key


def last_note(path: str) -> bytes:
    """The signed note in a file, or the last one of many."""
    from audit_stream.checkpoints import split_records

    data = read_file(path)
    return (split_records(data) or [data])[-1]


def print_document(data: bytes) -> None:
    """Prints a text document to stdout: byte for byte, except on a terminal, which it is not to
    drive."""
    output = Output()
    if output.terminal:
        for line in data.decode("utf-8", "backslashreplace").removesuffix("\n").split("\n"):
            output.text(safe(line))
    else:
        output.write(data)

"""Whom to believe: trusted log keys, known witnesses, and the quorum (C2SP tlog-policy).

A checkpoint is believed when a listed log signed it and the witnesses that cosigned it make up
the quorum. `--key VKEY` alone is the policy with that log and `quorum none`. Keys are the only
trusted input that verification has, so anything unclear in a policy file is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from audit_stream.errors import MalformedError
from audit_stream.note import COSIGNATURE_V1, ED25519, VerifierKey, parse_key

_NONE = b"none"
_ALLOWED = frozenset(b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100)))


class Witness(NamedTuple):
    """A witness line. `url` is its submission prefix, when the file gives one."""

    key: VerifierKey
    url: str | None


class Group(NamedTuple):
    """A group line: satisfied by `threshold` of its members (witnesses or groups, by name)."""

    threshold: int
    members: tuple[bytes, ...]


class Policy(NamedTuple):
    """The three parts of a policy. Names are opaque bytes; a `quorum` of None asks for nobody."""

    logs: tuple[VerifierKey, ...]
    witnesses: dict[bytes, Witness]
    groups: dict[bytes, Group]
    quorum: bytes | None

    def keys(self) -> list[VerifierKey]:
        """Every key that this policy knows."""
        return [*self.logs, *(witness.key for witness in self.witnesses.values())]

    def is_met(self, cosigners: Collection[VerifierKey]) -> bool:
        """Whether these keys make up the quorum."""
        return self.quorum is None or self._is_met(self.quorum, cosigners)

    def _is_met(self, name: bytes, cosigners: Collection[VerifierKey]) -> bool:
        # Groups name only what stands above them in the file, so this ends.
        witness = self.witnesses.get(name)
        if witness is not None:
            return witness.key in cosigners
        group = self.groups[name]
        return sum(self._is_met(member, cosigners) for member in group.members) >= group.threshold

    def describe_quorum(self) -> str:
        """The rule in words, for a message: `2 of (w1, w2, w3)`."""
        return "nobody" if self.quorum is None else self._describe(self.quorum)

    def _describe(self, name: bytes) -> str:
        if name in self.witnesses:
            return _shown(name)
        group = self.groups[name]
        return f"{group.threshold} of ({', '.join(map(self._describe, group.members))})"


def trust(*logs: VerifierKey) -> Policy:
    """The policy that believes these logs and asks for no witnesses. Raises `MalformedError`."""
    for key in logs:
        _check_log(key)
    return Policy(logs, {}, {}, None)


def parse_policy(data: bytes) -> Policy:
    """Reads a policy file (tlog-policy, "Policy file syntax"). Raises `MalformedError`.

    The message names the line. Logs must have Ed25519 keys and witnesses cosignature keys.
    """
    lines = data.split(b"\n")
    if lines.pop():
        raise MalformedError("the last line of the policy does not end in LF")
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        try:
            reader.read(line)
        except MalformedError as error:
            raise MalformedError(f"policy line {number}: {error}") from None
    return reader.finish()


class _Reader:
    """The policy as far as it was read."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[bytes, Witness] = {}
        self.groups: dict[bytes, Group] = {}
        self.quorums: list[bytes] = []
        self.members: set[bytes] = set()

    def read(self, line: bytes) -> None:
        if not _ALLOWED.issuperset(line):
            raise MalformedError("control characters are not allowed")
        words = line.replace(b"\t", b" ").split(b" ")
        match [word for word in words if word]:
            case []:
                pass
            case [first, *_] if first.startswith(b"#"):
                pass
            case [b"log", key] | [b"log", key, _]:
                self.add_log(_key(key))
            case [b"witness", name, key]:
                self.add_witness(name, _key(key), None)
            case [b"witness", name, key, url]:
                self.add_witness(name, _key(key), _url(url))
            case [b"group", name, rule, *members] if members:
                self.add_group(name, rule, tuple(members))
            case [b"quorum", name]:
                self.add_quorum(name)
            case other:
                raise MalformedError(f"not a valid {_shown(other[0])} line")

    def add_log(self, key: VerifierKey) -> None:
        _check_log(key)
        _check_new(key, self.logs)
        self.logs.append(key)

    def add_witness(self, name: bytes, key: VerifierKey, url: str | None) -> None:
        self.check_free(name)
        if key.algorithm != COSIGNATURE_V1:
            raise MalformedError(f"{key.name!a} is not a witness key (algorithm 0x04)")
        _check_new(key, (witness.key for witness in self.witnesses.values()))
        self.witnesses[name] = Witness(key, url)

    def add_group(self, name: bytes, rule: bytes, members: tuple[bytes, ...]) -> None:
        self.check_free(name)
        for member in members:
            self.check_defined(member)
            if member in self.members:
                raise MalformedError(f"{_shown(member)} is a group member twice")
            self.members.add(member)
        self.groups[name] = Group(_threshold(rule, len(members)), members)

    def add_quorum(self, name: bytes) -> None:
        if name != _NONE:
            self.check_defined(name)
        self.quorums.append(name)

    def check_free(self, name: bytes) -> None:
        if name == _NONE or name in self.witnesses or name in self.groups:
            raise MalformedError(f"the name {_shown(name)} is taken")

    def check_defined(self, name: bytes) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise MalformedError(f"{_shown(name)} is not defined above")

    def finish(self) -> Policy:
        if len(self.quorums) != 1:
            raise MalformedError(f"a policy has one quorum line, not {len(self.quorums)}")
        quorum = None if self.quorums[0] == _NONE else self.quorums[0]
        return Policy(tuple(self.logs), self.witnesses, self.groups, quorum)


def _threshold(rule: bytes, members: int) -> int:
    if rule == b"any":
        return 1
    if rule == b"all":
        return members
    # Leading zeros are a matter of taste; a threshold outside 1 to n can never be meant.
    if not rule.isdigit() or len(rule) > 9 or not 1 <= int(rule) <= members:
        raise MalformedError(f"the threshold is any, all, or 1 to {members}")
    return int(rule)


def _key(word: bytes) -> VerifierKey:
    try:
        return parse_key(word.decode())
    except UnicodeDecodeError:
        raise MalformedError("the verifier key is not UTF-8") from None


def _url(word: bytes) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError:
        raise MalformedError("the URL is not UTF-8") from None


def _check_log(key: VerifierKey) -> None:
    if key.algorithm != ED25519:
        raise MalformedError(f"{key.name!a} is not a log key (algorithm 0x01)")


def _check_new(key: VerifierKey, others: Iterable[VerifierKey]) -> None:
    if any(key.public_key == other.public_key for other in others):
        raise MalformedError(f"the public key of {key.name!a} is listed twice")


def _shown(name: bytes) -> str:
    return ascii(name.decode("utf-8", "backslashreplace"))[1:-1]

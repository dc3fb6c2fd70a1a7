"""Every error the library raises, split by whose fault it is.

The four branches are the caller's input, the ledger's integrity, a conflict, and the storage.
Each class carries a stable `code`; the command line maps codes to exit codes and the server
maps them to HTTP statuses, each in one table. Foreign errors (`OSError`) are translated into
these at the storage seam and nowhere else.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class AuditStreamError(Exception):
    """Base of every error of this package. `str(error)` is one line that says what to do."""

    code: ClassVar[str] = "error"


class InputError(AuditStreamError):
    """The caller asked for something that cannot be done; nothing was written."""

    code: ClassVar[str] = "input"


class InvalidEventError(InputError):
    """An event breaks a rule of the envelope.

    `member` names the offending member (`kind`, `payload.a.b`, …), or is None when the text as
    a whole is wrong. `index` is the position in the batch, counted from 0, when there is one.
    """

    code: ClassVar[str] = "invalid_event"

    def __init__(self, message: str, member: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.member = member
        self.index = index


class EventTooLargeError(InvalidEventError):
    """The stored line would be longer than `max_event_bytes`."""

    code: ClassVar[str] = "event_too_large"


class UnknownKindError(InvalidEventError):
    """A kind that is well formed but not in the vocabulary in force."""

    code: ClassVar[str] = "unknown_kind"


class LedgerNotFoundError(InputError):
    """The ledger does not exist."""

    code: ClassVar[str] = "not_found"


class UnreadableError(InputError):
    """The path is there but cannot be read as a ledger (permissions, a directory, …)."""

    code: ClassVar[str] = "unreadable"


class ConfigError(InputError):
    """The configuration file is missing, malformed, or has an unknown key."""

    code: ClassVar[str] = "config"


class PinError(InputError):
    """A pin file is empty, damaged, or belongs to something else."""

    code: ClassVar[str] = "pin"


class MalformedError(InputError):
    """A key, note, checkpoint, proof or policy is not exactly what its format says."""

    code: ClassVar[str] = "malformed"


class NotSignedError(InputError):
    """There is no checkpoint, or none that reaches as far as was asked for."""

    code: ClassVar[str] = "not_signed"


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message names the `pip install` that helps."""

    code: ClassVar[str] = "missing_extra"


class IntegrityError(AuditStreamError):
    """The ledger itself is damaged."""

    code: ClassVar[str] = "integrity"


class DamagedTailError(IntegrityError):
    """The last complete line is not a valid event, so nothing can be chained onto it."""

    code: ClassVar[str] = "damaged_tail"


class SignatureError(IntegrityError):
    """No valid signature by a key that was asked for, or an invalid one by a known key."""

    code: ClassVar[str] = "signature"


class QuorumError(SignatureError):
    """The log signed, but not enough others vouch for it: witnesses, a timestamping authority."""

    code: ClassVar[str] = "quorum"


class ProofError(IntegrityError):
    """A Merkle proof does not lead to the root that was signed."""

    code: ClassVar[str] = "proof"


class ForkError(IntegrityError):
    """The ledger does not extend the last signed checkpoint, so nothing was signed."""

    code: ClassVar[str] = "fork"


class ConflictError(AuditStreamError):
    """Another writer was there first."""

    code: ClassVar[str] = "conflict"


class HeadMismatchError(ConflictError):
    """The head is not the `expected` one; `head_hash` is the present one (lower-case hex)."""

    code: ClassVar[str] = "head_mismatch"

    def __init__(self, message: str, expected: str, head_hash: str) -> None:
        super().__init__(message)
        self.expected = expected
        self.head_hash = head_hash


class StorageError(AuditStreamError):
    """The machine failed us; nothing was acknowledged."""

    code: ClassVar[str] = "storage"


class StorageFullError(StorageError):
    """No space, quota, or file-size limit reached; the ledger was cut back to where it was."""

    code: ClassVar[str] = "storage_full"


class StorageLatchedError(StorageError):
    """An earlier fsync failed, so this open ledger takes no more appends until it is reopened."""

    code: ClassVar[str] = "storage_latched"


class LockTimeoutError(StorageError):
    """Another process held the ledger's lock for too long."""

    code: ClassVar[str] = "lock_timeout"


class TransportError(StorageError):
    """A timestamping authority or a witness was not to be reached, or answered nonsense."""

    code: ClassVar[str] = "transport"

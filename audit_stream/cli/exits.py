"""Exit codes, and how an error becomes one line on stderr.

This is the command line's one table from errors to exit codes. Nothing a user can cause ends in
a traceback.
"""

from __future__ import annotations

import os
import sys

from audit_stream import errors
from audit_stream.cli.streams import OutputClosed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OK = 0
FAILED = 1
USAGE = 2
TORN = 3
MACHINE = 4
INTERRUPTED = 130

_BY_BRANCH: tuple[tuple[type[errors.AuditStreamError], int], ...] = (
    (errors.IntegrityError, FAILED),
    (errors.ConflictError, FAILED),
    (errors.InputError, USAGE),
    (errors.StorageError, MACHINE),
)

EXIT_CODES = {
    OK: "done; the ledger is intact, or empty",
    FAILED: "the ledger, a signature or a proof failed verification\n       (append: the head is "
    "not the expected one, or the last line is damaged)",
    USAGE: "usage error, missing or unreadable input, refused event",
    TORN: "only the tail is torn: an append was cut off, unacknowledged",
    MACHINE: "the machine failed us: disk full, I/O error, lock not to be had",
    INTERRUPTED: "interrupted by Ctrl-C",
}

EXIT_CODE_HELP = "\n".join(
    ["Exit codes:", *(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())]
)


def code_of(error: errors.AuditStreamError) -> int:
    """Return the exit code of an error."""
    return next(code for branch, code in _BY_BRANCH if isinstance(error, branch))


def describe(error: errors.AuditStreamError) -> str:
    """Return the error's line, with the offending member in front where there is one."""
    member = getattr(error, "member", None)
    return f"{member}: {error}" if member else str(error)


def complain(message: str) -> None:
    """Print one `error: …` line on stderr."""
    _say(f"error: {message}")


def warn(message: str) -> None:
    """Print one `warning: …` line on stderr."""
    _say(f"warning: {message}")


def note(message: str) -> None:
    """Print one line on stderr that is neither an error nor a warning."""
    _say(message)


def _say(message: str) -> None:
    try:
        sys.stderr.write(one_line(message) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # nobody listens


def guarded(command: Callable[[], int]) -> int:
    """Run a command; turn what it raises into one line and an exit code."""
    try:
        return command()
    except errors.AuditStreamError as error:
        complain(describe(error))
        return code_of(error)
    except OutputClosed:
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # keeps the flush at exit quiet
        return OK
    except MemoryError:
        complain("out of memory")
        return MACHINE
    except OSError as error:
        complain(f"{error.filename or 'output'}: {error.strerror or error}")
        return MACHINE

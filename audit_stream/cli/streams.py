"""Writing bytes to stdout, and text that cannot drive a terminal.

Text from a ledger comes from strangers. On a terminal the characters that could move the cursor,
change colours, retitle the window or reorder a line are shown as escapes; inside JSON as
`\\uXXXX`, which leaves its meaning alone. In a pipe or a file the stored bytes pass untouched.
"""

from __future__ import annotations

import io
import os
import re
import sys

from audit_stream.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# C0 (LF too), DEL, C1, the bidirectional controls, and Unicode's line separators.
# Not compiled here: that would cost every start, and most write to a pipe.
_UNSAFE = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"


class OutputClosed(Exception):  # noqa: N818 - not an error: the reader has seen enough
    """Whoever read our stdout has gone."""


def hold_standard_descriptors() -> None:
    """Fill those of descriptors 0-2 that the caller closed (`>&-`), unusable in their direction.

    Otherwise the ledger would be opened as descriptor 1, and what is printed would land in it.
    """
    for fd, unusable in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, unusable)  # the lowest free number, so this one


def is_terminal(fd: int = 1) -> bool:
    """Whether a descriptor is a terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def safe(text: str) -> str:
    """Return `text` with unsafe characters as `\\uXXXX`, so that it stays one harmless line."""
    return re.sub(_UNSAFE, lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """As `safe`, for messages; also what stderr's encoding cannot say is escaped."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return safe(text).encode(encoding, "backslashreplace").decode(encoding)


def safe_line(line: bytes) -> bytes:
    """Return a stored line for a terminal: the same JSON, harmless."""
    return safe(line.decode("utf-8", "backslashreplace")).encode()


class Output:
    """Bytes to stdout, unbuffered, in whole.

    Raises OutputClosed when nobody reads any more, StorageError when it cannot be written; its
    message ends in `all_the_same`.
    """

    def __init__(self, fd: int = 1, *, all_the_same: str = "") -> None:
        self.fd = fd
        self._all_the_same = all_the_same
        self.terminal = is_terminal(fd)

    def reader_is_gone(self) -> bool:
        """Whether nobody can read any more what would be written now (known for pipes)."""
        import select

        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(self.fd, 0)
        return any(happened & select.POLLERR for _, happened in poll.poll(0))

    def lines(self, lines: list[bytes]) -> None:
        """Write stored lines (without LF), each with its LF."""
        if lines:
            shown = map(safe_line, lines) if self.terminal else lines
            self.write(b"\n".join(shown) + b"\n")

    def text(self, text: str) -> None:
        """Write text of ours (already safe), with an LF."""
        self.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:
                _wait_until_writable(self.fd)
            except BrokenPipeError:
                raise OutputClosed from None
            except OSError as error:
                raise StorageError(
                    f"cannot write the output: {error.strerror}{self._all_the_same}"
                ) from None


class _Raw(io.RawIOBase):
    """`Output` as the raw end of a text stream."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._output.terminal

    def fileno(self) -> int:
        return self._output.fd

    def write(self, data: Any) -> int:
        self._output.write(data)
        return len(data)


class TextOutput(io.TextIOWrapper):
    """stdout for others' code (help, completion scripts): text that goes through `Output`, so
    that its errors are ours and come at once."""

    def __init__(self) -> None:
        super().__init__(
            _Raw(Output()),  # type: ignore[arg-type]
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )


def _wait_until_writable(fd: int) -> None:
    """Wait for a pipe that another process has made non-blocking."""
    import select

    select.select([], [fd], [])

"""stdout's bytes: whole, harmless on a terminal, and never in the ledger by mistake."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from audit_stream.cli.streams import Output, OutputClosed, one_line, safe, safe_line
from audit_stream.errors import StorageError
from tests.cli.program import COMMAND, environment, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&-", "<&- >&- 2>&-", "<&-", "2>&-"])
@pytest.mark.parametrize("form", ["single", "batch"])
def test_a_closed_descriptor_does_not_let_output_into_the_ledger(
    path: Path, closed: str, form: str
) -> None:
    (path.parent / "in").write_bytes(b'{"kind":"other","source":"s"}\n')
    options = "--kind other --source s" if form == "single" else f"--batch {path.parent}/in"
    program = " ".join(COMMAND)
    done = subprocess.run(
        ["sh", "-c", f"{program} append {path} {options} {closed}"],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == (4 if ">&-" in closed.split() else 0)
    assert path.read_bytes().count(b"\n") == 1
    assert run("verify", path).code == 0


def test_everything_is_written_to_a_slow_non_blocking_pipe() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = bytes(range(256)) * 2000
    child = os.fork()
    if child == 0:
        os.close(reader)
        Output(writer).write(data)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == data
    assert os.waitpid(child, 0)[1] == 0


def test_a_closed_pipe_and_a_full_disk_are_told_apart() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(OutputClosed):
        Output(writer).write(b"x")
    os.close(writer)
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StorageError, match="No space left"):
        Output(full).write(b"x")
    os.close(full)


UNSAFE = [
    *range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F,
    *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF,
]  # fmt: skip


@pytest.mark.parametrize("code", UNSAFE)
def test_what_could_drive_a_terminal_is_escaped(code: int) -> None:
    assert safe(f"a{chr(code)}b") == f"a\\u{code:04x}b"


def test_all_other_text_is_left_alone() -> None:
    text = "plain, é, 漢字, 🦆 and \u00a0"
    assert safe(text) == one_line(text) == text
    assert safe_line(text.encode()) == text.encode()


def test_bytes_that_are_not_utf8_are_shown_as_escapes() -> None:
    assert safe_line(b"a\xff") == b"a\\xff"
    assert one_line("a\udcff") == "a\\udcff"

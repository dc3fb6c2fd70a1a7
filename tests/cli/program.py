"""Running the command line for the tests: as a program, inside this process, or on a terminal.

`run` starts the real program with an environment that holds nothing of the developer's. `inside`
calls `main` in this process with its descriptors redirected: the same bytes and exit code, thirty
times as fast, for large corpora. `on_terminal` gives the program a pseudo-terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "audit_stream")
ENVIRONMENT = {
    "PATH": os.defpath,
    "PYTHONPATH": str(ROOT),
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
    "HOME": "/nonexistent",
}


class Done(NamedTuple):
    """A finished program: exit code, stdout, and stderr as text."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[bytes]:
        """stdout's lines, without their LF."""
        return self.out.split(b"\n")[:-1]

    @property
    def events(self) -> list[dict[str, Any]]:
        """stdout's lines as JSON."""
        return [json.loads(line) for line in self.lines]


def environment(extra: dict[str, str | None] | None = None) -> dict[str, str]:
    """The plain environment with `extra`; None takes a variable out."""
    merged = {**ENVIRONMENT, **(extra or {})}
    return {name: value for name, value in merged.items() if value is not None}


def run(
    *arguments: str | os.PathLike[str],
    stdin: bytes = b"",
    env: dict[str, str | None] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float = 60,
    **popen: Any,
) -> Done:
    """Run the program to its end."""
    popen.setdefault("stdout", subprocess.PIPE)
    popen.setdefault("stderr", subprocess.PIPE)
    if "stdin" not in popen:
        popen["input"] = stdin
    done = subprocess.run(
        [*COMMAND, *map(os.fspath, arguments)],
        env=environment(env),
        cwd=cwd,
        timeout=timeout,
        check=False,
        **popen,
    )
    return Done(done.returncode, done.stdout or b"", (done.stderr or b"").decode())


def start(
    *arguments: str | os.PathLike[str],
    env: dict[str, str | None] | None = None,
    **popen: Any,
) -> subprocess.Popen[bytes]:
    """Start the program with pipes for all three descriptors, unbuffered."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [*COMMAND, *map(os.fspath, arguments)],
        env=environment(env),
        bufsize=0,
        **(pipes | popen),
    )


def inside(
    *arguments: str | os.PathLike[str],
    stdin: bytes = b"",
    env: dict[str, str | None] | None = None,
    user: int | None = None,
) -> Done:
    """Call `main` in this process, with the descriptors 0, 1 and 2 redirected; as another `user`
    if the tests run as root."""
    from audit_stream.cli import main

    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        kept = [os.dup(fd) for fd in range(3)]
        streams, variables = (sys.stdin, sys.stdout, sys.stderr), dict(os.environ)
        for stream in streams[1:]:
            stream.flush()
        try:
            for fd, file in enumerate(files):
                os.dup2(file.fileno(), fd)
            sys.stdin = os.fdopen(0, "r", closefd=False)
            sys.stdout = os.fdopen(1, "w", closefd=False, encoding="utf-8")
            sys.stderr = os.fdopen(2, "w", closefd=False, encoding="utf-8")
            os.environ.clear()
            os.environ.update(environment(env))
            if user is not None:
                os.seteuid(user)
            code = main(list(map(os.fspath, arguments)))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            if user is not None:
                os.seteuid(os.getuid())
            sys.stdin, sys.stdout, sys.stderr = streams
            os.environ.clear()
            os.environ.update(variables)
            for fd, copy in enumerate(kept):
                os.dup2(copy, fd)
                os.close(copy)
        for file in files[1:]:
            file.seek(0)
        return Done(code, files[1].read(), files[2].read().decode())


def forked(
    *arguments: str | os.PathLike[str],
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> int:
    """Start the program in a forked child, and return its process id: as `start`, without the
    time that an interpreter takes to come up, for tests that start hundreds."""
    from audit_stream.cli import main

    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        for fd, source in enumerate((stdin, stdout, stderr)):
            null = source is None
            kept = os.open(os.devnull, os.O_RDWR) if source is None else source
            os.dup2(kept, fd)
            if null and kept != fd:
                os.close(kept)
        os.closerange(3, 256)
        sys.stdin = os.fdopen(0, "r", closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False, encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", closefd=False, encoding="utf-8")
        os.environ.clear()
        os.environ.update(environment())
        code = main(list(map(os.fspath, arguments)))
    finally:
        os._exit(code)


class Terminal:
    """The program on a pseudo-terminal of its own, stdout and stderr both (unless given)."""

    def __init__(
        self,
        *arguments: str | os.PathLike[str],
        columns: int = 120,
        env: dict[str, str | None] | None = None,
        **popen: Any,
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *map(os.fspath, arguments)],
            env=environment(env),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
            **({"stdin": slave, "stdout": slave, "stderr": slave} | popen),
        )
        os.close(slave)
        self.shown = b""

    def type(self, keys: bytes) -> None:
        """Send keys; b"\\x03" is Ctrl-C."""
        os.write(self._master, keys)

    def read_until(self, wanted: bytes, timeout: float = 20) -> bytes:
        """Read until `wanted` has been shown."""
        deadline = time.monotonic() + timeout
        while wanted not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if not self._read():
                break
        assert wanted in self.shown, self.shown
        return self.shown

    def finish(self, timeout: float = 30) -> tuple[int, str]:
        """Read to the end; return the exit code and all that was shown."""
        while self._read():
            pass
        code = self.process.wait(timeout)
        os.close(self._master)
        return code, self.shown.decode().replace("\r\n", "\n")

    def _read(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: the last descriptor of the other side is closed
            return False
        self.shown += data
        return bool(data)


def on_terminal(
    *arguments: str | os.PathLike[str],
    columns: int = 120,
    env: dict[str, str | None] | None = None,
    **popen: Any,
) -> tuple[int, str]:
    """Run to the end on a terminal; return the exit code and what was shown, LF ended."""
    return Terminal(*arguments, columns=columns, env=env, **popen).finish()

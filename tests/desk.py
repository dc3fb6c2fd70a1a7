"""A directory with a log's and a witness's keys, in which commands are run in this process."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from audit_stream.cli import main
from tests.signed import LOG, WITNESSES


class Done(NamedTuple):
    """A command's exit code, stdout and stderr."""

    code: int
    out: bytes
    err: str

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class Desk:
    """Runs commands with file names relative to `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.vkey = str(LOG.key)
        for name, key in (("log.key", LOG), ("witness.key", WITNESSES[0])):
            self.write(name, f"{key.export()}\n".encode())
            self.path(name).chmod(0o600)

    def path(self, name: str) -> Path:
        return self.home / name

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def write(self, name: str, data: bytes) -> str:
        self.path(name).write_bytes(data)
        return name

    def lines(self, name: str, lines: list[bytes]) -> str:
        return self.write(name, b"".join(line + b"\n" for line in lines))

    def run(self, *arguments: object) -> Done:
        """The exit code and what was printed; `main` writes to the descriptors themselves."""
        here = os.getcwd()
        kept = os.dup(1), os.dup(2)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(self.home)
            try:
                with _stderr_to_descriptor():
                    code = main([str(argument) for argument in arguments])
            finally:
                os.chdir(here)
                for number, copy in enumerate(kept, 1):
                    os.dup2(copy, number)
                    os.close(copy)
            out.seek(0)
            err.seek(0)
            return Done(code, out.read(), err.read().decode())

    def done(self, *arguments: object) -> Done:
        """`run`, for a command that must succeed and say nothing on stderr."""
        done = self.run(*arguments)
        assert (done.code, done.err) == (0, ""), done
        return done

    def sign(self, ledger: str, to: str) -> str:
        """A checkpoint of `ledger`, in the file `to`."""
        return self.write(to, self.done("checkpoint", ledger, "--key", "log.key").out)

    def verify(self, ledger: str, *more: object) -> tuple[str, int]:
        """The verdict and the exit code; the verdict is the error where there is no result."""
        done = self.run("verify", ledger, "--json", "--key", self.vkey, *more)
        return (done.json()["verdict"] if done.out else done.err.strip()), done.code


class _stderr_to_descriptor:  # noqa: N801 - reads as a clause
    """sys.stderr as the program has it: straight to descriptor 2."""

    def __enter__(self) -> None:
        import sys

        self._kept = sys.stderr
        sys.stderr = open(2, "w", closefd=False)

    def __exit__(self, *_: object) -> None:
        import sys

        sys.stderr.close()
        sys.stderr = self._kept

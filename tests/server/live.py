"""A real server in a process of its own, and real readers for what it sends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30


class Live:
    """`audit-stream serve` in a process of its own.

    Its standard error goes to a file beside the ledger, which `log` reads back.
    """

    def __init__(
        self,
        ledger: Path,
        *options: str,
        config: str = "",
        environment: dict[str, str] | None = None,
        wrap: tuple[str, ...] = (),
        **popen: Any,
    ) -> None:
        self.ledger = ledger
        self._has_workers = "--workers" in options
        self._wrapped = bool(wrap)
        self._log_path = ledger.with_name(f"{ledger.name}.log")
        if config:
            ledger.with_name("audit-stream.toml").write_text(config)
        arguments = [*wrap, sys.executable, "-m", "audit_stream", "serve", str(ledger)]
        if "--port" not in options:
            arguments += ["--port", "0"]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("HOST", "PORT") and not name.startswith("AUDIT_STREAM")
        }
        began = self._log_path.stat().st_size if self._log_path.exists() else 0
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*arguments, *options],
                cwd=ROOT,
                env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=bool(wrap),
                **popen,
            )
        self.url = self._wait_for_url(began)
        self.port = int(self.url.rpartition(":")[2])
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def _wait_for_url(self, began: int) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            text = self._log_path.read_bytes()[began:].decode()
            found = re.search(r'"event": "serving", "url": "([^"]+)"', text)
            if found:
                return found[1].replace("0.0.0.0", "127.0.0.1")
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {text}")
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server did not start: {text}")

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            # How it stops has tests of its own; here a quick end will do.
            if self._wrapped:
                # strace lets no signal through to itself, and must not leave its child behind.
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
            elif self._has_workers:
                self.stop()
            else:
                self.kill()

    # -- life --------------------------------------------------------------------------------

    def stop(self, number: int = signal.SIGTERM, within: float = 10) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(within)

    def kill(self) -> None:
        """End it as a power cut would, as far as processes go."""
        self.process.kill()
        self.process.wait(10)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The service log so far."""
        lines = self._log_path.read_text().splitlines()
        return [json.loads(line) for line in lines]

    def logged(self, event: str, within: float = 5) -> dict[str, Any]:
        """Wait for a log line and return it."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for line in self.log:
                if line["event"] == event:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{event} was not logged: {self.log}")

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return int(found[1]) * 1024

    # -- talking -----------------------------------------------------------------------------

    def post(self, payload: Any = None, **changes: Any) -> httpx.Response:
        """Append one event."""
        draft = {"kind": "other", "source": "test", "payload": payload or {}, **changes}
        return self.client.post("/events", json=draft)

    def post_batch(self, count: int, start: int = 0, **changes: Any) -> httpx.Response:
        """Append `count` events in one request."""
        lines = [
            json.dumps({"kind": "other", "source": "test", "payload": {"n": n}, **changes})
            for n in range(start, start + count)
        ]
        headers = {"content-type": "application/x-ndjson"}
        return self.client.post("/events", content="\n".join(lines), headers=headers)

    def metric(self, name: str) -> float:
        """Return one sample of `/metrics`."""
        found = re.search(
            rf"^{re.escape(name)} ([0-9.e+-]+)$", self.client.get("/metrics").text, re.MULTILINE
        )
        assert found, name
        return float(found[1])

    def raw(self, data: bytes, seconds: float = 5) -> bytes:
        """Send bytes on a connection of their own; return what comes until it is closed, or for
        so many seconds."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as connection:
            received = b""
            with contextlib.suppress(OSError):
                connection.sendall(data)
                while piece := connection.recv(65536):
                    received += piece
            return received


def token_config(**tokens: tuple[list[str], list[str] | None]) -> str:
    """Return a configuration with the tokens `secret-NAME`: roles, and sources or None."""
    stanzas = []
    for name, (roles, sources) in tokens.items():
        digest = hashlib.sha256(f"secret-{name}".encode()).hexdigest()
        stanzas.append(
            f'[[serve.tokens]]\nname = "{name}"\nsha256 = "{digest}"\nroles = {json.dumps(roles)}\n'
            + (f"sources = {json.dumps(sources)}\n" if sources is not None else "")
        )
    return "\n".join(stanzas)


def bearer(name: str) -> dict[str, str]:
    """Return the header for the token `secret-NAME`."""
    return {"authorization": f"Bearer secret-{name}"}


class Message:
    """One Server-Sent Event."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.event = fields.get("event")
        self.id = fields.get("id")
        self.data = fields["data"]

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def parse_messages(lines: Iterator[str]) -> Iterator[Message]:
    """Parse an event stream as the WHATWG says (section 9.2.6); comments are dropped."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Message(fields)
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


class Stream:
    """A subscription, read by a thread of its own."""

    def __init__(self, live: Live, path: str, **headers: str) -> None:
        self.messages: list[Message] = []
        self.status = 0
        self.headers = httpx.Headers()
        self.error: Exception | None = None
        self.body = ""
        self._opened = threading.Event()
        self._url = live.url + path
        self._request_headers = headers
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._opened.wait(20), "the stream did not open"

    def _run(self) -> None:
        try:
            with (
                httpx.Client(timeout=None, trust_env=False) as client,
                client.stream("GET", self._url, headers=self._request_headers) as response,
            ):
                self._response = response
                self.status, self.headers = response.status_code, response.headers
                if response.status_code != 200:
                    self.body = response.read().decode()
                    return
                self._opened.set()
                for message in parse_messages(_lines(response)):
                    self.messages.append(message)
        except Exception as error:  # the server going away is part of many tests
            self.error = error
        finally:
            self._opened.set()

    def wait_for(self, count: int, within: float = 10) -> list[Message]:
        """Wait until so many messages have come; return all."""
        deadline = time.monotonic() + within
        while len(self.messages) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(self.messages) >= count, f"{len(self.messages)} of {count} messages came"
        return self.messages

    def ended(self, within: float = 10) -> bool:
        """Wait for the end of the stream."""
        self._thread.join(within)
        return not self._thread.is_alive()

    @property
    def ids(self) -> list[int]:
        return [int(message.id or -1) for message in self.messages]


def _lines(response: httpx.Response) -> Iterator[str]:
    """Split on LF only: httpx's own `iter_lines` splits on U+2028 too."""
    rest = b""
    for piece in response.iter_raw():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode().removesuffix("\r")

"""A real server process and a real Chromium for the console's tests.

Guarantees: every test gets a ledger of its own and a `python -m audit_stream serve` on a free
loopback port; every page is watched, and a test fails if the page raised an error, reported a
breach of its Content-Security-Policy, opened a dialog or asked any other host for anything.
Where there is no Chromium the tests cannot run: that is said in the summary, and with
AUDIT_STREAM_REQUIRE_ALL set (CI) it is a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
START_SECONDS = 20.0
WATCH = """
window.cspReports = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.cspReports.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});
"""


def chromium() -> str | None:
    """The path of an installed Chromium, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if chromium() is None:
        terminalreporter.write_sep("!", "THE CONSOLE WAS NOT TESTED: no Chromium on this machine")


class Server:
    """`audit-stream serve` as an operator would run it, to be killed and started again."""

    def __init__(self, ledger: Path, *args: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ledger = ledger
        self.args = args
        self.token: str | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "audit_stream", "serve", str(self.ledger)]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port), *self.args], cwd=ROOT
        )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/healthz", timeout=1).close()
                return
            assert self.process.poll() is None, "the server ended at once"
            time.sleep(0.05)
        pytest.fail("the server did not answer")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def request(self, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        headers = {"content-type": kind, "accept": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.url}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def append(self, *events: dict[str, Any]) -> int:
        """Appends a batch. Returns the number of its last event."""
        body = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        answer = self.request("/events", body, "application/x-ndjson")
        last: int = answer["last_event_id"]
        return last

    def fill(self, n: int, **members: Any) -> int:
        """Appends `n` plain events of three kinds and two sources."""
        kinds = ("request_allowed", "request_denied", "flag_swapped")
        events = [
            {
                "kind": kinds[i % 3],
                "source": "policy-as-code-engine" if i % 2 else "feature-flag-rs",
                "payload": {"n": i, "marker": f"m{i}"},
                **members,
            }
            for i in range(n)
        ]
        last = 0
        for start in range(0, n, 1000):
            last = self.append(*events[start : start + 1000])
        return last


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def make(*args: str) -> Server:
        server = Server(tmp_path / f"ledger{len(running)}.jsonl", *args)
        running.append(server)
        server.start()
        return server

    yield make
    for server in running:
        server.stop()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        reason = "no Chromium on this machine: the console was not tested"
        if os.environ.get("AUDIT_STREAM_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a watched page: `open_page(url, width=…, scheme=…, expect=…, prepare=…)`.

    `expect` names what console errors may contain, for tests that provoke them; `prepare` is
    called with the page before it goes anywhere.
    """
    watched: list[tuple[Any, list[str]]] = []
    contexts: list[Any] = []

    def open_(url: str, **options: Any) -> Any:
        size = {"width": options.get("width", 1440), "height": options.get("height", 900)}
        context = browser.new_context(
            viewport=size,
            color_scheme=options.get("scheme", "light"),
            permissions=["clipboard-read", "clipboard-write"],
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.add_init_script(WATCH)
        page = context.new_page()
        wrong: list[str] = []
        expect = options.get("expect", ())

        def message(entry: Any) -> None:
            if entry.type == "error" and not any(text in entry.text for text in expect):
                wrong.append(f"console: {entry.text}")

        origin = url.split("/", 3)[:3]
        page.on("console", message)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                request.url.split("/", 3)[:3] == origin or wrong.append(f"asked {request.url}")
            ),
        )
        watched.append((page, wrong))
        if prepare := options.get("prepare"):
            prepare(page)
        page.goto(url)
        return page

    yield open_
    for page, wrong in watched:
        if not page.is_closed():
            wrong += page.evaluate("window.cspReports ?? []")
    for context in contexts:
        context.close()
    assert [wrong for _, wrong in watched if wrong] == []

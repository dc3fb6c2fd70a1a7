"""The examples of docs/serve.md run, against a real server; the unit file is well formed."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from playwright.sync_api import ConsoleMessage, sync_playwright

from audit_stream.server.problems import STATUS_BY_CODE
from tests.server.live import ROOT, Live

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Start

PAGE = (ROOT / "docs" / "serve.md").read_text()
ADDRESS = "http://127.0.0.1:8093"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_shell_and_python_examples(start: Start, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "audit-stream"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m audit_stream "$@"\n'
    )
    program.chmod(0o755)
    live = start("--allow-kind", "deploy_started")
    work = tmp_path / "work"
    work.mkdir()
    script = "\n".join(["set -eu", *(f"echo; echo '####'\n{block}" for block in blocks("sh"))])
    done = subprocess.run(
        ["bash", "-c", script.replace(ADDRESS, live.url)],
        cwd=work,
        env={"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    outputs = [part.strip() for part in done.stdout.split("####")][1:]
    single, batch, careful, read, stream, verified, token = outputs
    assert '"event_id":1' in single
    assert '"last_event_id": 3' in batch
    assert '"event_id":4' in careful
    assert "intact" in read
    assert stream.startswith("event: request_denied\nid: 1\ndata: ")
    assert '"valid":true' in verified
    assert "event: result" in verified
    assert token.startswith("ast_")
    for block, printed in zip(blocks("python"), ("5 ", "1\n"), strict=True):
        ran = subprocess.run(
            [sys.executable, "-c", block.replace(ADDRESS, live.url)],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert ran.stdout.startswith(printed)


def browser_path() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise AssertionError("these tests need chromium")


def is_ours(message: ConsoleMessage) -> bool:
    return message.type == "log"  # not that there is no favicon


def test_event_source_example(start: Start) -> None:
    live: Live = start()
    live.post()
    (block,) = blocks("js")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(f"{live.url}/healthz")
        with page.expect_console_message(is_ours) as first:
            page.evaluate(block)
        assert first.value.text == "1 other"
        with page.expect_console_message(is_ours) as second:
            live.post(kind="request_denied")
        assert second.value.text == "2 request_denied"
        browser.close()


def test_every_code_is_in_the_table() -> None:
    table = PAGE.partition("| status | code |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`([a-z_]+)`", table))
    assert set(STATUS_BY_CODE) - {"input", "not_found", "unreadable"} <= listed
    for code in listed - {"detail"}:
        in_source = any(
            f'"{code}"' in path.read_text() for path in (ROOT / "audit_stream").rglob("*.py")
        )
        assert in_source or code in ("request_timeout", "member", "line", "head_hash"), code


def test_every_metric_is_there(shared: Live) -> None:
    text = shared.client.get("/metrics").text
    for name in re.findall(r"`(audit_stream_[a-z_]+)`", PAGE):
        assert f"# TYPE {name.removesuffix('_total')}" in text or f"# TYPE {name}" in text, name


def test_the_unit(tmp_path: Path) -> None:
    unit = ROOT / "scripts" / "audit-stream.service"
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    assert "serve" in parser["Service"]["ExecStart"]
    assert parser["Service"]["ProtectSystem"] == "strict"
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # not a systemd machine; the form was checked above
    checked = tmp_path / unit.name
    checked.write_text(unit.read_text().replace("/usr/local/bin/audit-stream", "/bin/true"))
    done = subprocess.run([analyze, "verify", checked], capture_output=True, text=True)
    assert "audit-stream.service" not in done.stderr, done.stderr

"""`verify`: check whole ledgers; the exit code is the verdict."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.append_options import LEDGER_VARIABLE
from audit_stream.cli.forms import use_colour
from audit_stream.cli.streams import Output, is_terminal, safe
from audit_stream.errors import AuditStreamError, InputError
from audit_stream.ledger import Ledger
from audit_stream.verification import (
    NOTHING_VOUCHES,
    Expectations,
    VerifyResult,
    default_jobs,
    verify_stream,
)

if TYPE_CHECKING:
    from audit_stream.verification import Progress

_WORST_FIRST = (exits.FAILED, exits.MACHINE, exits.USAGE, exits.TORN, exits.OK)


_EPILOG = f"""\
Examples:
  audit-stream verify ledger.jsonl
  audit-stream verify ledger.jsonl --pin /elsewhere/ledger.pin
  audit-stream verify ledger.jsonl --json | jq -r .verdict

{exits.EXIT_CODE_HELP}"""


def register(app: typer.Typer) -> None:
    """Add `verify` to the application."""

    @app.command(rich_help_panel=application.CHECK, epilog=_EPILOG)
    def verify(
        ledgers: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="LEDGER...",
                help=f"The ledger files; '-' is stdin. {LEDGER_VARIABLE} if none is given.",
                show_default=False,
            ),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = (
            False
        ),
        quiet: Annotated[
            bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code says it.")
        ] = False,
        jobs: Annotated[
            int | None,
            typer.Option(metavar="N", min=1, help="Processes to use; one a core if not given."),
        ] = None,
        expect_head: Annotated[
            str | None,
            typer.Option(metavar="HASH", help="An event with this hash must be there."),
        ] = None,
        expect_count: Annotated[
            int | None,
            typer.Option(
                metavar="N",
                min=0,
                help="There must be at least N events; with --expect-head, event N has it.",
            ),
        ] = None,
        pin: Annotated[
            str | None,
            typer.Option(
                metavar="FILE",
                help="Remember the verified head here, and fail when the ledger no longer "
                "extends it. Keep it on another machine.",
            ),
        ] = None,
        since_pin: Annotated[
            bool, typer.Option("--since-pin", help="With --pin: check only what is new.")
        ] = False,
    ) -> int:
        """Check every line: canonical form, event_id, prev_hash, hash. Any changed bit is found."""
        # Not Typer's `envvar`, which would split a path at its spaces.
        ledgers = ledgers or [os.environ.get(LEDGER_VARIABLE, "")]
        if not all(ledgers):
            raise InputError(f"LEDGER is missing; name the ledger file, or set {LEDGER_VARIABLE}")
        _check_usage(ledgers, expect_head, expect_count, pin, since_pin)
        codes = []
        for ledger in ledgers:
            try:
                with _Progress(ledger, show=not quiet and is_terminal(2)) as progress:
                    result = _verify(
                        ledger, expect_head, expect_count, pin, since_pin, jobs, progress
                    )
                if not quiet:
                    _print(ledger, result, pin, as_json)
                codes.append(result.exit_code)
            except AuditStreamError as error:
                exits.complain(exits.describe(error))
                codes.append(exits.code_of(error))
        return min(codes, key=_WORST_FIRST.index)


def _check_usage(
    ledgers: list[str],
    expect_head: str | None,
    expect_count: int | None,
    pin: str | None,
    since_pin: bool,
) -> None:
    if len(ledgers) > 1 and (expect_head, expect_count, pin) != (None, None, None):
        raise InputError("pins and expectations go with one ledger only")
    if since_pin and pin is None:
        raise InputError("--since-pin goes with --pin FILE")
    if expect_head is not None and re.fullmatch("[0-9a-fA-F]{64}", expect_head) is None:
        raise InputError("--expect-head: expected 64 hex digits")


def _verify(
    path: str,
    expect_head: str | None,
    expect_count: int | None,
    pin: str | None,
    since_pin: bool,
    jobs: int | None,
    progress: Progress,
) -> VerifyResult:
    if path == "-" or _is_pipe(path):
        if pin is not None:
            raise InputError("--pin needs a ledger file, not a pipe")
        expected = Expectations(expect_head.lower() if expect_head else None, expect_count)
        try:
            with open(0 if path == "-" else path, "rb", closefd=path != "-") as stream:
                return verify_stream(stream, expected, progress=progress)
        except OSError as error:
            raise InputError(f"{path}: cannot read it: {error.strerror}") from None
    from audit_stream.config import Settings

    # Verification consults no configuration, so a damaged one must not stand in its way.
    with Ledger(path, settings=Settings()) as ledger:
        return ledger.verify(
            expect_head=expect_head,
            expect_count=expect_count,
            pin=pin,
            since_pin=since_pin,
            jobs=jobs or default_jobs(),
            progress=progress,
        )


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _print(ledger: str, result: VerifyResult, pin: str | None, as_json: bool) -> None:
    output = Output()
    if as_json:
        text = json.dumps({**result.as_dict(), "ledger": ledger}, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:  # a file name that is not UTF-8
            text = json.dumps({**result.as_dict(), "ledger": ledger})
        output.text(safe(text) if output.terminal else text)
        return
    colour = use_colour(output)
    mark = {0: ("✓", "32"), 1: ("✗", "31"), 3: ("!", "33")}[result.exit_code]
    verdict = f"{mark[0]} {result.verdict}" if output.terminal else result.verdict
    if colour:
        verdict = f"\x1b[1;{mark[1]}m{verdict}\x1b[0m"
    output.text(f"{safe(ledger)}: {verdict}")
    # A terminal would break lines anywhere; in a pipe each detail stays one line.
    width = shutil.get_terminal_size().columns - 12 if output.terminal else 10_000
    for name, value in _details(result, pin):
        for part in textwrap.wrap(safe(value), max(width, 40)):
            output.text(f"  {name:<10}{part}")
            name = ""


def _details(result: VerifyResult, pin: str | None) -> list[tuple[str, str]]:
    details = []
    if result.reason is not None:
        details.append(("reason", result.reason))
    if result.byte_offset is not None:
        details.append(("at byte", f"{result.byte_offset:,}"))
    checked = f"{result.checked:,} event{'s' if result.checked != 1 else ''}"
    if result.since_event_id:
        checked += f", of which {result.checked - result.since_event_id:,} since the pin"
    details.append(("checked", checked))
    if result.latest_hash is not None:
        good = "" if result.valid else "last good: "
        details.append(("head", f"{good}event {result.last_event_id:,}"))
        details.append(("hash", result.latest_hash))
    details.append(("size", f"{result.bytes:,} bytes"))
    if result.clock_regressions:
        details.append(
            ("note", f"{result.clock_regressions:,} events are older than the one before them")
        )
    if result.pinned is not None:
        details.append(
            ("pinned", f"up to event {result.pinned['event_id']:,}, by {result.pinned['by']}")
        )
    elif result.valid and pin is not None:
        note = f"{NOTHING_VOUCHES} yet; from now on {pin} does, kept where others cannot write"
        details.append(("note", note))
    elif result.valid or result.verdict == "torn":
        details.append(("note", f"{NOTHING_VOUCHES}; --pin FILE makes a witness"))
    return details


class _Progress:
    """A bar with rate and time left on stderr, once a walk has taken half a second."""

    def __init__(self, ledger: str, *, show: bool) -> None:
        self._ledger = ledger
        self._show = show
        self._bar: object = None
        self._started = 0.0

    def __enter__(self) -> Progress:
        import time

        self._started = time.monotonic()
        return self._update if self._show else _ignore

    def _update(self, done: int, total: int) -> None:
        import time

        if self._bar is None:
            if time.monotonic() - self._started < 0.5:
                return
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                TextColumn("verifying"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("verify", total=total or None, completed=done)
        self._bar.update(self._task, completed=done)  # type: ignore[attr-defined]

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()  # type: ignore[attr-defined]
            sys.stderr.flush()


def _ignore(done: int, total: int) -> None:
    pass

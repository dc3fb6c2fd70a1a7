"""`verify`: check whole ledgers; the exit code is the verdict."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import textwrap
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.append_options import LEDGER_VARIABLE
from audit_stream.cli.forms import use_colour
from audit_stream.cli.parameters import PolicyOption, VerifierKeyOption
from audit_stream.cli.progress import ProgressBar
from audit_stream.cli.streams import Output, is_terminal, safe
from audit_stream.errors import AuditStreamError, InputError, SignatureError
from audit_stream.ledger import Ledger
from audit_stream.verification import (
    NOTHING_VOUCHES,
    Expectations,
    VerifyResult,
    default_jobs,
    verify_stream,
)

if TYPE_CHECKING:
    from audit_stream.checkpoint import SignedCheckpoint
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
        checkpoint: Annotated[
            list[str] | None,
            typer.Option(
                metavar="FILE",
                help="The ledger must begin with exactly what this checkpoint signed; "
                "LEDGER.checkpoints if a key but no file is given. Repeatable.",
            ),
        ] = None,
        key: VerifierKeyOption = None,
        policy: PolicyOption = None,
        since_checkpoint: Annotated[
            bool,
            typer.Option(
                "--since-checkpoint", help="Check only what follows the furthest checkpoint."
            ),
        ] = False,
        tsa_cert: Annotated[
            str | None,
            typer.Option(
                metavar="FILE",
                help="A checkpoint must carry a timestamp that these PEM certificates verify.",
            ),
        ] = None,
    ) -> int:
        """Check every line: canonical form, event_id, prev_hash, hash. Any changed bit is found."""
        # Not Typer's `envvar`, which would split a path at its spaces.
        ledgers = ledgers or [os.environ.get(LEDGER_VARIABLE, "")]
        if not all(ledgers):
            raise InputError(f"LEDGER is missing; name the ledger file, or set {LEDGER_VARIABLE}")
        outside = _Outside(
            expect_head,
            expect_count,
            pin,
            since_pin,
            _Signed(tuple(checkpoint or ()), tuple(key or ()), policy, since_checkpoint, tsa_cert),
        )
        _check_usage(ledgers, outside)
        codes = []
        for ledger in ledgers:
            try:
                with ProgressBar(show=not quiet and is_terminal(2)) as progress:
                    result = _verify(ledger, outside, jobs, progress)
                if not quiet:
                    _print(ledger, result, pin, as_json)
                codes.append(result.exit_code)
            except AuditStreamError as error:
                exits.complain(exits.describe(error))
                codes.append(exits.code_of(error))
        return min(codes, key=_WORST_FIRST.index)


class _Signed(NamedTuple):
    """What the command line says about signatures."""

    files: tuple[str, ...]
    keys: tuple[str, ...]
    policy: str | None
    since: bool
    certificates: str | None

    def wanted(self) -> bool:
        # An empty value, such as an unset variable's, is a mistake and no way to ask for nothing.
        return self != _Signed((), (), None, since=False, certificates=None)


class _Outside(NamedTuple):
    """What the command line says that the ledger must hold up to."""

    expect_head: str | None
    expect_count: int | None
    pin: str | None
    since_pin: bool
    signed: _Signed


def _check_usage(ledgers: list[str], outside: _Outside) -> None:
    if len(ledgers) > 1 and outside[:3] != (None, None, None):
        raise InputError("pins and expectations go with one ledger only")
    if len(ledgers) > 1 and outside.signed.wanted():
        raise InputError("checkpoints go with one ledger only")
    if outside.since_pin and outside.pin is None:
        raise InputError("--since-pin goes with --pin FILE")
    if outside.since_pin and outside.signed.since:
        raise InputError("--since-pin does not go with --since-checkpoint")
    head = outside.expect_head
    if head is not None and re.fullmatch("[0-9a-fA-F]{64}", head) is None:
        raise InputError("--expect-head: expected 64 hex digits")


def _verify(path: str, outside: _Outside, jobs: int | None, progress: Progress) -> VerifyResult:
    believed = _believed(path, outside.signed) if outside.signed.wanted() else ()
    expect_head = outside.expect_head.lower() if outside.expect_head else None
    if path == "-" or _is_pipe(path):
        if outside.pin is not None:
            raise InputError("--pin needs a ledger file, not a pipe")
        expected = Expectations(expect_head, outside.expect_count, checkpoints=believed)
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
            expect_count=outside.expect_count,
            pin=outside.pin,
            since_pin=outside.since_pin,
            checkpoints=believed,
            since_checkpoint=outside.signed.since,
            jobs=jobs or default_jobs(),
            progress=progress,
        )


def _believed(ledger: str, signed: _Signed) -> tuple[SignedCheckpoint, ...]:
    """The checkpoints that the command line names and that its keys make believable; not none."""
    from audit_stream.checkpoints import CHECKPOINTS, believe, beside, split_records
    from audit_stream.cli.trust import load_policy, read_file

    policy = load_policy(signed.keys, signed.policy)
    certificates = None if signed.certificates is None else read_file(signed.certificates)
    files = signed.files
    if not files:
        if ledger == "-":
            raise InputError("stdin has no checkpoints beside it; name them with --checkpoint")
        files = (beside(ledger, CHECKPOINTS),)
        if not os.path.exists(files[0]) or not split_records(read_file(files[0])):
            raise SignatureError(
                f"{files[0]}: no signed checkpoint there, so nothing is vouched for"
            )
    believed: list[SignedCheckpoint] = []
    for file in files:
        believed += believe(file, read_file(file), policy, certificates=certificates)
    return tuple(believed)


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
        mark = "checkpoint" if (result.pinned or {}).get("by") == "checkpoint" else "pin"
        checked += f", of which {result.checked - result.since_event_id:,} since the {mark}"
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
        if result.pinned["by"] == "checkpoint":
            details += _signatures(result.pinned)
    elif result.valid and pin is not None:
        note = f"{NOTHING_VOUCHES} yet; from now on {pin} does, kept where others cannot write"
        details.append(("note", note))
    elif result.valid or result.verdict == "torn":
        details.append(("note", f"{NOTHING_VOUCHES}; --pin FILE makes a witness"))
    return details


def _signatures(pinned: dict[str, Any]) -> list[tuple[str, str]]:
    details = [("log", pinned["origin"])]
    if pinned["time"] is not None:
        details.append(("at", f"{pinned['time']} by the log's own clock"))
    details += [
        ("cosigned", f"by {found['key']} at {found['time']}") for found in pinned["cosigned"]
    ]
    details += [
        ("stamped", f"by {stamp['by']} at {stamp['time']}") for stamp in pinned["timestamps"]
    ]
    unsigned = pinned["unsigned"]
    after = {
        0: "no event after it",
        1: "1 event after it is unsigned",
    }.get(unsigned, f"{unsigned:,} events after it are unsigned")
    details.append(("note", f"signed up to event {pinned['event_id']:,}; {after}"))
    return details

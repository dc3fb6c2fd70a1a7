"""`prove`, `prove-extends`, `check-proof`: what convinces someone who has no ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.parameters import (
    JsonOption,
    LedgerArgument,
    PolicyOption,
    VerifierKeyOption,
)
from audit_stream.cli.streams import Output, safe
from audit_stream.cli.trust import last_note, load_policy, print_document, read_file
from audit_stream.errors import MalformedError
from audit_stream.ledger import Ledger

if TYPE_CHECKING:
    from audit_stream.checkpoint import SignedCheckpoint
    from audit_stream.policy import Policy


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""

    @app.command(rich_help_panel=application.CHECK)
    def prove(
        ledger: LedgerArgument,
        event_id: Annotated[int, typer.Argument(metavar="ID", help="The event's event_id.")],
        checkpoint: Annotated[
            str | None,
            typer.Option(
                metavar="FILE",
                help="Prove against this checkpoint; the last of LEDGER.checkpoints if not given.",
            ),
        ] = None,
    ) -> int:
        """Print a proof that an event is in the signed ledger: one file, checked by `check-proof`
        without the ledger."""
        note = None if checkpoint is None else last_note(checkpoint)
        with _open(ledger) as opened:
            print_document(opened.checkpoints.prove(event_id, note))
        return exits.OK

    @app.command("prove-extends", rich_help_panel=application.CHECK)
    def prove_extends(
        old: Annotated[str, typer.Argument(metavar="OLD", help="The older checkpoint's file.")],
        new: Annotated[str, typer.Argument(metavar="NEW", help="The newer checkpoint's file.")],
        ledger: LedgerArgument,
    ) -> int:
        """Print a proof that the ledger of one checkpoint begins with the whole ledger of an
        older one; `check-proof` checks it without the ledger."""
        with _open(ledger) as opened:
            print_document(opened.checkpoints.prove_extension(last_note(old), last_note(new)))
        return exits.OK

    @app.command("check-proof", rich_help_panel=application.CHECK, epilog=exits.EXIT_CODE_HELP)
    def check_proof(
        file: Annotated[
            str, typer.Argument(metavar="FILE", help="What `prove` or `prove-extends` printed.")
        ],
        key: VerifierKeyOption = None,
        policy: PolicyOption = None,
        as_json: JsonOption = False,
    ) -> int:
        """Check a proof. Needs no ledger: only the file, and whom to believe."""
        found = _check(file, read_file(file), load_policy(key or (), policy))
        output = Output()
        if as_json:
            text = json.dumps(found, ensure_ascii=False)
            output.text(safe(text) if output.terminal else text)
            return exits.OK
        output.text(f"{safe(file)}: confirmed")
        for name, value in _details(found):
            output.text(f"  {name:<10}{safe(value)}")
        return exits.OK


def _open(path: str) -> Ledger:
    from audit_stream.config import Settings

    return Ledger(path, settings=Settings())


def _check(file: str, data: bytes, policy: Policy) -> dict[str, Any]:
    from audit_stream import proof
    from audit_stream.signing import verify

    if data.startswith(proof.EXTENSION_HEADER.encode()):
        extension = proof.parse_extension_proof(data)
        old, new = proof.check_extension_proof(extension, policy, verify)
        return {"proves": "extension", "file": file, **_said(new), "extends": _said(old)}
    if data.startswith(proof.EVENT_HEADER.encode()):
        event = proof.parse_event_proof(data)
        signed = proof.check_event_proof(event, policy, verify)
        return {
            "proves": "event",
            "file": file,
            "event_id": event.leaf_index + 1,
            "line": event.line.decode(),
            **_said(signed),
        }
    raise MalformedError(f"{file}: neither the proof of an event nor of an extension")


def _said(signed: SignedCheckpoint) -> dict[str, Any]:
    checkpoint = signed.checkpoint
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "hash": signed.chain_head,
        "time": signed.time,
        **signed.vouchers(),
    }


def _details(found: dict[str, Any]) -> list[tuple[str, str]]:
    details = [("log", found["origin"])]
    if found["proves"] == "event":
        details.append(("event", f"{found['event_id']:,} of {found['size']:,} signed events"))
        details.append(("line", found["line"]))
    else:
        details.append(
            (
                "extends",
                f"the first {found['extends']['size']:,} of {found['size']:,} signed events are"
                " those of the older checkpoint",
            )
        )
        details.append(("older", found["extends"]["time"] or "-"))
    details.append(("at", f"{found['time'] or '-'} by the log's own clock"))
    details += [("signed", f"by {key}") for key in found["keys"]]
    details += [("cosigned", f"by {one['key']} at {one['time']}") for one in found["cosigned"]]
    return details

"""`checkpoint`: sign the ledger as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.parameters import KeyFileOption, LedgerArgument
from audit_stream.cli.progress import ProgressBar
from audit_stream.cli.streams import is_terminal
from audit_stream.cli.trust import load_private_key, print_document
from audit_stream.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable


def register(app: typer.Typer) -> None:
    """Add `checkpoint` to the application."""

    @app.command(rich_help_panel=application.SIGN, epilog=exits.EXIT_CODE_HELP)
    def checkpoint(
        ledger: LedgerArgument,
        key: KeyFileOption,
        tsa: Annotated[
            str | None,
            typer.Option(
                metavar="URL", help="Have it timestamped by this authority (RFC 3161 over HTTP)."
            ),
        ] = None,
        since_checkpoint: Annotated[
            bool,
            typer.Option(
                "--since-checkpoint",
                help="Check only the events after the last checkpoint before signing.",
            ),
        ] = False,
    ) -> int:
        """Verify the ledger, sign its size and Merkle root, keep the note in LEDGER.checkpoints
        and print it. Never signs what does not extend the last checkpoint there."""
        from audit_stream.config import Settings
        from audit_stream.verification import default_jobs

        private = load_private_key(key)
        # As for verification: what is signed does not depend on the configuration.
        with (
            Ledger(ledger, settings=Settings()) as opened,
            ProgressBar(show=is_terminal(2)) as progress,
        ):
            data = opened.checkpoints.sign(
                private.key,
                private,
                since_last=since_checkpoint,
                complete=_stamper(tsa) if tsa else bytes,
                jobs=default_jobs(),
                progress=progress,
            )
        print_document(data)
        return exits.OK


def _stamper(url: str) -> Callable[[bytes], bytes]:
    from audit_stream import transport
    from audit_stream.timestamping import stamped

    transport.host_of(url)
    return lambda data: stamped(data, url)

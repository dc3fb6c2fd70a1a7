"""`key`: the Ed25519 keys that sign checkpoints, and those that cosign them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.streams import Output, safe
from audit_stream.cli.trust import load_private_key


def register(app: typer.Typer) -> None:
    """Add `key` to the application."""
    keys = typer.Typer(no_args_is_help=True)
    app.add_typer(
        keys, name="key", help="Make and show signing keys.", rich_help_panel=application.SIGN
    )

    @keys.command()
    def new(
        name: Annotated[
            str,
            typer.Option(
                metavar="ORIGIN",
                help="Which log this is, for ever: a name without spaces under a domain of yours, "
                "such as example.org/payments.",
            ),
        ],
        out: Annotated[
            str | None,
            typer.Option(metavar="FILE", help="The private key file; NAME.key if not given."),
        ] = None,
        witness: Annotated[
            bool, typer.Option("--witness", help="A key for `witness`, which cosigns.")
        ] = False,
    ) -> int:
        """Make a key: the private file (mode 0600) is written, the public key printed."""
        from audit_stream import key_files
        from audit_stream.note import COSIGNATURE_V1, ED25519
        from audit_stream.signing import generate

        key = generate(name, COSIGNATURE_V1 if witness else ED25519)
        path = out or re.sub(r"[^\w.-]+", "-", name).strip("-.") + ".key"
        key_files.save(path, key)
        if out is None:
            exits.note(f"the private key is in {path}")
        _print(str(key.key))
        return exits.OK

    @keys.command()
    def show(
        file: Annotated[str, typer.Argument(metavar="FILE", help="A private key file.")],
    ) -> int:
        """Print the public key of a private key file."""
        _print(str(load_private_key(file).key))
        return exits.OK


def _print(key: str) -> None:
    output = Output()
    output.text(safe(key) if output.terminal else key)

"""`token`: making the bearer tokens that `serve` takes.

The token itself is printed once and stored nowhere; the configuration holds its SHA-256.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli.streams import Output
from audit_stream.errors import ConfigError, InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES = 32


def run_token_new(name: str, roles: Sequence[str], sources: Sequence[str] = ()) -> int:
    """Print a new token on the first line, then the stanza for `audit-stream.toml`.

    Raises:
        ConfigError: a name, role or source that cannot be used.
    """
    import hashlib
    import secrets

    _check(name, roles, sources)
    token = f"ast_{secrets.token_urlsafe(_BYTES)}"
    digest = hashlib.sha256(token.encode()).hexdigest()
    output = Output()
    output.text(token)
    output.text(stanza(name, digest, roles, sources))
    return 0


def stanza(name: str, digest: str, roles: Sequence[str], sources: Sequence[str]) -> str:
    """Return the `[[serve.tokens]]` table of a token."""
    lines = [
        "",
        "[[serve.tokens]]",
        f"name = {_toml(name)}",
        f"sha256 = {_toml(digest)}",
        f"roles = {_toml(list(dict.fromkeys(roles)))}",
    ]
    if sources:
        lines.append(f"sources = {_toml(list(dict.fromkeys(sources)))}")
    return "\n".join(lines)


def _toml(value: str | list[str]) -> str:
    # A TOML basic string takes all of JSON's escapes but for surrogate pairs, hence no \u for them.
    return json.dumps(value, ensure_ascii=False)


def _check(name: str, roles: Sequence[str], sources: Sequence[str]) -> None:
    from audit_stream.config import ROLES
    from audit_stream.event import check_source

    if not name or not name.isprintable() or len(name) > 100:
        raise ConfigError(f"{name!a}: a token's name is 1-100 printable characters")
    for role in roles:
        if role not in ROLES:
            raise ConfigError(f"{role!a}: unknown role; known are {', '.join(ROLES)}")
    if not roles:
        raise ConfigError(f"give at least one --role: {', '.join(ROLES)}")
    for source in sources:
        try:
            check_source(source)
        except InvalidEventError as error:
            raise ConfigError(f"--source {source!a}: {error}") from None


def register(app: typer.Typer) -> None:
    """Add `token` to the application."""
    token = typer.Typer(no_args_is_help=True, help="Make tokens for `serve`.")
    app.add_typer(token, name="token", rich_help_panel=application.RUN)

    @token.command("new")
    def new(
        name: Annotated[str, typer.Argument(metavar="NAME", help="Who is going to use it.")],
        role: Annotated[
            list[str],
            typer.Option(metavar="ROLE", help="append, read or admin. Repeatable."),
        ],
        source: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="Bind it to this source. Repeatable."),
        ] = None,
    ) -> int:
        """Print a new token, then the stanza that lets it in."""
        return run_token_new(name, role, source or ())

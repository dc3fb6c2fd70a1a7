"""`serve`: the ledger over HTTP. Puts flags, environment and configuration file together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from audit_stream.cli import app as application
from audit_stream.cli.append_options import LEDGER_VARIABLE
from audit_stream.cli.parameters import AllowKindOption, AnyKindOption, ConfigOption
from audit_stream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_stream.config import ServeSettings, Settings
    from audit_stream.server.signing import Every

DEFAULT_LEDGER = "ledger.jsonl"


class Flags(NamedTuple):
    """What was said on the command line; None where nothing was."""

    host: str | None = None
    port: int | None = None
    config: str | None = None
    workers: int = 1
    insecure: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    verify_every: str | None = None
    pin: str | None = None
    checkpoint_key: str | None = None
    checkpoint_every: str | None = None
    allow_kinds: tuple[str, ...] = ()
    any_kind: bool = False
    access_log: bool = False


def run_serve(
    ledger: str,
    flags: Flags,
    environment: Mapping[str, str] = os.environ,
) -> int:
    """Serve until told to stop; return the exit code.

    Raises:
        ConfigError: the settings contradict each other, or are not safe.
        AuditStreamError: the ledger cannot be opened, or the address cannot be served on.
    """
    import secrets

    from audit_stream.server import run
    from audit_stream.server.options import Options

    settings = settle(ledger, flags, environment)
    every = _checkpoint_every(flags)
    if flags.checkpoint_key is not None:
        from audit_stream.cli.trust import load_private_key
        from audit_stream.policy import trust

        trust(load_private_key(flags.checkpoint_key).key)  # fail here, and not at the first one
    options = Options(
        ledger=ledger,
        settings=settings,
        extra_kinds=flags.allow_kinds,
        any_kind=flags.any_kind,
        pin=flags.pin,
        checkpoint_key=flags.checkpoint_key,
        checkpoint_every=every,
        access_log=flags.access_log,
        session_key=secrets.token_bytes(32),
    )
    return run.serve(options, flags.workers)


def settle(ledger: str, flags: Flags, environment: Mapping[str, str]) -> Settings:
    """Return the settings in force. Flags beat the environment, which beats the file.

    Raises:
        ConfigError: see `run_serve`.
    """
    from audit_stream import config

    named = flags.config or environment.get("AUDIT_STREAM_CONFIG")
    settings = config.load(named) if named else config.load_beside(ledger)
    serve = settings.serve
    changes: dict[str, Any] = {}
    host = flags.host or environment.get("HOST")
    if host:
        changes["host"] = host
    port = flags.port if flags.port is not None else _port(environment.get("PORT"))
    if port is not None:
        changes["port"] = port
    if flags.allowed_hosts:
        changes["allowed_hosts"] = serve.allowed_hosts + flags.allowed_hosts
    if flags.cors_origins:
        changes["cors_origins"] = serve.cors_origins + flags.cors_origins
    for name in ("tls_cert", "tls_key"):
        if getattr(flags, name) is not None:
            changes[name] = getattr(flags, name)
    if flags.verify_every is not None:
        changes["verify_every"] = _duration(flags.verify_every)
    serve = serve._replace(**changes)
    _check(serve, flags)
    return settings._replace(serve=serve)


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise ConfigError(f"PORT={text!a}: expected a number from 0 to 65535")


def _duration(text: str) -> float | None:
    from audit_stream.config import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"--verify-every {error}") from None


def _checkpoint_every(flags: Flags) -> Every:
    """Read `1m` as a time and `1000` as a number of events."""
    from audit_stream.config import parse_duration
    from audit_stream.server.signing import Every

    text = flags.checkpoint_every
    if text is None:
        return Every(seconds=60.0)
    if flags.checkpoint_key is None:
        raise ConfigError("--checkpoint-every goes with --checkpoint-key FILE")
    if text.isascii() and text.isdigit() and 0 < int(text) < 10**15:
        return Every(events=int(text))
    try:
        return Every(seconds=parse_duration(text))
    except ValueError:
        raise ConfigError(
            f"--checkpoint-every {text!a}: expected a time like 1m, or a number of events"
        ) from None


def _check(serve: ServeSettings, flags: Flags) -> None:
    from audit_stream.server.hosts import is_loopback

    if (serve.tls_cert is None) != (serve.tls_key is None):
        raise ConfigError("TLS takes both a certificate (tls_cert) and its key (tls_key)")
    for path in (serve.tls_cert, serve.tls_key):
        if path is not None and not os.path.isfile(path):
            raise ConfigError(f"{path}: there is no such TLS file")
    if not is_loopback(serve.host) and not serve.tokens and not flags.insecure:
        raise ConfigError(
            f"serving on {serve.host} without tokens would let everyone who can reach it read and "
            "append; configure tokens (`audit-stream token new`), bind 127.0.0.1, or give "
            "--insecure"
        )
    if flags.workers > 1 and os.name == "nt":
        raise ConfigError("--workers: not on Windows")


def register(app: typer.Typer) -> None:
    """Add `serve` to the application."""

    @app.command(rich_help_panel=application.RUN)
    def serve(
        ledger: Annotated[
            str,
            typer.Argument(
                metavar="[LEDGER]",
                envvar=LEDGER_VARIABLE,
                help="The ledger; created when it is missing.",
            ),
        ] = DEFAULT_LEDGER,
        host: Annotated[
            str | None,
            typer.Option(metavar="ADDRESS", help="Where to listen; HOST, or 127.0.0.1."),
        ] = None,
        port: Annotated[
            int | None,
            typer.Option(min=0, max=65535, help="PORT, or 8093; 0 for any free one."),
        ] = None,
        config: ConfigOption = None,
        workers: Annotated[
            int, typer.Option(min=1, max=64, help="Processes that share the work.")
        ] = 1,
        insecure: Annotated[
            bool, typer.Option("--insecure", help="Serve beyond this machine without tokens.")
        ] = False,
        allowed_host: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="A further Host to answer to. Repeatable."),
        ] = None,
        cors_origin: Annotated[
            list[str] | None,
            typer.Option(metavar="ORIGIN", help="A web origin whose pages may call. Repeatable."),
        ] = None,
        tls_cert: Annotated[
            str | None, typer.Option(metavar="FILE", help="Certificate chain (PEM).")
        ] = None,
        tls_key: Annotated[
            str | None, typer.Option(metavar="FILE", help="Its private key (PEM).")
        ] = None,
        verify_every: Annotated[
            str | None,
            typer.Option(metavar="TIME", help="Verify the ledger at intervals, like 15m."),
        ] = None,
        pin: Annotated[
            str | None,
            typer.Option(
                metavar="FILE", help="Hold verifications against this pin, and move it forward."
            ),
        ] = None,
        checkpoint_key: Annotated[
            str | None,
            typer.Option(metavar="FILE", help="Sign the ledger by itself with this private key."),
        ] = None,
        checkpoint_every: Annotated[
            str | None,
            typer.Option(
                metavar="TIME|N",
                help="When: at intervals like 1m (the default), or once N events are unsigned.",
            ),
        ] = None,
        allow_kind: AllowKindOption = None,
        any_kind: AnyKindOption = False,
        access_log: Annotated[
            bool, typer.Option("--access-log", help="Log every request.")
        ] = False,
    ) -> int:
        """Serve the ledger over HTTP: REST, Server-Sent Events, the live console."""
        return run_serve(
            ledger,
            Flags(
                host=host,
                port=port,
                config=config,
                workers=workers,
                insecure=insecure,
                allowed_hosts=tuple(allowed_host or ()),
                cors_origins=tuple(cors_origin or ()),
                tls_cert=tls_cert,
                tls_key=tls_key,
                verify_every=verify_every,
                pin=pin,
                checkpoint_key=checkpoint_key,
                checkpoint_every=checkpoint_every,
                allow_kinds=tuple(allow_kind or ()),
                any_kind=any_kind,
                access_log=access_log,
            ),
        )

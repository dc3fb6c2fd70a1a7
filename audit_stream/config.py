"""Settings: one frozen object, read from `audit-stream.toml`. Everything is optional.

The skins build it once and hand it down. Flags beat the environment, which beats the file; this
file knows the file only. Unknown keys are errors, with the nearest known one.
"""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any, NamedTuple

from audit_stream.errors import ConfigError, InvalidEventError
from audit_stream.vocabulary import Vocabulary, nearest

FILE_NAME = "audit-stream.toml"
ROLES = ("append", "read", "admin")


class Token(NamedTuple):
    """A bearer token's record. `sha256` is the hex SHA-256 of the token's ASCII text; `sources`
    None means any source."""

    name: str
    sha256: str
    roles: tuple[str, ...]
    sources: tuple[str, ...] | None = None


class ServeSettings(NamedTuple):
    """What `serve` is told; see the README for each. Sizes in bytes, `verify_every` in seconds."""

    host: str = "127.0.0.1"
    port: int = 8093
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 16 * 1024 * 1024
    max_pending: int = 10_000
    max_subscribers: int = 1000
    verify_every: float | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tokens: tuple[Token, ...] = ()


class Settings(NamedTuple):
    """Everything that can be configured. `path` is the file it came from, or None."""

    any_kind: bool = False
    extra_kinds: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - frozen by convention
    max_event_bytes: int = 1024 * 1024
    serve: ServeSettings = ServeSettings()
    path: str | None = None

    def vocabulary(self) -> Vocabulary:
        """Return the kinds in force."""
        return Vocabulary(self.extra_kinds, any_kind=self.any_kind)


def find(ledger: str) -> str | None:
    """Return the path of the `audit-stream.toml` beside the ledger, or None."""
    beside = os.path.join(os.path.dirname(ledger), FILE_NAME)
    return beside if os.path.exists(beside) else None


def load(path: str) -> Settings:
    """Read a configuration file.

    Raises:
        ConfigError: missing, unreadable, not TOML, an unknown key, or a value of the wrong type.
    """
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not TOML: not UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path}: not TOML that makes sense: nested too deeply") from None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"{path}: cannot read the configuration: {why}") from None
    return _Reader(path).settings(tables)


def load_beside(ledger: str) -> Settings:
    """Return the settings of the file beside the ledger, or the defaults. Raises ConfigError."""
    path = find(ledger)
    return Settings() if path is None else load(path)


def parse_duration(text: str) -> float:
    """Return the seconds of `90s`, `15m`, `2h`, `1d`. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", text.strip())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{text!a}: expected a time like 30s, 15m or 2h")
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


class _Reader:
    """Checks tables against the names and types of the settings; errors name the key."""

    def __init__(self, path: str) -> None:
        self._path = path

    def settings(self, tables: dict[str, Any]) -> Settings:
        self._known(tables, ("kinds", "limits", "serve"), "")
        kinds = self._table(tables, "kinds", "")
        self._known(kinds, ("any", "extra"), "kinds.")
        limits = self._table(tables, "limits", "")
        self._known(limits, ("max_event_bytes",), "limits.")
        settings = Settings(
            any_kind=self._value(kinds, "any", bool, False, "kinds."),
            extra_kinds={
                source: self._strings(extra, source, "kinds.extra.")
                for extra in [self._table(kinds, "extra", "kinds.")]
                for source in extra
            },
            max_event_bytes=self._positive(limits, "max_event_bytes", 1024 * 1024, "limits."),
            serve=self._serve(self._table(tables, "serve", "")),
            path=self._path,
        )
        try:
            settings.vocabulary()
        except InvalidEventError as error:
            raise self._error("kinds.extra", str(error)) from None
        return settings

    def _serve(self, table: dict[str, Any]) -> ServeSettings:
        default = ServeSettings()
        self._known(table, ServeSettings._fields, "serve.")
        prefix = "serve."
        return ServeSettings(
            host=self._value(table, "host", str, default.host, prefix),
            port=self._port(table, default.port),
            allowed_hosts=self._strings(table, "allowed_hosts", prefix),
            cors_origins=self._strings(table, "cors_origins", prefix),
            max_body_bytes=self._positive(table, "max_body_bytes", default.max_body_bytes, prefix),
            max_pending=self._positive(table, "max_pending", default.max_pending, prefix),
            max_subscribers=self._positive(
                table, "max_subscribers", default.max_subscribers, prefix
            ),
            verify_every=self._duration(table, "verify_every"),
            tls_cert=self._beside(self._value(table, "tls_cert", str, None, prefix)),
            tls_key=self._beside(self._value(table, "tls_key", str, None, prefix)),
            tokens=tuple(map(self._token, self._value(table, "tokens", list, [], prefix))),
        )

    def _token(self, table: Any) -> Token:
        prefix = "serve.tokens."
        if not isinstance(table, dict):
            raise self._error("serve.tokens", "expected [[serve.tokens]] tables")
        self._known(table, Token._fields, prefix)
        for name in ("name", "sha256", "roles"):
            if name not in table:
                raise self._error(prefix + name, "missing")
        digest = self._value(table, "sha256", str, "", prefix)
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise self._error(prefix + "sha256", "expected 64 lower-case hex digits")
        roles = self._strings(table, "roles", prefix)
        for role in roles:
            if role not in ROLES:
                raise self._error(prefix + "roles", f"unknown role {role!a}; {_one_of(ROLES)}")
        if not roles:
            raise self._error(prefix + "roles", f"expected at least one: {_one_of(ROLES)}")
        sources = self._strings(table, "sources", prefix) if "sources" in table else None
        return Token(self._value(table, "name", str, "", prefix), digest, roles, sources)

    def _known(self, table: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for name in table:
            if name not in known:
                near = nearest(name, known)
                hint = f'; did you mean "{near}"?' if near else f"; {_one_of(known)}"
                raise self._error(prefix + name, f"unknown key{hint}")

    def _table(self, table: dict[str, Any], name: str, prefix: str) -> dict[str, Any]:
        value = table.get(name, {})
        if not isinstance(value, dict):
            raise self._error(prefix + name, "expected a table")
        return value

    def _value(
        self, table: dict[str, Any], name: str, kind: type, default: Any, prefix: str
    ) -> Any:
        value = table.get(name, default)
        if name in table and type(value) is not kind:
            expected = {bool: "true or false", str: "a string", int: "an integer", list: "a list"}
            raise self._error(prefix + name, f"expected {expected[kind]}")
        return value

    def _positive(self, table: dict[str, Any], name: str, default: int, prefix: str) -> int:
        value: int = self._value(table, name, int, default, prefix)
        if value < 1:
            raise self._error(prefix + name, "expected a positive number")
        return value

    def _port(self, table: dict[str, Any], default: int) -> int:
        value: int = self._value(table, "port", int, default, "serve.")
        if not 0 <= value <= 65535:
            raise self._error("serve.port", "expected a number from 0 to 65535")
        return value

    def _strings(self, table: dict[str, Any], name: str, prefix: str) -> tuple[str, ...]:
        values = self._value(table, name, list, [], prefix)
        if not all(isinstance(value, str) for value in values):
            raise self._error(prefix + name, "expected a list of strings")
        return tuple(values)

    def _duration(self, table: dict[str, Any], name: str) -> float | None:
        text = self._value(table, name, str, None, "serve.")
        try:
            return None if text is None else parse_duration(text)
        except ValueError as error:
            raise self._error(f"serve.{name}", str(error)) from None

    def _beside(self, path: str | None) -> str | None:
        """Paths in the file are relative to the file."""
        return None if path is None else os.path.join(os.path.dirname(self._path), path)

    def _error(self, key: str, message: str) -> ConfigError:
        return ConfigError(f"{self._path}: {key}: {message}")


def _one_of(words: tuple[str, ...]) -> str:
    return "known are " + ", ".join(words)

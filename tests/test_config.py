"""The configuration file: everything optional, every slip named with its key."""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import Ledger, config
from audit_stream.config import ServeSettings, Settings, Token
from audit_stream.errors import ConfigError, UnknownKindError

if TYPE_CHECKING:
    from pathlib import Path

# The example of the command line's specification, filled in.
COMPLETE = f"""
[kinds]
any = false

[kinds.extra]
deploy-bot = ["deploy_started", "deploy_finished"]

[limits]
max_event_bytes = 1048576

[serve]
host = "127.0.0.1"
port = 8093
allowed_hosts = []
cors_origins = ["https://example.org"]
max_body_bytes = 16777216
max_pending = 10000
max_subscribers = 1000
verify_every = "15m"
tls_cert = "cert.pem"
tls_key = "/etc/key.pem"

[[serve.tokens]]
name = "ci"
sha256 = "{"ab" * 32}"
roles = ["append"]
sources = ["deploy-bot"]

[[serve.tokens]]
name = "admin"
sha256 = "{"cd" * 32}"
roles = ["admin", "read"]
"""


TOKEN = f"[[serve.tokens]]\nname = 'ci'\nsha256 = '{'ab' * 32}'\nroles = ['read']\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit-stream.toml"


def loaded(path: Path, text: str) -> Settings:
    path.write_text(text)
    return config.load(str(path))


def test_everything(path: Path) -> None:
    settings = loaded(path, COMPLETE)
    assert settings == Settings(
        any_kind=False,
        extra_kinds={"deploy-bot": ("deploy_started", "deploy_finished")},
        max_event_bytes=1048576,
        serve=ServeSettings(
            cors_origins=("https://example.org",),
            verify_every=900.0,
            tls_cert=str(path.parent / "cert.pem"),
            tls_key="/etc/key.pem",
            tokens=(
                Token("ci", "ab" * 32, ("append",), ("deploy-bot",)),
                Token("admin", "cd" * 32, ("admin", "read"), None),
            ),
        ),
        path=str(path),
    )
    assert settings.vocabulary().origins["deploy_started"] == "deploy-bot"


def test_nothing(path: Path) -> None:
    assert loaded(path, "") == Settings(path=str(path))
    assert loaded(path, "[kinds]\n[limits]\n[serve]\n") == Settings(path=str(path))
    defaults = Settings()
    assert (defaults.serve.host, defaults.serve.port) == ("127.0.0.1", 8093)
    assert defaults.vocabulary().origins.keys() == Settings().vocabulary().origins.keys()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[kind]", 'kind: unknown key; did you mean "kinds"?'),
        ("nonsense = 1", "nonsense: unknown key; known are kinds, limits, serve"),
        ("[kinds]\nanny = true", 'kinds.anny: unknown key; did you mean "any"?'),
        ("[kinds]\nany = 1", "kinds.any: expected true or false"),
        ("kinds = 5", "kinds: expected a table"),
        ("[kinds]\nextra = []", "kinds.extra: expected a table"),
        ("[kinds.extra]\nbot = 'deploy'", "kinds.extra.bot: expected a list"),
        ("[kinds.extra]\nbot = [1]", "kinds.extra.bot: expected a list of strings"),
        ("[kinds.extra]\nbot = ['Deploy']", "kinds.extra: expected lower-case letters"),
        ("[limits]\nmax_event_byte = 1", 'did you mean "max_event_bytes"?'),
        ("[limits]\nmax_event_bytes = 0", "limits.max_event_bytes: expected a positive number"),
        ("[limits]\nmax_event_bytes = -5", "expected a positive number"),
        ("[limits]\nmax_event_bytes = 1.5", "limits.max_event_bytes: expected an integer"),
        ("[limits]\nmax_event_bytes = true", "expected an integer"),
        ("[limits]\nmax_event_bytes = '1MB'", "expected an integer"),
        ("[serve]\nprot = 1", 'serve.prot: unknown key; did you mean "port"?'),
        ("[serve]\nport = 65536", "serve.port: expected a number from 0 to 65535"),
        ("[serve]\nport = -1", "expected a number from 0 to 65535"),
        ("[serve]\nport = '8093'", "serve.port: expected an integer"),
        ("[serve]\nhost = 5", "serve.host: expected a string"),
        ("[serve]\nallowed_hosts = 'a'", "serve.allowed_hosts: expected a list"),
        ("[serve]\ncors_origins = [5]", "serve.cors_origins: expected a list of strings"),
        ("[serve]\nmax_pending = 0", "serve.max_pending: expected a positive number"),
        ("[serve]\nverify_every = 15", "serve.verify_every: expected a string"),
        ("[serve]\nverify_every = '15'", "serve.verify_every: '15': expected a time like 30s"),
        ("[serve]\nverify_every = '0s'", "expected a time like"),
        ("[serve]\nverify_every = '-5s'", "expected a time like"),
        ("[serve]\nverify_every = '" + "9" * 400 + "d'", "expected a time like"),
        ("[serve]\ntls_cert = []", "serve.tls_cert: expected a string"),
        ("[serve]\ntokens = 'x'", "serve.tokens: expected a list"),
        ("[serve]\ntokens = ['x']", "serve.tokens: expected [[serve.tokens]] tables"),
        ("[[serve.tokens]]\nname = 'a'", "serve.tokens.sha256: missing"),
        ("[[serve.tokens]]\nsha256 = 'a'", "serve.tokens.name: missing"),
        (TOKEN + "token = 'secret'", "serve.tokens.token: unknown key"),
        (TOKEN.replace("ab", "AB"), "serve.tokens.sha256: expected 64 lower-case hex digits"),
        (TOKEN.replace("ab", "a"), "serve.tokens.sha256: expected 64 lower-case hex digits"),
        (TOKEN.replace("'read'", "'reed'"), "serve.tokens.roles: unknown role 'reed'; known are"),
        (TOKEN.replace("'read'", ""), "serve.tokens.roles: expected at least one: known are"),
        (TOKEN.replace("['read']", "'read'"), "serve.tokens.roles: expected a list"),
        (TOKEN.replace("'ci'", "5"), "serve.tokens.name: expected a string"),
        (TOKEN + "sources = 'x'", "serve.tokens.sources: expected a list"),
        ("= 5", "not TOML: "),
        ("[kinds\n", "not TOML: "),
        ("a = 1\na = 2", "not TOML: "),
        ("a = " + "[" * 100_000, "not TOML that makes sense: nested too deeply"),
    ],
)  # fmt: skip
def test_a_slip_is_named(path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(path, text)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration: No such file"):
        config.load(str(path))
    with pytest.raises(ConfigError, match="Is a directory"):
        config.load(str(path.parent))
    with pytest.raises(ConfigError, match="null byte"):
        config.load("a\0b")
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(str(path))


@given(
    st.one_of(st.text(max_size=60), st.sampled_from(COMPLETE.split("\n\n"))), st.text(max_size=9)
)
def test_any_text_is_settings_or_a_config_error(text: str, more: str) -> None:
    with tempfile.NamedTemporaryFile(mode="wb") as file:
        file.write((text + more).encode("utf-8", "surrogatepass"))
        file.flush()
        with contextlib.suppress(ConfigError):
            assert config.load(file.name).path == file.name


def test_the_file_beside_the_ledger_counts(path: Path) -> None:
    ledger = str(path.parent / "ledger.jsonl")
    assert config.find(ledger) is None
    assert config.load_beside(ledger) == Settings()
    path.write_text("[kinds.extra]\nbot = ['deploy_started']\n[limits]\nmax_event_bytes = 400\n")
    assert config.find(ledger) == str(path)
    assert config.load_beside(ledger).max_event_bytes == 400
    with Ledger(ledger) as opened:
        opened.append("deploy_started", "bot")
        assert opened.max_event_bytes == 400
    path.write_text("[kinds]\nany = true\n")
    with Ledger(ledger) as opened:
        opened.append("whatever", "bot")
    path.write_text("[kindz]\n")
    with pytest.raises(ConfigError):
        Ledger(ledger)
    with Ledger(ledger, settings=Settings()) as opened, pytest.raises(UnknownKindError):
        opened.append("whatever", "bot")


def test_a_ledger_without_a_directory_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert config.find("ledger.jsonl") is None
    path.write_text("[kinds]\nany = true\n")
    assert config.find("ledger.jsonl") == "audit-stream.toml"
    assert Ledger("ledger.jsonl").append("whatever", "bot").event_id == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("500ms", 0.5), (" 1.5h ", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert config.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "5", "-1s", "0s", "1 s", "1S", "1w", "٣s", "1s2s", "nan s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time like"):
        config.parse_duration(text)

"""`kinds`: the vocabulary in force, and where each kind comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from audit_stream.vocabulary import BUILT_IN
from tests.cli.program import inside, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path


def listed(*arguments: str | Path, **env: str | None) -> dict[str, str]:
    done = inside("kinds", *arguments, env=env)
    assert (done.code, done.err) == (0, "")
    rows = [line.split(maxsplit=1) for line in done.out.decode().splitlines()]
    return {kind: source for kind, source in rows if not kind.startswith("(")}


def test_the_built_in_kinds_without_any_ledger(tmp_path: Path) -> None:
    done = run("kinds", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    wanted = {kind: source for source, kinds in BUILT_IN.items() for kind in kinds}
    assert dict(line.split() for line in done.out.decode().splitlines()) == wanted
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_the_configuration_say_where_they_come_from(path: Path) -> None:
    (path.parent / "audit-stream.toml").write_text(
        '[kinds.extra]\ndeploy-bot = ["deploy_started"]\n"other bot" = ["a.b", "other"]\n'
    )
    kinds = listed(path)
    assert kinds["deploy_started"] == "deploy-bot"
    assert kinds["a.b"] == "other bot"
    assert kinds["other"] == "any"
    assert listed(AUDIT_STREAM_LEDGER=str(path)) == kinds
    assert listed("x", AUDIT_STREAM_CONFIG=str(path.parent / "audit-stream.toml")) == kinds
    assert not path.exists()


def test_the_configuration_in_the_working_directory_counts(tmp_path: Path) -> None:
    (tmp_path / "audit-stream.toml").write_text('[kinds.extra]\nbot = ["deploy_started"]\n')
    assert b"deploy_started" in run("kinds", cwd=tmp_path).out


def test_options(path: Path) -> None:
    assert listed(path, "--allow-kind", "mine")["mine"] == "--allow-kind"
    assert (
        b"(any other kind of the right form is taken too)"
        in inside("kinds", path, "--any-kind").out
    )


def test_json(path: Path) -> None:
    done = inside("kinds", path, "--json", "--any-kind", "--allow-kind", "mine")
    members = json.loads(done.out)
    assert members["any"] is True
    assert {"kind": "mine", "source": "--allow-kind"} in members["kinds"]
    assert {row["kind"]: row["source"] for row in members["kinds"]} == listed(
        path, "--allow-kind", "mine"
    )


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_hostile_sources_in_the_configuration(path: Path, options: tuple[str, ...]) -> None:
    (path.parent / "audit-stream.toml").write_text('[kinds.extra]\n"\\u001b[2J" = ["mine"]\n')
    code, shown = on_terminal("kinds", path, *options)
    assert code == 0
    assert "\\u001b[2J" in shown
    assert "\x1b" not in shown


def test_a_malformed_kind_is_refused(path: Path) -> None:
    done = inside("kinds", path, "--allow-kind", "Bad")
    assert (done.code, done.out) == (2, b"")

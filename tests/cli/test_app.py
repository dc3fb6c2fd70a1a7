"""The application around the commands: help, version, completion, usage errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.program import inside, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ("append", "query", "tail", "stats", "kinds", "verify")


def test_the_help_groups_the_commands() -> None:
    done = run("--help")
    assert done.code == 0
    assert done.err == ""
    text = done.out.decode()
    headings = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert headings[:3] == ["Record", "Read", "Check"]
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_fits_80_columns_and_shows_an_example(command: str) -> None:
    done = inside(command, "--help")
    assert done.code == 0
    text = done.out.decode()
    assert f"Usage: audit-stream {command} " in text
    assert "\nExamples:\n  audit-stream " in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert inside(command, "-h").out == done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_use_options_that_exist(command: str) -> None:
    text = inside(command, "--help").out.decode()
    examples = re.findall(rf"audit-stream {command} (.*(?:\\\n.*)*)", text.split("Examples:")[1])
    assert examples
    for example in examples:
        words = re.split(r" [|>]", example.replace("\\\n", " "))[0].split()
        for option in filter(lambda word: word.startswith("-"), words):
            assert re.search(rf"(^|\W){re.escape(option)}\b", text.split("Examples:")[0])


def test_the_exit_codes_are_in_the_help_of_verify() -> None:
    text = inside("verify", "--help").out.decode()
    table = re.findall(r"^ +(\d+)  (\w+)", text.split("Exit codes:")[1], re.MULTILINE)
    assert [int(code) for code, _ in table] == [0, 1, 2, 3, 4, 130]


def test_headings_are_bold_on_a_terminal_only_where_colour_is_wanted() -> None:
    code, shown = on_terminal("append", "--help", columns=80)
    assert code == 0
    assert "\x1b[1mOne event:\x1b[0m" in shown
    for quiet in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_terminal("append", "--help", env=quiet)[1]


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "GITHUB_ACTIONS", "TTY_COMPATIBLE"])
def test_nothing_forces_colour_into_a_pipe(variable: str, ledger: Path) -> None:
    for arguments in (["--help"], ["query", "--help"], ["stats", ledger], ["verify", ledger],
                      ["query", ledger, "--format", "table"], ["nope"]):  # fmt: skip
        done = run(*arguments, env={variable: "1"})
        assert b"\x1b" not in done.out
        assert "\x1b" not in done.err


def test_the_version() -> None:
    from audit_stream import __version__

    done = run("--version")
    assert (done.code, done.out, done.err) == (0, f"audit-stream {__version__}\n".encode(), "")


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2() -> None:
    done = run()
    assert done.code == 2
    assert done.out == run("--help").out


# Regular expressions, because some of the words are Click's and differ between its versions.
USAGE_ERRORS = {
    ("nope",): r"no such command 'nope'; see `audit-stream --help`",
    (
        "qurey",
        "x",
    ): r"no such command 'qurey'\. Did you mean 'query'\?.*; see `audit-stream --help`",
    ("--nope",): r"no such option:? '?--nope'?; see `audit-stream --help`",
    ("query", "l", "--limit", "x"): (
        r"invalid value for '--limit': 'x' is not a whole number; see `audit-stream query --help`"
    ),
    ("query", "l", "m"): (
        r"got unexpected extra argument(\(s\))? \(m\); see `audit-stream query --help`"
    ),
    ("append", "l", "--kind"): (
        r"option '--kind' requires an argument; see `audit-stream append --help`"
    ),
    ("query",): (
        r"LEDGER is missing; name the ledger file, or set AUDIT_STREAM_LEDGER; "
        r"see `audit-stream query --help`"
    ),
    ("verify",): r"LEDGER is missing; name the ledger file, or set AUDIT_STREAM_LEDGER",
}


@pytest.mark.parametrize("arguments", USAGE_ERRORS)
def test_a_usage_error_is_one_line_that_says_what_to_do(arguments: tuple[str, ...]) -> None:
    done = inside(*arguments)
    assert done.code == 2
    assert done.out == b""
    assert re.fullmatch(f"error: {USAGE_ERRORS[arguments]}\n", done.err)


def complete(words: str, **env: str | None) -> list[str]:
    """What bash would offer for the last word of `words`."""
    line = words.split(" ")
    done = run(
        env={
            "_AUDIT_STREAM_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(line) - 1),
            **env,
        }
    )
    assert done.err == ""
    return done.out.decode().split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_shown(shell: str) -> None:
    done = run("--show-completion", shell)
    assert done.code == 0
    assert b"_AUDIT_STREAM_COMPLETE=complete_" + shell.encode() in done.out


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_an_unknown_shell_is_a_usage_error(option: str) -> None:
    done = run(option, "tcsh")
    assert (done.code, done.out) == (2, b"")
    assert done.err == (
        f"error: {option} 'tcsh': expected one of bash, zsh, fish, powershell, pwsh\n"
    )


def test_completion_is_installed_for_the_shell_that_is_named(tmp_path: Path) -> None:
    done = run("--install-completion", "fish", env={"HOME": str(tmp_path)})
    assert (done.code, done.err) == (0, "")
    installed = tmp_path / ".config/fish/completions/audit-stream.fish"
    assert "_AUDIT_STREAM_COMPLETE=complete_fish" in installed.read_text()


def test_commands_and_options_complete() -> None:
    assert complete("audit-stream ap") == ["append"]
    assert complete("audit-stream append l --expect") == ["--expect-head"]


@pytest.mark.parametrize("command", ["append", "query", "tail"])
def test_kinds_complete(command: str) -> None:
    assert complete(f"audit-stream {command} ledger.jsonl --kind slo_") == [
        "slo_burn_started",
        "slo_recovered",
    ]


def test_kinds_of_the_configuration_complete(path: Path) -> None:
    config = path.parent / "audit-stream.toml"
    config.write_text('[kinds.extra]\nbot = ["deploy_started", "deploy_done"]\n')
    wanted = ["deploy_done", "deploy_started"]
    assert complete(f"audit-stream append {path} --kind deploy_") == wanted
    here = {"AUDIT_STREAM_LEDGER": str(path)}
    assert complete("audit-stream query --kind deploy_", **here) == wanted
    there = {"AUDIT_STREAM_CONFIG": str(config)}
    assert complete("audit-stream query x --kind deploy_", **there) == wanted
    assert complete("audit-stream query x --kind deploy_") == []
    assert complete(f"audit-stream tail x --config {config} --kind deploy_") == wanted
    assert complete(f"audit-stream append --quiet {path} --source s --kind deploy_") == wanted


def test_a_damaged_configuration_does_not_disturb_completion(path: Path) -> None:
    (path.parent / "audit-stream.toml").write_text("[[[")
    assert complete(f"audit-stream append {path} --kind slo_") == []
    assert complete(f"audit-stream append {path} --qui") == ["--quiet"]


def test_formats_complete() -> None:
    assert complete("audit-stream query l --format js") == ["jsonl", "json"]

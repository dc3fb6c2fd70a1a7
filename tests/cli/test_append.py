"""`append` of one event: what is stored and printed, and a corpus of bad input that is refused.

The corpus states the promise for bad input: exit code 2, one line on stderr that names the
member, nothing on stdout, and the ledger as it was, or not created.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.cli.program import inside, run

if TYPE_CHECKING:
    from pathlib import Path

ZEROS = "0" * 64
EVENT = ("--kind", "other", "--source", "s")


def nested(depth: int) -> str:
    """A payload object of so many levels."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


# -- what is stored ------------------------------------------------------------------------


def test_the_stored_line_is_printed_exactly(path: Path) -> None:
    done = run("append", path, *EVENT, "--payload", '{"b": 1.0, "a": "é"}')
    assert (done.code, done.err) == (0, "")
    assert done.out == path.read_bytes()
    assert b'"payload":{"a":"\xc3\xa9","b":1}' in done.out
    assert list(json.loads(done.out)) == [
        "event_id", "hash", "kind", "payload", "prev_hash", "source", "timestamp",
    ]  # fmt: skip


def test_events_are_chained(path: Path) -> None:
    events = [inside("append", path, *EVENT).events[0] for _ in range(3)]
    assert [event["event_id"] for event in events] == [1, 2, 3]
    assert [event["prev_hash"] for event in events] == [ZEROS, events[0]["hash"], events[1]["hash"]]
    assert run("verify", path).code == 0


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o600), (0o077, 0o600), (0o277, 0o400)])
def test_the_ledger_is_created_with_mode_0600_minus_umask(
    path: Path, umask: int, mode: int
) -> None:
    done = run("append", path, *EVENT, preexec_fn=lambda: os.umask(umask))
    assert done.code == 0
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_quiet_records_and_prints_nothing(path: Path) -> None:
    for option in ("--quiet", "-q"):
        done = inside("append", path, *EVENT, option)
        assert (done.code, done.out, done.err) == (0, b"", "")
    assert path.read_bytes().count(b"\n") == 2


def test_the_ledger_may_come_from_the_environment(path: Path) -> None:
    assert inside("append", *EVENT, env={"AUDIT_STREAM_LEDGER": str(path)}).code == 0
    assert path.read_bytes().count(b"\n") == 1


SET = {
    ("a=1",): {"a": 1},
    ("a=x",): {"a": "x"},
    ("a=",): {"a": ""},
    ("a=true", "b=null"): {"a": True, "b": None},
    ('a="1"',): {"a": "1"},
    ("a=1.50",): {"a": 1.5},
    ("a=01",): {"a": "01"},
    ("a=NaN", "b=Infinity", "c=-Infinity"): {"a": "NaN", "b": "Infinity", "c": "-Infinity"},
    ("a=[1, 2]",): {"a": [1, 2]},
    ('a={"b": {}}',): {"a": {"b": {}}},
    ("a.b.c=1", "a.b.d=2", "a.e=3"): {"a": {"b": {"c": 1, "d": 2}, "e": 3}},
    ('a={"b":1}', "a.c=2"): {"a": {"b": 1, "c": 2}},
    ("a=b=c",): {"a": "b=c"},
    ("a b=c d",): {"a b": "c d"},
    ("é=ü",): {"é": "ü"},
    ("a={not json",): {"a": "{not json"},
    ("a=2026-01-31T12:00:00Z",): {"a": "2026-01-31T12:00:00Z"},
    ("a=two\nlines",): {"a": "two\nlines"},
    ("a= 1 ",): {"a": 1},
    ("a=True",): {"a": "True"},
    ("a='x'",): {"a": "'x'"},
}


@pytest.mark.parametrize("given", SET)
def test_set_builds_the_payload(path: Path, given: tuple[str, ...]) -> None:
    done = inside("append", path, *EVENT, *(word for each in given for word in ("--set", each)))
    assert (done.code, done.err) == (0, "")
    assert done.events[0]["payload"] == SET[given]


def test_the_payload_may_come_from_a_file_or_stdin(path: Path) -> None:
    file = path.parent / "payload.json"
    file.write_text('\n{"from": "file"}\n')
    done = inside("append", path, *EVENT, "--payload-file", file)
    assert done.events[0]["payload"] == {"from": "file"}
    done = run("append", path, *EVENT, "--payload-file", "-", stdin=b'{"from": "stdin"}')
    assert done.events[0]["payload"] == {"from": "stdin"}


TIMES = {
    "2026-01-31T12:00:00Z": "2026-01-31T12:00:00.000000+00:00",
    "2026-01-31t12:00:00.1234569z": "2026-01-31T12:00:00.123456+00:00",
    "2026-01-31T12:00:00+02:00": "2026-01-31T10:00:00.000000+00:00",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00.000000+00:00",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999+00:00",
}


@pytest.mark.parametrize("given", TIMES)
def test_a_supplied_time_is_stored_in_utc(path: Path, given: str) -> None:
    done = inside("append", path, *EVENT, "--timestamp", given)
    assert done.events[0]["timestamp"] == TIMES[given]


def test_the_expected_head(path: Path) -> None:
    first = inside("append", path, *EVENT, "--expect-head", ZEROS)
    head = first.events[0]["hash"]
    assert inside("append", path, *EVENT, "--expect-head", head.upper()).code == 0
    kept = path.read_bytes()
    done = inside("append", path, *EVENT, "--expect-head", head)
    assert (done.code, done.out) == (1, b"")
    assert json.loads(kept.splitlines()[-1])["hash"] in done.err
    assert path.read_bytes() == kept


def test_a_torn_tail_is_healed_with_a_warning(ledger: Path) -> None:
    with ledger.open("ab") as file:
        file.write(b'{"event_id":6,"ha')
    done = inside("append", ledger, *EVENT)
    assert done.code == 0
    assert done.err.startswith("warning: the ledger ended in an append that was cut off")
    (aside,) = ledger.parent.glob("*.torn-*")
    assert aside.read_bytes() == b'{"event_id":6,"ha'
    assert str(aside) in done.err
    assert done.err.count("\n") == 1
    assert run("verify", ledger).code == 0


def test_kinds_of_the_configuration_and_of_the_command_line(path: Path) -> None:
    mine = ("--kind", "deploy_started", "--source", "bot")
    assert inside("append", path, *mine).code == 2
    assert inside("append", path, *mine, "--allow-kind", "deploy_started").code == 0
    assert inside("append", path, *mine, "--any-kind").code == 0
    (path.parent / "audit-stream.toml").write_text('[kinds.extra]\nx = ["deploy_started"]\n')
    assert inside("append", path, *mine).code == 0


def test_a_flag_beats_the_environment_which_beats_the_file(path: Path) -> None:
    for name in ("beside", "environment", "flag"):
        file = "audit-stream.toml" if name == "beside" else f"{name}.toml"
        (path.parent / file).write_text(f'[kinds.extra]\nx = ["{name}_kind"]\n')

    def accepted(*options: str | Path, env: dict[str, str | None]) -> list[str]:
        return [
            name
            for name in ("beside", "environment", "flag")
            if inside(
                "append", path, "--kind", f"{name}_kind", "--source", "s", *options, env=env
            ).code
            == 0
        ]

    variable = {"AUDIT_STREAM_CONFIG": str(path.parent / "environment.toml")}
    flag = ("--config", path.parent / "flag.toml")
    assert accepted(env={}) == ["beside"]
    assert accepted(env=variable) == ["environment"]
    assert accepted(*flag, env=variable) == accepted(*flag, env={}) == ["flag"]
    elsewhere = {"AUDIT_STREAM_LEDGER": str(path.parent / "other.jsonl")}
    assert inside("append", path, *EVENT, env=elsewhere).code == 0
    assert not (path.parent / "other.jsonl").exists()


# -- what is refused -----------------------------------------------------------------------

# What follows `append LEDGER --kind other --source s`, and what the message must say.
BAD_PAYLOADS: dict[str, tuple[str, ...]] = {
    "": ("payload: not JSON",),
    " ": ("payload: not JSON",),
    "{": ("payload: not JSON",),
    "{'a':1}": ("payload: not JSON",),
    '{"a":1,}': ("payload: not JSON",),
    '{"a":1}}': ("payload: not JSON", "column 8"),
    '{"a":1} {"b":2}': ("payload: not JSON",),
    "{a:1}": ("payload: not JSON",),
    '{"a":01}': ("payload: not JSON",),
    '{"a":+1}': ("payload: not JSON",),
    '{"a":.5}': ("payload: not JSON",),
    '{"a":1.}': ("payload: not JSON",),
    '{"a":0x10}': ("payload: not JSON",),
    '{"a":"tab\there"}': ("payload: not JSON",),
    '{"a":"new\nline"}': ("payload: not JSON",),
    '{"a":"\\x41"}': ("payload: not JSON",),
    '{"a":undefined}': ("payload: not JSON",),
    '{"a":True}': ("payload: not JSON",),
    "\ufeff{}": ("payload:", "not JSON"),
    '{"a":1} // note': ("payload: not JSON",),
    "[]": ("payload: expected a JSON object, got an array",),
    "null": ("payload: expected a JSON object, got null",),
    "true": ("payload: expected a JSON object, got a boolean",),
    "1": ("payload: expected a JSON object, got a number",),
    '"text"': ("payload: expected a JSON object, got a string",),
    '{"a":1,"a":2}': ("payload:", '"a" appears twice'),
    '{"x":{"a":1,"a":1}}': ("payload:", '"a" appears twice'),
    '{"a":1,"\\u0061":2}': ("payload:", '"a" appears twice'),
    '{"x":[{"":1,"":2}]}': ("payload:", '"" appears twice'),
    '{"a":NaN}': ("payload:", "NaN has no JSON form"),
    '{"a":Infinity}': ("payload:", "Infinity has no JSON form"),
    '{"a":-Infinity}': ("payload:", "-Infinity has no JSON form"),
    '{"a":9007199254740992}': ("payload:", "9007199254740992", "send it as a string"),
    '{"a":-9007199254740992}': ("payload:", "send it as a string"),
    '{"a":9007199254740993}': ("payload:", "send it as a string"),
    '{"a":1e16}': ("payload:", "1e16", "send it as a string"),
    '{"a":1e400}': ("payload:", "1e400", "send it as a string"),
    '{"a":-1e400}': ("payload:", "send it as a string"),
    '{"a":9007199254740992.0}': ("payload:", "send it as a string"),
    '{"a":' + "9" * 5000 + "}": ("payload:", "send it as a string"),
    '{"a":"\\ud800"}': ("payload.a:", "surrogate"),
    '{"a":["\\udc00"]}': ("payload.a.0:", "surrogate"),
    '{"\\ud800":1}': ("payload", "surrogate"),
    '{"a":"\\udc00\\ud800"}': ("payload.a:", "surrogate"),
    '{"a":"\udcff"}': ("payload:", "not UTF-8"),
    nested(65): ("payload", "nested deeper than 64"),
    nested(5000): ("payload", "nested deeper than 64"),
    '{"a":' + "[" * 64 + "]" * 64 + "}": ("payload", "nested deeper than 64"),
    '{"a":' + "[" * 100_000: ("payload", "nested deeper than 64"),
    '{"a":"' + "x" * (1 << 16) + '"}' * 2: ("payload: not JSON",),
}

BAD_OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("--set", "a"): ("--set 'a'", "KEY=VALUE"),
    ("--set", ""): ("--set ''", "KEY=VALUE"),
    ("--set", "=1"): ("--set '=1'", "KEY=VALUE"),
    ("--set", "a..b=1"): ("--set 'a..b=1'", "KEY=VALUE"),
    ("--set", ".a=1"): ("KEY=VALUE",),
    ("--set", "a.=1"): ("KEY=VALUE",),
    ("--set", "a=1", "--set", "a=1"): ("--set 'a=1'", "a is set already"),
    ("--set", "a=1", "--set", "a.b=2"): ("--set 'a.b=2'", "a already has a value"),
    ("--set", "a.b=1", "--set", "a=2"): ("--set 'a=2'", "a is set already"),
    ("--set", "a=[1]", "--set", "a.0=2"): ("a already has a value",),
    ("--set", "a=9007199254740993"): ("payload.a:", "send it as a string"),
    ("--set", "a=1e400"): ("payload.a:", "send it as a string"),
    ("--set", 'a={"b":1,"b":2}'): ("payload.a:", "appears twice"),
    ("--set", "a=[NaN]"): ("payload.a:", "NaN has no JSON form"),
    ("--set", "a.b=" + nested(64)): ("payload", "nested deeper than 64"),
    ("--set", "a=\udcff"): ("payload.a", "surrogate"),
    ("--set", "\udcff=1"): ("payload", "surrogate"),
    ("--set", "a=1", "--payload", "{}"): ("--payload and --set do not go together",),
    ("--set", "a=1", "--payload-file", "-"): ("--payload-file and --set do not go together",),
    ("--payload", "{}", "--payload-file", "-"): (
        "--payload and --payload-file do not go together",
    ),
    ("--payload-file", "/nonexistent/file"): ("/nonexistent/file: cannot read it", "No such file"),
    ("--payload-file", "/"): ("/: cannot read it", "directory"),
    ("--payload-file", ""): ("cannot read it",),
    ("--timestamp", ""): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "now"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "2026-01-31"): ("timestamp: not an RFC 3339 time", "like 2026-01-31T12"),
    ("--timestamp", "2026-01-31T12:00:00"): ("timestamp: not an RFC 3339 time with an offset",),
    ("--timestamp", "2026-01-31 12:00:00Z"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "2026-01-31T12:00Z"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "2026-01-31T12:00:00,5Z"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "2026-01-31T12:00:00.Z"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "2026-01-31T12:00:00+0200"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "2026-01-31T12:00:00Z\n"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "２026-01-31T12:00:00Z"): ("timestamp: not an RFC 3339 time",),
    ("--timestamp", "2026-02-30T12:00:00Z"): ("timestamp: there is no such day",),
    ("--timestamp", "2026-13-01T12:00:00Z"): ("timestamp: there is no such day",),
    ("--timestamp", "2026-01-31T24:00:00Z"): ("timestamp: there is no such time of day",),
    ("--timestamp", "2026-01-31T12:00:61Z"): ("timestamp: there is no such time of day",),
    ("--timestamp", "2026-01-31T12:00:00+24:00"): ("timestamp: there is no such time of day",),
    ("--timestamp", "2016-12-31T23:59:60Z"): ("timestamp: a leap second",),
    ("--timestamp", "0000-12-31T23:59:59Z"): ("timestamp: outside the years 1 to 9999",),
    ("--timestamp", "0001-01-01T00:00:00+00:01"): ("timestamp: outside the years 1 to 9999",),
    ("--timestamp", "9999-12-31T23:59:59-00:01"): ("timestamp: outside the years 1 to 9999",),
    ("--expect-head", ""): ("--expect-head: expected 64 hex digits",),
    ("--expect-head", "abc"): ("--expect-head: expected 64 hex digits",),
    ("--expect-head", "g" * 64): ("--expect-head: expected 64 hex digits",),
    ("--expect-head", "0" * 65): ("--expect-head: expected 64 hex digits",),
    ("--expect-head", "٠" * 64): ("--expect-head: expected 64 hex digits",),
    ("--skip-invalid",): ("--skip-invalid goes with --batch",),
    ("--batch", "-", "--payload", "{}"): ("--payload does not go with --batch",),
    ("--batch", "-", "--payload-file", "-"): ("--payload-file does not go with --batch",),
    ("--batch", "-", "--set", "a=1"): ("--set does not go with --batch",),
    ("--batch", "-", "--timestamp", "2026-01-31T12:00:00Z"): ("--timestamp does not go with",),
    ("--batch", "-", "--expect-head", ZEROS): ("--expect-head does not go with --batch",),
    ("--batch", "/nonexistent/file"): ("/nonexistent/file: cannot read the batch",),
    ("--batch", "/"): ("cannot read the batch", "directory"),
    ("--allow-kind", "Not A Kind"): ("kind: expected lower-case letters", "Not A Kind"),
    ("--config", "/nonexistent.toml"): ("/nonexistent.toml: cannot read the configuration",),
    ("--config", "/"): ("/: cannot read the configuration", "directory"),
    ("--payload", "x" * 100_000): ("payload: not JSON",),
    ("--set", "a=" + "x" * 100_000, "--config", "/dev/null", "--nope"): ("no such option",),
    ("extra",): ("unexpected extra argument",),
    ("--quiet=1",): ("--quiet", "value"),
    ("--payload",): ("--payload", "requires an argument"),
}

BAD_KINDS: dict[str, tuple[str, ...]] = {
    "": ("kind:",),
    "othr": ('kind: unknown kind "othr"; did you mean "other"?', "--allow-kind othr"),
    "request_denid": ('did you mean "request_denied"?',),
    "zzz": ('kind: unknown kind "zzz"', "[kinds.extra]", "audit-stream.toml"),
    "Other": ("kind: expected lower-case letters",),
    "other ": ("kind: expected",),
    "other\n": ("kind: expected",),
    "é": ("kind: expected",),
    "_other": ("kind: expected",),
    "1other": ("kind: expected",),
    "a..b": ("kind: expected",),
    "a.b.c.d.e": ("kind: expected",),
    "a" * 65: ("kind: expected",),
    "a." + "b" * 64: ("kind: expected",),
    "other\x1b[31m": ("kind: expected",),
    "\udcff": ("kind: expected",),
    "a-b": ("kind: expected",),
}

BAD_SOURCES: dict[str, tuple[str, ...]] = {
    "": ("source: expected the producing service's name",),
    "x" * 257: ("source: expected at most 256 characters, got 257",),
    "é" * 257: ("source: expected at most 256 characters",),
    "a\nb": ("source: control characters",),
    "a\tb": ("source: control characters",),
    "\x1b[31m": ("source: control characters",),
    "a\x7f": ("source: control characters",),
    "a\x9bb": ("source: control characters",),
    "\udcff": ("source:", "surrogate"),
}

CASES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    *(((*EVENT, "--payload", text), says) for text, says in BAD_PAYLOADS.items()),
    *(((*EVENT, *options), says) for options, says in BAD_OPTIONS.items()),
    *((("--kind", kind, "--source", "s"), says) for kind, says in BAD_KINDS.items()),
    *((("--kind", "other", "--source", name), says) for name, says in BAD_SOURCES.items()),
    (("--kind", "other"), ("--source is missing",)),
    (("--source", "s"), ("--kind is missing",)),
    ((), ("--kind is missing",)),
]

CONFIGURATIONS: dict[str, tuple[str, ...]] = {
    "[[[": ("not TOML",),
    "kinds = 1": ("kinds: expected a table",),
    "[kind]": ("kind: unknown key", 'did you mean "kinds"?'),
    "[kinds]\nanny = true": ("kinds.anny: unknown key", 'did you mean "any"?'),
    "[kinds]\nany = 1": ("kinds.any: expected true or false",),
    "[kinds]\nextra = []": ("kinds.extra: expected a table",),
    '[kinds.extra]\nbot = "x"': ("kinds.extra.bot: expected a list",),
    "[kinds.extra]\nbot = [1]": ("kinds.extra.bot: expected a list of strings",),
    '[kinds.extra]\nbot = ["Bad Kind"]': ("kinds.extra", "Bad Kind"),
    "[limits]\nmax_event_byte = 1": ("limits.max_event_byte", 'did you mean "max_event_bytes"?'),
    "[limits]\nmax_event_bytes = 0": ("limits.max_event_bytes: expected a positive number",),
    '[limits]\nmax_event_bytes = "1"': ("limits.max_event_bytes: expected an integer",),
    "[limits]\nmax_event_bytes = true": ("limits.max_event_bytes: expected an integer",),
    "[serve]\nprot = 1": ("serve.prot: unknown key", 'did you mean "port"?'),
    "[serve]\nport = 70000": ("serve.port: expected a number from 0 to 65535",),
    '[serve]\nverify_every = "soon"': ("serve.verify_every", "like 30s, 15m or 2h"),
    '[[serve.tokens]]\nname = "ci"': ("serve.tokens.sha256: missing",),
    "[limits]\nmax_event_bytes = 10": ("payload", "more than max_event_bytes = 10"),
}


def refused(path: Path, arguments: tuple[str, ...], says: tuple[str, ...]) -> None:
    """Assert that the event is refused as promised."""
    before = path.read_bytes() if path.exists() else None
    names = sorted(path.parent.iterdir())
    done = inside("append", path, *arguments)
    assert done.code == 2, done
    assert done.out == b""
    assert done.err.startswith("error: "), done.err
    assert done.err.endswith("\n")
    assert done.err[:-1].isprintable(), done.err
    assert len(done.err) < 600, len(done.err)
    for text in says:
        assert text in done.err
    assert (path.read_bytes() if path.exists() else None) == before
    assert sorted(path.parent.iterdir()) == names


@pytest.mark.parametrize("case", range(len(CASES)))
def test_bad_input_is_refused_and_nothing_is_created(path: Path, case: int) -> None:
    refused(path, *CASES[case])


def test_bad_input_leaves_the_ledger_as_it_was(ledger: Path) -> None:
    assert len(CASES) >= 130
    for arguments, says in CASES:
        refused(ledger, arguments, says)


def test_bad_input_does_not_heal_a_torn_tail(ledger: Path) -> None:
    with ledger.open("ab") as file:
        file.write(b'{"event_id":6')
    for arguments, says in CASES[::5]:
        refused(ledger, arguments, says)


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_bad_configuration_is_an_error_that_names_the_key(ledger: Path, text: str) -> None:
    (ledger.parent / "audit-stream.toml").write_text(text)
    refused(ledger, EVENT, CONFIGURATIONS[text])


def test_a_configuration_that_is_not_utf8(ledger: Path) -> None:
    (ledger.parent / "audit-stream.toml").write_bytes(b"\xff")
    refused(ledger, EVENT, ("not TOML: not UTF-8",))


def test_an_event_that_is_too_long(path: Path) -> None:
    (path.parent / "audit-stream.toml").write_text("[limits]\nmax_event_bytes = 300\n")
    assert inside("append", path, *EVENT, "--set", "a=" + "x" * 30).code == 0
    refused(path, (*EVENT, "--set", "a=" + "x" * 60), ("more than max_event_bytes = 300",))


def test_ledgers_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for name, says in {
        "directory": "is a directory; name the ledger file in it",
        "missing/ledger.jsonl": "its directory does not exist; create it first",
        "file/ledger.jsonl": "a part of this path is not a directory",
        "loop": "symbolic links",
        "pipe": "not a regular file",
        "x" * 300: "name too long",
        "nul\0": "not a usable path",
    }.items():
        done = inside("append", f"{tmp_path}/{name}", *EVENT)
        assert (done.code, done.out) == (2, b"")
        assert done.err.startswith("error: ")
        assert says in done.err
        assert done.err.count("\n") == 1
    done = inside("append", "/dev/null", *EVENT)
    assert (done.code, done.err) == (2, "error: /dev/null: not a regular file\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to become")
def test_a_ledger_of_somebody_else(ledger: Path) -> None:
    ledger.chmod(0o600)
    for directory in (ledger.parent, *list(ledger.parent.parents)[:3]):
        directory.chmod(0o755)
    for command in (("append", ledger, *EVENT), ("query", ledger), ("verify", ledger)):
        done = inside(*command, user=65534)
        assert (done.code, done.out) == (2, b"")
        assert done.err == f"error: {ledger}: permission denied; check its owner and mode\n"


def test_a_hostile_path_cannot_drive_the_terminal(tmp_path: Path) -> None:
    done = run("append", f"{tmp_path}/\x1b]0;pwned\x07\u202e/l.jsonl", *EVENT)
    assert done.code == 2
    assert "\\u001b]0;pwned\\u0007\\u202e" in done.err
    assert done.err[:-1].isprintable()


def test_the_deepest_payload_that_is_taken(path: Path) -> None:
    assert inside("append", path, *EVENT, "--payload", nested(64)).code == 0
    assert inside("append", path, *EVENT, "--set", "a=" + nested(63)).code == 0
    assert run("verify", path).code == 0


def test_the_largest_numbers_that_are_taken(path: Path) -> None:
    text = '{"a":[9007199254740991,-9007199254740991,9007199254740991.0,5e-324,-0.0,1.0]}'
    done = inside("append", path, *EVENT, "--payload", text)
    assert b'"a":[9007199254740991,-9007199254740991,9007199254740991,5e-324,0,1]' in done.out

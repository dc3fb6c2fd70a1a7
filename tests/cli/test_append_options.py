"""Both parsers of `append`, the small one and Typer's, agree on everything: the request, what is
printed, what is recorded, the errors and the exit code.

A corpus of argument lists goes through `parse_everyday` and through the Typer command built from
the same table; hypothesis adds lists of its own.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_stream import cli
from audit_stream.cli import append_command, append_options
from audit_stream.cli.append_options import OPTIONS, AppendRequest, parse_everyday
from audit_stream.ledger import Ledger
from tests.cli.program import environment, inside

if TYPE_CHECKING:
    from pathlib import Path

L = "ledger.jsonl"
K = ["--kind", "other"]
S = ["--source", "s"]
ZEROS = "0" * 64

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "plain": {},
    "ledger": {"AUDIT_STREAM_LEDGER": L},
    "empty": {"AUDIT_STREAM_LEDGER": "", "AUDIT_STREAM_CONFIG": ""},
    "config": {"AUDIT_STREAM_CONFIG": "own.toml"},
    "missing config": {"AUDIT_STREAM_CONFIG": "missing.toml", "AUDIT_STREAM_LEDGER": L},
    "spaces": {"AUDIT_STREAM_LEDGER": "a ledger.jsonl"},
}

PAYLOADS = [
    "{}", '{"a":1}', '{"a":1.0}', '{"a":1e400}', '{"a":NaN}', '{"a":1,"a":2}', "[]", "null", "1",
    "", " ", "{", '{"a":9007199254740993}', '{"é":"ü"}', '{"a":"\\ud800"}', "\udcff", "-", "--kind",
    "-1", '{"a":' * 70 + "1" + "}" * 70, "{} {}",
]  # fmt: skip
SETTINGS = [
    "a=1", "a=x", "a.b=1", "a=", "=", "=1", "a", "", ".=1", "a.=1", ".a=1", "a..b=1", "a=b=c",
    'a={"b":1}', "a=[1,2", "a=NaN", "a=-0", "a=1e400", "a=9007199254740993", "a=null", "a=true",
    "a= 1", "é=ü", "a=\udcff", "-a=1", "--set=1", 'a="1"', 'a={"b":1,"b":2}', "a=Infinity",
]  # fmt: skip
KINDS = [
    "other",
    "othr",
    "Other",
    "",
    "-",
    "--",
    "-o",
    "a b",
    "é",
    "\udcff",
    "deploy_started",
    "other\n",
]
SOURCES = ["s", "", "-", "a b", "=", "s=t", "\x1b", "é", "x" * 256, "x" * 257, "--kind"]
TIMES = [
    "2026-01-31T12:00:00Z", "2026-01-31", "2026-01-31T12:00:60Z", "2026-01-31T12:00:00+02:00",
    "now", "", "-", "0000-12-31T00:00:00Z",
]  # fmt: skip
HEADS = [ZEROS, "1" * 64, "x", "", ZEROS.replace("0", "A"), "0" * 63, "-1"]


def corpus() -> list[list[str]]:
    """Every option with good and bad values, both spellings, and forms of the whole line."""
    found: list[list[str]] = []
    for option, values in (
        ("--payload", PAYLOADS),
        ("--set", SETTINGS),
        ("--timestamp", TIMES),
        ("--expect-head", HEADS),
    ):
        for value in values:
            found.append([L, *K, *S, option, value])
            found.append([f"{option}={value}", L, *K, *S])
    for value in KINDS:
        found += [[L, "--kind", value, *S], [L, f"--kind={value}", *S]]
    for value in SOURCES:
        found += [[L, *K, "--source", value], [L, *K, f"--source={value}"]]
    for first, second in itertools.product(("a=1", "a.b=1", "a.b.c=1", "b=2"), repeat=2):
        found.append([L, *K, *S, "--set", first, f"--set={second}"])
    found += [list(order) for order in itertools.permutations([L, "--kind=other", "--source=s"])]
    found += [
        [], [L], K, S, [*K, *S], [L, *K], [L, *S], [L, L, *K, *S], ["", *K, *S], ["-", *K, *S],
        [L, *K, *S, "--quiet"], [L, *K, *S, "-q"], ["-q", L, *K, *S], [L, *K, *S, "--quiet=1"],
        [L, *K, *S, "--quiet", "--quiet"], [L, *K, *K, *S], [L, *K, *S, "--source", "t"],
        [L, *K, *S, "--kind", "watch_created"], [L, *K, *S, "--payload"], [L, *K, "--source"],
        [L, *K, *S, "--payload", "{}", "--set", "a=1"], [L, *K, *S, "--payload={}", "--payload=[]"],
        [L, *K, *S, "--payload", "{}", "--payload-file", "payload.json"],
        [L, *K, *S, "--payload-file", "payload.json"], [L, *K, *S, "--payload-file", "missing"],
        [L, *K, *S, "--payload-file", "-"], [L, *K, *S, "--set", "a=1", "--payload-file", "-"],
        [L, *K, *S, "--", "x"], ["--", L, *K, *S], [*K, *S, "--", L], [L, *K, *S, "--"],
        [L, *K, *S, "--nope"], [L, *K, *S, "--kin", "other"], [L, "--k", "other", *S],
        [L, "-kother", *S], [L, *K, *S, "-x"], [L, *K, *S, "-qq"], [L, *K, *S, "extra"],
        [L, *K, *S, "--any-kind"], [L, "--kind", "deploy_started", *S, "--allow-kind",
        "deploy_started"], [L, "--kind", "deploy_started", *S, "--any-kind"],
        [L, *K, *S, "--config", "own.toml"], [L, *K, *S, "--config", "missing.toml"],
        [L, "--kind", "deploy_started", *S, "--config=own.toml"], [L, *K, *S, "--config", ""],
        [L, *K, *S, "--skip-invalid"], [L, "--batch", "batch.jsonl"], [L, "--batch", "missing"],
        [L, "--batch", "batch.jsonl", *K, *S], [L, "--batch", "batch.jsonl", "--payload", "{}"],
        [L, "--batch", "batch.jsonl", "--expect-head", ZEROS], [L, "--batch", "-", "--set", "a=1"],
        ["sub/missing/" + L, *K, *S], ["sub", *K, *S], ["sub/" + L, *K, *S],
        ["a ledger.jsonl", *K, *S],
        ["\udcff", *K, *S], ["x\x1b[31m", *K, *S], ["~/" + L, *K, *S], ["nul\0", *K, *S],
        [L, *K, *S, "--help=1"], [L, *K, *S, "--set"], [L, *K, *S, "--quiet", "--set", "a=1"],
        [L, *K, *S, "--allow-kind", "Bad Kind"], [L, *K, *S, "--timestamp", "2026-01-31T12:00:00Z",
        "--set", "a=1", "--expect-head", ZEROS, "--quiet"],
    ]  # fmt: skip
    return found


CORPUS = corpus()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a few files, and a clock that stands still."""
    monkeypatch.chdir(tmp_path)
    defaults = Ledger.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "clock", lambda: 1_767_225_600 * 10**9)
    lay_out(tmp_path)
    return tmp_path


def lay_out(place: Path) -> None:
    """The files that the corpus speaks of, and no ledger."""
    for path in sorted(place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (place / "sub").mkdir()
    (place / "payload.json").write_text('{"from":"file"}')
    (place / "batch.jsonl").write_text('{"kind":"other","source":"s"}\n{"payload":{}}\n')
    (place / "own.toml").write_text('[kinds.extra]\nbot = ["deploy_started"]\n')


def files(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


def outcome(place: Path, arguments: list[str], env: dict[str, str]) -> Any:
    lay_out(place)
    done = inside("append", *arguments, env=env, stdin=b'{"from":"stdin"}')
    return done, files(place)


def test_the_corpus_is_large_and_both_parsers_have_their_share() -> None:
    assert len(CORPUS) >= 150
    taken = [a for a in CORPUS if parse_everyday(a, {}) is not None]
    assert len(taken) >= 100
    assert len(CORPUS) - len(taken) >= 50


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_both_parsers_ask_for_the_same(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[AppendRequest] = []

    def ask(request: AppendRequest) -> int:
        asked.append(request)
        return 0

    monkeypatch.setattr(append_command, "run_append", ask)
    compared = 0
    for arguments in CORPUS:
        small = parse_everyday(arguments, environment(ENVIRONMENTS[env]))
        if small is None:
            continue
        monkeypatch.setattr(append_options, "parse_everyday", lambda *_: None)
        asked.clear()
        done = inside("append", *arguments, env=ENVIRONMENTS[env])
        assert (done.code, done.err) == (0, ""), arguments
        assert asked == [small], arguments
        compared += 1
    assert compared >= 100


@pytest.mark.parametrize("chunk", range(8))
def test_both_parsers_do_the_same(chunk: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in CORPUS[chunk::8]:
        if parse_everyday(arguments, {}) is None:
            continue
        quick = outcome(place, arguments, {})
        with monkeypatch.context() as patch:
            patch.setattr(append_options, "parse_everyday", lambda *_: None)
            thorough = outcome(place, arguments, {})
        assert quick == thorough, arguments
        check_outcome(*quick, arguments)


@pytest.mark.parametrize("chunk", range(4))
def test_what_only_typer_parses_ends_as_cleanly(chunk: int, place: Path) -> None:
    for arguments in CORPUS[chunk::4]:
        if parse_everyday(arguments, {}) is None:
            check_outcome(*outcome(place, arguments, {}), arguments)


def check_outcome(done: Any, left: dict[str, bytes], arguments: list[str]) -> None:
    ledgers = [name for name in left if name.endswith(".jsonl") and name != "batch.jsonl"]
    if done.code == 0:
        assert done.err == "", arguments
    elif "batch.jsonl" in arguments and "kind: missing" in done.err:
        assert done.out.count(b"\n") == 1  # its first line was good
    else:
        assert done.code == (1 if "head is" in done.err else 2), (arguments, done)
        assert done.out == b"", arguments
        assert done.err.startswith("error: "), arguments
        assert done.err.count("\n") == 1, arguments
        assert done.err.isprintable() or done.err[:-1].isprintable(), arguments
        assert ledgers == [], arguments


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_environment_means_the_same_to_both(
    env: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in ([*K, *S], [L, *K, *S], ["--kind", "deploy_started", *S], K):
        quick = outcome(place, arguments, ENVIRONMENTS[env])
        with monkeypatch.context() as patch:
            patch.setattr(append_options, "parse_everyday", lambda *_: None)
            assert outcome(place, arguments, ENVIRONMENTS[env]) == quick


WORDS = st.sampled_from(
    [option.name for option in OPTIONS if option.everyday]
    + [f"{option.name}=" for option in OPTIONS if option.everyday]
    + [L, "other", "s", "a=1", "{}", "", "-", "--", "-q", "x=y", ZEROS, "-1"]
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(WORDS | st.text(max_size=4).filter(lambda word: "\0" not in word), max_size=9))
def test_any_list_the_small_parser_takes_means_the_same_to_typer(arguments: list[str]) -> None:
    try:
        [word.encode("utf-8", "surrogateescape") for word in arguments]
    except UnicodeEncodeError:
        return  # no operating system passes such a word
    small = parse_everyday(arguments, {})
    if small is None:
        return
    asked: list[AppendRequest] = []

    def ask(request: AppendRequest) -> int:
        asked.append(request)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append_command, "run_append", ask)
        patch.setattr(append_options, "parse_everyday", lambda *_: None)
        done = inside("append", *arguments)
    assert (done.code, done.err, asked) == (0, "", [small])


def test_every_option_of_the_table_is_in_the_help() -> None:
    text = inside("append", "--help").out.decode()
    for option in OPTIONS:
        assert f" {option.name}" in text


def test_completion_goes_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_options, "parse_everyday", pytest.fail)
    env = {"_AUDIT_STREAM_COMPLETE": "complete_bash", "COMP_WORDS": "x append", "COMP_CWORD": "1"}
    assert cli.main is not None
    assert b"append" in inside("append", L, *K, *S, env=env).out

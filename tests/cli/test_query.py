"""`query`, held against a naive reference over small ledgers, and its words about damage.

The reference reads every line with `json` and applies the conditions as the page of the command
line states them; the program's jsonl must be the same stored lines, byte for byte.
"""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_stream import timestamps
from audit_stream.ledger import Ledger
from tests.cli.program import inside, on_terminal, run

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("other", "request_denied", "watch_created", "slo_recovered")
SOURCES = ("a", "b", 'q"uote', "ü\u2028", "kind")
TIMES = (
    "2026-01-01T00:00:00.000000+00:00",
    "2026-01-01T00:00:00.000001+00:00",
    "2026-01-01T00:01:00.500000+00:00",
    "2026-01-02T00:00:00.000000+00:00",
    "2025-12-31T23:59:59.999999+00:00",
)
PAYLOADS: tuple[dict[str, Any], ...] = (
    {},
    {"n": 1},
    {"n": "1"},
    {"n": 1.5, "s": "x"},
    {"n": True},
    {"n": None},
    {"a": {"b": {"c": "deep"}}},
    {"a": [1, {"b": 2}]},
    {"kind": "other", "source": "a", "text": '"kind":"other","payload":{'},
    {"n": {"z": 1, "a": [2]}},
    {"": "empty name"},
    {"s": "ü\n\u2028"},
    {"n": 0},
)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with every kind, source, time and payload above, mixed."""
    path = tmp_path_factory.mktemp("query") / "ledger.jsonl"
    with Ledger(path) as opened:
        opened.append_many(
            {
                "kind": KINDS[n * 7 % len(KINDS)],
                "source": SOURCES[n * 3 % len(SOURCES)],
                "payload": PAYLOADS[n % len(PAYLOADS)],
                "timestamp": TIMES[n * 2 % len(TIMES)],
            }
            for n in range(130)
        )
    return path


def seconds(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp)


def has(payload: Any, condition: str) -> bool:
    """PATH=VALUE, by the letter: VALUE is the text, or JSON that means the same."""
    path, _, text = condition.partition("=")
    value = payload
    for name in path.split("."):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return False
    if isinstance(value, str) and value == text:
        return True
    try:
        wanted = json.loads(text)
    except ValueError:
        return False
    same_type = isinstance(wanted, bool) == isinstance(value, bool)
    return same_type and bool(wanted == value)


def reference(lines: list[bytes], asked: dict[str, Any]) -> list[bytes]:
    kept = []
    for line in lines:
        event = json.loads(line)
        if asked["kind"] and event["kind"] not in asked["kind"]:
            continue
        if asked["source"] and event["source"] not in asked["source"]:
            continue
        if asked["since"] and seconds(event["timestamp"]) < seconds(asked["since"]):
            continue
        if asked["until"] and seconds(event["timestamp"]) >= seconds(asked["until"]):
            continue
        if asked["after"] is not None and event["event_id"] <= asked["after"]:
            continue
        if asked["before"] is not None and event["event_id"] >= asked["before"]:
            continue
        if asked["contains"].encode() not in line[:-1]:
            continue
        if all(has(event["payload"], condition) for condition in asked["where"]):
            kept.append(line)
    if asked["limit"] is not None:
        kept = kept[len(kept) - asked["limit"] :] if asked["limit"] < len(kept) else kept
    return kept[::-1] if asked["reverse"] else kept


def options_of(asked: dict[str, Any]) -> list[str]:
    options: list[str] = []
    for name, value in asked.items():
        if isinstance(value, list):
            options += [f"--{name}={each}" for each in value]
        elif value is True:
            options.append(f"--{name}")
        elif value is not None and value is not False:
            options.append(f"--{name}={value}")
    return options


IDS = st.none() | st.integers(0, 140)
ASKED = st.fixed_dictionaries(
    {
        "kind": st.lists(st.sampled_from(KINDS), max_size=2),
        "source": st.lists(st.sampled_from(SOURCES), max_size=2),
        "since": st.none() | st.sampled_from([*TIMES, "2026-01-01T01:00:00+01:00"]),
        "until": st.none() | st.sampled_from([*TIMES, "2026-01-01T00:01:00.5Z"]),
        "after": IDS,
        "before": IDS,
        "limit": st.none() | st.integers(0, 40) | st.just(1000),
        "contains": st.sampled_from(["", "", "", "kind", "x", "deep", "ü", '"n":1', "0", "é"]),
        "where": st.lists(
            st.sampled_from(
                ["n=1", 'n="1"', "n=1.5", "n=true", "n=null", "a.b.c=deep", "a.1.b=2", "a.0=1",
                 's=x', 'n={"a":[2],"z":1}', "n=0", "n=-0", "n=1.0", "n=", "kind=other", "n=1e0",
                 "=empty name", 's="ü\\n\\u2028"']
            ).filter(lambda condition: not condition.startswith("=")),
            max_size=2,
        ),
        "reverse": st.booleans(),
    }
)  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ASKED)
def test_every_combination_against_the_reference(everything: Path, asked: dict[str, Any]) -> None:
    lines = everything.read_bytes().splitlines(keepends=True)
    wanted = reference(lines, asked)
    done = inside("query", everything, *options_of(asked))
    assert (done.code, done.err) == (0, "")
    assert done.out == b"".join(wanted)
    count = inside("query", everything, *options_of(asked), "--count")
    assert (count.code, count.out) == (0, b"%d\n" % len(wanted))


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": ["other"]},
        {"kind": list(KINDS)},
        {"source": ["a", "b"]},
        {"kind": ["other"], "source": ["a"], "where": ["n=1"]},
        {"since": TIMES[1]},
        {"until": TIMES[1]},
        {"after": 0},
        {"after": 129},
        {"after": 130},
        {"before": 1},
        {"before": 0},
        {"after": 10, "before": 12},
        {"after": 10, "before": 11},
        {"after": 12, "before": 10},
        {"limit": 0},
        {"limit": 3},
        {"limit": 3, "reverse": True},
        {"limit": 3, "kind": ["other"], "after": 5, "before": 100},
        {"contains": "\n"},
        {"contains": '"timestamp":'},
        {"where": ["kind=other"]},
    ],
    ids=str,
)
def test_each_filter_by_itself(everything: Path, asked: dict[str, Any]) -> None:
    nothing = {
        "kind": [], "source": [], "since": None, "until": None, "after": None, "before": None,
        "limit": None, "contains": "", "where": [], "reverse": False,
    }  # fmt: skip
    lines = everything.read_bytes().splitlines(keepends=True)
    done = run("query", everything, *options_of(asked))
    assert (done.code, done.err) == (0, "")
    assert done.out == b"".join(reference(lines, nothing | asked))


def test_without_filters_the_ledger_itself_comes_out(everything: Path) -> None:
    done = run("query", everything)
    assert done.out == everything.read_bytes()
    again = run("verify", "-", stdin=done.out)
    assert again.code == 0


def test_limit_keeps_the_most_recent_printed_oldest_first(ledger: Path) -> None:
    ids = [event["event_id"] for event in inside("query", ledger, "--limit", "2").events]
    assert ids == [4, 5]
    ids = [e["event_id"] for e in inside("query", ledger, "--limit", "2", "--reverse").events]
    assert ids == [5, 4]


@pytest.mark.parametrize("ago", ["15m", "2h", "3d", "1w", "900s", " 15m "])
def test_times_ago(path: Path, ago: str) -> None:
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    span = int(ago.strip()[:-1]) * unit[ago.strip()[-1]]
    now = time.time_ns()
    with Ledger(path) as opened:
        for offset in (span + 30, span - 30, 0):
            opened.append("other", "s", timestamp=timestamps.stamp(now - offset * 10**9))
    assert [e["event_id"] for e in inside("query", path, "--since", ago).events] == [2, 3]
    assert [e["event_id"] for e in inside("query", path, "--until", ago).events] == [1]


def test_an_age_beyond_all_time_is_no_error(ledger: Path) -> None:
    assert len(inside("query", ledger, "--since", "999999999w").lines) == 5


BAD: dict[tuple[str, ...], str] = {
    ("--kind", "othr"): 'kind: unknown kind "othr"; did you mean "other"?',
    ("--kind", "request_denid"): 'did you mean "request_denied"?',
    ("--kind", "other", "--kind", "zzz"): 'kind: unknown kind "zzz"; declare it with --allow-kind',
    ("--kind", "Not A Kind"): "kind: expected lower-case letters",
    ("--since", "yesterday"): "'yesterday': not an RFC 3339 time",
    ("--until", "2026-01-01"): "or a time ago, like 15m, 2h or 3d",
    ("--since", "15 minutes"): "not an RFC 3339 time",
    ("--since", "-15m"): "not an RFC 3339 time",
    ("--since", ""): "not an RFC 3339 time",
    ("--since", "١٥m"): "not an RFC 3339 time",
    ("--after", "-1"): "'--after'",
    ("--after", "x"): "'x' is not a whole number",
    ("--before", "1.5"): "'1.5' is not a whole number",
    ("--limit", "-1"): "'--limit'",
    ("--limit", ""): "is not a whole number",
    ("--where", "a"): "'a': expected PATH=VALUE, like actor.name=alice",
    ("--where", "=1"): "expected PATH=VALUE",
    ("--where", ""): "expected PATH=VALUE",
    ("--contains", "\udcff"): "not valid Unicode",
    ("--format", "xml"): "--format 'xml': expected one of auto, jsonl, json, table, csv",
    ("--format", ""): "--format '': expected one of",
    ("--config", "/nonexistent.toml"): "/nonexistent.toml: cannot read the configuration",
    ("--allow-kind", "Bad Kind"): "kind: expected lower-case letters",
    ("--nope",): "no such option",
    ("--kind",): "option '--kind' requires an argument",
}


@pytest.mark.parametrize("options", BAD, ids=str)
def test_bad_questions_are_usage_errors(ledger: Path, options: tuple[str, ...]) -> None:
    done = inside("query", ledger, *options)
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("error: ")
    assert BAD[options] in done.err
    assert done.err.count("\n") == 1
    assert done.err[:-1].isprintable()


def test_kinds_that_are_declared_may_be_asked_for(ledger: Path) -> None:
    with Ledger(ledger, any_kind=True) as opened:
        opened.append("deploy_started", "bot")
    asked = ("--kind", "deploy_started")
    assert inside("query", ledger, *asked).code == 2
    assert len(inside("query", ledger, *asked, "--any-kind").lines) == 1
    assert len(inside("query", ledger, *asked, "--allow-kind", "deploy_started").lines) == 1
    (ledger.parent / "audit-stream.toml").write_text('[kinds.extra]\nbot = ["deploy_started"]\n')
    assert len(inside("query", ledger, *asked).lines) == 1


# -- damage --------------------------------------------------------------------------------


def test_a_torn_tail_is_a_warning_and_exit_0(ledger: Path) -> None:
    whole = ledger.read_bytes()
    with ledger.open("ab") as file:
        file.write(whole[:100])
    done = inside("query", ledger)
    assert (done.code, done.out) == (0, whole)
    assert done.err.startswith(f"warning: {ledger}: 100 bytes after the last complete line")
    assert done.err.count("\n") == 1


def damaged(lines: list[bytes]) -> dict[str, tuple[list[bytes], int, str]]:
    """Ways to damage line 3: the lines, the index of the damaged one, and what is said."""
    third = lines[2]
    return {
        "garbage": ([*lines[:2], b"garbage\n", *lines[3:]], 2, "a line at byte"),
        "an empty line": ([*lines[:2], b"\n", *lines[2:]], 2, "a line at byte"),
        "a flipped bit": (
            [*lines[:2], third.replace(b'"note":"kind', b'"note":"jind'), *lines[3:]],
            2,
            "hash mismatch",
        ),
        "CRLF": ([*lines[:2], third[:-1] + b"\r\n", *lines[3:]], 2, "event 3 at byte"),
        "a space": ([*lines[:2], third.replace(b":", b": ", 1), *lines[3:]], 2, "at byte"),
        "not UTF-8": ([*lines[:2], third.replace(b"note", b"n\xffte"), *lines[3:]], 2, "event 3"),
        "a NUL": ([*lines[:2], third.replace(b"note", b"n\0te"), *lines[3:]], 2, "event 3"),
        "half a line": ([*lines[:2], third[:50] + b"\n", *lines[3:]], 2, "at byte"),
        "a repeated line": ([*lines[:3], third, *lines[3:]], 3, "event 3 at byte"),
        "a repeat further on": ([*lines[:4], third, *lines[4:]], 4, "event 3 at byte"),
        "two on a line": ([*lines[:2], third[:-1] + third, *lines[3:]], 2, "event 3"),
    }


DAMAGE = list(damaged([b"", b"", b'{"x":"note"}\n']))


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "options", [(), ("--reverse",), ("--limit", "5"), ("--format", "csv"), ("--kind", "other")]
)
def test_a_damaged_line_is_named_skipped_and_exit_1(
    ledger: Path, damage: str, options: tuple[str, ...]
) -> None:
    original = ledger.read_bytes().splitlines(keepends=True)
    lines, bad, says = damaged(original)[damage]
    ledger.write_bytes(b"".join(lines))
    done = inside("query", ledger, *options)
    assert done.code == 1, done
    assert f" at byte {len(b''.join(lines[:bad]))} is damaged: " in done.err
    assert says in done.err
    assert done.err.endswith("; skipped, run verify\n")
    assert done.err.count("\n") == 1
    good = [line for position, line in enumerate(lines) if position != bad]
    if options in ((), ("--limit", "5")):
        assert done.out == b"".join(good)
    elif options == ("--reverse",):
        assert done.out == b"".join(good[::-1])
    elif options == ("--kind", "other"):
        assert done.out == b"".join(line for line in good if b'"kind":"other"' in line)
    counted = inside("query", ledger, "--count")
    assert (counted.code, counted.out) == (1, b"%d\n" % len(good))
    assert inside("verify", ledger).code == 1


def test_damage_among_many_lines_is_found_whatever_is_asked_for(path: Path) -> None:
    with Ledger(path) as opened:
        opened.append_many(
            {"kind": "other", "source": "s", "payload": {"n": n}} for n in range(2000)
        )
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1234] = b"garbage\n"
    path.write_bytes(b"".join(lines))
    for options in ((), ("--kind", "watch_created"), ("--contains", "nothing"), ("--where", "n=5")):
        done = inside("query", path, *options)
        assert done.code == 1, options
        assert "a line at byte" in done.err


TELLING = [b"\n", b'"', b"{", b"}", b"\\", b"[" * 100, b"9" * 30]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_whatever_bytes_a_file_has_no_reader_falls_over(ledger: Path, data: st.DataObject) -> None:
    original = ledger.parent / "original"
    if not original.exists():
        original.write_bytes(ledger.read_bytes())
    content = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content)))
        end = position + data.draw(st.integers(0, 40))
        content[position:end] = data.draw(
            st.binary(max_size=20) | st.sampled_from([b"\n", b'"', b"{"])
        )
    ledger.write_bytes(bytes(content))
    for command in (
        ("query",), ("query", "--format", "csv"), ("query", "--format", "table"), ("tail",),
        ("stats",), ("stats", "--json"), ("verify",), ("query", "--where", "a.b=1", "--reverse"),
        ("query", "--since", "2026-01-01T00:00:00Z", "--count"),
    ):  # fmt: skip
        done = inside(command[0], ledger, *command[1:])
        assert done.code in (0, 1, 3)
        assert all(line.startswith(("error: ", "warning: ")) for line in done.err.splitlines())


# -- forms ---------------------------------------------------------------------------------


def test_json_is_an_array_of_the_events(everything: Path) -> None:
    wanted = [json.loads(line) for line in everything.read_bytes().splitlines()]
    assert json.loads(inside("query", everything, "--format", "json").out) == wanted
    nothing = inside("query", everything, "--format", "json", "--limit", "0")
    assert nothing.out == b"[]\n"


def test_csv_reads_back(everything: Path) -> None:
    done = inside("query", everything, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out.decode(), newline="")))
    events = [json.loads(line) for line in everything.read_bytes().splitlines()]
    assert [int(row["event_id"]) for row in rows] == [event["event_id"] for event in events]
    assert [json.loads(row["payload"]) for row in rows] == [event["payload"] for event in events]
    assert [row["source"] for row in rows] == [event["source"] for event in events]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "＝1"])
def test_csv_defuses_formulas(path: Path, cell: str) -> None:
    with Ledger(path) as opened:
        opened.append("other", cell)
    (_, row) = csv.reader(io.StringIO(inside("query", path, "--format", "csv").out.decode()))
    assert row[3] == (cell if cell[0] == "＝" else f"'{cell}")


def test_csv_of_nothing_is_its_header(ledger: Path) -> None:
    done = inside("query", ledger, "--format", "csv", "--limit", "0")
    assert done.out == b"event_id,timestamp,kind,source,payload,hash,prev_hash\r\n"


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "table", "auto"])
def test_nothing_that_is_stored_can_drive_a_terminal(path: Path, form: str) -> None:
    evil = "".join(map(chr, [0x1B, 0x07, 0x7F, 0x85, 0x9B, 0x202E, 0x2066, 0x200F, 0x2028]))
    with Ledger(path) as opened:
        opened.append("other", "s\u202e\u2028", {"text": f"{evil}[31mred", evil: 1})
    code, shown = on_terminal("query", path, "--format", form, env={"NO_COLOR": "1"})
    assert code == 0
    assert shown.replace("\n", "").isprintable()
    assert "\\u202e" in shown
    if form in ("jsonl", "json"):
        (event,) = [json.loads(shown)] if form == "jsonl" else json.loads(shown)
        assert event == json.loads(path.read_bytes())
    if form == "jsonl":
        assert inside("query", path).out == path.read_bytes()

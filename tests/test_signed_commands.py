"""The commands about keys, checkpoints, proofs and witnesses: what they print, and refuse."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream import note, signing
from audit_stream.checkpoint import parse_text
from audit_stream.note import COSIGNATURE_V1
from audit_stream.timestamping import REQUEST_TYPE, RESPONSE_TYPE
from tests.desk import Desk
from tests.signed import LOG, ORIGIN, WITNESSES, event_lines
from tests.test_timestamping import Authority

LINES = event_lines(30)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.lines("l", LINES)
    return desk


# -- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--witness"]])
def test_a_new_key_is_private_and_its_public_half_printed(desk: Desk, more: list[str]) -> None:
    done = desk.done("key", "new", "--name", "example.org/new", "--out", "k", *more)
    private = signing.parse_private_key(desk.read("k").decode().rstrip("\n"))
    assert done.out.decode() == f"{private.key}\n"
    assert (private.key.algorithm == COSIGNATURE_V1) == bool(more)
    assert desk.path("k").stat().st_mode & 0o777 == 0o600
    assert desk.done("key", "show", "k").out == done.out


def test_a_key_is_never_overwritten(desk: Desk) -> None:
    kept = desk.read("log.key")
    done = desk.run("key", "new", "--name", ORIGIN, "--out", "log.key")
    assert (done.code, done.out) == (2, b"")
    assert done.err == "error: log.key: exists already; a key is never overwritten\n"
    assert desk.read("log.key") == kept


def test_the_key_file_is_called_after_the_key(desk: Desk) -> None:
    done = desk.run("key", "new", "--name", "example.org/a/../b")
    assert done.err == "the private key is in example.org-a-..-b.key\n"
    assert desk.path("example.org-a-..-b.key").exists()


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\nend"])
def test_a_name_that_no_note_can_carry_is_refused(desk: Desk, name: str) -> None:
    before = set(desk.home.iterdir())
    done = desk.run("key", "new", "--name", name)
    assert (done.code, done.out) == (2, b"")
    assert set(desk.home.iterdir()) == before


def test_a_key_that_others_may_read_is_told(desk: Desk) -> None:
    desk.path("log.key").chmod(0o640)
    done = desk.run("checkpoint", "l", "--key", "log.key")
    assert done.code == 0
    assert "others may read this private key" in done.err


def test_no_error_repeats_a_secret(desk: Desk) -> None:
    secret = LOG.export()
    for text in (secret[:-1], secret + "=", secret.replace("PRIVATE", "PUBLIC"), secret[20:]):
        desk.write("log.key", text.encode())
        done = desk.run("checkpoint", "l", "--key", "log.key")
        assert done.code == 2
        assert secret[-20:-2] not in done.err
    assert desk.run("key", "show", "l").code == 2
    assert desk.run("key", "show", "missing").code == 2


# -- checkpoints ---------------------------------------------------------------------------------


def test_a_checkpoint_is_printed_and_kept(desk: Desk) -> None:
    done = desk.done("checkpoint", "l", "--key", "log.key")
    assert done.out.startswith(b"example.org/ledger\n30\n")
    assert desk.read("l.checkpoints") == done.out + b"\n\n"
    again = desk.done("checkpoint", "l", "--key", "log.key", "--since-checkpoint")
    assert desk.read("l.checkpoints") == done.out + b"\n\n" + again.out + b"\n\n"


def test_the_configuration_does_not_stand_in_the_way(desk: Desk) -> None:
    desk.write("audit-stream.toml", b"nonsense")
    desk.done("checkpoint", "l", "--key", "log.key")
    desk.done("prove", "l", 1)


def test_nothing_is_made_for_a_ledger_that_is_not_there(desk: Desk) -> None:
    before = set(desk.home.iterdir())
    for command in (("checkpoint", "no", "--key", "log.key"), ("prove", "no", 1)):
        assert desk.run(*command).code == 2
    assert set(desk.home.iterdir()) == before


def test_a_witness_key_does_not_sign_checkpoints(desk: Desk) -> None:
    done = desk.run("checkpoint", "l", "--key", "witness.key")
    assert (done.code, done.out) == (2, b"")
    assert "is not a log key" in done.err
    assert not desk.path("l.checkpoints").exists()


# -- verifying -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unsigned", "words"),
    [
        (0, "signed up to event 30; no event after it"),
        (1, "signed up to event 30; 1 event after it is unsigned"),
        (2, "signed up to event 30; 2 events after it are unsigned"),
    ],
)
def test_the_report_says_how_far_signatures_reach(desk: Desk, unsigned: int, words: str) -> None:
    desk.sign("l", "cp")
    for n in range(unsigned):
        desk.done("append", "l", "--kind", "other", "--source", "s", "--set", f"n={n}", "-q")
    done = desk.done("verify", "l", "--key", desk.vkey)
    assert words in done.out.decode()
    assert "pinned    up to event 30, by checkpoint" in done.out.decode()
    result = desk.done("verify", "l", "--key", desk.vkey, "--json").json()
    assert result["pinned"]["by"] == "checkpoint"
    assert result["pinned"]["origin"] == ORIGIN
    assert result["pinned"]["unsigned"] == unsigned
    assert result["pinned"]["keys"] == [desk.vkey]
    assert parse_text(note.parse(desk.read("cp")).text).root.hex() == result["pinned"]["root"]


def test_since_a_checkpoint_only_the_rest_is_checked(desk: Desk) -> None:
    desk.sign("l", "cp")
    desk.done("append", "l", "--kind", "other", "--source", "s", "-q")
    done = desk.done("verify", "l", "--key", desk.vkey, "--since-checkpoint")
    assert b"checked   31 events, of which 1 since the checkpoint" in done.out


def test_a_pipe_is_held_against_a_checkpoint_too(desk: Desk) -> None:
    desk.sign("l", "cp")
    desk.lines("short", LINES[:29])
    for name, expected in (("l", ("intact", 0)), ("short", ("truncated", 1))):
        os.mkfifo(desk.path("pipe"))
        feeder = threading.Thread(target=desk.path("pipe").write_bytes, args=(desk.read(name),))
        feeder.start()
        assert desk.verify("pipe", "--checkpoint", "cp") == expected
        feeder.join()
        desk.path("pipe").unlink()


def test_pins_and_checkpoints_go_together(desk: Desk) -> None:
    desk.sign("l", "cp")
    desk.done("verify", "l", "--pin", "pin", "--key", desk.vkey)
    desk.done("append", "l", "--kind", "other", "--source", "s", "-q")
    more = ("--pin", "pin", "--key", desk.vkey, "--json")
    assert desk.done("verify", "l", *more).json()["pinned"]["by"] == "checkpoint"
    assert desk.done("verify", "l", *more).json()["pinned"]["by"] == "pin"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--checkpoint", "cp"], "a signature proves nothing without --key"),
        (["--since-checkpoint"], "a signature proves nothing without --key"),
        (["--tsa-cert", "cp"], "a signature proves nothing without --key"),
        (["--key", ""], "--key: a verifier key looks like"),
        (["--key", "junk"], "--key: a verifier key looks like"),
        (["--policy", ""], "cannot read it"),
        (["--policy", "missing"], "missing: cannot read it"),
        (["--policy", "empty"], "empty: a policy has one quorum line"),
        (["--policy", "nolog"], "nolog: the policy lists no log"),
        (["--key", "VKEY", "--checkpoint", "missing"], "missing: cannot read it"),
        (["--key", "VKEY", "--checkpoint", ""], "cannot read it"),
        (["--key", "VKEY", "--tsa-cert", ""], "cannot read it"),
        (["--key", "VKEY", "--checkpoint", "empty"], "empty: a note ends in"),
        (["--key", "VKEY", "--since-checkpoint", "--since-pin", "--pin", "p"], "does not go with"),
        (["--key", "WKEY"], "is not a log key"),
        (["--key", "VKEY", "l"], "checkpoints go with one ledger only"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    desk: Desk, arguments: list[str], words: str
) -> None:
    desk.sign("l", "cp")
    desk.write("empty", b"")
    desk.write("nolog", b"quorum none\n")
    keys = {"VKEY": desk.vkey, "WKEY": str(WITNESSES[0].key)}
    done = desk.run("verify", "l", *(keys.get(one, one) for one in arguments))
    assert (done.code, done.out) == (2, b""), done
    assert words in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_stdin_has_no_checkpoints_beside_it(desk: Desk) -> None:
    assert desk.run("verify", "-", "--key", desk.vkey).code == 2


def test_a_key_stands_in_place_of_a_policys_logs(desk: Desk) -> None:
    desk.sign("l", "cp")
    other = f"log {WITNESS_LOG}\nquorum none\n"
    desk.write("policy", other.encode())
    assert desk.run("verify", "l", "--policy", "policy").code == 1
    desk.done("verify", "l", "--policy", "policy", "--key", desk.vkey)


WITNESS_LOG = note.make_key("example.org/other", note.ED25519, WITNESSES[0].public_key)


def test_nothing_in_a_checkpoint_drives_a_terminal(desk: Desk) -> None:
    name = "example.org/\u202eledger"
    desk.done("key", "new", "--name", name, "--out", "k")
    key = desk.done("key", "show", "k").out.decode().strip()
    desk.done("checkpoint", "l", "--key", "k")
    done = desk.done("verify", "l", "--key", key)
    assert "\u202e" not in done.out.decode()


# -- proofs --------------------------------------------------------------------------------------


def test_an_event_is_confirmed_without_the_ledger(desk: Desk) -> None:
    desk.sign("l", "cp")
    desk.write("proof", desk.done("prove", "l", 7).out)
    desk.path("l").unlink()
    desk.path("l.checkpoints").unlink()
    done = desk.done("check-proof", "proof", "--key", desk.vkey)
    assert done.out.startswith(b"proof: confirmed\n")
    assert LINES[6] in done.out
    found = desk.done("check-proof", "proof", "--key", desk.vkey, "--json").json()
    assert (found["proves"], found["event_id"], found["size"]) == ("event", 7, 30)
    assert found["line"].encode() == LINES[6]


def test_an_extension_is_confirmed_without_the_ledger(desk: Desk) -> None:
    desk.sign("l", "old")
    desk.done("append", "l", "--kind", "other", "--source", "s", "-q")
    desk.sign("l", "new")
    desk.write("proof", desk.done("prove-extends", "old", "new", "l").out)
    done = desk.done("check-proof", "proof", "--key", desk.vkey)
    assert b"the first 30 of 31 signed events are those of the older checkpoint" in done.out
    found = desk.done("check-proof", "proof", "--key", desk.vkey, "--json").json()
    assert (found["proves"], found["size"], found["extends"]["size"]) == ("extension", 31, 30)


def test_a_proof_needs_someone_to_believe(desk: Desk) -> None:
    desk.sign("l", "cp")
    desk.write("proof", desk.done("prove", "l", 7).out)
    assert desk.run("check-proof", "proof").code == 2
    other = note.make_key("example.org/other", note.ED25519, LOG.public_key)
    assert desk.run("check-proof", "proof", "--key", other).code == 1
    assert desk.run("check-proof", "cp", "--key", desk.vkey).code == 2


@pytest.mark.parametrize(("event_id", "code"), [(0, 2), (31, 2), ("x", 2), (30, 0)])
def test_only_signed_events_are_proved(desk: Desk, event_id: object, code: int) -> None:
    desk.sign("l", "cp")
    assert desk.run("prove", "l", event_id).code == code


def test_a_proof_of_a_rewritten_ledger_is_not_made(desk: Desk) -> None:
    desk.sign("l", "cp")
    desk.lines("l", event_lines(30, "other"))
    done = desk.run("prove", "l", 7)
    assert (done.code, done.out) == (1, b"")
    assert "the ledger is not the one that was signed" in done.err


# -- time ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    assert shutil.which("openssl"), "these tests need the openssl program"
    return Authority(tmp_path_factory.mktemp("tsa") / "home")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    """The authority, on HTTP."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/" or self.headers["Content-Type"] != REQUEST_TYPE:
                self.send_error(404)
                return
            body = authority.answer(query)
            self.send_response(200)
            self.send_header("Content-Type", RESPONSE_TYPE)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_timestamp_is_attached_and_checked_offline(
    desk: Desk, authority: Authority, url: str
) -> None:
    desk.write("root.pem", authority.root)
    desk.sign("l", "unstamped")
    desk.write("cp", desk.done("checkpoint", "l", "--key", "log.key", "--tsa", url).out)
    stamped = ("--key", desk.vkey, "--tsa-cert", "root.pem")
    done = desk.done("verify", "l", *stamped, "--checkpoint", "cp")
    assert b"stamped   by 127.0.0.1 at 20" in done.out
    assert desk.done("verify", "l", *stamped, "--json").json()["pinned"]["timestamps"]
    done = desk.run("verify", "l", *stamped, "--checkpoint", "unstamped")
    assert (done.code, done.err) == (1, "error: unstamped: the checkpoint has no timestamp\n")


def test_a_timestamp_by_a_stranger_is_not_valid(desk: Desk, tmp_path: Path, url: str) -> None:
    desk.write("cp", desk.done("checkpoint", "l", "--key", "log.key", "--tsa", url).out)
    stranger = Authority(tmp_path / "stranger")
    desk.write("root.pem", stranger.root)
    done = desk.run("verify", "l", "--key", desk.vkey, "--tsa-cert", "root.pem")
    assert (done.code, "the timestamp by '127.0.0.1' is not valid" in done.err) == (1, True)


def test_an_authority_that_fails_leaves_nothing_signed(desk: Desk, url: str) -> None:
    for bad, code in (
        ("ftp://example.org/", 2),
        ("nonsense", 2),
        (f"{url}elsewhere", 4),
        ("http://127.0.0.1:1/", 4),
    ):
        done = desk.run("checkpoint", "l", "--key", "log.key", "--tsa", bad)
        assert (done.code, done.out) == (code, b""), done
    assert desk.path("l.checkpoints").read_bytes() == b""


# -- without the extras ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["key", "new", "--name", "a"],
        ["checkpoint", "l", "--key", "log.key"],
        ["verify", "l", "--key", "VKEY", "--checkpoint", "cp"],
    ],
)
def test_a_missing_extra_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    desk.sign("l", "cp")
    for name in ("cryptography.hazmat.primitives.asymmetric", "cryptography"):
        monkeypatch.setitem(sys.modules, name, None)
    done = desk.run(*(desk.vkey if one == "VKEY" else one for one in arguments))
    assert (done.code, done.out) == (2, b"")
    assert "pip install 'audit-stream[sign]'" in done.err


def test_verification_without_keys_imports_no_crypto(desk: Desk) -> None:
    root = Path(__file__).parent.parent
    program = (
        "import sys; from audit_stream.cli import main; code = main(['verify', 'l']);"
        " print(code, [m for m in ('cryptography', 'audit_stream.merkle') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=desk.home,
        env={"PYTHONPATH": str(root), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("0 []\n")

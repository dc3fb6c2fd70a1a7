"""RFC 3161 timestamps against an authority made with `openssl ts`, which also checks our tokens."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_stream import note, timestamping
from audit_stream.checkpoint import open_checkpoint
from audit_stream.errors import InputError, MalformedError, MissingExtraError, SignatureError
from audit_stream.note import Note
from audit_stream.policy import trust
from audit_stream.signing import verify
from audit_stream.timestamping import Query
from tests.signed import LOG, WITNESSES, checkpoint, event_lines, signed

TEXT = checkpoint(event_lines(5)).text()
NAME = "tsa.example.org"

CONFIG = """
[req]
distinguished_name=dn
prompt=no
[dn]
CN=unused
[ca]
basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign
[tsa]
basicConstraints=critical,CA:false
extendedKeyUsage=critical,timeStamping
[ts]
default_tsa=authority
[authority]
serial=serial
signer_digest=sha256
default_policy=1.2.3.4.1
digests=sha256
ess_cert_id_alg=sha256
"""


class Authority:
    """A timestamping authority in a directory: a root, a signing certificate, `openssl ts`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()
        (home / "ts.cnf").write_text(CONFIG)
        (home / "serial").write_text("01\n")
        for name in ("ca", "tsa"):
            self.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out", f"{name}.key")
        self.run("req -x509 -config ts.cnf -extensions ca -key ca.key -subj /CN=Root -out ca.pem")
        self.run("req -new -config ts.cnf -key tsa.key -subj /CN=Authority -out tsa.csr")
        self.run(
            "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
            " -extfile ts.cnf -extensions tsa -days 30 -out tsa.pem"
        )
        self.root = (home / "ca.pem").read_bytes()

    def run(self, command: str, *more: str) -> str:
        words = ["openssl", *command.split(), *more]
        done = subprocess.run(words, cwd=self.home, check=True, capture_output=True, text=True)
        return done.stdout

    def answer(self, query: bytes) -> bytes:
        (self.home / "query").write_bytes(query)
        self.run(
            "ts -reply -config ts.cnf -section authority -queryfile query"
            " -signer tsa.pem -inkey tsa.key -out reply"
        )
        return (self.home / "reply").read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    assert shutil.which("openssl"), "these tests need the openssl program"
    return Authority(tmp_path_factory.mktemp("tsa") / "home")


@pytest.fixture(scope="module")
def stamped(authority: Authority) -> bytes:
    """A signed checkpoint with a token."""
    query = timestamping.make_query(TEXT)
    token = timestamping.accept_response(query, authority.answer(query.der), NAME)
    return timestamping.add_timestamp(signed(TEXT, LOG), token)


def test_a_token_travels_with_the_checkpoint(authority: Authority, stamped: bytes) -> None:
    (found,) = timestamping.check_timestamps(note.parse(stamped), authority.root)
    assert found.name == NAME
    assert abs(found.time - datetime.now(UTC)) < timedelta(minutes=5)
    assert open_checkpoint(stamped, trust(LOG.key), verify).checkpoint.text() == TEXT


def test_openssl_checks_the_token_too(authority: Authority, stamped: bytes) -> None:
    token = note.parse(stamped).signatures[-1].value
    (authority.home / "token").write_bytes(token)
    (authority.home / "text").write_bytes(TEXT)
    assert "OK" in authority.run("ts -verify -token_in -in token -data text -CAfile ca.pem")


def test_later_cosignatures_do_not_disturb_it(authority: Authority, stamped: bytes) -> None:
    parsed = note.parse(stamped)
    more = note.sign(TEXT, WITNESSES[0].key, WITNESSES[0], 1_800_000_000)
    longer = Note(TEXT, (*parsed.signatures, more))
    assert len(timestamping.check_timestamps(longer, authority.root)) == 1


def test_a_note_without_tokens_has_none(authority: Authority) -> None:
    assert timestamping.check_timestamps(note.parse(signed(TEXT, LOG)), authority.root) == []


def test_a_token_of_another_text_is_not_valid(authority: Authority, stamped: bytes) -> None:
    token = note.parse(stamped).signatures[-1]
    other = Note(checkpoint(event_lines(6)).text(), (token,))
    with pytest.raises(SignatureError, match=r"'tsa.example.org' is not valid"):
        timestamping.check_timestamps(other, authority.root)


def test_a_stranger_is_not_believed(stamped: bytes, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    with pytest.raises(SignatureError):
        timestamping.check_timestamps(note.parse(stamped), stranger.root)


def test_a_damaged_token_is_not_valid(authority: Authority, stamped: bytes) -> None:
    """Every byte: refused, or the same statement.

    CMS leaves two version numbers and the name of the signature algorithm unsigned, which no
    checker misses (RFC 5652, sections 5.1 and 5.3).
    """
    parsed = note.parse(stamped)
    *rest, token = parsed.signatures
    (genuine,) = timestamping.check_timestamps(parsed, authority.root)
    accepted = 0
    for place in range(len(token.value)):
        value = bytearray(token.value)
        value[place] ^= 1
        damaged = Note(TEXT, (*rest, token._replace(value=bytes(value))))
        try:
            (found,) = timestamping.check_timestamps(damaged, authority.root)
        except SignatureError:
            continue
        accepted += 1
        assert found == genuine
    assert accepted <= 2 + 8


def test_an_answer_to_another_question_is_refused(authority: Authority) -> None:
    query, other = timestamping.make_query(TEXT), timestamping.make_query(b"other\n")
    again = timestamping.make_query(TEXT)
    answer = authority.answer(query.der)
    with pytest.raises(SignatureError, match="another text"):
        timestamping.accept_response(other, answer, NAME)
    with pytest.raises(SignatureError, match="another request"):
        timestamping.accept_response(again, answer, NAME)


def test_a_refusal_is_told(authority: Authority) -> None:
    query = timestamping.make_query(TEXT)
    refused = authority.answer(
        query.der.replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040203"))
    )
    with pytest.raises(SignatureError, match="the timestamping authority refused"):
        timestamping.accept_response(query, refused, NAME)


@pytest.mark.parametrize("response", [b"", b"<html>", b"\x30\x03\x02\x01\x00", b"\x30\x80"])
def test_what_is_no_response_is_refused(response: bytes) -> None:
    with pytest.raises(MalformedError):
        timestamping.accept_response(Query(TEXT, 1, b""), response, NAME)


def test_a_name_must_fit_a_note(authority: Authority) -> None:
    with pytest.raises(MalformedError):
        timestamping.accept_response(Query(TEXT, 1, b""), b"", "two words")


@pytest.mark.parametrize("pem", [b"", b"not PEM", b"-----BEGIN CERTIFICATE-----\nQQ==\n"])
def test_certificates_that_cannot_be_read_are_an_input_error(stamped: bytes, pem: bytes) -> None:
    with pytest.raises(InputError, match="not PEM"):
        timestamping.check_timestamps(note.parse(stamped), pem)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'audit-stream\[tsa\]'"):
        timestamping.make_query(TEXT)

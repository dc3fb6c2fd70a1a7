"""Who may do what, and what is refused at the door."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from audit_stream.config import Token
from audit_stream.server.auth import COOKIE, EVERYONE, SESSION_SECONDS, Guard
from audit_stream.server.hosts import HostCheck, is_loopback
from tests.server.live import ROOT, Live, Stream, bearer, token_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.conftest import Start

READ_PATHS = (
    "/events",
    "/events/1",
    "/stream",
    "/events/stream",
    "/verify",
    "/stats",
    "/kinds",
    "/metrics",
    "/openapi.json",
    "/docs",
)
DRAFT = {"kind": "other", "source": "ours"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    config = token_config(
        reader=(["read"], None),
        writer=(["append"], None),
        bound=(["append"], ["ours"]),
        boss=(["admin"], None),
    )
    path = tmp_path_factory.mktemp("guarded") / "ledger.jsonl"
    with Live(path, config=config) as live:
        yield live


class TestTokens:
    @pytest.mark.parametrize("path", READ_PATHS)
    def test_reading_needs_a_token(self, guarded: Live, path: str) -> None:
        answer = guarded.client.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert guarded.client.get(path, headers=bearer("writer")).status_code == 403

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/session"])
    def test_what_is_open(self, guarded: Live, path: str) -> None:
        assert guarded.client.get(path).status_code == 200

    def test_service_info_needs_a_token(self, guarded: Live) -> None:
        json_only = {"accept": "application/json"}
        assert guarded.client.get("/", headers=json_only).status_code == 401
        answer = guarded.client.get("/", headers=json_only | bearer("reader"))
        assert answer.json()["name"] == "audit-stream"

    @pytest.mark.parametrize(
        "authorization",
        [
            "Bearer wrong",
            "Bearer",
            "Basic c2VjcmV0",
            "secret-boss",
            "Bearer " + "x" * 9999,
        ],
    )
    def test_bad_tokens(self, guarded: Live, authorization: str) -> None:
        answer = guarded.client.get("/stats", headers={"authorization": authorization})
        assert answer.status_code == 401

    def test_appending(self, guarded: Live) -> None:
        def append(headers: dict[str, str], source: str = "ours") -> int:
            draft = {**DRAFT, "source": source}
            return guarded.client.post("/events", json=draft, headers=headers).status_code

        assert append({}) == 401
        assert append(bearer("reader")) == 403
        assert append(bearer("writer"), "anybody") == 201
        assert append(bearer("bound")) == 201
        assert append(bearer("bound"), "somebody else") == 403
        assert append(bearer("boss"), "anybody") == 201

    def test_a_bound_token_cannot_hide_a_source_in_a_batch(self, guarded: Live) -> None:
        before = guarded.ledger.read_bytes()
        lines = [json.dumps({**DRAFT, "source": source}) for source in ("ours", "theirs")]
        answer = guarded.client.post(
            "/events",
            content="\n".join(lines),
            headers=bearer("bound") | {"content-type": "application/x-ndjson"},
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "forged_source")
        assert guarded.ledger.read_bytes() == before

    def test_admin_only(self, guarded: Live) -> None:
        assert guarded.client.post("/admin/reopen").status_code == 401
        for name, status in (("reader", 403), ("writer", 403), ("boss", 200)):
            assert guarded.client.post("/admin/reopen", headers=bearer(name)).status_code == status

    def test_without_tokens_the_header_is_ignored(self, shared: Live) -> None:
        answer = shared.client.post("/events", json=DRAFT, headers={"authorization": "Bearer x"})
        assert answer.status_code == 201

    def test_secrets_and_payloads_are_not_logged(self, start: Start) -> None:
        live = start("--access-log", config=token_config(boss=(["admin"], None)))
        draft = {**DRAFT, "payload": {"password": "hunter2"}}
        assert live.client.post("/events", json=draft, headers=bearer("boss")).status_code == 201
        live.client.get("/events?contains=hunter2", headers=bearer("boss"))
        live.client.post("/session", json={"token": "hunter2"})
        live.client.post("/events", json={**DRAFT, "kind": "hunter2"}, headers=bearer("boss"))
        live.stop()
        text = json.dumps(live.log)
        assert "hunter2" not in text
        assert "secret-boss" not in text
        assert {"method": "POST", "path": "/events", "status": 201}.items() <= live.logged(
            "request"
        ).items()

    def test_token_new(self, start: Start) -> None:
        arguments = ["token", "new", 'ci "x"', "--role", "append"]
        arguments += ["--source", "ours", "--source", "é"]
        made = subprocess.run(
            [sys.executable, "-m", "audit_stream", *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        token, _, stanza = made.partition("\n")
        assert token not in stanza
        live = start(config=stanza)
        answer = live.client.post(
            "/events", json=DRAFT, headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 201


class TestSession:
    def test_signing_in_and_out(self, guarded: Live) -> None:
        import httpx

        with httpx.Client(base_url=guarded.url, trust_env=False) as client:
            state = client.get("/session").json()
            assert state == {"required": True, "signed_in": False, "name": None, "roles": []}
            assert client.post("/session", json={"token": "wrong"}).status_code == 401
            answer = client.post("/session", json={"token": "secret-reader"})
            assert answer.status_code == 204
            cookie = answer.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert "Secure" not in cookie
            assert "secret-reader" not in cookie
            state = client.get("/session").json()
            assert state == {
                "required": True,
                "signed_in": True,
                "name": "reader",
                "roles": ["read"],
            }
            assert client.get("/stats").status_code == 200
            assert client.post("/events", json=DRAFT).status_code == 403
            assert client.delete("/session").status_code == 204
            assert client.get("/stats").status_code == 401

    def test_a_stream_with_the_cookie(self, guarded: Live) -> None:
        answer = guarded.client.post("/session", json={"token": "secret-reader"})
        cookie = answer.headers["set-cookie"].partition(";")[0]
        assert Stream(guarded, "/stream", Cookie=cookie).status == 200
        assert Stream(guarded, "/stream", Cookie=cookie[:-2]).status == 401

    def test_secure_behind_tls(self, guarded: Live) -> None:
        answer = guarded.client.post(
            "/session", json={"token": "secret-reader"}, headers={"x-forwarded-proto": "https"}
        )
        assert "Secure" in answer.headers["set-cookie"]

    @pytest.mark.parametrize(
        "body", ["", "{", "[]", '{"token":1}', '{"token":"a","x":1}', "[" * 3000]
    )
    def test_malformed(self, guarded: Live, body: str) -> None:
        headers = {"content-type": "application/json"}
        assert guarded.client.post("/session", content=body, headers=headers).status_code == 422
        assert guarded.client.post("/session", content=body).status_code == 415

    @pytest.mark.parametrize(
        "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]
    )
    def test_a_cookie_from_a_foreign_page(self, guarded: Live, headers: dict[str, str]) -> None:
        answer = guarded.client.post("/session", json={"token": "secret-boss"})
        cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
        own = {"origin": guarded.url, "sec-fetch-site": "same-origin"}
        assert guarded.client.post("/events", json=DRAFT, headers=cookie | own).is_success
        forged = guarded.client.post("/events", json=DRAFT, headers=cookie | headers)
        assert forged.status_code == 403


class TestGuard:
    TOKEN = Token(
        "t", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ("read",)
    )

    def cookie(self, value: str) -> bytes:
        return f"a=b; {COOKIE}={value}".encode()

    def test_a_cookie_ends(self) -> None:
        now = [1000.0]
        guard = Guard([self.TOKEN], b"key", lambda: now[0])
        value = guard.sign_in("test")
        assert value
        found = guard.identify(None, self.cookie(value))
        assert found
        assert (found.name, found.by_cookie) == ("t", True)
        now[0] += SESSION_SECONDS + 1
        assert guard.identify(None, self.cookie(value)) is None

    def test_a_cookie_is_good_for_its_key_and_token_only(self) -> None:
        guard = Guard([self.TOKEN], b"key")
        value = guard.sign_in("test")
        assert value
        assert Guard([self.TOKEN], b"key").identify(None, self.cookie(value))
        assert Guard([self.TOKEN], b"other").identify(None, self.cookie(value)) is None
        stranger = self.TOKEN._replace(sha256="0" * 64)
        assert Guard([stranger], b"key").identify(None, self.cookie(value)) is None
        body, _, signature = value.rpartition(".")
        later = f"{int(body.partition('.')[0]) + 9}.{body.partition('.')[2]}.{signature}"
        for forged in (later, "", ".", "..", "x.y.z", "é.é.é", value[1:]):
            assert guard.identify(None, self.cookie(forged)) is None

    def test_no_tokens(self) -> None:
        guard = Guard([], b"key")
        assert guard.identify(b"Bearer anything", None) is EVERYONE
        assert guard.sign_in("anything") is None


class TestHosts:
    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8093"])
    def test_own_hosts(self, shared: Live, host: str) -> None:
        assert shared.client.get("/healthz", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1"])
    def test_foreign_hosts(self, shared: Live, host: str) -> None:
        answer = shared.client.get("/healthz", headers={"host": host})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        posted = shared.client.post("/events", json=DRAFT, headers={"host": host})
        assert posted.status_code == 400

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost:1", "http://[", "x"]
    )
    def test_foreign_origins(self, shared: Live, origin: str) -> None:
        for answer in (
            shared.client.post("/events", json=DRAFT, headers={"origin": origin}),
            shared.client.get("/events", headers={"origin": origin}),
        ):
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers

    def test_the_rules(self) -> None:
        check = HostCheck("127.0.0.1", ["Audit.example", "*.int.example"], ["https://app.example/"])
        assert check.host_is_known(b"audit.example:443")
        assert check.host_is_known(b"a.int.example")
        assert not check.host_is_known(b"int.example")
        assert not check.host_is_known(b"192.0.2.1")
        assert HostCheck("0.0.0.0", [], []).host_is_known(b"192.0.2.1:80")
        assert not HostCheck("0.0.0.0", [], []).host_is_known(b"evil.example")
        assert HostCheck("127.0.0.1", ["*"], []).host_is_known(b"evil.example")
        assert check.origin_is_known(b"https://app.example", b"audit.example")
        assert check.origin_is_known(b"https://audit.example", b"audit.example")
        assert not check.origin_is_known(b"https://audit.example", b"localhost")
        assert is_loopback("127.8.9.1")
        assert not is_loopback("::")

    def test_cors_is_for_named_origins(self, start: Start) -> None:
        live = start("--cors-origin", "https://app.example")
        asked = {
            "origin": "https://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,authorization",
        }
        answer = live.client.options("/events", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        posted = live.client.post("/events", json=DRAFT, headers={"origin": "https://app.example"})
        assert posted.status_code == 201
        assert posted.headers["access-control-allow-origin"] == "https://app.example"
        asked["origin"] = "https://evil.example"
        answer = live.client.options("/events", headers=asked)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


class TestWire:
    """What an HTTP client library would not send."""

    def status(self, answer: bytes) -> int:
        assert answer.startswith(b"HTTP/1.1 "), answer
        return int(answer[9:12])

    @pytest.mark.parametrize(
        "headers",
        [
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            b"Content-Length: 5\r\nContent-Length: 6\r\n",
            b"Content-Length: -5\r\n",
            b"Content-Length: 5x\r\n",
            b"Transfer-Encoding: gzip, chunked, x\r\n",
            b"No Colon\r\n",
            b"Host: localhost\r\n",
        ],
    )
    def test_ambiguous_requests(self, shared: Live, headers: bytes) -> None:
        body = b"5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        request = b"POST /events HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n" + body
        answer = shared.raw(request, 2)
        assert self.status(answer) == 400
        assert b"application/problem+json" in answer
        assert answer.count(b"HTTP/1.1 2") == 0

    def test_no_host(self, shared: Live) -> None:
        assert self.status(shared.raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")) == 400

    @pytest.mark.parametrize("name", [b"X-Long", b"Cookie"])
    def test_huge_headers(self, shared: Live, name: bytes) -> None:
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + name + b": " + b"x" * 300_000
        assert self.status(shared.raw(request)) == 431

    def test_slow_headers_and_bodies(self, shared: Live) -> None:
        import socket

        starts = {
            b"": b"",
            b"GET / HT": b"408",
            b"GET / HTTP/1.1\r\nHost: loc": b"408",
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{": b"408",
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n": b"408",
        }
        stream = Stream(shared, "/stream")  # made before, and not slow: it goes on
        connections = []
        for start_bytes, status in starts.items():
            connection = socket.create_connection(("127.0.0.1", shared.port), 20)
            connection.sendall(start_bytes)
            connections.append((connection, status))
        began = time.monotonic()
        answer = shared.client.get("/healthz")  # others are served meanwhile
        assert answer.status_code == 200
        for connection, status in connections:
            with connection:
                received = b""
                while piece := connection.recv(65536):
                    received += piece
                assert received[9:12] == status
        assert 5 < time.monotonic() - began < 14
        shared.post()
        stream.wait_for(1)

    def test_a_200_megabyte_body(self, shared: Live) -> None:
        def pieces() -> Iterator[bytes]:
            for _ in range(200):
                yield b"x" * (1 << 20)

        before = shared.memory()
        headers = {"content-type": "application/json"}
        answer = shared.client.post("/events", content=pieces(), headers=headers)
        assert answer.status_code == 413
        assert shared.memory() - before < 100 << 20
        declared = shared.client.post("/events", content=b"x" * (17 << 20), headers=headers)
        assert declared.status_code == 413
        assert shared.client.get("/healthz").status_code == 200

    def test_methods(self, shared: Live) -> None:
        answer = shared.client.put("/events")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST"
        assert answer.json()["status"] == 405
        assert shared.client.get("/nowhere").status_code == 404
        assert shared.client.get("/nowhere").headers["content-type"] == "application/problem+json"
        assert shared.client.head("/events").status_code == 200

    def test_response_headers(self, shared: Live) -> None:
        answer = shared.client.get("/stats")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


class TestStart:
    def refused(self, *options: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "audit_stream", "serve", *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    def test_beyond_this_machine_without_tokens(self, tmp_path: Any, start: Start) -> None:
        ledger = str(tmp_path / "l.jsonl")
        assert "--insecure" in self.refused(ledger, "--host", "0.0.0.0")
        assert "--insecure" in self.refused(ledger, HOST="0.0.0.0")
        assert start("--host", "0.0.0.0", "--insecure").client.get("/healthz").is_success

    def test_settings_that_cannot_be(self, tmp_path: Any) -> None:
        ledger = str(tmp_path / "l.jsonl")
        assert "PORT" in self.refused(ledger, PORT="many")
        assert "tls" in self.refused(ledger, "--tls-cert", __file__).lower()
        assert "nowhere.pem" in self.refused(
            ledger, "--tls-cert", __file__, "--tls-key", "nowhere.pem"
        )
        assert "certificate" in self.refused(ledger, "--tls-cert", __file__, "--tls-key", __file__)
        assert "verify-every" in self.refused(ledger, "--verify-every", "soon")
        assert "missing" in self.refused(str(tmp_path / "missing" / "l.jsonl"))

    def test_tls(self, start: Start, tmp_path: Any) -> None:
        import httpx

        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        subprocess.run(
            ["openssl", *request, "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
            check=True,
            capture_output=True,
        )
        live = start("--tls-cert", str(cert), "--tls-key", str(key))
        assert live.url.startswith("https://")
        with httpx.Client(base_url=live.url, verify=False, trust_env=False) as client:
            assert client.post("/events", json=DRAFT).status_code == 201

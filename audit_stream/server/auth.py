"""Who is calling: bearer tokens, the console's signed cookie, roles.

Tokens are known by their SHA-256 only and compared in constant time. The cookie is not the token:
it names the token's hash and an end, signed with a key that this start of the server drew, which
all its workers share; whoever reads the configuration file cannot forge one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, NamedTuple

from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit_stream.config import Token
    from audit_stream.event import Draft

APPEND, READ, ADMIN = "append", "read", "admin"
COOKIE = "audit_stream_session"
SESSION_SECONDS = 12 * 3600
_LONGEST_TOKEN = 512


class Caller(NamedTuple):
    """Who sent a request: a token's name, what it may do, and for which sources (None: any)."""

    name: str | None
    roles: frozenset[str]
    sources: frozenset[str] | None = None
    by_cookie: bool = False

    def may(self, role: str) -> bool:
        """Whether this caller has `role`; `admin` includes all."""
        return role in self.roles or ADMIN in self.roles

    def check_sources(self, drafts: Iterable[Draft]) -> None:
        """Raise Problem (403) if an event speaks for a source that is not the caller's."""
        if self.sources is None:
            return
        for draft in drafts:
            if draft.source not in self.sources:
                raise Problem(
                    403,
                    "forged_source",
                    "source: this token may not speak for that source",
                    member="source",
                )


EVERYONE = Caller(None, frozenset((APPEND, READ, ADMIN)))
"""The caller where no tokens are configured."""


class Guard:
    """Knows the tokens.

    Args:
        tokens: what the configuration lists; with none, everyone may do everything and an
            `Authorization` header is ignored (old producers always send one).
        key: signs session cookies.
        clock: POSIX time in seconds.
    """

    def __init__(
        self, tokens: Iterable[Token], key: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._tokens = [(bytes.fromhex(token.sha256), token) for token in tokens]
        self._key = key
        self._clock = clock

    @property
    def required(self) -> bool:
        """Whether there are tokens at all."""
        return bool(self._tokens)

    def identify(self, authorization: bytes | None, cookie: bytes | None) -> Caller | None:
        """Return who sent these header values, or None. A token beats a cookie."""
        if not self._tokens:
            return EVERYONE
        if authorization is not None:
            scheme, _, token = authorization.partition(b" ")
            if scheme.lower() == b"bearer":
                found = self._find(token.strip())
                return None if found is None else _caller(found, by_cookie=False)
        if cookie is not None:
            return self._from_cookie(cookie)
        return None

    def _find(self, text: bytes) -> Token | None:
        if not 0 < len(text) <= _LONGEST_TOKEN:
            return None
        return self._by_digest(hashlib.sha256(text).digest())

    def _by_digest(self, digest: bytes) -> Token | None:
        found = None
        for known, token in self._tokens:  # all of them, so that time tells nothing
            if hmac.compare_digest(known, digest):
                found = token
        return found

    # -- the console's cookie ----------------------------------------------------------------

    def sign_in(self, token: str) -> str | None:
        """Return a cookie value for a token, or None when the token is not known."""
        found = self._find(token.encode(errors="replace"))
        if found is None:
            return None
        until = int(self._clock()) + SESSION_SECONDS
        body = f"{until}.{found.sha256}"
        return f"{body}.{self._sign(body)}"

    def _from_cookie(self, header: bytes) -> Caller | None:
        try:
            morsel = SimpleCookie(header.decode("latin-1")).get(COOKIE)
        except CookieError:
            return None
        if morsel is None:
            return None
        body, _, signature = morsel.value.rpartition(".")
        # What is compared must be ASCII for compare_digest.
        if not body.isascii() or not signature.isascii():
            return None
        if not hmac.compare_digest(self._sign(body), signature):
            return None
        until, _, digest = body.partition(".")
        if int(until) < self._clock():
            return None
        found = self._by_digest(bytes.fromhex(digest))
        return None if found is None else _caller(found, by_cookie=True)

    def _sign(self, body: str) -> str:
        digest = hmac.digest(self._key, b"session\0" + body.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _caller(token: Token, *, by_cookie: bool) -> Caller:
    sources = None if token.sources is None else frozenset(token.sources)
    return Caller(token.name, frozenset(token.roles), sources, by_cookie)


def check_role(caller: Caller | None, role: str) -> Caller:
    """Return the caller if it has `role`. Raises Problem: 401 nobody, 403 the wrong one."""
    if caller is None:
        raise Problem(
            401,
            "unauthorized",
            "a token that this server knows is needed: Authorization: Bearer …",
            headers={"WWW-Authenticate": 'Bearer realm="audit-stream"'},
        )
    if not caller.may(role):
        raise Problem(403, "forbidden", f"this token lacks the role {role}")
    return caller

"""The pages that a browser loads: the console and the API documentation, from `static/`.

Everything is read once, at start, so a request cannot name a path outside. The policies allow
nothing from outside and no inline script; on the console Trusted Types keep strings from becoming
markup at all.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from starlette.responses import Response

from audit_stream.server.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

CONSOLE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
STATIC = os.path.join(os.path.dirname(__file__), "static")


class _File:
    __slots__ = ("body", "etag", "media_type")

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.body = file.read()
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        suffix = os.path.splitext(path)[1]
        self.media_type = _TYPES.get(suffix, "application/octet-stream")


class Pages:
    """The files below `directory`."""

    def __init__(self, directory: str = STATIC) -> None:
        self._files: dict[str, _File] = {}
        for folder, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(folder, name)
                key = os.path.relpath(path, directory).replace(os.sep, "/")
                self._files[key] = _File(path)

    @property
    def has_console(self) -> bool:
        """Whether the console is installed."""
        return "index.html" in self._files

    def console_page(self) -> Response:
        """The console."""
        response = self._send("index.html", CONSOLE_POLICY)
        response.headers["Vary"] = "Accept"
        return response

    async def console_file(self, request: Request) -> Response:
        """A file of the console."""
        name = request.path_params["name"]
        if name.startswith("docs/"):
            raise _missing(request)
        return self._answer(request, name, CONSOLE_POLICY)

    async def docs_page(self, request: Request) -> Response:
        """The API documentation."""
        return self._answer(request, "docs/index.html", DOCS_POLICY)

    async def docs_file(self, request: Request) -> Response:
        """A file of the API documentation."""
        return self._answer(request, f"docs/{request.path_params['name']}", DOCS_POLICY)

    def _answer(self, request: Request, key: str, policy: str) -> Response:
        file = self._files.get(key)
        if file is None:
            raise _missing(request)
        if request.headers.get("if-none-match") == file.etag:
            return Response(None, 304, {"ETag": file.etag})
        return self._send(key, policy)

    def _send(self, key: str, policy: str) -> Response:
        file = self._files[key]
        headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
            "ETag": file.etag,
            "Content-Type": file.media_type,
        }
        return Response(file.body, 200, headers)


def _missing(request: Request) -> Problem:
    return Problem(404, "not_found", f"there is nothing at {request.url.path}")

"""Which Host and Origin headers are taken: the defence against DNS rebinding and foreign pages.

A page on another site can make a browser call a service on the loopback interface. It cannot
choose the Host header freely, and it cannot leave out Origin on what changes anything.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
_WILDCARDS = frozenset(("0.0.0.0", "::", ""))  # noqa: S104 - compared with, not bound to


def is_loopback(host: str) -> bool:
    """Whether binding to `host` stays on this machine."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def name_of(host_header: str) -> str:
    """Return the lower-case name or address of a Host header (RFC 9110 section 7.2), no port."""
    if host_header.startswith("["):
        return host_header[1:].partition("]")[0].lower()
    return host_header.partition(":")[0].lower().rstrip(".")


class HostCheck:
    """Decides on Host and Origin.

    Args:
        bound: the address served on. Where that is every address, this machine's own name and
            plain IP addresses are taken too: rebinding needs a name.
        allowed: further names; `*.example.com` for all below one, `*` for any.
        origins: web origins (`https://app.example.com`) that may call from a browser.
    """

    def __init__(self, bound: str, allowed: Iterable[str], origins: Iterable[str]) -> None:
        names = {name.lower() for name in allowed}
        self._any_name = "*" in names
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._names = LOOPBACK_NAMES | names | {bound.lower()}
        self._any_address = bound in _WILDCARDS
        if self._any_address:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._known: dict[bytes, bool] = {}

    def host_is_known(self, host_header: bytes) -> bool:
        """Whether a Host header names this service."""
        known = self._known.get(host_header)
        if known is None:
            known = self._decide(name_of(host_header.decode("latin-1")))
            if len(self._known) < 1024:
                self._known[host_header] = known
        return known

    def _decide(self, name: str) -> bool:
        if self._any_name or name in self._names or name.endswith(self._suffixes or ("\0",)):
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def origin_is_known(self, origin_header: bytes, host_header: bytes) -> bool:
        """Whether an Origin header is this service's own, or one that was named."""
        origin = origin_header.decode("latin-1")
        if origin.rstrip("/").lower() in self._origins:
            return True
        try:
            own = host_header.decode("latin-1").lower()
            return urlsplit(origin).netloc.lower() == own != ""
        except ValueError:
            return False

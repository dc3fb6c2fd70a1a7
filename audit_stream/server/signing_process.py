"""The process that signs: `python -m audit_stream.server.signing_process LEDGER KEYFILE`.

For every line on its stdin it signs the ledger, unless nothing was appended since the last
checkpoint, and prints one JSON line: `{"size", "signed"}` or `{"error"}`. A process of its own, so
that the first checkpoint of a large ledger takes nothing from the event loop, and so that the
private key is in no process that talks to the network. It gives way to everything else on the
machine, and ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from audit_stream import key_files, note
from audit_stream.checkpoint import parse_text
from audit_stream.config import Settings
from audit_stream.errors import AuditStreamError
from audit_stream.ledger import Ledger
from audit_stream.signing import PrivateKey


def sign(path: str, key: PrivateKey) -> dict[str, Any]:
    """Sign what was appended since the last checkpoint, and say how far signatures reach."""
    with Ledger(path, settings=Settings()) as ledger:
        last = ledger.checkpoints.latest()
        if last is not None:
            size = parse_text(note.parse(last).text).size
            if size == ledger.head().count:
                return {"size": size, "signed": False}
        made = ledger.checkpoints.sign(key.key, key, since_last=True)
        return {"size": parse_text(note.parse(made).text).size, "signed": True}


def main(path: str, key_file: str) -> None:
    """Sign whenever asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it closes stdin
    if hasattr(os, "nice"):
        os.nice(5)
    key = key_files.load(key_file)
    for _ in sys.stdin:
        try:
            answer = sign(path, key)
        except AuditStreamError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The process that counts a large ledger at the server's start: `python -m … LEDGER EVENT_ID`.

Prints the counts as MessagePack. Gives way to everything else on the machine.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys

import msgspec

from audit_stream.config import Settings
from audit_stream.ledger import Ledger
from audit_stream.server.counting import count


def main(path: str, event_id: int) -> None:
    """Count the events up to `event_id` and print the result."""
    with contextlib.suppress(AttributeError, OSError):  # a sandbox may forbid it
        os.nice(5)
    gc.disable()  # decoded lines form no cycles
    with Ledger(path, settings=Settings()) as ledger:
        sys.stdout.buffer.write(msgspec.msgpack.encode(count(ledger, event_id).dump()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

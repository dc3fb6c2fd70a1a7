"""The command line: a thin skin that parses, calls `ledger`, and prints.

Shell scripts call `append` in loops, so its everyday form (`--kind --source --payload/--set`) is
parsed before Typer is imported: Typer alone costs six times what an empty Python program does.
Whatever the small parser does not know for certain goes to Typer, errors included.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `exits`)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    from audit_stream.cli import exits, streams

    streams.hold_standard_descriptors()

    if arguments[:1] == ["append"] and "_AUDIT_STREAM_COMPLETE" not in os.environ:
        from audit_stream.cli.append_options import parse_everyday

        request = parse_everyday(arguments[1:], os.environ)
        if request is not None:
            from audit_stream.cli.append import run_append

            return exits.guarded(lambda: run_append(request))
    return exits.guarded(lambda: _run_typer(arguments))


def _run_typer(arguments: Sequence[str]) -> int:
    from audit_stream.cli.app import run

    return run(arguments)

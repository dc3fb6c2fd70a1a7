"""The entry point: `audit-stream …` and `python -m audit_stream …`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, and return its exit code; Ctrl-C while it still loads is quiet too."""
    try:
        from audit_stream import cli

        return cli.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

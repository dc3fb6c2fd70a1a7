"""The entry point: `audit-stream …` and `python -m audit_stream …`."""

from __future__ import annotations

import sys

from audit_stream.cli import main

if __name__ == "__main__":
    sys.exit(main())

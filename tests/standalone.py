"""Gives the tests the standalone verifier, as a module and as a program.

Why it exists: `scripts/verify_ledger.py` belongs to no package, so it cannot be imported by name.
"""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "verify_ledger.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_ledger", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verify_ledger = _load()


def check(data: bytes, **expected: Any) -> dict[str, Any]:
    """Return the standalone verifier's result for these bytes, in this process."""
    result: dict[str, Any] = verify_ledger.verify(io.BytesIO(data), **expected)
    return result


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the standalone verifier as a program, isolated (-I) from this project's packages."""
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)

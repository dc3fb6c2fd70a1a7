"""What all tests share: how thorough the generated ones are, and what to do where a tool lacks.

The default run is quick. `HYPOTHESIS_PROFILE=thorough` gives every property thirty times the
examples. Where a tool is missing a test says so and is skipped; with AUDIT_STREAM_REQUIRE_ALL=1,
as in CI, it fails, because a check that nobody runs is no check.
"""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings

# No deadline: two cores shared with child processes stall now and then.
_SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile(
    "quick", max_examples=100, deadline=None, suppress_health_check=_SLOW_IS_FINE, database=None
)
settings.register_profile(
    "thorough",
    max_examples=3000,
    deadline=None,
    suppress_health_check=_SLOW_IS_FINE,
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

REQUIRE_ALL = "AUDIT_STREAM_REQUIRE_ALL"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: children would inherit it, and Ctrl-C be untestable.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def lacking(what: str) -> None:
    """Skip, saying why; fail instead where everything has to be there."""
    if os.environ.get(REQUIRE_ALL, "") not in ("", "0"):
        pytest.fail(f"{what}, and {REQUIRE_ALL} is set", pytrace=False)
    pytest.skip(what)


def require(tool: str) -> str:
    """Return the path of a program that a test cannot do without."""
    path = shutil.which(tool)
    if path is None:
        lacking(f"{tool} is not installed")
        raise AssertionError("unreachable")
    return path

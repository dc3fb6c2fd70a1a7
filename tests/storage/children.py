"""Running a piece of a test in another process, by fork, and getting its answer back."""

from __future__ import annotations

import os
import pickle
import tempfile
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534


def fork() -> int:
    """As os.fork. What a child does here takes no lock that another thread may have held."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_child(work: Callable[[], Any], *, user: int | None = None) -> Any:
    """Return what `work` returns (or raise what it raises) in a forked process of its own."""
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        os.close(reading)
        try:
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            answer: tuple[Any, BaseException | None] = (work(), None)
        except BaseException as error:
            error.add_note(traceback.format_exc())
            answer = (None, error)
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    value, error = pickle.loads(data)
    if error is not None:
        raise error
    return value


def unprivileged(work: Callable[[], Any]) -> Any:
    """Do `work` as a user to whom file modes apply."""
    return in_child(work, user=NOBODY) if os.geteuid() == 0 else work()


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o777)
        yield Path(name)

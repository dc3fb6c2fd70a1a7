"""Among the workers of one server, one does what is to be done once."""

from __future__ import annotations

import asyncio
import os


async def elected(shared: str | None, name: str) -> object:
    """Return once this process is the one for `name`; it stays so while the answer is held.

    `shared` is the directory that the workers share, None when there is one worker.
    """
    if shared is None:
        return None
    import fcntl  # workers are for systems that have it

    file = open(os.path.join(shared, f"{name}.lock"), "w")  # noqa: SIM115 - held, not used
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            await asyncio.sleep(5)  # the elected worker may be replaced

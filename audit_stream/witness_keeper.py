"""A witness at work: what it remembers of each log is durable before it cosigns anything.

One directory holds one small file for every log (a checkpoint's text without extension lines), and
a lock. Of all processes that share it one decides at a time:

    1  lock                                   nothing changed
    2  read what is kept, decide (`witness`)  a refusal ends here
    3  replace the log's file, durably        the log goes on from there; nobody has a cosignature
    4  cosign, unlock, answer                 done

A crash after 3 costs the log one more question: its old size is then out of date, the answer says
so, and the same checkpoint is cosigned when it is asked for again. A file that is damaged is never
taken for a log that was not seen yet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from hashlib import sha256

from audit_stream import signing, witness
from audit_stream.errors import MalformedError
from audit_stream.note import Signer, VerifierKey, Verify
from audit_stream.policy import Policy
from audit_stream.storage.beside import locked, translated
from audit_stream.storage.durable import Disk
from audit_stream.witness import Answer, LogState


class Keeper:
    """A witness for the logs of `policy`, with its memory in `directory` (made if missing).

    Args:
        key: the witness's public key; `signer` holds the private one.
        clock: POSIX time in nanoseconds.
        disk: the operating system, or a test's stand-in.
    """

    def __init__(
        self,
        directory: str,
        policy: Policy,
        key: VerifierKey,
        signer: Signer,
        *,
        clock: Callable[[], int] = time.time_ns,
        verify: Verify = signing.verify,
        disk: Disk | None = None,
    ) -> None:
        self._directory = directory
        self._policy = policy
        self._key = key
        self._signer = signer
        self._clock = clock
        self._verify = verify
        self._disk = disk or Disk()
        with translated(directory):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def answer(self, data: bytes) -> Answer:
        """Answers an add-checkpoint request.

        Raises `MalformedError` when what is kept of the log is damaged, and `StorageError`.
        """
        lock = os.path.join(self._directory, "lock")
        with locked(self._disk, lock, self._disk.open_update):
            decided = witness.consider(data, self._policy, self.state_of, self._verify)
            if isinstance(decided, Answer):
                return decided
            self._store(decided.state)
            now = self._clock() // 10**9
            return witness.cosign(decided, self._key, self._signer, now)

    def state_of(self, origin: str) -> LogState:
        """What is kept of a log."""
        path = self._path(origin)
        with translated(path):
            try:
                fd = self._disk.open_read(path)
            except FileNotFoundError:
                return witness.unseen(origin)
            try:
                data = self._disk.read_at(fd, self._disk.fstat(fd).st_size, 0)
            finally:
                self._disk.close(fd)
        try:
            state = witness.parse_state(data)
        except MalformedError as error:
            raise MalformedError(f"{path}: damaged ({error}); restore it from a copy") from None
        if state.origin != origin:
            raise MalformedError(f"{path}: is about {state.origin!a}, not {origin!a}")
        return state

    def _store(self, state: LogState) -> None:
        path = self._path(state.origin)
        with translated(path):
            self._disk.replace_file(path, witness.format_state(state))

    def _path(self, origin: str) -> str:
        # An origin may hold any character but spaces; its hash is a file name everywhere.
        return os.path.join(self._directory, f"{sha256(origin.encode()).hexdigest()}.state")

"""Running it: sockets, uvicorn, workers, signals. From here on nothing is a user's mistake.

SIGTERM and SIGINT end the streams at once, finish the appends in flight and stop within 5 s;
SIGHUP opens the ledger anew. With several workers the parent only watches over them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

import uvicorn
from sse_starlette.sse import AppStatus
from uvicorn.supervisors import Multiprocess

from audit_stream.errors import AuditStreamError, ConfigError, StorageError
from audit_stream.server import service_log
from audit_stream.server.protocol import LimitedProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from starlette.types import ASGIApp

    from audit_stream.server.app import Application
    from audit_stream.server.options import Options

GRACE_SECONDS = 2
"""How long requests in flight may take after SIGTERM. Closing takes up to 2 s more."""

_KEEP_ALIVE_SECONDS = 30
_BACKLOG = 2048
_PARENT_SECONDS = 0.5
_SWITCH_SECONDS = 0.0005
"""A commit gives up the interpreter's lock for every system call it makes; beside a busy event loop
it would wait the usual 5 ms each time to get it back."""


class _Factory:
    """Makes the application in the process that serves it. Picklable."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def __call__(self) -> ASGIApp:
        from audit_stream.server.app import Application

        service_log.configure(access=self._options.access_log)
        sys.setswitchinterval(_SWITCH_SECONDS)
        application = Application(self._options)
        _Current.application = application
        if self._options.shared is not None:
            _be_a_worker(self._options.parent)
        return application.app


def _be_a_worker(parent: int) -> None:
    """Do in a worker, which runs uvicorn's own server, what `_Server` does where there is one
    process; and end when the parent was killed, so that nobody is left holding the address."""
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def end_streams_and_stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(_end_streams)
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, end_streams_and_stop)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class _Current:
    """The application of this process, for signal handlers."""

    application: Application | None = None


class _Server(uvicorn.Server):
    """uvicorn's server, which ends streams when it is told to stop and exits normally then."""

    stopped_by: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        stopping = [signal.SIGTERM, signal.SIGINT]
        before = {number: signal.signal(number, self.handle_exit) for number in stopping}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(
                signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(_reopen)
            )
        self._loop = loop
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        self.stopped_by = self.stopped_by or sig
        self.should_exit = True
        self._loop.call_soon_threadsafe(_end_streams)


def _end_streams() -> None:
    if _Current.application is not None:
        _Current.application.service.end_streams()


def _reopen() -> None:
    if _Current.application is not None:
        _Current.application.service.commits.reopen()


def serve(options: Options, workers: int) -> int:
    """Serve until told to stop; return the exit code: 0, or 130 after Ctrl-C.

    Raises:
        ConfigError: the address or the TLS files cannot be used.
        AuditStreamError: the ledger cannot be opened.
    """
    service_log.configure(access=options.access_log)
    _prepare_ledger(options)
    _raise_file_limit()
    # Streams are ended by `Service.end_streams`, which lets them finish their last write.
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    with contextlib.ExitStack() as cleanup:
        listening = cleanup.enter_context(_bind(options))
        if workers > 1:
            shared = tempfile.mkdtemp(prefix="audit-stream-")
            cleanup.callback(shutil.rmtree, shared, ignore_errors=True)
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
            options = options._replace(shared=shared, parent=os.getpid())
        config = _config(options, workers)
        _announce(options, listening, workers)
        if workers > 1:
            Multiprocess(config, sockets=[listening]).run()
            return 0
        server = _Server(config)
        server.run(sockets=[listening])
        if not server.started:
            raise StorageError("the server could not start; its log says why")
        return 130 if server.stopped_by == signal.SIGINT else 0


def _prepare_ledger(options: Options) -> None:
    """Fail here, in a sentence, rather than in a worker."""
    with options.open_ledger() as ledger:
        if not os.path.lexists(ledger.path):
            ledger.engine.commit(lambda head: ([], head))
        try:
            ledger.head()
        except AuditStreamError as error:
            if error.code != "damaged_tail":
                raise
            service_log.error("damaged_ledger", detail=str(error))


def _config(options: Options, workers: int) -> uvicorn.Config:
    serve = options.settings.serve
    try:
        config = uvicorn.Config(
            _Factory(options),
            factory=True,
            http=LimitedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=options.access_log,
            proxy_headers=False,
            server_header=False,
            workers=workers,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=serve.tls_cert,
            ssl_keyfile=serve.tls_key,
        )
        if workers == 1:
            config.load()
    except OSError as error:
        raise ConfigError(f"{serve.tls_cert}: cannot use the TLS certificate: {error}") from None
    return config


def _bind(options: Options) -> socket.socket:
    serve = options.settings.serve
    try:
        found = socket.getaddrinfo(
            serve.host, serve.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # `localhost` is 127.0.0.1 to most clients, whatever the resolver puts first.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listening.bind(address)
            listening.listen(_BACKLOG)  # who connects from now on is served, a little later
            listening.set_inheritable(True)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(f"{serve.host}:{serve.port}: cannot serve there: {why}") from None
    return listening


def _announce(options: Options, listening: socket.socket, workers: int) -> None:
    serve = options.settings.serve
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    scheme = "http" if serve.tls_cert is None else "https"
    service_log.info(
        "serving",
        url=f"{scheme}://{shown}:{port}",
        ledger=options.ledger,
        workers=workers,
        tokens=len(serve.tokens),
    )


def _raise_file_limit() -> None:
    """Every subscriber is an open socket; the usual soft limit of 1024 is soon reached."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

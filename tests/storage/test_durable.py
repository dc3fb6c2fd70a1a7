"""The system calls themselves: traced, made to fail by the kernel, on disks that are full.

The expected lists stand where people read them, in `durable`'s docstring and in FORMAT.md, and
are read from there.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import audit_stream
from audit_stream import Ledger
from audit_stream.errors import StorageFullError
from audit_stream.storage import durable
from audit_stream.storage.durable import Disk, LockBusy
from tests.conftest import lacking, require
from tests.ledgers import joined
from tests.storage.appends import LINES, TORN, beside, open_ledger, prepared
from tests.storage.children import in_child
from tests.storage.disks import FaultyDisk

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(audit_stream.__file__).parent.parent
DOCUMENT = (ROOT / "audit_stream" / "storage" / "FORMAT.md").read_text()
TRACED = "flock,fstat,stat,newfstatat,pread64,write,fdatasync,fsync,ftruncate,open,openat,close"

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="system calls of Linux")

APPEND = """
import hashlib, os, sys
from audit_stream import Ledger
ledger = Ledger(sys.argv[1])
draft = ledger.draft("other", "test")
if sys.argv[2] == "open":
    ledger.commit([draft])
os.path.exists("/trace-from-here")
ledger.commit([draft] * int(sys.argv[3]))
os.path.exists("/trace-to-here")
"""


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, check=False
    )


def traced_append(path: Path, held: str, events: int, output: Path) -> list[str]:
    """Return the lines that strace has to say about one commit."""
    strace = require("strace")
    trace = [strace, "-f", "-o", str(output), "-e", f"trace={TRACED}"]
    done = run([*trace, sys.executable, "-c", APPEND, str(path), held, str(events)])
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    inside = text[text.index("/trace-from-here") : text.index("/trace-to-here")]
    return inside.splitlines()[1:-1]


def called(line: str) -> str:
    """Name a traced call as the lists do."""
    name, _, rest = line.split(maxsplit=1)[1].partition("(")
    if name == "newfstatat":
        if "AT_EMPTY_PATH" in rest:
            return "fstat"
        return "lstat" if "AT_SYMLINK_NOFOLLOW" in rest else "stat"
    return {"openat": "open"}.get(name, name)


def calls(trace: list[str]) -> list[str]:
    # lstat is how realpath finds the directory to sync; it changes nothing.
    return [name for name in map(called, trace) if name != "lstat"]


def listed(text: str) -> list[str]:
    return re.findall(r"^    (\w+)\(", text, re.MULTILINE)


def in_document(heading: str) -> list[str]:
    section = DOCUMENT.partition(f"\n#### {heading}\n")[2].partition("\n#")[0]
    return listed(section)


@linux_only
@pytest.mark.parametrize("events", [1, 500])
def test_an_append_makes_the_calls_that_the_docstring_lists(tmp_path: Path, events: int) -> None:
    path = prepared(tmp_path, "whole")
    trace = traced_append(path, "open", events, tmp_path / "trace")
    assert calls(trace) == listed(str(durable.__doc__))
    assert len(listed(str(durable.__doc__))) == 8
    assert calls(trace) == in_document("An append to a ledger that is open")
    # No byte before the lock, all in one write, nothing said before the sync.
    assert "LOCK_EX|LOCK_NB" in trace[0]
    assert "LOCK_UN" in trace[-1]
    assert Ledger(path).verify().checked == 4 + events


@linux_only
def test_the_first_append_syncs_the_directory(tmp_path: Path) -> None:
    trace = traced_append(tmp_path / "ledger.jsonl", "closed", 1, tmp_path / "trace")
    assert calls(trace) == in_document("The first append to a new ledger")
    opened = next(line for line in trace if "O_CREAT" in line)
    assert "0600" in opened
    assert "O_APPEND" in opened
    assert "O_CLOEXEC" in opened


@linux_only
def test_healing_makes_the_copy_durable_before_the_cut(tmp_path: Path) -> None:
    path = prepared(tmp_path, "torn")
    trace = traced_append(path, "closed", 1, tmp_path / "trace")
    assert calls(trace) == in_document("An append to a ledger with a torn tail")
    copy = next(line for line in trace if ".torn-" in line)
    assert "O_EXCL" in copy
    assert beside(path)[0].read_bytes() == TORN


@linux_only
def test_reading_writes_nothing(tmp_path: Path) -> None:
    path = prepared(tmp_path, "torn")
    strace, output = require("strace"), tmp_path / "trace"
    script = (
        "import sys; from audit_stream import Ledger; ledger = Ledger(sys.argv[1]);"
        "ledger.verify(); list(ledger.query()); ledger.tail(); ledger.stats(); ledger.get(2);"
        "ledger.head(); ledger.follow().poll()"
    )
    paths = ["-P", str(path), "-P", str(tmp_path)]
    done = run(
        [strace, "-f", "-o", str(output), *paths, sys.executable, "-B", "-c", script, str(path)]
    )
    assert done.returncode == 0, done.stderr
    trace = output.read_text()
    assert "O_RDONLY" in trace
    assert not re.search(
        r"O_WRONLY|O_RDWR|O_CREAT|LOCK_EX|\b(write|pwrite64|ftruncate|fsync|fdatasync|unlink)\(",
        trace,
    )
    assert path.read_bytes() == joined(LINES) + TORN


APPENDS = """
import sys
from audit_stream import Ledger
from audit_stream.errors import AuditStreamError
ledger = Ledger(sys.argv[1])
for _ in range(5):
    try:
        print(ledger.append("other", "test").event_id, flush=True)
    except AuditStreamError as error:
        print(error.code, flush=True)
"""


@linux_only
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("fdatasync:error=EIO:when=2", ["1", "storage", *["storage_latched"] * 3]),
        ("fsync:error=EIO:when=1", ["storage", *["storage_latched"] * 4]),
        ("write:error=ENOSPC:when=2", ["1", "storage_full", "2", "3", "4"]),
        ("write:error=EIO:when=1", ["storage", "1", "2", "3", "4"]),
        ("pread64:error=EIO:when=2", ["1", "storage", "2", "3", "4"]),
        ("ftruncate:error=EIO:when=1", ["1", "2", "3", "4", "5"]),
    ],
)
def test_the_kernel_fails_a_call(tmp_path: Path, fault: str, outcome: list[str]) -> None:
    path = tmp_path / "ledger.jsonl"
    strace = require("strace")
    # Only calls on the ledger and its directory fail: the script's own writes do not.
    inject = ["-P", str(path), "-P", str(tmp_path), "-e", f"inject={fault}"]
    done = run([strace, "-f", "-o", "/dev/null", *inject, sys.executable, "-c", APPENDS, str(path)])
    assert done.stdout.split() == outcome, done.stderr
    acknowledged = [int(word) for word in outcome if word.isdigit()]
    with open_ledger(path) as ledger:
        result = ledger.verify()
        assert result.verdict in ("intact", "empty")
        assert result.checked == (acknowledged[-1] if acknowledged else 0)
        assert ledger.append("other", "test").event_id == result.checked + 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    mount, unmount = require("mount"), require("umount")
    place = tmp_path / "small"
    place.mkdir()
    done = run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)])
    if done.returncode != 0:
        lacking(f"mounting a small file system is not permitted ({done.stderr.strip()})")
    try:
        yield place
    finally:
        run([unmount, str(place)])


def append_until_full(ledger: Ledger) -> int:
    for count in range(100):
        try:
            ledger.append("other", "test", {"text": "x" * 3000})
        except StorageFullError:
            return count
    raise AssertionError("the disk is never full")


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    path = small_disk / "ledger.jsonl"
    with open_ledger(path) as ledger:
        count = append_until_full(ledger)
        assert count > 10
        size = path.stat().st_size
        for _ in range(3):
            with pytest.raises(StorageFullError, match="No space left on device while writing"):
                ledger.append_many([{"kind": "other", "source": "test"}] * 500)
            assert path.stat().st_size == size
        result = ledger.verify()
        assert (result.verdict, result.checked) == ("intact", count)


def test_a_torn_tail_that_cannot_be_copied_aside_stays(small_disk: Path) -> None:
    path, filler = small_disk / "ledger.jsonl", small_disk / "filler"
    tail = b"t" * 9000
    path.write_bytes(joined(LINES) + tail)
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 65536)
    with open_ledger(path) as ledger:
        with pytest.raises(StorageFullError, match="make room and append again"):
            ledger.append("other", "test")
        assert path.read_bytes() == joined(LINES) + tail
        assert beside(path) == []
        filler.unlink()
        assert ledger.append("other", "test").event_id == 4
        assert beside(path)[0].read_bytes() == tail


def test_a_file_size_limit_cuts_a_write_short(tmp_path: Path) -> None:
    path = prepared(tmp_path, "whole")

    def work() -> tuple[int, int]:
        sys.dont_write_bytecode = True  # it would be cut short too
        limit = len(joined(LINES)) + 500
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        ledger = open_ledger(path)
        with pytest.raises(StorageFullError, match="File too large"):
            ledger.append_many([{"kind": "other", "source": "test"}] * 3)
        return path.stat().st_size, ledger.append("other", "test").event_id

    assert in_child(work) == (len(joined(LINES)), 4)
    assert Ledger(path).verify().verdict == "intact"


# -- the primitives ----------------------------------------------------------------------------


def test_reading_at_a_place_goes_on_after_short_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)))
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: real(fd, min(size, 7), offset))
    disk = Disk()
    fd = disk.open_read(str(path))
    assert disk.read_at(fd, 100, 50) == bytes(range(50, 150))
    assert disk.read_at(fd, 100, 150) == bytes(range(150, 200))
    assert disk.read_at(fd, 100, 300) == b""
    disk.close(fd)


def test_a_copy_that_fails_leaves_nothing_and_one_that_exists_is_kept(tmp_path: Path) -> None:
    path, target = tmp_path / "file", tmp_path / "copy"
    path.write_bytes(b"0123456789")
    for call in ("read_at", "write", "sync_data"):
        disk = FaultyDisk().fail(call, errno.EIO)
        fd = disk.open_read(str(path))
        with pytest.raises(OSError, match="Input/output"):
            disk.copy_aside(fd, 2, 6, str(target))
        disk.close(fd)
        assert not target.exists()
    disk = Disk()
    fd = disk.open_read(str(path))
    disk.copy_aside(fd, 2, 6, str(target))
    assert target.read_bytes() == b"2345"
    with pytest.raises(FileExistsError):
        disk.copy_aside(fd, 0, 6, str(target))
    disk.copy_aside(fd, 8, 99, str(tmp_path / "short"))  # somebody cut the file meanwhile
    disk.close(fd)
    assert target.read_bytes() == b"2345"
    assert (tmp_path / "short").read_bytes() == b"89"


def test_locks_between_descriptors(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    disk = Disk()
    one, other = disk.open_append(path), disk.open_append(path)
    disk.lock_shared(one, path, 0)
    disk.lock_shared(other, path, 0)
    with pytest.raises(LockBusy, match=r"locked by another process for 0\.01 s"):
        disk.lock_exclusive(other, path, 0.01)
    disk.unlock(one, path)
    disk.lock_exclusive(other, path, 0)
    with pytest.raises(LockBusy):
        disk.lock_shared(one, path, 0)
    disk.close(other)  # drops the lock with it
    disk.lock_exclusive(one, path, 0)
    disk.close(one)


def test_descriptors_are_closed_on_exec(tmp_path: Path) -> None:
    disk, path = Disk(), str(tmp_path / "file")
    opened = [disk.open_append(path), disk.open_read(path), disk.create_new(path + "2")]
    assert [os.get_inheritable(fd) for fd in opened] == [False] * 3
    for fd in opened:
        disk.close(fd)

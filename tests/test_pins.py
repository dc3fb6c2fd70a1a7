"""Pins: exactly one text for each pin, durable replacement, and nothing lost on the way."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import pins
from audit_stream.errors import PinError, StorageError
from audit_stream.pins import Pin
from tests.ledgers import SAFE, ZEROS, flips
from tests.storage.disks import FaultyDisk, Machine, PowerCut

if TYPE_CHECKING:
    from pathlib import Path

PIN = Pin(3, "ab" * 32, 700)


def test_the_text_is_one_canonical_line() -> None:
    assert PIN.encode() == (
        b'{"byte_offset":700,"event_id":3,"format":"audit-stream pin v1","hash":"'
        + b"ab" * 32
        + b'"}\n'
    )


@given(
    st.builds(
        Pin,
        st.integers(1, SAFE),
        st.text("0123456789abcdef", min_size=64, max_size=64),
        st.integers(1, SAFE),
    )
)
def test_what_is_written_is_read(pin: Pin) -> None:
    assert Pin.decode(pin.encode()) == pin


def test_the_pin_of_an_empty_ledger() -> None:
    pin = Pin(0, ZEROS, 0)
    assert Pin.decode(pin.encode()) == pin
    with pytest.raises(PinError):
        Pin.decode(Pin(0, "ab" * 32, 0).encode())


def test_no_changed_bit_passes_for_another_form_of_a_pin() -> None:
    for _, changed in flips(PIN.encode()):
        try:
            other = Pin.decode(changed)
        except PinError:
            continue
        assert other != PIN  # a digit became another digit
        assert other.encode() == changed


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"{}",
        b"[]\n",
        b"null\n",
        b"3\n",
        b"\xff\xfe",
        PIN.encode()[:-1],
        PIN.encode() + b"\n",
        b" " + PIN.encode(),
        PIN.encode() * 2,
        PIN.encode().replace(b":3", b":3.0"),
        PIN.encode().replace(b":3", b":true"),
        PIN.encode().replace(b":3", b":-3"),
        PIN.encode().replace(b":3", b":0"),
        PIN.encode().replace(b":700", b":0"),
        PIN.encode().replace(b":700", b':"700"'),
        PIN.encode().replace(b"ab", b"AB"),
        PIN.encode().replace(b"v1", b"v2"),
        PIN.encode().replace(b'"hash"', b'"mash"'),
        b"[" * 100_000,
        b"\0" * 150,
    ],
)
def test_a_damaged_pin_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "pin"
    path.write_bytes(text)
    with pytest.raises(PinError, match="empty or damaged pin"):
        pins.load(str(path))


def test_a_missing_pin_is_none_and_an_unreadable_one_an_error(tmp_path: Path) -> None:
    assert pins.load(str(tmp_path / "pin")) is None
    with pytest.raises(PinError, match="cannot read the pin: Is a directory"):
        pins.load(str(tmp_path))
    with pytest.raises(PinError, match="null byte"):
        pins.load("a\0b")


def test_saving_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    for pin in (PIN, Pin(4, "cd" * 32, 900)):
        pins.save(str(path), pin)
        assert pins.load(str(path)) == pin
        assert os.listdir(tmp_path) == ["pin"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_saving_through_a_symbolic_link_keeps_the_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "pin"
    link.symlink_to(elsewhere / "pin")
    pins.save(str(link), PIN)
    assert link.is_symlink()
    assert pins.load(str(elsewhere / "pin")) == PIN


def test_a_new_file_left_by_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    machine = Machine(tmp_path, stop_after=2)  # created, written, then the process is gone
    with pytest.raises(PowerCut):
        pins.save(str(path), PIN, machine)
    machine.kill()
    assert len(os.listdir(tmp_path)) == 1
    pins.save(str(path), PIN)
    assert os.listdir(tmp_path) == ["pin"]


@pytest.mark.parametrize("call", ["create_new", "write", "sync_data", "rename", "sync_directory"])
def test_a_pin_that_cannot_be_written_is_an_error_and_never_half_a_pin(
    tmp_path: Path, call: str
) -> None:
    path = tmp_path / "pin"
    pins.save(str(path), PIN)
    with pytest.raises(StorageError, match="cannot write the pin: No space"):
        pins.save(str(path), Pin(4, "cd" * 32, 900), FaultyDisk().fail(call, errno.ENOSPC))
    moved = call == "sync_directory"
    assert pins.load(str(path)) == (Pin(4, "cd" * 32, 900) if moved else PIN)
    assert os.listdir(tmp_path) == ["pin"]


def test_a_power_cut_at_any_call_leaves_the_old_pin_or_the_new(tmp_path: Path) -> None:
    new = Pin(4, "cd" * 32, 900)
    for stop_after in range(7):
        directory = tmp_path / str(stop_after)
        directory.mkdir()
        path = directory / "pin"
        pins.save(str(path), PIN)
        machine = Machine(directory, stop_after)
        with pytest.raises(PowerCut):
            pins.save(str(path), new, machine)
        machine.lose_power(kept=0.5)
        assert pins.load(str(path)) in (PIN, new)

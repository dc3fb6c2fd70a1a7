"""The shared encodings: read back what is written, and nothing else."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import encoding
from audit_stream.errors import MalformedError


@given(st.binary(max_size=80))
def test_base64_reads_back(data: bytes) -> None:
    text = encoding.to_base64(data)
    assert text == b64encode(data).decode()
    assert encoding.from_base64(text, "it") == data


@given(st.text("AQgw+/= -_\n9é", max_size=12))
def test_no_other_spelling_of_base64_is_read(text: str) -> None:
    try:
        data = encoding.from_base64(text, "it")
    except MalformedError:
        return
    assert encoding.to_base64(data) == text


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "Q Q=", "QQ==\n", "-_8=", "=QQ=", "ＱＱ=="])
def test_sloppy_base64_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match=r"^it is not"):
        encoding.from_base64(text, "it")


def test_the_length_is_checked() -> None:
    with pytest.raises(MalformedError, match="should have 2 bytes, not 1"):
        encoding.from_base64("QQ==", "it", 2)


@given(st.integers(0, encoding.MAX_NUMBER))
def test_decimals_read_back(number: int) -> None:
    assert encoding.from_decimal(str(number), "it") == number


@pytest.mark.parametrize(
    "text", ["", "00", "01", "-1", "+1", "1_0", " 1", "1\n", "0x1", "1.0", "١", "²", "1e3"]
)
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="not a decimal number"):
        encoding.from_decimal(text, "it")


@pytest.mark.parametrize("text", [str(2**63), "9" * 19, "1" * 20, "9" * 5000])
def test_numbers_that_others_cannot_hold_are_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="beyond"):
        encoding.from_decimal(text, "it")


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_hash_lines_read_back(hashes: list[bytes]) -> None:
    lines = encoding.hash_lines(tuple(hashes)).split("\n")
    assert lines.pop() == ""
    assert encoding.from_hash_lines(lines) == tuple(hashes)


@pytest.mark.parametrize("lines", [[""], ["QQ=="], [encoding.to_base64(bytes(33))]])
def test_lines_that_are_not_hashes_are_refused(lines: list[str]) -> None:
    with pytest.raises(MalformedError):
        encoding.from_hash_lines(lines)


def test_a_proof_longer_than_any_tree_is_refused() -> None:
    with pytest.raises(MalformedError, match="at most 63"):
        encoding.from_hash_lines([encoding.to_base64(bytes(32))] * 64)

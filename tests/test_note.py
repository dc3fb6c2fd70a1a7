"""Signed notes: what others published verifies, our bytes are theirs, and nothing else is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream import note
from audit_stream.errors import InputError, MalformedError, SignatureError
from audit_stream.note import COSIGNATURE_V1, ED25519, Note, Signature, VerifierKey
from audit_stream.signing import parse_private_key, verify
from tests.signed import LOG, WITNESSES, flips, private_key, signed

VECTORS = json.loads((Path(__file__).parent / "known" / "notes.json").read_text())
GO, C2SP, ARCHE = VECTORS["go"], VECTORS["c2sp"], VECTORS["arche2025h1"]
PETER, ENOCH = note.parse_key(GO["peter_key"]), note.parse_key(GO["enoch_key"])
TEXT = GO["text"].encode()
PETER_LINE, ENOCH_LINE = GO["peter_signature"].encode(), GO["enoch_signature"].encode()

NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: "+" not in name and not any(c.isspace() or c < " " for c in name)
)


def signers(data: bytes, *keys: VerifierKey) -> list[VerifierKey]:
    return [found.key for found in note.check_signatures(note.parse(data), keys, verify)]


# Keys.


def test_a_published_key_reads_back() -> None:
    key = note.parse_key(C2SP["key"])
    assert key == VerifierKey("example.com/foo", ED25519, bytes.fromhex(C2SP["public_key"]))
    assert key.key_id.hex() == "530d903a"
    assert str(key) == C2SP["key"]


@pytest.mark.parametrize("text", [GO["peter_key"], GO["enoch_key"], ARCHE["log"]])
def test_log_keys_of_others_are_ed25519(text: str) -> None:
    assert note.parse_key(text).algorithm == ED25519


@pytest.mark.parametrize("text", ARCHE["witnesses"])
def test_witness_keys_of_others_are_cosignature_keys(text: str) -> None:
    assert note.parse_key(text).algorithm == COSIGNATURE_V1


def test_no_part_of_a_key_is_a_key() -> None:
    text = GO["peter_key"]
    for start in range(len(text) + 1):
        for end in range(start, len(text) + 1):
            if (start, end) != (0, len(text)):
                with pytest.raises(MalformedError):
                    note.parse_key(text[start:end])


def test_no_altered_key_is_a_key() -> None:
    text = GO["peter_key"].encode()
    for altered in flips(text):
        with pytest.raises((MalformedError, UnicodeDecodeError)):
            note.parse_key(altered.decode())


@pytest.mark.parametrize(
    "text",
    [
        GO["wrong_length_key"],
        GO["unknown_algorithm_key"],
        GO["peter_key"].replace("c74f20a3", "C74F20A3"),
        GO["peter_key"] + "\n",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+0000000g+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "\ud800+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_malformed_keys_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        note.parse_key(text)


@given(NAMES, st.sampled_from([ED25519, COSIGNATURE_V1]), st.binary(min_size=32, max_size=32))
def test_keys_read_back(name: str, algorithm: int, public_key: bytes) -> None:
    key = note.make_key(name, algorithm, public_key)
    assert note.parse_key(str(key)) == key


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\u0085", "a\nb", "a\x1b[0m"])
def test_names_that_would_break_a_note_are_refused(name: str) -> None:
    with pytest.raises(MalformedError):
        note.make_key(name, ED25519, bytes(32))


# Notes.


def test_our_signature_is_the_published_one() -> None:
    peter = parse_private_key(GO["peter_private_key"])
    assert signed(TEXT, peter) == TEXT + b"\n" + PETER_LINE


def test_published_notes_verify() -> None:
    both = TEXT + b"\n" + PETER_LINE + ENOCH_LINE
    assert signers(both, PETER) == [PETER]
    assert signers(both, ENOCH) == [ENOCH]
    assert signers(both, PETER, ENOCH, PETER) == [PETER, ENOCH]
    assert signers(both) == []
    example = note.parse_key(C2SP["key"])
    assert signers(C2SP["note"].encode(), example) == [example]


def test_a_real_log_and_its_four_witnesses_verify() -> None:
    keys = [note.parse_key(text) for text in [ARCHE["log"], *ARCHE["witnesses"]]]
    parsed = note.parse(ARCHE["checkpoint"].encode())
    verified = note.check_signatures(parsed, keys, verify)
    assert [found.key for found in verified] == keys
    assert [found.time for found in verified] == [None] + [1779573024] * 4


@pytest.mark.parametrize("name", ["note", "unkeyed_note", "checkpoint"])
def test_the_examples_of_the_specifications_read_back(name: str) -> None:
    data = C2SP[name].encode()
    assert note.format_note(note.parse(data)) == data


def test_the_text_ends_at_the_last_empty_line() -> None:
    assert note.parse(C2SP["unkeyed_note"].encode()).text.count(b"\n\n") == 1
    data = signed(b"\n\n\n", LOG)
    assert note.parse(data).text == b"\n\n\n"


SIGNED = TEXT + b"\n" + PETER_LINE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        TEXT,
        TEXT + b"\n",
        SIGNED[:-1],
        SIGNED + b"\n",
        b"\x01" + SIGNED,
        b"\xff" + SIGNED,
        SIGNED.replace(b"\n", b"\r\n"),
        TEXT + b"\n" + PETER_LINE.replace(b"PeterNeumann", b"Bad Name"),
        TEXT + b"\n" + PETER_LINE.replace(b"PeterNeumann", b""),
        TEXT + b"\n" + PETER_LINE.replace(b"PeterNeumann", b"a+b"),
        TEXT + b"\n" + PETER_LINE.replace("—".encode(), b"-"),
        TEXT + b"\n" + PETER_LINE.replace("— ".encode(), "—  ".encode()),
        TEXT + b"\n" + PETER_LINE.replace(b"=\n", b"\n"),
        TEXT + b"\n" + PETER_LINE.replace(b"AM=\n", b"AN=\n"),
        TEXT + b"\n" + PETER_LINE.replace(b"=\n", b"= \n"),
        TEXT + b"\n" + "— PeterNeumann x08goQ==\n".encode()[:-1],
        TEXT + b"\n" + "— PeterNeumann x08g\n".encode(),
        TEXT + b"\n" + "— PeterNeumann x08gow==\n".encode(),
        TEXT + b"\n" + "— PeterNeumann \n".encode(),
        TEXT + b"\n" + PETER_LINE + b"Unexpected line.\n",
        TEXT + b"\n" + b"Unexpected line.\n" + PETER_LINE,
        TEXT + b"\n" + PETER_LINE * (note.MAX_SIGNATURES + 1),
        b"a" * note.MAX_NOTE_BYTES + b"\n\n" + PETER_LINE,
    ],
)
def test_malformed_notes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        note.parse(data)


def test_as_many_signatures_as_promised_are_read() -> None:
    assert len(note.parse(TEXT + b"\n" + PETER_LINE * note.MAX_SIGNATURES).signatures) == 100


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n"))


@given(
    TEXTS.map(lambda text: text.encode() + b"\n"),
    st.lists(
        st.builds(
            Signature, NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80)
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_whatever_is_formatted_is_read_back(text: bytes, signatures: list[Signature]) -> None:
    written = Note(text, tuple(signatures))
    assert note.parse(note.format_note(written)) == written


@given(st.binary(max_size=200))
def test_whatever_is_read_is_formatted_the_same(tail: bytes) -> None:
    """Fuzz: a note that is accepted has no second spelling."""
    for data in (tail, SIGNED + tail, tail + SIGNED, TEXT + b"\n" + "— ".encode() + tail + b"\n"):
        try:
            parsed = note.parse(data)
        except MalformedError:
            continue
        assert note.format_note(parsed) == data


@pytest.mark.parametrize(
    "bad",
    [
        Note(b"no final LF", (Signature("a", b"1234", b"x"),)),
        Note(b"tab\t\n", (Signature("a", b"1234", b"x"),)),
        Note(b"\xff\n", (Signature("a", b"1234", b"x"),)),
        Note(b"unsigned\n", ()),
        Note(b"text\n", (Signature("a b", b"1234", b"x"),)),
        Note(b"text\n", (Signature("a", b"123", b"x"),)),
        Note(b"text\n", (Signature("a", b"1234", b""),)),
        Note(b"text\n", (Signature("a", b"1234", bytes(note.MAX_NOTE_BYTES)),)),
    ],
)
def test_what_could_not_be_read_back_is_not_written(bad: Note) -> None:
    with pytest.raises(MalformedError):
        note.format_note(bad)


def test_signature_lines_alone_are_read() -> None:
    lines = note.parse_signatures(C2SP["answer"].encode())
    assert [line.name for line in lines] == ["witness.example/w1"] * 2 + ["witness.example/w2"]
    for bad in (b"", b"\n", PETER_LINE + b"\n" + PETER_LINE, b"text\n\n" + PETER_LINE):
        with pytest.raises(MalformedError):
            note.parse_signatures(bad)


# Signatures.


def test_no_altered_note_is_signed_by_anyone() -> None:
    for data in flips(SIGNED):
        try:
            found = signers(data, PETER)
        except (MalformedError, SignatureError):
            continue
        assert found == []


def test_no_altered_cosignature_is_valid() -> None:
    data = signed(b"example.org/ledger\n0\nroot\n", WITNESSES[0])
    for altered in flips(data):
        try:
            found = signers(altered, WITNESSES[0].key)
        except (MalformedError, SignatureError):
            continue
        assert found == []


def test_an_invalid_signature_by_a_known_key_spoils_the_note() -> None:
    forged = b"forged\n\n" + PETER_LINE + ENOCH_LINE
    with pytest.raises(SignatureError, match=r"'PeterNeumann'.*not valid"):
        signers(forged, PETER)
    second = signed(b"forged\n", LOG) + PETER_LINE
    with pytest.raises(SignatureError):
        signers(second, LOG.key, PETER)


def test_the_same_name_with_another_key_is_a_stranger() -> None:
    impostor = private_key(LOG.key.name, seed="impostor")
    assert signers(signed(TEXT, impostor), LOG.key) == []


def test_two_keys_of_one_name_and_id_are_ambiguous() -> None:
    class Twin(VerifierKey):
        @property
        def key_id(self) -> bytes:
            return PETER.key_id

    twin = Twin(PETER.name, ED25519, bytes(32))
    with pytest.raises(InputError, match="two different keys"):
        signers(SIGNED, PETER, twin)


def test_a_log_signature_is_no_cosignature_and_the_reverse() -> None:
    witness, same_key_as_log = WITNESSES[0], private_key(WITNESSES[0].key.name)
    assert same_key_as_log.public_key == witness.public_key
    assert signers(signed(TEXT, witness), same_key_as_log.key) == []
    assert signers(signed(TEXT, same_key_as_log), witness.key) == []


def test_the_cosigned_message_is_that_of_the_specification() -> None:
    text = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    message = b"cosignature/v1\ntime 1679315147\n" + text
    assert note.cosigned_message(text, 1679315147) == message
    line = note.parse(C2SP["checkpoint"].encode()).signatures[1]
    assert int.from_bytes(line.value[:8], "big") == 1679315147
    assert len(line.value) == 8 + 64


def test_a_cosignature_needs_a_time_and_a_signer_its_key() -> None:
    witness = WITNESSES[0]
    for timestamp in (None, -1, 2**63):
        with pytest.raises(InputError, match="POSIX"):
            note.sign(TEXT, witness.key, witness, timestamp)
    with pytest.raises(InputError, match="does not hold"):
        note.sign(TEXT, LOG.key, witness)


def test_a_cosignature_of_a_far_future_is_refused() -> None:
    witness, beyond = WITNESSES[0], 2**63
    value = beyond.to_bytes(8, "big") + witness.sign(note.cosigned_message(TEXT, beyond))
    line = Signature(witness.key.name, witness.key.key_id, value)
    with pytest.raises(SignatureError, match="beyond"):
        note.check_signatures(Note(TEXT, (line,)), [witness.key], verify)


@pytest.mark.parametrize("length", [1, 8, 63, 65, 71, 73])
def test_signatures_of_another_length_are_not_valid(length: int) -> None:
    for key in (LOG.key, WITNESSES[0].key):
        line = Signature(key.name, key.key_id, bytes(length))
        with pytest.raises(SignatureError):
            note.check_signatures(Note(TEXT, (line,)), [key], verify)

"""RFC 3161 timestamps on checkpoints: an outsider's word that a tree head existed at a time.

The checkpoint's own `time` line is the log's clock and proves nothing against the log. A token of a
timestamping authority over the note's text does: a ledger rewritten later has another root, and no
authority will say that it saw that root earlier.

A token travels in the note, as one more signature line, which every other reader passes over as by
an unknown key (signed-note, "Signature types", 0xff):

    — <name of the authority> base64(key id || DER TimeStampToken)
    key ID = SHA-256(name || 0x0A || 0xff || "audit-stream/rfc3161")[:4]

The stamped bytes are the note's text, so later cosignatures do not disturb the token, and
`openssl ts -verify -token_in` checks it too. No certificate is part of the key id: whom to trust is
the verifier's choice, made offline.

This is the one place that imports `rfc3161_client`, an optional extra.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from audit_stream import note, transport
from audit_stream.checkpoint import Timestamp
from audit_stream.errors import (
    InputError,
    MalformedError,
    MissingExtraError,
    SignatureError,
    TransportError,
)
from audit_stream.note import Note, Signature

REQUEST_TYPE = "application/timestamp-query"
RESPONSE_TYPE = "application/timestamp-reply"

_IDENTIFIER = b"\xffaudit-stream/rfc3161"


class Query(NamedTuple):
    """A request to an authority: `der` is to be sent, `nonce` must come back."""

    text: bytes
    nonce: int
    der: bytes


def make_query(text: bytes) -> Query:
    """The request for a token over a note's text, with a random nonce (RFC 3161, 2.4.1).

    Raises `MissingExtraError`.
    """
    client = _client()
    builder = client.TimestampRequestBuilder().data(text)
    request = builder.hash_algorithm(client.HashAlgorithm.SHA256).build()
    return Query(text, request.nonce, request.as_bytes())


def accept_response(query: Query, response: bytes, name: str) -> Signature:
    """The signature line that carries the token of an authority's response (RFC 3161, 2.4.2).

    Checks what needs no certificate: granted, about this text, and an answer to this query.
    `name` will stand in the note. Raises `MalformedError`, `SignatureError`.
    """
    note.check_name(name)
    parsed = _decode(response)
    if parsed.status not in (0, 1):
        words = "; ".join(parsed.status_string) or f"status {parsed.status}"
        raise SignatureError(f"the timestamping authority refused: {words!a}")
    if parsed.tst_info.message_imprint.message != sha256(query.text).digest():
        raise SignatureError("the timestamp is of another text")
    if parsed.tst_info.nonce != query.nonce:
        raise SignatureError("the timestamp answers another request")
    return Signature(name, _key_id(name), parsed.time_stamp_token())


def stamped(data: bytes, url: str) -> bytes:
    """The signed note with a token that the authority at `url` made for it just now.

    The authority is called in the note what its host is called. Raises `InputError`,
    `TransportError`, `MalformedError`, `SignatureError`, `MissingExtraError`.
    """
    query = make_query(note.parse(data).text)
    reply = transport.post(url, query.der, REQUEST_TYPE)
    if reply.status != 200:
        raise TransportError(f"{url}: the timestamping authority answered {reply.status}")
    return add_timestamp(data, accept_response(query, reply.body, transport.host_of(url)))


def add_timestamp(data: bytes, token: Signature) -> bytes:
    """The signed note with one more line. Raises `MalformedError`."""
    parsed = note.parse(data)
    return note.format_note(Note(parsed.text, (*parsed.signatures, token)))


def check_timestamps(parsed: Note, certificates: bytes) -> list[Timestamp]:
    """The verified tokens of a note, in the order of its lines; possibly none.

    `certificates` is PEM: the roots to trust, and intermediates when the token lacks them. They
    need to have been valid at the token's time only. Raises `SignatureError` when a token does
    not verify, `InputError` when the PEM cannot be read, `MissingExtraError`.
    """
    client = _client()
    builder = client.VerifierBuilder()
    for certificate in _load(certificates):
        builder = builder.add_root_certificate(certificate)
    verifier = builder.build()
    found: list[Timestamp] = []
    for line in parsed.signatures:
        if line.key_id != _key_id(line.name):
            continue
        try:
            response = _decode(_granted(line.value))
            verifier.verify_message(response, parsed.text)
        except (client.VerificationError, MalformedError) as error:
            raise SignatureError(
                f"the timestamp by {line.name!a} is not valid: {str(error)!a}"
            ) from None
        found.append(Timestamp(line.name, response.tst_info.gen_time))
    return found


def _key_id(name: str) -> bytes:
    return sha256(name.encode() + b"\n" + _IDENTIFIER).digest()[:4]


def _granted(token: bytes) -> bytes:
    """The token as a DER TimeStampResp of status granted, the form the client library reads."""
    content = b"\x30\x03\x02\x01\x00" + token
    # The long form of the length, which every real token needs; no shorter one would verify.
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return b"\x30" + bytes([0x80 | len(length)]) + length + content


def _decode(response: bytes) -> Any:
    try:
        parsed = _client().decode_timestamp_response(response)
        # A refusal has no token; reading one is how the library says so.
        if parsed.status in (0, 1):
            parsed.tst_info.gen_time  # noqa: B018
    except ValueError as error:
        raise MalformedError(f"not an RFC 3161 response: {error}") from None
    return parsed


def _load(certificates: bytes) -> list[Any]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(certificates)
    except ValueError:
        raise InputError("the timestamping certificates are not PEM") from None


def _client() -> Any:
    try:
        import rfc3161_client
    except ImportError:
        raise MissingExtraError("timestamps need: pip install 'audit-stream[tsa]'") from None
    return rfc3161_client

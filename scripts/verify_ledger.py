#!/usr/bin/env python3
"""Check an audit-stream ledger with nothing but the Python standard library (3.8 or later).

Why it exists: who audits a ledger should not have to trust the program that wrote it. This one
file shares no code with the package, is short enough to be read before it is run, and comes to
the same verdict, `first_break_at`, `byte_offset`, `checked`, reason and exit code as
`audit-stream verify`. It only ever reads. Memory is that of the longest line.

A ledger is one event a line, each line ended by one LF. A line is the canonical JSON (RFC 8785)
of the event. `hash` is the SHA-256 of that line without its `"hash":"…",` and without the LF;
`prev_hash` is the `hash` of the line before, 64 zeros on the first. So of every line we ask:

  1. is it, byte for byte, the canonical form of a valid event?
  2. is `event_id` one more than the last?
  3. is `prev_hash` the hash of the line before?
  4. is `hash` right?

The first "no" ends the check, so a change of any bit is found. What a chain cannot show by
itself is that its end was not cut off, or all of it written anew: for that, give a hash or a
count noted down elsewhere, with --expect-head or --expect-count, or a signed checkpoint and the
log's public key, with --checkpoint and --key. A checkpoint is a C2SP tlog-checkpoint: a text that
says how many lines there were and their Merkle root (RFC 6962), and under it Ed25519 signatures.
The root is computed here; the signatures are left to the `openssl` program (3.0 or later).

Exit codes: 0 intact or empty; 1 broken, truncated or rewritten, or no valid signature; 2 wrong
usage or unreadable; 3 torn, that is: all whole lines check, and after them stands an append that
was cut off.
"""

import argparse
import base64
import binascii
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None

ZEROS = "0" * 64
FIRST_BYTES = b'{"event_id":'
BLOCK = 1 << 20
MAX_DEPTH = 64  # the payload object is depth 1, the event around it depth 0
MEMBERS = ["event_id", "hash", "kind", "payload", "prev_hash", "source", "timestamp"]
HASH = "[0-9a-f]{64}"
TIMESTAMP = (  # RFC 3339, section 5.6, where T and Z may be lower case
    "([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})([.][0-9]+)?"
    "(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
STRING_RULES = {
    "hash": HASH,
    "kind": "[a-z][a-z0-9_]{0,63}([.][a-z0-9_]{1,63}){0,3}",
    "prev_hash": HASH,
    "source": "[^\x00-\x1f\x7f-\x9f]{1,256}",
    "timestamp": TIMESTAMP,
}


def number_text(value):
    """Print a double as ECMAScript does (RFC 8785, section 3.2.2.3).

    Python's repr() finds the same digits: the fewest that read back as this double. Only the
    place of the point and the exponent are written otherwise.
    """
    if not math.isfinite(value):
        raise ValueError("a number that no double can hold")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)  # where it stands in `digits`
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + "." * (len(digits) > 1) + digits[1:] + f"e{point - 1:+d}"
    return text if value > 0 else "-" + text


def canonical(value):
    """Print a value as RFC 8785 does: keys in the order of their UTF-16 units (section 3.2.3)."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(canonical(key) + ":" + canonical(value[key]) for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return number_text(value)
    # true, false, null; and strings, of which only ", \ and C0 controls are escaped (3.2.2.2)
    return json.dumps(value, ensure_ascii=False)


def refuse_deep(line):
    """Refuse deep nesting before a recursive parser sees it.

    The count is right up to the first byte that is not JSON, and the parser stops there.
    """
    depth = 0
    if line.count(b"{") + line.count(b"[") > MAX_DEPTH + 1:
        for outside_strings in re.sub(rb"(?s)\\.", b"", line).split(b'"')[::2]:
            for byte in outside_strings:
                depth += (byte in b"{[") - (byte in b"}]")
                if depth > MAX_DEPTH + 1:
                    raise ValueError(f"nested deeper than {MAX_DEPTH}")


def days(year, month, day):
    """Count days since 0000-03-01; month 13 is the next January."""
    year -= month <= 2
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + (153 * ((month + 9) % 12) + 2) // 5 + day - 1


def instant(timestamp):
    """Return (UTC minute, second, fraction), in the order of time; ValueError if there is none.

    The fraction is exact to its last digit. A leap second is second 60 of the last minute of a
    month in UTC: later than 59, earlier than the next minute.
    """
    match = re.fullmatch(TIMESTAMP, timestamp)
    year, month, day, hour, minute, second = (int(match.group(n)) for n in range(1, 7))
    offset_hour, offset_minute = int(match.group(9) or 0), int(match.group(10) or 0)
    this_month, next_month = days(year, month, 1), days(year, month + 1, 1)
    offset = (60 * offset_hour + offset_minute) * (-1 if match.group(8) == "-" else 1)
    utc = 1440 * days(year, month, day) + 60 * hour + minute - offset
    if (
        not (1 <= month <= 12 and 1 <= day <= next_month - this_month)
        or not (hour <= 23 and minute <= 59 and offset_hour <= 23 and offset_minute <= 59)
        or second > (60 if utc + 1 in (1440 * this_month, 1440 * next_month) else 59)
    ):
        raise ValueError("timestamp is no instant of the calendar and clock")
    return utc, second, (match.group(7) or "").rstrip(".0")


def parse(line):
    """Return the event on this line; ValueError unless the line is exactly its canonical form.

    Every number is read as a double. One comparison of bytes then finds whitespace, a wrong
    order, duplicate keys, needless escapes, and numbers written in another way.
    """
    if not line.startswith(FIRST_BYTES):
        raise ValueError("does not start with " + FIRST_BYTES.decode())
    refuse_deep(line)
    event = json.loads(line.decode("utf-8"), parse_int=float, parse_constant=float)
    if canonical(event).encode("utf-8") != line:
        raise ValueError("differs from its canonical form")
    if list(event) != MEMBERS:
        raise ValueError("its members are not the seven of an event")
    event_id = event["event_id"]
    if type(event_id) is not float or not event_id.is_integer() or abs(event_id) >= 2**53:
        raise ValueError("event_id is not an integer within 2^53-1")
    if type(event["payload"]) is not dict:
        raise ValueError("payload is not an object")
    for member, rule in STRING_RULES.items():
        if type(event[member]) is not str or not re.fullmatch(rule, event[member]):
            raise ValueError(member + " breaks its rule")
    event["instant"] = instant(event["timestamp"])
    return event


def check_line(line, number, prev_hash):
    """Ask the four questions of the line where event `number` is due.

    Return the reason why the chain breaks here, or None, and the event.
    """
    try:
        event = parse(line)
    except ValueError as error:  # JSON and UTF-8 errors are ValueErrors
        return f"not a canonical event at event #{number}: {error}", None
    start = len(b'{"event_id":%d,' % number)
    end = start + len('"hash":"",') + 64
    if event["event_id"] != number:
        return f"event_id should be {number}, got {event['event_id']:.0f}", None
    if event["prev_hash"] != prev_hash:
        return f"prev_hash mismatch at event #{number}", None
    if event["hash"] != hashlib.sha256(line[:start] + line[end:]).hexdigest():
        return f"hash mismatch at event #{number}", None
    return None, event


class BadSignature(Exception):  # noqa: N818 - it is what it is
    """No valid signature by a key that was asked for: exit code 1."""


class Tree:
    """The Merkle tree of the lines so far (RFC 6962, section 2.1): the hashes of its perfect
    subtrees, largest first, as many as `size` has bits set."""

    def __init__(self):
        self.size, self.subtrees = 0, []

    def add(self, line):
        """Add a leaf: it completes one subtree for every bit that the increment clears."""
        node, bits = hashlib.sha256(b"\0" + line).digest(), self.size
        while bits & 1:
            node, bits = hashlib.sha256(b"\1" + self.subtrees.pop() + node).digest(), bits >> 1
        self.subtrees.append(node)
        self.size += 1

    def root(self):
        """Return the root."""
        if not self.subtrees:
            return hashlib.sha256(b"").digest()
        node = self.subtrees[-1]
        for left in self.subtrees[-2::-1]:
            node = hashlib.sha256(b"\1" + left + node).digest()
        return node


def unbase64(text):
    """Decode base64, but only what encoding gives; ValueError otherwise."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


def parse_key(text):
    """Read a verifier key, name+hash+base64 (C2SP signed-note): return its name, id, 32 bytes."""
    try:
        name, key_id, material = text.split("+", 2)
        data = unbase64(material)
    except ValueError:
        raise ValueError("a verifier key looks like name+hash+base64") from None
    if len(data) != 33 or data[0] != 1:
        raise ValueError("not an Ed25519 key of a log")
    if hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8] != key_id:
        raise ValueError("the key does not match its hash")
    return name, bytes.fromhex(key_id), data[1:]


def is_signed(key, message, signature):
    """Have `openssl` (3.0 or later) say whether an Ed25519 signature is valid."""
    der = bytes.fromhex("302a300506032b6570032100") + key  # RFC 8410, section 4
    pem = b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----\n" % base64.b64encode(der)
    with tempfile.TemporaryDirectory() as folder:
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin"]
        for option, data in {"-inkey": pem, "-in": message, "-sigfile": signature}.items():
            command += [option, os.path.join(folder, option)]
            with open(command[-1], "wb") as file:
                file.write(data)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if b"Verified Successfully" not in done.stdout and b"Verification Failure" not in done.stdout:
        raise OSError(f"openssl 3 is needed for signatures; it says {done.stdout!r:.200}")
    return done.returncode == 0


def open_checkpoint(note, keys):
    """Read one signed note and check its signatures; return (size, time, chain head, origin, root).

    ValueError when it is not in its form, BadSignature when none of `keys` signed it.
    """
    if note.count(b"\n") > 2 and "\n\u2014 ".encode() not in note:
        raise BadSignature("the checkpoint is not signed")
    text, blank, signatures = note.decode("utf-8").rpartition("\n\n")
    lines, verified = text.split("\n"), 0
    if not blank or not signatures.endswith("\n") or len(lines) < 3 or "" in lines:
        raise ValueError("not a signed checkpoint")
    if re.search("[\x00-\x09\x0b-\x1f]", note.decode("utf-8")):
        raise ValueError("control characters")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]):
        raise ValueError("the size is not a number")
    origin, size, root, extensions = lines[0], int(lines[1]), unbase64(lines[2]), lines[3:]
    if len(root) != 32:
        raise ValueError("the root has not 32 bytes")
    for line in signatures[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^\\s+]+) (\\S+)", line)
        if not match:
            raise ValueError("not a signature line")
        name, data = match.group(1), unbase64(match.group(2))
        if len(data) < 5:
            raise ValueError("a signature without a value")
        for key_name, key_id, key in keys:
            if (name, data[:4]) == (key_name, key_id):
                if not is_signed(key, f"{text}\n".encode(), data[4:]):
                    raise BadSignature(f"the signature by {name} is not valid")
                verified += name == origin
    if not verified:
        raise BadSignature(f"the checkpoint of {origin!r} has no valid signature by a given key")
    head = (
        re.fullmatch("chain-head ([0-9a-f]{64})", extensions[0]) if len(extensions) == 2 else None
    )
    return size, "".join(extensions[1:2]), head.group(1) if head else None, origin, root


def read(path):
    """Return a file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def records(path):
    """Return the signed notes in a file of many, each of which is followed by two empty lines."""
    return [note + b"\n" for note in read(path).split(b"\n\n\n")[:-1]]


def against_checkpoints(checkpoints, checked, hashes, roots):
    """Return (verdict, reason) of the first checkpoint that the ledger does not hold up to."""
    good = 0
    for size, _, _, _, root in checkpoints:
        if checked < size:
            return "truncated", f"the checkpoint has signed {size} events, the ledger has {checked}"
        if roots[size] != root:
            still = f"; the first {good} still are" if good else ""
            return (
                "rewritten",
                f"the first {size} events are not the ones that the checkpoint has signed{still}",
            )
        good = size
    if good and checkpoints[-1][2] not in (None, hashes[good]):
        return "rewritten", f"event #{good} does not have the hash that the checkpoint names"
    return None


def read_lines(stream, size):
    """Yield (line, its length in bytes, whether an LF ended it); nothing but LF ends a line.

    Of a line that starts like no event only the first block is kept: it is bad however it goes
    on, and gigabytes of zeros are a thing that a power cut can leave.
    """
    while size > 0:
        kept, length, ended = [], 0, False
        while size > 0 and not ended:
            piece = stream.readline(min(BLOCK, size))
            if not piece and size < math.inf:
                raise OSError("the file was cut while it was read")
            size = size - len(piece) if piece else 0
            length += len(piece)
            ended = piece.endswith(b"\n")
            if not kept or kept[0].startswith(FIRST_BYTES):
                kept.append(piece[:-1] if ended else piece)
        if length:
            yield b"".join(kept), length, ended


def verify(stream, size=math.inf, expect_head=None, expect_count=None, checkpoints=()):
    """Check `size` bytes of a binary stream (all of it by default); return the result, a dict."""
    checkpoints = sorted(checkpoints, key=lambda checkpoint: checkpoint[:2])
    tree, roots, hashes = Tree(), {0: Tree().root()}, {0: None}
    sizes = {checkpoint[0] for checkpoint in checkpoints}
    checked, latest, total, torn, regressions, last_instant = 0, ZEROS, 0, 0, 0, ()
    found_at = 0 if expect_head == ZEROS else None  # zeros: the head before the first event
    reason = offset = None
    for line, length, ended in read_lines(stream, size):
        if not ended:
            torn = length
        elif reason is None:
            reason, event = check_line(line, checked + 1, latest)
            if reason:
                offset = total
            else:
                checked, latest = checked + 1, event["hash"]
                regressions += event["instant"] < last_instant
                last_instant = event["instant"]
                found_at = checked if latest == expect_head else found_at
                if sizes:
                    tree.add(line)
                if checked in sizes:
                    roots[checked], hashes[checked] = tree.root(), latest
        total += length
    failures = [against_checkpoints(checkpoints, checked, hashes, roots)] if checkpoints else []
    if checked < (expect_count or 0):
        failures += [("truncated", f"{expect_count} events expected, the ledger has {checked}")]
    elif expect_head and expect_count and found_at != expect_count:
        words = f"event #{expect_count} does not have the expected hash {expect_head}"
        failures += [("rewritten", words)]
    elif expect_head and found_at is None:
        failures += [("rewritten", f"no event has the expected hash {expect_head}")]
    verdict = "broken" if reason else "intact" if checked else "empty"
    if verdict != "broken" and any(failures):
        verdict, reason = min(filter(None, failures))  # rewritten comes before truncated
    elif verdict != "broken" and torn:
        verdict, offset = "torn", total - torn
        reason = f"torn tail: {torn} bytes after the last complete line"
    pinned = None
    if verdict in ("intact", "empty", "torn") and expect_head:
        pinned = {"by": "expect-head", "event_id": found_at, "hash": expect_head}
    elif verdict in ("intact", "empty", "torn") and expect_count is not None:
        pinned = {"by": "expect-count", "event_id": expect_count, "hash": None}
    if verdict in ("intact", "empty", "torn") and checkpoints:
        signed, _, head, origin, root = checkpoints[-1]
        if not pinned or signed >= pinned["event_id"]:
            pinned = {"by": "checkpoint", "event_id": signed, "hash": head, "origin": origin}
            pinned.update(root=root.hex(), unsigned=checked - signed)
    return {
        "valid": verdict in ("intact", "empty"),
        "checked": checked,
        "first_break_at": checked + 1 if verdict == "broken" else None,
        "reason": reason,
        "verdict": verdict,
        "byte_offset": offset,
        "last_event_id": checked,
        "latest_hash": latest if checked else None,
        "bytes": total,
        "torn_tail_bytes": torn,
        "clock_regressions": regressions,
        "pinned": pinned,
    }


def size_now(stream):
    """Return the size of the file when nobody is in the middle of an append.

    Writers hold the exclusive lock. Where no lock is to be had within five seconds we look
    anyway; an append under way may then look like a torn tail.
    """
    if not os.path.isfile(stream.fileno()):
        return math.inf
    for _ in range(50 if fcntl else 0):
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            size = os.fstat(stream.fileno()).st_size
            fcntl.flock(stream, fcntl.LOCK_UN)
            return size
        except BlockingIOError:
            time.sleep(0.1)
        except OSError:  # a file system without locks
            break
    return os.fstat(stream.fileno()).st_size


def describe(result):
    """Say the result in a few lines that promise no more than was checked."""
    yield f"{result['verdict']}: {result['reason'] or 'every line checks'}"
    for member in ("byte_offset", "checked", "latest_hash", "bytes", "torn_tail_bytes"):
        yield f"{member}: {result[member]}"
    yield f"timestamps earlier than the one before: {result['clock_regressions']}"
    if result["pinned"]:
        yield "vouched for by --{by}: up to event #{event_id}, hash {hash}".format(
            **result["pinned"]
        )
    elif result["verdict"] in ("intact", "empty", "torn"):
        yield "nothing outside the file vouches for its end"


def main(arguments=None):
    """Check the ledger named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description="Check an audit-stream ledger")
    parser.add_argument("ledger", help="its path; - is stdin")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--expect-head", metavar="HASH", help="some event must have this hash")
    parser.add_argument("--expect-count", metavar="N", help="there must be N events or more")
    parser.add_argument("--checkpoint", metavar="FILE", action="append", default=[])
    parser.add_argument("--key", metavar="VKEY", action="append", default=[], help="the log's")
    options = parser.parse_args(arguments)
    if options.checkpoint and not options.key:
        parser.error("--checkpoint: a signature proves nothing without --key")
    head, count = options.expect_head and options.expect_head.lower(), options.expect_count
    if head is not None and not re.fullmatch(HASH, head):
        parser.error("--expect-head: expected 64 hex digits")
    if count is not None and not re.fullmatch("[0-9]{1,16}", count):
        parser.error("--expect-count: expected a whole number")
    try:
        keys = [parse_key(key) for key in options.key]
        if options.key and not options.checkpoint:
            options.checkpoint = [os.path.realpath(options.ledger) + ".checkpoints"]
            if not os.path.exists(options.checkpoint[0]) or not records(options.checkpoint[0]):
                raise BadSignature(options.checkpoint[0] + ": no signed checkpoint there")
        notes = [note for path in options.checkpoint for note in records(path) or [read(path)]]
        signed = [open_checkpoint(note, keys) for note in notes]
    except BadSignature as error:
        print(f"error: {error!s:.500}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"error: the key or a checkpoint cannot be read: {error!s:.500}", file=sys.stderr)
        return 2
    count = None if count is None else int(count)
    try:
        with open(0 if options.ledger == "-" else options.ledger, "rb") as stream:
            result = verify(stream, size_now(stream), head, count, signed)
    except (OSError, MemoryError) as error:
        print(f"error: cannot read the ledger: {error!s:.500}", file=sys.stderr)
        return 2
    print(json.dumps(result) if options.json else "\n".join(describe(result)))
    return {"intact": 0, "empty": 0, "torn": 3}.get(result["verdict"], 1)


if __name__ == "__main__":
    sys.exit(main())

"""Compressed bodies: bombs, streams that are broken or several, labels that do not fit, and right ones in odd forms."""

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Iterator

from tests.corpus.cases import ACCEPTED, Case, Event, Refused, good_event, paste, refused, telemetry, unparsable, write

GZIP = (("content-type", "application/json"), ("content-encoding", "gzip"))
MAX_INFLATED = 4 * 1024 * 1024

FHCRC, FEXTRA, FNAME, FCOMMENT = 2, 4, 8, 16

NOT_READ = (
    "br", "deflate", "zstd", "compress", "x-gzip", "x-compress", "lz4", "snappy", "base64", "aws-chunked", "utf-8",
    "none", "*", "gzip;q=1", "gzip, gzip", "gzip,identity", "identity, gzip", "gzip deflate", "g zip", "gzip.", "GZ",
    "gzip\u00e9", "x" * 500,
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Every way of getting a compressed body wrong."""
    yield from _labels()
    yield from _streams()
    yield from _headers()
    yield from _several()
    yield from _bombs()
    yield from _good()


def zipped(data: bytes, level: int = 9) -> bytes:
    """Compress, with the same bytes in every run."""
    return gzip.compress(data, level, mtime=0)


def member(data: bytes, flags: int = 0, optional: bytes = b"", method: int = 8, magic: bytes = b"\x1f\x8b") -> bytes:
    """A gzip stream with a header of one's own."""
    head = magic + struct.pack("<BBIBB", method, flags, 0, 2, 255) + optional
    squeezed = zlib.compress(data, 9, wbits=-zlib.MAX_WBITS)
    return head + squeezed + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def _labels() -> Iterator[Case]:
    for label in NOT_READ:
        headers = (("content-type", "application/json"), ("content-encoding", label))
        body = zipped(write(telemetry(f"label {label}")))
        yield refused(f"the encoding {label[:32]}", body, 415, "unsupported_encoding", headers=headers)
    body = zipped(write(telemetry("unlabelled")))
    yield unparsable("gzip without its label", body, "invalid_utf8")
    identity = (("content-type", "application/json"), ("content-encoding", "identity"))
    yield unparsable("gzip labelled identity", body, "invalid_utf8", headers=identity)


def _streams() -> Iterator[Case]:
    text = write(telemetry("streams"))
    whole = zipped(text)
    broken = {
        "nothing": b"",
        "plain JSON": text,
        "white space": b"  ",
        "zlib": zlib.compress(text),
        "raw deflate": zlib.compress(text, wbits=-zlib.MAX_WBITS),
        "bzip2": bz2.compress(text),
        "xz": lzma.compress(text),
        "zip": b"PK\x03\x04" + whole[10:],
        "zstd's magic": b"\x28\xb5\x2f\xfd" + whole[10:],
        "compress's magic": b"\x1f\x9d" + whole[2:],
        "base64 of gzip": b"H4sIAAAAAAAC/6tWKkktLlGyUlAqSS0uUaoFAJ8p5fUPAAAA",
        "gzip after a byte order mark": b"\xef\xbb\xbf" + whole,
        "gzip after a line feed": b"\n" + whole,
        "gzip in UTF-8": whole.decode("latin-1").encode(),
        "a wrong checksum": whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
        "a wrong length": whole[:-4] + bytes([whole[-4] ^ 1]) + whole[-3:],
        "a length of zero": whole[:-4] + bytes(4),
        "a reserved kind of block": whole[:10] + b"\x07" + whole[11:],
        "a bit turned in the data": whole[:40] + bytes([whole[40] ^ 0x10]) + whole[41:],
        "a byte lost in the data": whole[:60] + whole[61:],
        "a byte more in the data": whole[:60] + b"\x00" + whole[60:],
        "a stored block that lies about its length": whole[:10] + b"\x01\x05\x00\x00\x00hello" + whole[-8:],
        "a distance beyond the start": whole[:10] + b"\x03\x02" + whole[-8:],
    }
    for size in (1, 2, 3, 9, 10, 11, len(whole) // 2, len(whole) - 9, len(whole) - 8, len(whole) - 4, len(whole) - 1):
        broken[f"the first {size} bytes of gzip"] = whole[:size]
    for name, body in broken.items():
        yield unparsable(f"{name} labelled gzip", body, "invalid_gzip", headers=GZIP)


def _headers() -> Iterator[Case]:
    text = write(telemetry("gzip headers"))
    for name, body in {
        "another method": member(text, method=7),
        "a reserved flag": member(text, flags=0x20),
        "all flags": member(text, flags=0xFF),
        "an extra field longer than the body": member(text, FEXTRA, struct.pack("<H", 0xFFFF)),
        "a file name without an end": member(b"", FNAME)[:10] + b"x" * 500,
        "a header checksum that is wrong": member(text, FHCRC, b"\x12\x34"),
        "a swapped magic": member(text, magic=b"\x8b\x1f"),
    }.items():
        yield unparsable(f"gzip with {name}", body, "invalid_gzip", headers=GZIP)


def _several() -> Iterator[Case]:
    first, second = zipped(write(telemetry("member 1"))), zipped(write(telemetry("member 2")))
    whole = write(telemetry("halves"))
    for name, body in {
        "two members": first + second,
        "an event in two members": zipped(whole[:50]) + zipped(whole[50:]),
        "an empty member first": zipped(b"") + first,
        "an empty member last": first + zipped(b""),
        "a byte behind it": first + b"\x00",
        "padding behind it": first + bytes(512),
        "a line feed behind it": first + b"\n",
        "plain JSON behind it": first + b"{}",
        "half a member behind it": first + second[:20],
        "a hundred members": zipped(b" ") * 100,
    }.items():
        yield unparsable(f"gzip with {name}", body, "invalid_gzip", headers=GZIP)
    nested = zipped(first)
    # One layer is taken off, and what is under it is no text.
    for name, body, inner in (("gzip", nested, first), ("gzip twice more", zipped(nested), nested)):
        yield Case(f"gzip in {name}", body, Refused(400, "invalid_utf8", letter=inner), headers=GZIP)


def _bombs() -> Iterator[Case]:
    long_text = paste("bomb text", b'"' + b"x" * 4_000_000 + b'"')
    deep = b"[" * MAX_INFLATED
    too_large = {
        "one byte over the bound": b" " * (MAX_INFLATED + 1),
        "twenty megabytes of zeros": bytes(20_000_000),
        "twenty megabytes of brackets": b"[" * 20_000_000,
        "twenty megabytes of events": b"[" + b"{}," * 6_600_000 + b"{}]",
    }
    for name, data in too_large.items():
        yield refused(f"a bomb of {name}", zipped(data), 413, "body_too_large", headers=GZIP)
    zeros = zipped(bytes(20_000_000))
    yield refused("a bomb cut short", zeros[:-100], 413, "body_too_large", headers=GZIP)
    yield refused("a bomb with something behind it", zeros + b"x", 413, "body_too_large", headers=GZIP)
    yield refused("a bomb of stored blocks", zipped(b"x" * 1_048_600, 0), 413, "body_too_large", headers=GZIP)
    inner = Refused(400, "invalid_utf8", letter=zeros)
    yield Case("a bomb in a bomb", zipped(zeros), inner, headers=GZIP)
    yield refused("a bomb of white space", zipped(b" " * MAX_INFLATED), 400, "empty_body", headers=GZIP)
    spaces = b"[" + b" " * (MAX_INFLATED - 2) + b"]"
    yield refused("a bomb of nothing in an array", zipped(spaces), 400, "empty_batch", headers=GZIP)
    many = b"[" + b"1," * 2_000_000 + b"1]"
    yield refused("a bomb of two million numbers", zipped(many), 413, "batch_too_large", headers=GZIP)
    objects = b"[" + b"{}," * 1_000_000 + b"{}]"
    yield refused("a bomb of a million objects", zipped(objects), 413, "batch_too_large", headers=GZIP)
    yield Case("a bomb of brackets", zipped(deep), Refused(400, "malformed_json", letter=deep), headers=GZIP)
    yield Case("a bomb of one text", zipped(long_text), (Event(long_text, "event_too_large"),), headers=GZIP)
    nulls = b"[" + b",".join([b"\x00" * 40_000] * 100) + b"]"
    yield Case("a bomb of NULs", zipped(nulls), Refused(400, "malformed_json", letter=nulls), headers=GZIP)
    wide = [paste(f"bomb {number}", b"[" + b"{}," * 3_000 + b'{"\\u0000": 1}]') for number in range(100)]
    yield _array("a bomb of objects in events", [Event(event, "invalid_text") for event in wide])
    held = [paste(f"bomb held {number}", b"[" + b"[]," * 1_000 + b"[]]") for number in range(100)]
    yield _array("a bomb of lists in good events", [Event(event, ACCEPTED) for event in held])
    versions = [b'{"schema_version": "' + b"\x7f" * 31_000 + b'", "n": %d}' % number for number in range(100)]
    events = [Event(event, "unknown_schema_version") for event in versions]
    yield _array("a hundred versions of thirty thousand characters", events, route="/v1/readings")


def _array(name: str, events: list[Event], route: str = "/v1/events") -> Case:
    body = b"[" + b",".join(event.body for event in events) + b"]"
    return Case(name, zipped(body), tuple(events), route=route, headers=GZIP)


def _good() -> Iterator[Case]:
    for name, optional, flags in (
        ("a file name", b"event.json\x00", FNAME),
        ("a file name that climbs", b"../../etc/passwd\x00", FNAME),
        ("a comment", b"from a gateway\x00", FCOMMENT),
        ("an extra field", b"\x04\x00abcd", FEXTRA),
        ("all of them", b"\x04\x00abcdname\x00comment\x00", FEXTRA | FNAME | FCOMMENT),
    ):
        text = write(telemetry(f"zipped with {name}"))
        yield Case(f"gzip with {name}", member(text, flags, optional), (Event(text, ACCEPTED),), headers=GZIP)
    for level in (0, 1, 6, 9):
        text = write(telemetry(f"level {level}"))
        yield Case(f"gzip of level {level}", zipped(text, level), (Event(text, ACCEPTED),), headers=GZIP)
    for label in ("GZIP", "Gzip", " gzip ", "identity", "Identity", ""):
        event = good_event(f"label {label!r}")
        body = zipped(event.body) if "gzip" in label.lower() else event.body
        headers = (("content-type", "application/json"), ("content-encoding", label))
        yield Case(f"the encoding {label!r}", body, (event,), headers=headers)
    event = good_event("padded")
    padded = event.body + b" " * (MAX_INFLATED - len(event.body))
    yield Case("gzip of an event and white space up to the bound", zipped(padded), (event,), headers=GZIP)
    rejected = Event(write(telemetry("zipped", device_firmware_version="9.0")), "unknown_firmware")
    yield Case("gzip of an unknown firmware", zipped(rejected.body), (rejected,), headers=GZIP)

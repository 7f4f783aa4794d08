"""Text: bytes that are no UTF-8, characters no store keeps, and rare characters that are kept as they are."""

from collections.abc import Iterator

from tests.corpus.cases import (
    ACCEPTED,
    ACTIVITY,
    READINGS,
    Case,
    among_good,
    good,
    one,
    paste,
    spoiling,
    telemetry,
    unparsable,
    write,
)
from tests.support import samples

NO_UTF8 = {
    "a lone continuation byte": b"\x80",
    "two continuation bytes": b"\xbf\xbf",
    "a start of two without its second": b"\xc3",
    "a start of three cut short": b"\xe2\x82",
    "a start of four cut short": b"\xf0\x9f\x98",
    "a start of two before ASCII": b"\xc3(",
    "a slash written too long": b"\xc0\xaf",
    "a NUL written too long": b"\xc0\x80",
    "a letter in three bytes": b"\xe0\x81\x81",
    "a letter in four bytes": b"\xf0\x80\x81\x81",
    "a quote written too long": b"\xc0\xa2",
    "a high surrogate in UTF-8": b"\xed\xa0\xbd",
    "a low surrogate in UTF-8": b"\xed\xb8\x80",
    "a surrogate pair in UTF-8": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond the last character": b"\xf4\x90\x80\x80",
    "a start of five": b"\xf8\x88\x80\x80\x80",
    "a start of six": b"\xfc\x84\x80\x80\x80\x80",
    "the byte FE": b"\xfe",
    "the byte FF": b"\xff",
    "a byte of Latin-1": "Gerät".encode("latin-1"),
    "quotes of Windows-1252": b"\x93text\x94",
    "Shift JIS": "\u6e29\u5ea6".encode("shift_jis"),
    "GBK": "\u6e29\u5ea6".encode("gbk"),
    "KOI8-R": "\u0442\u0435\u043c\u043f".encode("koi8-r"),
}

# As JSON escapes: the bytes are ASCII, the text is none.
NO_TEXT = {
    "NUL": b"a\\u0000b",
    "NUL at the start": b"\\u0000",
    "a high surrogate": b"\\ud800",
    "the last high surrogate": b"x\\uDBFF",
    "a low surrogate": b"\\udc00",
    "the last low surrogate": b"\\udFFFx",
    "two high surrogates": b"\\ud83d\\ud83d",
    "a pair the wrong way round": b"\\ude00\\ud83d",
    "a pair with a letter between": b"\\ud83dx\\ude00",
    "a high surrogate before an escape": b"\\ud83d\\n",
}

KEPT = {
    "umlauts": "Gerät-Süd",
    "umlauts in two parts": "Gera\u0308t-Su\u0308d",
    "Cyrillic look-alikes": "\u0440ress-0007",
    "Greek": "\u03b1\u03b8\u03ae\u03bd\u03b1",
    "Chinese": "\u6e29\u5ea6\u4f20\u611f\u5668",
    "Hebrew": "\u05e9\u05dc\u05d5\u05dd",
    "Arabic with marks": "\u0645\u064f\u062d\u0650\u0631\u0651",
    "Thai": "\u0e2d\u0e38\u0e13\u0e2b",
    "Devanagari": "\u0924\u093e\u092a\u092e\u093e\u0928",
    "a dotless i": "\u0131I\u0130i",
    "a sharp s and its capital": "\u00df\u1e9e",
    "a ligature": "\ufb01lter",
    "full-width letters": "\uff41\uff42\uff43",
    "an emoji": "\U0001f600",
    "a flag": "\U0001f1e9\U0001f1ea",
    "an emoji with a tone": "\U0001f44d\U0001f3fd",
    "marks heaped on a letter": "a" + "\u0301" * 40,
    "a character of private use": "\ue000\U000f0000",
    "a noncharacter": "\ufffe\uffff\U0010ffff",
    "the replacement character": "\ufffd",
    "an unassigned character": "\u0378",
    "a soft hyphen": "tem\u00adperature",
    "mathematical letters": "\U0001d54b\U0001d53c",
}

# Not in names, where two that look alike would differ; in free text nothing reads them.
ONLY_IN_FREE_TEXT = {
    "a zero-width space": "a\u200bb",
    "a zero-width joiner": "\U0001f468\u200d\U0001f469",
    "a byte order mark": "\ufeffpress",
    "a right-to-left override": "exe.\u202etxt",
    "a left-to-right mark": "a\u200eb",
    "a line separator": "a\u2028b",
    "a paragraph separator": "a\u2029b",
    "a no-break space": "a\u00a0b",
    "a next line": "a\u0085b",
    "a delete": "a\u007fb",
}


def cases() -> Iterator[Case]:
    """Each fault in a value, a name and a batch; each rare text in a name of a thing and in free text."""
    for name, raw in NO_UTF8.items():
        for place, body in (
            ("in a text", paste(f"utf8 {name}", b'"' + raw + b'"')),
            ("in a name", paste(f"utf8 name {name}", b'{"' + raw + b'": 1}')),
            ("in an array", b"[" + paste(f"utf8 array {name}", b'"' + raw + b'"') + b"]"),
        ):
            yield unparsable(f"{name} {place}", body, "invalid_utf8")
    yield unparsable("a byte of no UTF-8 between tokens", b"{}\xff", "invalid_utf8")
    yield unparsable("a body of binary", bytes(range(128, 256)), "invalid_utf8")
    for name, escape in NO_TEXT.items():
        yield one(f"{name} in a text", paste(f"text {name}", b'"' + escape + b'"'), "invalid_text")
        yield one(f"{name} in a name", paste(f"text name {name}", b'{"' + escape + b'": 1}'), "invalid_text")
        in_id = write(good("activity", 1, f"text id {name}")).replace(b"gate-north", escape)
        yield one(f"{name} in a source", in_id, "invalid_text", route=ACTIVITY)
        event = paste(f"text batch {name}", b'["' + escape + b'"]')
        if name.startswith("NUL"):
            yield among_good(f"{name} in a batch", event, "invalid_text")
        else:
            # Half a pair is no JSON text. In an array the error names nothing more.
            yield spoiling(f"{name} in a batch", event)
    yield from _other_encodings()
    yield from _rare_texts()


def _other_encodings() -> Iterator[Case]:
    text = write(telemetry("encoded")).decode()
    for encoding, code in (("utf-16", "invalid_utf8"), ("utf-32", "invalid_utf8")):
        yield unparsable(f"{encoding} with a byte order mark", text.encode(encoding), code)
    # Without a mark every other byte is NUL, and that is UTF-8 as well.
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        yield one(encoding, text.encode(encoding), "malformed_json")
    yield one("UTF-7", write(telemetry("utf-7")).replace(b'"', b"+ACI-"), "malformed_json")
    ebcdic = text.encode("cp037")
    yield unparsable("EBCDIC", ebcdic, "invalid_utf8")


def _rare_texts() -> Iterator[Case]:
    for name, text in KEPT.items():
        yield one(f"{name} in a device's name", write(telemetry(f"kept {name}", device_id=text)), ACCEPTED)
        document = good("reading", 1, f"kept {name}") | {"event_id": f"{text} {len(name)}"}
        yield one(f"{name} in a reading's id", write(document), ACCEPTED, route=READINGS)
        escaped = good("activity", 1, f"kept {name}") | {"source": text}
        # The same text in escapes: other bytes, and these are the ones to be kept.
        yield one(f"{name} in escapes", samples.encode(escaped), ACCEPTED, route=ACTIVITY)
    for name, text in ONLY_IN_FREE_TEXT.items():
        free = telemetry(f"free {name}", diagnostics={"note": text, text: "note"})
        yield one(f"{name} in free text", write(free), ACCEPTED)
        named = write(telemetry(f"unfree {name}", device_id=text))
        yield one(f"{name} in a device's name", named, "contract_violation")

"""Media types and character sets: JSON in UTF-8 by its right name, and nothing else."""

from collections.abc import Iterator

from tests.corpus.cases import ACTIVITY, EVENTS, READINGS, Case, good, good_event, refused, write

NOT_READ = (
    "", "json", "application", "application/", "/json", "application/*", "*/*", "text/json", "text/plain", "text/html",
    "text/csv", "text/xml", "text/javascript", "application/javascript", "application/xml", "application/xhtml+xml",
    "application/yaml", "application/x-yaml", "application/cbor", "application/msgpack", "application/protobuf",
    "application/octet-stream", "application/gzip", "application/zip", "application/pdf", "application/graphql",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/mixed; boundary=x", "image/png",
    "application/json5", "application/jsonc", "application/jsonl", "application/x-json", "application/x-ndjson",
    "application/ndjson", "application/jsonx", "application/json-seq", "application/json-patch+json", "application/jso",
    "application/merge-patch+json", "application/problem+json", "application/vnd.api+json", "application/ld+json",
    "application/cloudevents+json", "application/cloudevents-batch+json", "application/senml+json",
    "application/json/extra", "application /json", "application/ json", "application\\json", "application%2fjson",
    "application/json, application/json", "application/json,text/plain", "application/json text/plain",
    "text/plain; application/json", "\uff41pplication/json", "application/json\u00e9", "x" * 500,
)  # fmt: skip

NO_CHARACTERS = (
    "latin-1", "iso-8859-1", "windows-1252", "us-ascii", "utf-7", "utf-16", "utf-16le", "utf-32", "utf8", "UTF_8",
    "utf-8-sig", "utf-8,utf-16", "ebcdic", "gbk", "unknown",
)  # fmt: skip

READ = (
    "application/json", "Application/JSON", "APPLICATION/JSON", "application/json;", "application/json; charset=utf-8",
    "application/json;charset=UTF-8", 'application/json; charset="utf-8"', "application/json ; charset=utf-8",
    "application/json; Charset=utf-8",
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Each type with a good event, route by route in turn."""
    turns = (("telemetry", EVENTS), ("reading", READINGS), ("activity", ACTIVITY))
    for number, given in enumerate((*NOT_READ, *(f"application/json; charset={name}" for name in NO_CHARACTERS))):
        contract, route = turns[number % len(turns)]
        body = write(good(contract, 1, f"type {given}"))
        headers = (("content-type", given),)
        yield refused(f"the type {given[:64]!r}", body, 415, "unsupported_media_type", route=route, headers=headers)
    for given in READ:
        event = good_event(f"type {given}")
        yield Case(f"the type {given!r}", event.body, (event,), headers=(("content-type", given),))
    event = good_event("no type")
    yield Case("no type at all", event.body, (event,), headers=())

"""What must hold for every event, not only for the ones we thought of."""

import json
import string
from typing import Any

import fastjsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.api.keys import ALPHABET, compose_key, hash_key, parse_key
from sluice.core.archive.rows import make_row, pack_rows
from sluice.core.errors import Ahead, Refusal
from sluice.core.events.envelope import VERSION, Envelope, read_envelope, read_head, write_envelope
from sluice.core.events.violations import list_violations
from sluice.core.ingest.slices import split_body
from sluice.core.pieces import cut
from sluice.core.records import KafkaRecord, Origin, report_failures
from tests.support import samples

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SPACE = st.text(" \t\r\n", max_size=3).map(str.encode)


@given(st.lists(st.tuples(JSON, st.booleans(), SPACE, SPACE), min_size=1, max_size=20), SPACE, SPACE)
def test_slices_of_a_batch_are_the_bytes_that_were_put_in(
    parts: list[tuple[Any, bool, bytes, bytes]], head: bytes, tail: bytes
) -> None:
    texts = [json.dumps(value, ensure_ascii=escape).encode("utf-8", "replace") for value, escape, _, _ in parts]
    padded = [before + text + after for text, (_, _, before, after) in zip(texts, parts, strict=True)]
    body = head + b"[" + b",".join(padded) + b"]" + tail
    assert split_body(body, 20) == texts


@given(st.binary(max_size=300))
def test_splitting_any_bytes_gives_slices_or_a_refusal(body: bytes) -> None:
    try:
        slices = split_body(body, 5)
    except Refusal as refusal:
        status = refusal.status
    else:
        status = 200
        assert all(slices)
    assert status in (200, 400, 413)


@pytest.mark.parametrize("name", ["telemetry-v3", "reading-v2", "activity-v1"])
def test_both_readings_of_a_contract_agree(name: str) -> None:
    contract, version = name.split("-v")
    schema = json.loads((samples.EVENTS.parent / "schemas" / contract / f"{version}.json").read_text())
    verdict, good = fastjsonschema.compile(schema), samples.read(f"{name}.json")

    @given(st.dictionaries(st.sampled_from([*good, "metrics", "other"]), JSON | st.sampled_from(list(good.values()))))
    def agree(changes: dict[str, Any]) -> None:
        document = good | changes
        try:
            verdict(document)
        except fastjsonschema.JsonSchemaValueException:
            assert list_violations(schema, document)
        else:
            assert list_violations(schema, document) == ()

    agree()


@given(
    st.builds(
        Envelope,
        version=st.just(VERSION),
        received_at=st.just(samples.NOW),
        fleet_id=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
        contract=st.text(),
        schema_version=st.integers(1, 1000),
        flags=st.lists(st.text(), max_size=3).map(tuple),
        correlation_id=st.text(),
    ),
    st.lists(JSON, max_size=3),
)
def test_an_envelope_is_read_as_it_was_written_with_anything_appended(envelope: Envelope, more: list[Any]) -> None:
    written = write_envelope(envelope)
    assert read_envelope(written) == envelope
    # A release that appends writes the last element that we know, though there is nothing in it.
    whole = [*json.loads(written), envelope.original_sha256]
    appended = json.dumps([*whole, *more]).encode()
    assert read_envelope(appended) == envelope
    later = json.dumps([VERSION + 1, *json.loads(written)[1:], *more]).encode()
    with pytest.raises(Ahead):
        read_envelope(later)
    assert msgspec.structs.astuple(read_head(later))[1:] == msgspec.structs.astuple(envelope)[1:5]


@given(st.text(string.ascii_lowercase, min_size=1, max_size=32), st.text(ALPHABET, min_size=59, max_size=59), st.data())
def test_a_key_is_read_whole_or_not_at_all(stage: str, text: str, data: st.DataObject) -> None:
    key = compose_key(stage, text[:16], text[16:])
    assert parse_key(key, stage).secret_hash == hash_key(key)
    place = data.draw(st.integers(0, len(key) - 1))
    typo = key[:place] + data.draw(st.sampled_from(ALPHABET + "_-")) + key[place + 1 :]
    if typo != key:
        with pytest.raises(Refusal):
            parse_key(typo, stage)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), unique=True), st.integers(500, 3000))
def test_a_reported_failure_never_lies_behind_a_failed_record(places: list[tuple[int, int]], max_record: int) -> None:
    record = samples_record()
    rows = [(Origin("raw-events", *place), make_row(record, samples.contracts())) for place in sorted(places)]
    packs = list(pack_rows(rows, max_record))
    assert [origin for pack in packs for origin in pack.origins] == [origin for origin, _ in rows]
    assert [pack for call in cut(packs, lambda pack: len(pack.data), 2 * max_record, 2) for pack in call] == packs
    failed = {origin for pack in packs[::2] for origin in pack.origins}
    reported = {
        one["itemIdentifier"]["partition"]: one["itemIdentifier"]["offset"]
        for one in report_failures(failed)["batchItemFailures"]
    }
    assert {f"raw-events-{origin.partition}" for origin in failed} == set(reported)
    assert all(reported[f"raw-events-{origin.partition}"] <= origin.offset for origin in failed)


def samples_record() -> KafkaRecord:
    envelope = Envelope(1, samples.NOW, "demo", "telemetry", 1, (), "c")
    value = samples.read_bytes("telemetry-v1.json")
    return KafkaRecord(Origin("raw-events", 0, 0), value, {"sluice": write_envelope(envelope)})

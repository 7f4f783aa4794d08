"""The view of every stored copy, over rows as archive writes them today and over rows with every column written."""

import json
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.stores.catalog import COLUMNS, SQL
from local.models.config import ColumnConfig
from local.models.conversion import Conversion
from sluice.core.archive.rows import Row, make_row
from sluice.core.errors import Poison
from sluice.core.events.contracts import Contracts
from sluice.core.events.envelope import Envelope, write_envelope
from sluice.core.events.stored import read_stored
from sluice.core.records import KafkaRecord, Origin
from tests.support import samples
from tests.unit.core.events.test_contracts import fourth_version

FIREHOSE = Conversion([ColumnConfig(name, kind) for name, kind in COLUMNS.items()])
NAMED = ("fleet_id", "device_id", "event_id", "correlation_id", "event_time", "received_at", "kafka_offset", "dt")
BOUND = 10**15
NUMBERS = st.integers(-BOUND, BOUND) | st.floats(-BOUND, BOUND)
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=64)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
MOMENTS = st.sampled_from(
    ["2026-11-20T00:30:00+01:00", "2026-11-20T23:59:59.999999Z", "1999-12-31T23:30:00-01:00", "2026-02-28T12:00:00Z"]
)


def record(
    contract: str, version: int, document: Any, *, topic: str = "raw-events", flags: tuple[str, ...] = ()
) -> KafkaRecord:
    envelope = Envelope(1, samples.NOW, "demo", contract, version, flags, "c")
    value = document if isinstance(document, bytes) else samples.encode(document)
    return KafkaRecord(Origin(topic, 3, 7), value, {"sluice": write_envelope(envelope)})


def lean(one: KafkaRecord, contracts: Contracts) -> dict[str, Any]:
    """A row as archive writes it."""
    row: dict[str, Any] = json.loads(msgspec.json.encode(make_row(one, contracts)))
    return row


def filled(one: KafkaRecord, contracts: Contracts) -> dict[str, Any]:
    """The same row as the release before wrote it."""
    stored = read_stored(one, contracts)
    return (
        dict.fromkeys(COLUMNS)
        | lean(one, contracts)
        | {
            "event_date": stored.facts.event_time.date().isoformat(),
            "flags": list(stored.envelope.flags),
            "metrics": stored.facts.metrics,
            "kafka_topic": one.origin.topic,
        }
    )


def seen(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """What the view shows of rows that were delivered."""
    data = "\n".join(map(json.dumps, rows)).encode()
    table: pa.Table = FIREHOSE.table(FIREHOSE.rows(data))
    for partition, value in (("region", "us-east-1"), ("dt", "2026-11-20")):
        table = table.append_column(partition, pa.array([value] * len(rows)))
    with duckdb.connect() as connection:
        connection.register("raw_events", table)
        found = connection.execute((SQL / "stored_events.sql").read_text())
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def telemetry(version: int, metrics: dict[str, Any]) -> dict[str, Any]:
    """An event of a version with these metrics beside those that it must have."""
    sample: dict[str, Any] = samples.read(f"telemetry-v{min(version, 3)}.json")
    needed = sample["metrics"]
    if version == 4:
        sample["device_firmware_version"] = "4.0.0"
        needed = {"processor_temperature": 323.15}
    return sample | {"metrics": needed | metrics}


TELEMETRY = st.tuples(
    st.just("telemetry"),
    st.integers(1, 4),
    st.dictionaries(NAMES | st.sampled_from(["cpu_temp", "humidity", "uptime"]), NUMBERS, max_size=8),
).map(lambda drawn: (drawn[0], drawn[1], telemetry(drawn[1], drawn[2])))
READINGS = st.tuples(st.just("reading"), st.integers(1, 2), st.floats(-1e6, 1e6), JSON).map(
    lambda drawn: (
        drawn[0],
        drawn[1],
        samples.read(f"reading-v{drawn[1]}.json") | {"value": drawn[2], "metrics": drawn[3]},
    )
)
ACTIVITIES = JSON.map(lambda drawn: ("activity", 1, samples.read("activity-v1.json") | {"metrics": drawn}))


def test_a_row_has_the_tables_columns_in_their_order_except_the_date() -> None:
    assert list(Row.__struct_fields__) == [name for name in COLUMNS if name != "event_date"]


@given(TELEMETRY | READINGS | ACTIVITIES, MOMENTS, st.booleans(), st.sampled_from([(), ("late_arrival",)]))
def test_what_a_row_leaves_out_is_what_its_event_says_in_every_version(
    drawn: tuple[str, int, dict[str, Any]], moment: str, escaped: bool, flags: tuple[str, ...]
) -> None:
    contract, version, document = drawn
    document |= {"event_time" if contract == "reading" else "timestamp": moment}
    contracts = fourth_version() if (contract, version) == ("telemetry", 4) else samples.contracts()
    one = record(contract, version, json.dumps(document, ensure_ascii=escaped).encode(), flags=flags)
    facts = read_stored(one, contracts).facts
    old, new = seen(filled(one, contracts), lean(one, contracts))
    assert new == old
    assert new["metrics"] == facts.metrics
    assert new["event_date"] == facts.event_time.date().isoformat()
    assert new["flags"] == list(flags)
    assert new["kafka_topic"] == "raw-events"
    assert None not in [new[name] for name in NAMED]


@pytest.mark.parametrize(
    ("name", "left_out"),
    [("telemetry-v1", True), ("telemetry-v2", True), ("telemetry-v3", True), ("reading-v2", False)],
)
def test_metrics_are_written_only_where_the_event_does_not_have_them(name: str, left_out: bool) -> None:
    contract, version = name.split("-v")
    row = lean(record(contract, int(version), samples.read_bytes(f"{name}.json")), samples.contracts())
    assert ("metrics" not in row) == left_out


def test_metrics_of_a_version_that_renames_a_series_are_written() -> None:
    moved = record("telemetry", 4, telemetry(4, {"humidity": 40}))
    row = lean(moved, fourth_version())
    assert row["metrics"] == {"cpu_temp": pytest.approx(50.0), "humidity": 40.0}
    assert seen(row)[0]["metrics"] == row["metrics"]


@pytest.mark.parametrize("metrics", ["a text", {"deep": {"er": 1}}, {"cpu_temp": 9}, [1, 2], 7, None, {}])
def test_an_activitys_own_metrics_fail_no_query_and_are_none(metrics: Any) -> None:
    one = record("activity", 1, samples.read("activity-v1.json") | {"metrics": metrics})
    row = lean(one, samples.contracts())
    assert "metrics" not in row
    assert seen(row)[0]["metrics"] == {}


def test_a_row_of_another_topic_names_it() -> None:
    replayed = record("telemetry", 1, samples.read_bytes("telemetry-v1.json"), topic="replay-events")
    assert seen(lean(replayed, samples.contracts()))[0]["kafka_topic"] == "replay-events"


def test_an_event_that_breaks_the_metrics_of_its_version_never_becomes_a_row() -> None:
    broken = samples.read("telemetry-v1.json") | {"metrics": {"cpu_temp": "hot", "vibration_rms": 1}}
    with pytest.raises(Poison):
        make_row(record("telemetry", 1, broken), samples.contracts())

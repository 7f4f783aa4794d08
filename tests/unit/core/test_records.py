from sluice.core.records import Origin, read_records, report_failures
from tests.support import samples

BATCH = list(read_records(samples.read("lambda/raw-events-batch.json")))


def test_a_batch_is_read_with_its_bytes_headers_and_place() -> None:
    assert [record.origin for record in BATCH] == [Origin("raw-events", 4, offset) for offset in (100, 101, 102)]
    assert BATCH[0].value == samples.read_bytes("telemetry-v1.json")
    assert BATCH[0].headers["sluice"].startswith(b"[1,")


def test_a_failure_is_reported_as_the_first_failed_offset_of_each_partition() -> None:
    failed = {Origin("raw-events", 0, 9), Origin("raw-events", 0, 7), Origin("raw-events", 3, 1)}
    assert report_failures(failed) == {
        "batchItemFailures": [
            {"itemIdentifier": {"partition": "raw-events-0", "offset": 7}},
            {"itemIdentifier": {"partition": "raw-events-3", "offset": 1}},
        ]
    }
    assert report_failures(set()) == {"batchItemFailures": []}


def test_a_record_is_read_with_any_headers_and_value() -> None:
    strange = {
        "topic": "raw-events",
        "partition": 0,
        "offset": 7,
        "value": None,
        "headers": [{"trace": [-61, -87]}, {"empty": []}, {"null": None}],
    }
    bare = {"topic": "raw-events", "partition": 0, "offset": 8, "headers": None}
    first, second = read_records({"records": {"raw-events-0": [strange, bare]}})
    assert first.value == second.value == b""
    assert first.headers == {"trace": "é".encode(), "empty": b"", "null": b""}
    assert second.headers == {}

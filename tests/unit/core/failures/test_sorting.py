from sluice.core.errors import Ahead, Poison
from sluice.core.failures.sorting import count_poison, sort_records
from sluice.core.records import KafkaRecord, Origin


def record(partition: int, offset: int, value: bytes = b"") -> KafkaRecord:
    return KafkaRecord(Origin("raw-events", partition, offset), value, {})


def read(one: KafkaRecord) -> int:
    match one.value:
        case b"bad":
            raise Poison("no event")
        case b"later":
            raise Ahead("telemetry 4")
    return one.origin.offset


BATCH = sort_records([record(0, 1), record(0, 2, b"later"), record(0, 3), record(1, 1, b"bad"), record(1, 2)], read)


def test_records_are_sorted_in_the_order_of_the_batch() -> None:
    assert [item for _, item in BATCH.good] == [1, 3, 2]
    assert [(one.origin.partition, str(fault)) for one, fault in BATCH.faulty] == [
        (0, "this release does not know telemetry 4"),
        (1, "no event"),
    ]


def test_what_stands_at_or_behind_a_failure_of_its_partition_is_left_for_the_next_time() -> None:
    before = BATCH.before({Origin("raw-events", 0, 2)})
    assert [origin.partition for origin, _ in before.good] == [0, 1]
    assert [one.origin.partition for one, _ in before.faulty] == [1]
    assert BATCH.before(set()) == BATCH
    assert BATCH.before({Origin("raw-events", 0, 1), Origin("raw-events", 1, 0)}).good == []


def test_only_poison_counts_towards_halting() -> None:
    assert count_poison(BATCH.faulty) == 1

"""Sorting a batch before it is processed: readable records, and unreadable ones with the reason."""

from collections.abc import Callable, Collection, Iterable
from typing import Generic, TypeVar

import msgspec

from sluice.core.errors import Ahead, Fault, Poison
from sluice.core.records import KafkaRecord, Origin, first_failures

Item = TypeVar("Item")
Faulty = tuple[KafkaRecord, Fault]


class Sorted(msgspec.Struct, Generic[Item], frozen=True):
    """A batch's sorted records, in batch order."""

    good: list[tuple[Origin, Item]]
    faulty: list[Faulty]

    def before(self, failed: Collection[Origin]) -> "Sorted[Item]":
        """Leave out records at or after the first failed record of their partition: they are delivered again."""
        if not failed:
            return self
        first = first_failures(failed)

        def stands(origin: Origin) -> bool:
            return origin.offset < first.get((origin.topic, origin.partition), origin.offset + 1)

        return Sorted(
            [one for one in self.good if stands(one[0])], [one for one in self.faulty if stands(one[0].origin)]
        )


def sort_records(records: Iterable[KafkaRecord], read: Callable[[KafkaRecord], Item]) -> Sorted[Item]:
    """Read every record."""
    batch = Sorted[Item]([], [])
    for record in records:
        try:
            batch.good.append((record.origin, read(record)))
        except (Poison, Ahead) as fault:
            batch.faulty.append((record, fault))
    return batch


def count_poison(faulty: Iterable[Faulty]) -> int:
    """Count the poison among unreadable records: only poison counts towards halting the consumer."""
    return sum(isinstance(fault, Poison) for _, fault in faulty)

"""Which record of a batch is at fault when earlier attempts at the batch never finished.

A batch whose process dies is retried and would kill again. From the third attempt on, the records of its partitions are
tried one by one, each noted before it is tried. The record that is noted when a process dies is the suspect.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from sluice.core.errors import Killer
from sluice.core.records import KafkaRecord, Partition

SINGLY_FROM = 3
DEATHS = 2
"""One death may be chance: a failed machine, or an operator."""
KEEP = timedelta(hours=4)
"""As long as a record is retried."""


class Attempt(msgspec.Struct, frozen=True):
    """What is known of a partition's batch when it begins."""

    number: int
    until: int
    """The last offset of the batch that failed first; records after it are not suspects."""
    deaths: Mapping[int, int]
    """How many processes died while they tried an offset alone, with no answer after such a try since."""

    @property
    def singly(self) -> bool:
        """Whether the records are tried one by one."""
        return self.number >= SINGLY_FROM

    def convict(self, offset: int) -> Killer | None:
        """Return the fault to quarantine a record for without another attempt, if it has killed often enough."""
        deaths = self.deaths.get(offset, 0)
        if deaths < DEATHS:
            return None
        detail = f"the process ended without an answer {deaths} times while it tried this record alone"
        return Killer(f"{detail}, at attempt {self.number} of its batch", self.number, deadly=True)

    def blame(self, error: Exception) -> Killer:
        """Return the fault of a record that was tried alone and raised an unexpected exception."""
        detail = f"{type(error).__name__} at attempt {self.number} of its batch, tried alone: {error}"
        return Killer(detail, self.number, deadly=False)


def by_partition(records: Iterable[KafkaRecord]) -> dict[Partition, list[KafkaRecord]]:
    """Group a batch by partition, each in offset order."""
    places: defaultdict[Partition, list[KafkaRecord]] = defaultdict(list)
    for record in records:
        places[record.origin.topic, record.origin.partition].append(record)
    return dict(places)

"""Records of a re-drive that fail again: they have dead letters already, so they are named in the answer instead.

Nothing is held, and nothing counts against the allowance: an admin has asked for these records, and no letter is
written.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from sluice.core.failures.letters import MAX_DETAIL
from sluice.core.failures.rejected import RejectedRecord
from sluice.core.failures.sorting import Faulty
from sluice.core.records import Origin


class Rejecting:
    """Stands in for the quarantine and the holds of a consumer during one re-drive."""

    def __init__(self) -> None:
        self._rejected: list[RejectedRecord] = []

    def check(self, poison: int, good: int, now: datetime) -> None:
        """Allow any number."""

    def write(self, faulty: Sequence[Faulty], now: datetime) -> set[Origin]:
        """Note the records with the reason; none is left."""
        del now
        self._rejected += [
            RejectedRecord(record.origin.partition, record.origin.offset, fault.reason, str(fault)[:MAX_DETAIL])
            for record, fault in faulty
        ]
        return set()

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Subtract nothing."""

    def find_over(self, unknown: Collection[str], now: datetime) -> set[str]:
        """Hold no version: the admin can ask again after the next deployment."""
        del now
        return {*unknown}

    def describe(self) -> dict[str, object]:
        """Return what the answer says of them."""
        return {"rejected": [msgspec.structs.asdict(one) for one in self._rejected]}

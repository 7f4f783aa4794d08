"""What archive does with its records: accepted events become rows of the raw table.

read -> a row with the event as sent -> pack -> delivery stream; only what was not taken is tried again
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.archive.rows import Row, make_row, pack_rows
from sluice.core.errors import Fault
from sluice.core.events.contracts import Contracts
from sluice.core.limits import Limits
from sluice.core.metrics import ROWS_ARCHIVED
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.archive.delivery import Delivery
from sluice.edge.metrics import record
from sluice.edge.patience import Patience

logger = Logger()


class Archiving(msgspec.Struct, frozen=True):
    """The work of archive."""

    contracts: Contracts
    limits: Limits
    delivery: Delivery

    def read(self, record: KafkaRecord, now: datetime) -> Row:
        """Make the row of a record."""
        del now
        return make_row(record, self.contracts, self.limits)

    def take_in(self, records: Sequence[tuple[Origin, Row]], patience: Patience) -> set[Origin]:
        """Deliver rows and return the records whose rows were not taken."""
        undelivered = self.delivery.deliver(list(pack_rows(records)), patience)
        failed = {origin for one in undelivered for origin in one.pack.origins}
        if undelivered:
            logger.warning("rows were not taken", packs=len(undelivered), reason=undelivered[0].reason)
        record(ROWS_ARCHIVED, len(records) - len(failed))
        return failed

    def ask(self) -> None:
        """Nothing has to be there: reconcile covers a dead letter where it is kept."""

    def cover(self, records: Sequence[tuple[KafkaRecord, Fault]], now: datetime) -> None:
        """Leave that to reconcile, which counts the letters where they are kept."""

"""What is done with a letter of a consumer when its turn comes: by what the ledger says of its record."""

from datetime import datetime

import msgspec

from sluice.core.consumers import AGGREGATE
from sluice.core.failures.letters import Letter
from sluice.core.failures.salvage import GIVEN_UP
from sluice.core.redrive.groups import INCOMPLETE, REJECTED, SENDING, Standing, is_whole
from sluice.core.redrive.records import when_received

RECREATED, AHEAD_OF_ALL = "topic_recreated", "reception_ahead"


class LedgerState(msgspec.Struct, frozen=True):
    """What the ledger says of a record, for the consumer that gave it up."""

    covered: bool
    in_gap: bool
    """Whether the consumer still lacks it, as something that it may yet process."""
    begun_at: datetime | None
    """Since when the topic of its name exists; None if it was never recreated."""
    received_until: datetime | None
    """The latest reception of its partition."""
    counted_back: bool = False
    """Whether a replay has accounted for it."""


class Turn(msgspec.Struct, frozen=True):
    """What becomes of a letter."""

    state: str
    reason: str | None = None
    detail: str | None = None
    gives: bool = False
    """Whether the record is given to the consumer; False for one that was recovered meanwhile."""
    opens: bool = False
    """Whether the record enters a gap first: aggregate counts a covered record only out of a gap, and so only once."""


def take_turn(letter: Letter, standing: Standing | None, ledger: LedgerState) -> Turn:
    """Decide on a covered record."""
    if not is_whole(letter):
        return Turn(INCOMPLETE)
    received = when_received(letter)
    if ledger.begun_at is not None and received < ledger.begun_at:
        return Turn(INCOMPLETE, RECREATED, f"its topic was recreated at {ledger.begun_at.isoformat()}")
    if ledger.received_until is None or received > ledger.received_until:
        # It would look like a record of a recreated topic.
        detail = "its reception is later than that of every record that its partition is known to have"
        return Turn(REJECTED, AHEAD_OF_ALL, detail)
    if letter.consumer != AGGREGATE.name:
        return Turn(SENDING, gives=True)
    begun = standing is not None and standing.state == SENDING
    if not ledger.in_gap and (begun or ledger.counted_back or letter.reason in GIVEN_UP):
        return Turn(SENDING)
    return Turn(SENDING, gives=True, opens=not ledger.in_gap)


def was_opened(letter: Letter) -> bool:
    """Return whether a re-drive put the letter's record into a gap: what may be processed later was in one already."""
    return letter.consumer == AGGREGATE.name and letter.reason not in GIVEN_UP

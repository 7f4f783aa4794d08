"""What a run of match did."""

import msgspec


class Done(msgspec.Struct):
    """What a run did, also if it ends early: what is committed is not found again."""

    ids: int = 0
    conflicts: int = 0
    removed: int = 0
    unsettled: int = 0
    """Recurring events that were left out, given up, or that still count twice, and events that were never compared."""

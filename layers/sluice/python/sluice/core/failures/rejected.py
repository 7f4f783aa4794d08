"""A record of a re-drive that failed again, as its consumer's answer names it."""

import msgspec


class RejectedRecord(msgspec.Struct, frozen=True):
    """A redriven record that its consumer cannot process this time either."""

    partition: int
    offset: int
    reason: str
    detail: str

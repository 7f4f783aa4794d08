"""Groups of a fleet's dead letters: which days a reader may ask about, and the answer that redrive gives."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import msgspec

from sluice.core.errors import Refusal
from sluice.core.query.parameters import Parameters

MOST_DAYS = 7
"""The most days of a question: redrive reads every letter of them, of all fleets."""
ONE_DAY = timedelta(days=1)


class LetterDays(msgspec.Struct, frozen=True):
    """The days, in UTC, on which the letters of a fleet failed; the last one is among them."""

    fleet_id: str
    first: date
    last: date

    @property
    def since(self) -> datetime:
        """Return the first moment."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def until(self) -> datetime:
        """Return the first moment that is too late."""
        return datetime.combine(self.last + ONE_DAY, time(), UTC)

    def write_question(self) -> dict[str, Any]:
        """Write the question as redrive reads it."""
        asked = {"fleet_id": self.fleet_id, "from": self.since, "to": self.until}
        return {"step": "fleet_groups", "asked": asked}


class LetterSample(msgspec.Struct, frozen=True):
    """One letter of a group, and the event that it is about, as far as the letter names it."""

    letter_id: str
    event_id: str | None
    device_id: str | None
    failed_at: str


class LetterExample(msgspec.Struct, frozen=True):
    """What one letter of a group breaks first, by the contracts of now."""

    message: str
    value: str | None
    """The value as JSON, cut; None if there is none."""
    passes: str | None
    """What would pass; None if the event as it is would pass by now."""


class LetterGroup(msgspec.Struct, frozen=True):
    """Dead letters that failed alike."""

    group_id: str
    consumer: str
    reason: str
    path: str | None
    rule: str | None
    contract: str | None
    firmware: str | None
    letters: int
    first: str
    last: str
    state: Literal["open", "closed"]
    accounted: int
    in_flight: int
    still_bad: int
    exhausted: int
    incomplete: int
    example: LetterExample | None
    samples: tuple[LetterSample, ...]


class LetterGroups(msgspec.Struct, frozen=True):
    """The largest groups of a fleet's letters."""

    items: tuple[LetterGroup, ...]
    found: int
    """How many groups there are."""
    letters: int
    complete: bool
    """Whether all letters of the days were read."""


def read_letter_days(fleet_id: str, query: str, now: datetime) -> LetterDays:
    """Read the days that a reader asks about: without any, yesterday and today."""
    parameters = Parameters(query, ("from", "to"))
    last = parameters.day("to", now.astimezone(UTC).date())
    first = parameters.day("from", last - ONE_DAY)
    if not timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
        raise Refusal(400, "invalid_parameter", f"from: it is not after to, and both are in {MOST_DAYS} days.", "from")
    return LetterDays(fleet_id, first, last)

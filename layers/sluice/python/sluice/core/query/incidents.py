"""Readers' questions about incidents: which ones, of which time, and where the next page begins."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sluice.core.detect.series_rules import KINDS, SEVERITIES
from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.query.cursors import MOST_CHARACTERS, read_cursor, write_cursor
from sluice.core.query.parameters import Parameters
from sluice.core.query.questions import DEFAULT_ITEMS, LONGEST_RANGE, MOST_DEVICE, MOST_ITEMS, MOST_NAME

ALL = "all"
STATES = ("open", "resolved")
DEFAULT_RANGE = timedelta(days=7)

Moment = Annotated[datetime, Meta(tz=True)]
IncidentId = Annotated[str, Meta(pattern=r"^[0-9a-f]{24}\Z")]


class IncidentPlace(msgspec.Struct, frozen=True, array_like=True):
    """The last incident of a page, and the range that was asked about: it stays the same from page to page."""

    start: Moment
    end: Moment
    opened_at: Moment
    incident_id: IncidentId


class Incidents(msgspec.Struct, frozen=True, kw_only=True):
    """Incidents of a fleet that were open at some time of a range, the newest first."""

    fleet_id: str
    state: str
    severity: str
    kind: str
    device_id: str | None
    metric: str | None
    start: datetime
    end: datetime
    limit: int
    after: IncidentPlace | None = None

    def name(self) -> str:
        """Name the question by what must stay the same from page to page."""
        named: tuple[Any, ...] = (self.fleet_id, self.state, self.severity, self.kind, self.device_id, self.metric)
        return msgspec.json.encode(("incidents", *named)).decode()

    def goes_on(self, opened_at: datetime, incident_id: str) -> str:
        """Write the cursor of the next page."""
        return write_cursor(self.name(), IncidentPlace(self.start, self.end, opened_at, incident_id))


def read_incidents(fleet_id: str, query: str, now: datetime) -> Incidents:
    """Read a question about incidents; without a range, those of the last days, and all that are open."""
    known = ("state", "severity", "kind", "device", "metric", "from", "to", "limit", "cursor")
    parameters = Parameters(query, known)
    # An incident opens at the time of a reading, and the device's clock may be ahead.
    end = parameters.moment("to", now + Limits().clock_ahead)
    start = parameters.moment("from", end - DEFAULT_RANGE)
    if not timedelta(0) < end - start <= LONGEST_RANGE:
        rule = f"from: it must be before to, by at most {LONGEST_RANGE.days} days."
        raise Refusal(400, "invalid_parameter", rule, "from")
    asked = Incidents(
        fleet_id=fleet_id,
        state=parameters.choice("state", (ALL, *STATES), ALL),
        severity=parameters.choice("severity", (ALL, *SEVERITIES), ALL),
        kind=parameters.choice("kind", (ALL, *KINDS), ALL),
        device_id=parameters.text("device", MOST_DEVICE),
        metric=parameters.text("metric", MOST_NAME),
        start=start,
        end=end,
        limit=parameters.whole("limit", 1, MOST_ITEMS, DEFAULT_ITEMS),
    )
    cursor = parameters.text("cursor", MOST_CHARACTERS)
    if cursor is None:
        return asked
    after = read_cursor(cursor, asked.name(), IncidentPlace)
    return msgspec.structs.replace(asked, start=after.start, end=after.end, after=after)


def name_incident(incident_id: str) -> str:
    """Return an incident's id, or refuse what can be none."""
    try:
        return msgspec.convert(incident_id, IncidentId)
    except msgspec.ValidationError:
        raise refuse_unknown() from None


def refuse_unknown() -> Refusal:
    """Refuse an incident that the fleet does not have."""
    return Refusal(404, "unknown_incident", "The fleet has no incident of this id.")

"""The question for one event and the days to search: read from a URL, or from an operator's call."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from sluice.core.errors import Refusal
from sluice.core.events.identity import same_id
from sluice.core.events.names import is_name
from sluice.core.query.parameters import Parameters, parse_day
from sluice.core.query.questions import MOST_DEVICE
from sluice.core.trace.lake_search import EventSearch
from sluice.core.trace.outcomes import Asked

MOST_ID = 128
MOST_DAYS = 7
"""The most days of a reader's question: a search costs the bytes of every day's ids, and a key may ask often."""
MOST_DAYS_OF_OPERATORS = 90
"""As long as raw events are kept."""
ONE_DAY = timedelta(days=1)


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """The question of an operator, who needs no key: about one fleet, or all."""

    event_id: str
    fleet_id: str | None = None
    device_id: str | None = None
    first: str | None = None
    last: str | None = None


def read_address(path: Mapping[str, str], query: str, fleet_id: str, now: datetime) -> Asked:
    """Read the question of a fleet's reader."""
    parameters = Parameters(query, ("device_id", "from", "to"))
    today = now.astimezone(UTC).date()
    last = parameters.day("to", today)
    first = parameters.day("from", min(last, today) - ONE_DAY)
    asked = Asked(path["event_id"], fleet_id, parameters.text("device_id", MOST_DEVICE), first, last)
    return _check(asked, MOST_DAYS)


def read_call(event: Mapping[str, Any], now: datetime) -> Asked:
    """Read the question of an operator."""
    try:
        call = msgspec.convert(event, Call)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid_call", f"This is not a question about an event: {error}.") from error
    for name, value, most in (("fleet_id", call.fleet_id, 63), ("device_id", call.device_id, MOST_DEVICE)):
        if value is not None and not is_name(value, most):
            raise Refusal(400, "invalid_parameter", f"{name}: it is 1 to {most} printable characters.", name)
    today = now.astimezone(UTC).date()
    last = today if call.last is None else parse_day("to", call.last)
    first = min(last, today) - ONE_DAY if call.first is None else parse_day("from", call.first)
    return _check(Asked(call.event_id, call.fleet_id, call.device_id, first, last), MOST_DAYS_OF_OPERATORS)


def where_to_look(asked: Asked, correlation_id: str) -> EventSearch:
    """Return the files to search: an event received late on a day may be stored, or fail, on the next day."""
    last = asked.last + ONE_DAY
    return EventSearch(asked.event_id, asked.fleet_id, asked.device_id, asked.first, last, correlation_id)


def _check(asked: Asked, most_days: int) -> Asked:
    if not is_name(asked.event_id, MOST_ID):
        raise Refusal(
            400,
            "invalid_event_id",
            f"An event's id is 1 to {MOST_ID} printable characters, without a space at either end.",
        )
    if not timedelta(0) <= asked.last - asked.first < timedelta(days=most_days):
        raise Refusal(400, "invalid_parameter", f"from: it is not after to, and both are in {most_days} days.", "from")
    return msgspec.structs.replace(asked, event_id=same_id(asked.event_id))

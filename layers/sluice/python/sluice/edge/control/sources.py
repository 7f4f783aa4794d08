"""What is published: for each kind, the rows that become its document, and the check that none of them was lost."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from sluice.core.api.keys import KEYS, PublishedKey
from sluice.core.control.api_keys import MOST_KEYS
from sluice.core.detect.series_rules import RULES, SeriesRule
from sluice.core.errors import Retryable
from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.core.published import Item
from sluice.edge.database import Database
from sluice.edge.detect.stored_rules import JUDGING_RULES

Found = TypeVar("Found")

_NEVER = datetime.max.replace(tzinfo=UTC)
ENDED = timedelta(days=30)
"""How long a key that has ended is still published, so that its callers read that it was revoked or has expired."""

# Keys that work come first. Of those that ended, the newest are kept.
_KEYS = """
    SELECT coalesce(json_agg(found ORDER BY key_id), '[]') FROM (
        SELECT key_id, fleet_id, role, secret_hash, events_per_second, rejects_per_second, expires_at, revoked_at,
            home_region
        FROM api_key JOIN fleet USING (fleet_id)
        WHERE coalesce(least(revoked_at, expires_at), 'infinity') > $1::timestamptz
        ORDER BY coalesce(least(revoked_at, expires_at), 'infinity') DESC
        LIMIT $2::integer
    ) AS found
"""
_RULES = f"""
    SELECT coalesce(json_agg(found ORDER BY fleet_id, rule_id), '[]') FROM (
        {JUDGING_RULES} AND fleet.archived_at IS NULL
    ) AS found
"""  # noqa: S608 - a constant
_DESTINATIONS = """
    SELECT coalesce(json_agg(found ORDER BY destination_id), '[]') FROM (
        SELECT destination_id, destination.version, fleet_id, kind, secret, least_severity, after_minutes
        FROM destination LEFT JOIN fleet USING (fleet_id)
        WHERE destination.archived_at IS NULL AND fleet.archived_at IS NULL
    ) AS found
"""
# Published versions that the database does not have: their rows are gone, or older than what was published.
_LOST_RULES = """
    SELECT coalesce(json_agg(fleet_id || '/' || rule_id), '[]')
    FROM json_to_recordset($1::json) AS published (fleet_id text, rule_id text, version bigint)
    LEFT JOIN rule USING (fleet_id, rule_id)
    WHERE rule.version IS NULL OR rule.version < published.version
"""
_LOST_DESTINATIONS = """
    SELECT coalesce(json_agg(destination_id), '[]')
    FROM json_to_recordset($1::json) AS published (destination_id text, version bigint)
    LEFT JOIN destination USING (destination_id)
    WHERE destination.version IS NULL OR destination.version < published.version
"""


class Source(msgspec.Struct, Generic[Item], frozen=True):
    """Where the items of a kind come from."""

    kind: str
    of: type[Item]
    read: Callable[[Database, datetime], tuple[Item, ...]]
    """Reads what is to be published."""
    find_lost: Callable[[Database, Sequence[Item], Sequence[Item], datetime], Sequence[str]]
    """Finds what is published and cannot have become what is read now: rows or changes must have been lost."""
    may_be_empty: bool
    """Whether there may be none."""


def read_keys(database: Database, now: datetime) -> tuple[PublishedKey, ...]:
    """Read the keys that callers may present, with what their fleets may send."""
    return _read(database, tuple[PublishedKey, ...], _KEYS, (now - ENDED).isoformat(), str(MOST_KEYS))


def read_rules(database: Database, _now: datetime) -> tuple[SeriesRule, ...]:
    """Read the rules that judge, with the type of their fleet's devices."""
    return _read(database, tuple[SeriesRule, ...], _RULES)


def read_destinations(database: Database, _now: datetime) -> tuple[Destination, ...]:
    """Read the destinations that are notified."""
    return _read(database, tuple[Destination, ...], _DESTINATIONS)


def _find_lost_keys(
    _database: Database, published: Sequence[PublishedKey], found: Sequence[PublishedKey], now: datetime
) -> list[str]:
    there = {key.key_id: key for key in found}
    return [
        f"{key.fleet_id}/{key.key_id} ({why})"
        for key in published
        if (why := _explain_loss(key, there.get(key.key_id), now)) is not None
    ]


def _explain_loss(published: PublishedKey, found: PublishedKey | None, now: datetime) -> str | None:
    """Say why a key cannot be what was published: one that works has no row, or it would work for longer."""
    if found is None:
        return "it has no row" if published.works(now) else None
    # A key that was revoked anew is revoked later than the published one.
    if found.revoked_at is not None or (found.end or _NEVER) <= (published.end or _NEVER):
        return None
    return "it would work again" if not published.works(now) else "it would work for longer"


def _find_lost_rules(
    database: Database, published: Sequence[SeriesRule], found: Sequence[SeriesRule], _now: datetime
) -> list[str]:
    there = {(rule.fleet_id, rule.rule_id): rule.version for rule in found}
    doubtful = [rule for rule in published if there.get((rule.fleet_id, rule.rule_id), 0) < rule.version]
    return _ask_for_lost(database, _LOST_RULES, doubtful)


def _find_lost_destinations(
    database: Database, published: Sequence[Destination], found: Sequence[Destination], _now: datetime
) -> list[str]:
    there = {each.destination_id: each.version for each in found}
    doubtful = [each for each in published if there.get(each.destination_id, 0) < each.version]
    return _ask_for_lost(database, _LOST_DESTINATIONS, doubtful)


def _ask_for_lost(database: Database, query: str, doubtful: Sequence[object]) -> list[str]:
    """Ask for the rows of what was published and is not read any more; an archived one has its row."""
    return _read(database, list[str], query, msgspec.json.encode(doubtful).decode()) if doubtful else []


def _read(database: Database, of: type[Found], query: str, *parameters: str) -> Found:
    found = database.ask(query, *parameters)
    try:
        return msgspec.json.decode(found or b"[]", type=of)
    except msgspec.DecodeError as error:
        raise Retryable(f"a row cannot be read: {error}") from error


SOURCES: Sequence[Source[Any]] = (
    Source(KEYS, PublishedKey, read_keys, _find_lost_keys, may_be_empty=False),
    Source(RULES, SeriesRule, read_rules, _find_lost_rules, may_be_empty=True),
    Source(DESTINATIONS, Destination, read_destinations, _find_lost_destinations, may_be_empty=True),
)
"""Each kind of control data."""

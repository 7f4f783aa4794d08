"""A fleet's incidents, as alert wrote them, each with its rule and with how long it is silenced.

The answers pass on what the statements write.
"""

from datetime import datetime
from typing import Any

import msgspec

from sluice.core.query.incidents import Incidents, name_incident, refuse_unknown
from sluice.core.times import write_time
from sluice.edge.query.reading import Reader

MOST_SILENCES = 200
MOST_DEVICES = 100

# $1 is the fleet, $2 is now. A silence is one of the fleet, a rule, a device, or a rule and a device. An incident is
# silenced as a whole, or when each of its open devices is: only then are its devices read. `heard_at` of an incident is
# of the devices that it names.
_ITEM = """
    json_build_object(
        'incident_id', incident_id, 'rule_id', incident.rule_id, 'kind', incident.kind,
        'metric', nullif(incident.metric, ''), 'unit', nullif(incident.unit, ''),
        'severity', incident.severity, 'state', state,
        'opened_at', write_time(opened_at), 'resolved_at', write_time(resolved_at), 'resolution', resolution,
        'acknowledged_at', write_time(acknowledged_at), 'reopened', reopened,
        'devices', devices, 'open_devices', open_devices, 'examples', examples,
        'value', value, 'threshold', threshold, 'why', why, 'event_id', event_id, 'read_at', write_time(read_at),
        'heard_at', (
            SELECT write_time(max(heard_at)) FROM series_state
            WHERE series_state.fleet_id = incident.fleet_id AND series_state.rule_id = incident.rule_id
            AND series_state.metric = incident.metric AND series_state.device_id = ANY(examples)
        ),
        'notified_at', (
            SELECT write_time(min(at)) FROM delivery
            WHERE delivery.incident_id = incident.incident_id AND outcome = 'delivered'
        ),
        'silenced_until', CASE WHEN state = 'open' THEN write_time(greatest(
            (
                SELECT max(until) FROM holding
                WHERE device_id IS NULL AND coalesce(rule_id, incident.rule_id) = incident.rule_id
            ),
            (
                SELECT min(longest) FROM (
                    SELECT (
                        SELECT max(until) FROM holding
                        WHERE holding.device_id = one.device_id
                        AND coalesce(rule_id, incident.rule_id) = incident.rule_id
                    ) AS longest
                    FROM incident_device AS one
                    WHERE one.incident_id = incident.incident_id AND cleared_at IS NULL
                    AND open_devices <= (SELECT count(DISTINCT device_id) FROM holding)
                ) AS silenced
                HAVING bool_and(longest IS NOT NULL)
            )
        )) END,
        'rule', CASE WHEN rule.rule_id IS NOT NULL THEN json_build_object(
            'open', rule.open, 'clear', rule.clear, 'unit', rule.unit, 'breaches', rule.breaches, 'of', rule."of",
            'archived_at', write_time(rule.archived_at)
        ) END
    )
"""

_HOLDING = "holding AS (SELECT * FROM silence WHERE fleet_id = $1 AND until > $2::timestamptz)"

_SILENCE = """
    json_build_object('rule_id', rule_id, 'device_id', device_id, 'until', write_time(until), 'reason', reason)
"""

# Verdicts come while something breaches or is watched. The newest one of any fleet shows how late alert is.
_HEARD = """
    (
        SELECT json_build_object(
            'heard_at', write_time(heard_at),
            'delay_seconds', greatest(0, round(extract(
                epoch FROM heard_at - (state -> 'verdict' ->> 'received_at')::timestamptz
            ), 3))
        )
        FROM series_state ORDER BY heard_at DESC LIMIT 1
    )
"""

_LIST = f"""
    WITH {_HOLDING},
    page AS MATERIALIZED (
        SELECT * FROM incident
        WHERE fleet_id = $1
        AND opened_at < $3::timestamptz AND (resolved_at IS NULL OR resolved_at >= $4::timestamptz)
        AND $5::text IN ('all', state) AND $6::text IN ('all', severity) AND $7::text IN ('all', kind)
        AND ($8::text = '' OR metric = $8)
        AND ($9::text = '' OR EXISTS (
            SELECT FROM incident_device AS one WHERE one.incident_id = incident.incident_id AND one.device_id = $9
        ))
        AND (opened_at, incident_id) < ($10::timestamptz, $11::text)
        ORDER BY opened_at DESC, incident_id DESC
        LIMIT $12::int
    )
    SELECT json_build_object(
        'verdicts', {_HEARD},
        'silences', (
            SELECT coalesce(json_agg({_SILENCE} ORDER BY until, silence_number), '[]') FROM (
                SELECT * FROM holding ORDER BY until, silence_number LIMIT $13::int
            ) AS first_to_end
        ),
        'items', (
            SELECT coalesce(json_agg({_ITEM} ORDER BY opened_at DESC, incident_id DESC), '[]')
            FROM page AS incident LEFT JOIN rule USING (fleet_id, rule_id)
        )
    )
"""  # noqa: S608 - parts of this file

_ONE = f"""
    WITH {_HOLDING}
    SELECT json_build_object(
        'verdicts', {_HEARD},
        'incident', {_ITEM},
        'silences', (
            SELECT coalesce(json_agg({_SILENCE} ORDER BY until, silence_number), '[]') FROM (
                SELECT * FROM holding
                WHERE coalesce(rule_id, incident.rule_id) = incident.rule_id
                AND (device_id IS NULL OR EXISTS (
                    SELECT FROM incident_device AS one
                    WHERE one.incident_id = incident.incident_id AND one.device_id = holding.device_id
                ))
                ORDER BY until, silence_number LIMIT $4::int
            ) AS covering
        ),
        'devices', (
            SELECT coalesce(json_agg(json_build_object(
                'device_id', device_id, 'joined_at', write_time(joined_at), 'cleared_at', write_time(cleared_at)
            ) ORDER BY cleared_at DESC NULLS FIRST, joined_at, device_id), '[]') FROM (
                SELECT * FROM incident_device AS one WHERE one.incident_id = incident.incident_id
                ORDER BY cleared_at DESC NULLS FIRST, joined_at, device_id LIMIT $5::int
            ) AS first_devices
        )
    )
    FROM incident LEFT JOIN rule USING (fleet_id, rule_id)
    WHERE fleet_id = $1 AND incident_id = $3
"""  # noqa: S608 - parts of this file


class _Page(msgspec.Struct, frozen=True):
    verdicts: dict[str, Any] | None
    silences: list[dict[str, Any]]
    items: list[dict[str, Any]]


def list_incidents(reader: Reader, asked: Incidents, now: datetime) -> dict[str, Any]:
    """List a page of incidents, and what is silenced now."""
    after = asked.after
    found = reader.read(
        _Page,
        _LIST,
        asked.fleet_id,
        write_time(now),
        write_time(asked.end),
        write_time(asked.start),
        asked.state,
        asked.severity,
        asked.kind,
        asked.metric or "",
        asked.device_id or "",
        "infinity" if after is None else write_time(after.opened_at),
        "" if after is None else after.incident_id,
        str(asked.limit + 1),
        str(MOST_SILENCES),
    )
    page, more = found.items[: asked.limit], found.items[asked.limit :]
    cursor = None
    if more:
        last = page[-1]
        cursor = asked.goes_on(datetime.fromisoformat(last["opened_at"]), last["incident_id"])
    return {
        "as_of": write_time(now),
        "from": write_time(asked.start),
        "to": write_time(asked.end),
        "verdicts": found.verdicts,
        "silences": found.silences,
        "items": page,
        "next_cursor": cursor,
    }


def show_incident(reader: Reader, fleet_id: str, incident_id: str, now: datetime) -> dict[str, Any]:
    """Show an incident of a fleet with its devices and silences, or refuse an unknown one."""
    found = reader.read(
        dict[str, Any] | None,  # type: ignore[arg-type]  # a union is no type to mypy
        _ONE,
        fleet_id,
        write_time(now),
        name_incident(incident_id),
        str(MOST_SILENCES),
        str(MOST_DEVICES),
    )
    if found is None:
        raise refuse_unknown()
    return {"as_of": write_time(now), **found}

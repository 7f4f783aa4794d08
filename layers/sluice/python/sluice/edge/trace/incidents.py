"""The incidents that devices joined with an event, as the database has them, with their messages and deliveries."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sluice.core.trace.incidents import TracedIncident
from sluice.core.trace.outcomes import Who
from sluice.edge.query.reading import Reader, as_json

MOST_INCIDENTS = 20
MOST_MESSAGES = 50
"""Of an incident."""
MOST_ATTEMPTS = 20
"""Of a message."""

_JOINED = """
    SELECT coalesce(json_agg(json_build_array(fleet_id, device_id, json_build_object(
        'incident_id', incident_id, 'rule_id', rule_id, 'metric', metric, 'severity', severity, 'state', state,
        'joined_at', write_time(joined_at), 'correlation_id', correlation_id,
        'messages', (
            SELECT coalesce(json_agg(json_build_object(
                'sequence', sequence, 'happening', message ->> 'happening',
                'correlation_id', coalesce(message ->> 'correlation_id', ''),
                'written_at', write_time(written_at), 'sent_at', write_time(sent_at),
                'attempts', (
                    SELECT coalesce(json_agg(json_build_object(
                        'destination_id', destination_id, 'attempt', attempt, 'outcome', outcome, 'status', status,
                        'at', write_time(at)
                    ) ORDER BY at, destination_id, attempt), '[]') FROM (
                        SELECT destination_id, attempt, outcome, status, at FROM delivery
                        WHERE delivery.incident_id = told.incident_id AND delivery.sequence = told.sequence
                        ORDER BY at, destination_id, attempt LIMIT $5::int
                    ) AS first_attempts
                )
            ) ORDER BY sequence), '[]') FROM (
                SELECT incident_id, sequence, message, written_at, sent_at FROM alert_message
                WHERE alert_message.incident_id = joined.incident_id ORDER BY sequence LIMIT $4::int
            ) AS told
        )
    )) ORDER BY joined_at, incident_id, device_id), '[]') FROM (
        SELECT
            incident.fleet_id, one.device_id, incident.incident_id, incident.rule_id, incident.metric, severity, state,
            one.joined_at, one.correlation_id
        FROM incident_event AS one
        INNER JOIN incident USING (incident_id)
        WHERE one.event_id = $2 AND (incident.fleet_id, one.device_id) IN (
            SELECT wanted ->> 0, wanted ->> 1 FROM json_array_elements($1::json) AS wanted
        )
        ORDER BY one.joined_at, incident_id, one.device_id LIMIT $3::int
    ) AS joined
"""


def read_incidents(reader: Reader, event_id: str, devices: Sequence[Who]) -> Mapping[Who, tuple[TracedIncident, ...]]:
    """Read the incidents that some devices joined with an event."""
    found = reader.read(
        list[tuple[str, str, TracedIncident]],
        _JOINED,
        as_json(devices),
        event_id,
        str(MOST_INCIDENTS),
        str(MOST_MESSAGES),
        str(MOST_ATTEMPTS),
    )
    incidents: defaultdict[Who, list[TracedIncident]] = defaultdict(list)
    for fleet_id, device_id, incident in found:
        incidents[fleet_id, device_id].append(incident)
    return {who: tuple(each) for who, each in incidents.items()}

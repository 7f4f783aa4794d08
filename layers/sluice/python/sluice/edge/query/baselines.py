"""What is usual for the series of a device, as learn computed it: the band that is drawn behind them."""

from typing import Any

from sluice.core.query.questions import Subject
from sluice.edge.query.reading import Reader

# The first 24 of a baseline's cells are the hours of a working day, the others those of a day at the weekend.
_CELLS = """
    (
        SELECT json_agg(json_build_object('count', count, 'mean', mean, 'deviation', deviation) ORDER BY number)
        FROM unnest(counts, means, deviations) WITH ORDINALITY AS cell (count, mean, deviation, number)
        WHERE number BETWEEN {first} AND {last}
    )
"""

_BASELINES = f"""
    SELECT coalesce(json_agg(json_build_object(
        'metric', name, 'unit', unit, 'computed_at', write_time(computed_at), 'since', write_time(since),
        'working_days', {_CELLS.format(first=1, last=24)},
        'weekend', {_CELLS.format(first=25, last=48)}
    ) ORDER BY name), '[]')
    FROM baseline JOIN entity USING (entity_key) JOIN metric USING (metric_key)
    WHERE fleet_id = $1 AND device_id = $2
"""  # noqa: S608 - parts of this file


def list_baselines(reader: Reader, subject: Subject) -> list[dict[str, Any]]:
    """List the baselines of a device's series; none yet of one that is new, or that has sent nothing."""
    return reader.read(list[dict[str, Any]], _BASELINES, subject.fleet_id, subject.device_id or "")

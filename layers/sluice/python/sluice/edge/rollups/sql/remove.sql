-- Removes rows of windows that were rolled before and that this transaction has not rewritten: their samples are gone.
-- A separate statement, one window at a time: combined with the rest of a roll, the planner took twenty seconds for one
-- row of a partition without statistics.
WITH removed AS (
    DELETE FROM {target} AS t
    WHERE
        t.entity_key = ANY(%(entities)s::bigint [])
        AND t.window_start = %(window)s
        AND t.xmin <> pg_current_xact_id()::xid
    RETURNING t.entity_key, t.window_start
)

INSERT INTO {changes} (fleet_id, entity_key, resolution, window_start)
SELECT e.fleet_id, e.entity_key, %(resolution)s, r.window_start
FROM removed AS r
INNER JOIN entity AS e ON e.entity_key = r.entity_key

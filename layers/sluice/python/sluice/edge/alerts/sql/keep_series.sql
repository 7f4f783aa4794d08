INSERT INTO series_state (fleet_id, rule_id, metric, device_id, state, heard_at, breached_at)
SELECT fleet_id, rule_id, metric, device_id, state::jsonb, %(now)s, CASE WHEN breached THEN %(now)s END
FROM unnest(
    %(fleets)s::text[], %(rules)s::text[], %(metrics)s::text[], %(devices)s::text[], %(states)s::text[],
    %(breached)s::boolean[]
) AS given (fleet_id, rule_id, metric, device_id, state, breached)
ON CONFLICT (fleet_id, rule_id, metric, device_id) DO UPDATE SET
    state = excluded.state,
    heard_at = excluded.heard_at,
    breached_at = coalesce(excluded.breached_at, series_state.breached_at)

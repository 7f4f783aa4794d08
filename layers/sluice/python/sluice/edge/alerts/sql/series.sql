SELECT series_state.fleet_id, series_state.rule_id, series_state.metric, series_state.device_id, state::text
FROM series_state
JOIN unnest(%(fleets)s::text[], %(rules)s::text[], %(metrics)s::text[], %(devices)s::text[])
    AS asked (fleet_id, rule_id, metric, device_id)
    USING (fleet_id, rule_id, metric, device_id)

SELECT to_jsonb(incident)::text
FROM incident
WHERE (fleet_id, rule_id, metric) IN (
        SELECT * FROM unnest(%(fleets)s::text[], %(rules)s::text[], %(metrics)s::text[])
    )
    AND (state = 'open' OR resolved_at >= %(since)s)

SELECT to_jsonb(incident)::text FROM incident WHERE fleet_id = %(fleet)s AND (state = 'open' OR told = 'open')

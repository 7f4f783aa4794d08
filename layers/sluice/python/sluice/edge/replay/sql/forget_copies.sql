-- Forgets tier's copies of windows that are still read from the database and that change now: it copies them again. Every
-- later slice goes too, because tier goes on after the last one.
WITH forgotten AS (
    DELETE FROM tiered
    USING horizon
    WHERE
        tiered.resolution = ANY(%(resolutions)s::text [])
        AND horizon.store = 'rollup_' || tiered.resolution
        AND tiered.window_from >= horizon.floor
        AND tiered.window_to > %(since)s
    RETURNING tiered.object
)

INSERT INTO unlisted_file (object)
SELECT object FROM forgotten
ON CONFLICT DO NOTHING

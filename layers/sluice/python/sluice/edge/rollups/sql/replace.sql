-- Replaces the earlier rows by the rolled ones, and records the changes: by entity for single windows, by fleet for
-- whole shards.
replaced AS (
    INSERT INTO {target} AS t (
        entity_key, window_start, metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
    )
    SELECT
        entity_key,
        window_start,
        n.metric_keys,
        n.counts,
        n.means,
        n.m2s,
        n.sums,
        n.mins,
        n.maxs,
        n.p50s,
        n.p95s,
        d.bins,
        d.bin_counts
    FROM numbers AS n
    INNER JOIN digest AS d USING (entity_key, window_start)
    ORDER BY entity_key, window_start
    ON CONFLICT (entity_key, window_start) DO UPDATE SET
        metric_keys = excluded.metric_keys,
        counts = excluded.counts,
        means = excluded.means,
        m2s = excluded.m2s,
        sums = excluded.sums,
        mins = excluded.mins,
        maxs = excluded.maxs,
        p50s = excluded.p50s,
        p95s = excluded.p95s,
        bins = excluded.bins,
        bin_counts = excluded.bin_counts,
        rolled_at = excluded.rolled_at
    RETURNING t.entity_key, t.window_start
),

noted AS (
    INSERT INTO {changes} (fleet_id, entity_key, resolution, window_start)
    SELECT DISTINCT e.fleet_id, CASE WHEN %(single)s THEN e.entity_key END, %(resolution)s, r.window_start
    FROM replaced AS r
    INNER JOIN entity AS e ON e.entity_key = r.entity_key
)

SELECT count(*) FROM replaced

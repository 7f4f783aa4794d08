"""The sizes a deployment comes in: test, dev, baseline and large."""

from dataclasses import replace

from infra.settings import (
    DAY,
    GIB,
    HOUR,
    Aggregate,
    Archive,
    Brokers,
    Cache,
    Compute,
    Consumer,
    Database,
    Delivery,
    Ingest,
    Lookup,
    Maintain,
    Pressure,
    Profile,
    Query,
    Reconcile,
    Retention,
    Roll,
    Salvage,
    Seek,
    Show,
    Throttle,
    Throttles,
    Tier,
    Topic,
    Topics,
    Trace,
    require,
)

BASELINE = Profile(
    name="baseline",
    brokers=Brokers(instance_type="kafka.m7g.large", count=3, storage_gib=500),
    topics=Topics(
        raw_events=Topic(partitions=30, retention_seconds=6 * HOUR),
        replay_events=Topic(partitions=30, retention_seconds=6 * HOUR),
        dead_letter=Topic(partitions=6, retention_seconds=30 * DAY, partition_bytes=4 * GIB),
        alert_events=Topic(partitions=6, retention_seconds=7 * DAY),
    ),
    ingest=Ingest(
        compute=Compute(memory_mib=1769, timeout_seconds=15, concurrency=20),
        # About 15 USD a month each while idle; less than nothing when busy, since what is kept started runs cheaper.
        started=3,
        # One bucket for all fleets and for callers without a key: a cap on what requests may cost, set above what the
        # function answers, so that it is a fleet's own quota that stops it and not its neighbours' answers.
        throttles=Throttles(
            events=Throttle(rate=2000, burst=4000),
            readings=Throttle(rate=1000, burst=2000),
            activity=Throttle(rate=1000, burst=2000),
        ),
        produce_deadline_seconds=5,
        key_memory_seconds=30,
        key_cache_seconds=240,
    ),
    archive=Archive(
        compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=15),
        batch_size=10_000,
        batching_window_seconds=5,
        late_after_seconds=60,
        minimum_pollers=3,
        maximum_pollers=15,
        # A deployment takes a few minutes, and updates readers first: longer than that is a mistake.
        version_hold_seconds=600,
    ),
    # A batch is one transaction: large ones cost the database the least, and a second is what freshness can spare.
    aggregate=Aggregate(
        consumer=Consumer(
            compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=10),
            batch_size=10_000,
            batching_window_seconds=1,
            late_after_seconds=60,
            minimum_pollers=2,
            maximum_pollers=10,
        ),
        transaction_seconds=30,
        hold_seconds=30,
        version_hold_seconds=600,
        # Longer than at the edge: nobody waits for aggregate.
        produce_deadline_seconds=10,
    ),
    # Two at a time, each for almost two minutes: no moment is without one, and what is much is done by both.
    roll=Roll(
        compute=Compute(memory_mib=512, timeout_seconds=300, concurrency=2),
        grace_seconds=10,
        straggler_seconds=60,
        hour_seconds=300,
        day_seconds=900,
        shards=16,
        loop_seconds=110,
        pause_seconds=1,
        answer_seconds=30,
        behind_seconds=120,
    ),
    # Nobody waits for a dead letter: long batches make fewer and larger objects.
    deadletter=Consumer(
        compute=Compute(memory_mib=512, timeout_seconds=120, concurrency=6),
        batch_size=10_000,
        batching_window_seconds=30,
        late_after_seconds=900,
        minimum_pollers=1,
        maximum_pollers=6,
    ),
    # The largest object is a buffer of Firehose, 128 MiB, read line by line: its 169,000 letters took 20 s on a laptop.
    salvage=Salvage(
        compute=Compute(memory_mib=1024, timeout_seconds=300, concurrency=1),
        reserve_seconds=200,
        waiting_seconds=900,
        produce_deadline_seconds=10,
    ),
    migrate=Compute(memory_mib=512, timeout_seconds=600, concurrency=1),
    # A browser asks for the page's files all at once.
    show=Show(
        compute=Compute(memory_mib=512, timeout_seconds=5, concurrency=40), throttle=Throttle(rate=200, burst=400)
    ),
    # A CPU of its own: merging a group's digests is most of what a long answer takes.
    query=Query(
        compute=Compute(memory_mib=1769, timeout_seconds=25, concurrency=20),
        throttle=Throttle(rate=100, burst=200),
        requests_per_second=20,
        answer_seconds=4,
        recent_seconds=300,
        lookup_seconds=5,
        lookup_rest_seconds=30,
        recall_seconds=10,
        group_believed_seconds=60,
    ),
    lookup=Lookup(compute=Compute(memory_mib=512, timeout_seconds=6, concurrency=5), directory_seconds=2),
    maintain=Maintain(
        compute=Compute(memory_mib=512, timeout_seconds=600, concurrency=1),
        every_minutes=60,
        partitions_ahead_hours=48,
        sample_hours=26,
        waiting_sample_hours=72,
        change_hours=72,
        outcome_days=90,
        sighting_days=90,
        summary_days=730,
        lock_seconds=2,
    ),
    # Minutes of 50,000 devices are 50,000 x 1,440 x 954 B = 69 GB a day. Two days hot, the day that is being filled and
    # the one that is being moved as a whole are up to 275 GB on disk; a week would be 620. Hours are 1 GB a day and
    # moved by the month: up to 120 GB.
    tier=Tier(
        compute=Compute(memory_mib=1769, timeout_seconds=900, concurrency=1),
        every_minutes=60,
        minute_days=2,
        hour_days=90,
        # An hour of minutes, or a day of hours: 3 million rows, 2.4 GB.
        slice_windows=60,
        reserve_seconds=400,
        behind_hours=24,
    ),
    # Its word outlives two runs that fail or come late.
    pressure=Pressure(
        compute=Compute(memory_mib=512, timeout_seconds=120, concurrency=1), hold_seconds=30, snapshot_seconds=180
    ),
    # One run at a time, and beside it whoever asks for a statement. Firehose tries for longer than an hour only when S3
    # is away, and then nothing is called missing.
    reconcile=Reconcile(
        compute=Compute(memory_mib=1769, timeout_seconds=600, concurrency=2),
        every_minutes=5,
        archive_grace_seconds=3600,
        aggregate_grace_seconds=900,
        rerun_seconds=120,
        reserve_seconds=180,
        statement_seconds=30,
    ),
    recall=Compute(memory_mib=1769, timeout_seconds=20, concurrency=20),
    # Two days of ids are 20 GB here, 0.10 USD: asked by people, and as often as people ask.
    trace=Trace(
        compute=Compute(memory_mib=512, timeout_seconds=28, concurrency=5),
        throttle=Throttle(rate=5, burst=10),
        requests_per_second=0.1,
        answer_seconds=1,
        seek_seconds=15,
    ),
    # Longer than trace waits: where every call is silent, the queries are still to be stopped.
    seek=Seek(compute=Compute(memory_mib=512, timeout_seconds=40, concurrency=5), athena_seconds=12),
    delivery=Delivery(interval_seconds=60, size_mib=128),
    database=Database(
        instance_type="r7g.xlarge",
        storage_gib=800,
        maximum_storage_gib=2000,
        max_connections=400,
        multi_az=True,
        backup_days=14,
    ),
    cache=Cache(maximum_gib=10, maximum_ecpu_per_second=50_000),
    retention=Retention(
        raw_days=90,
        dead_letter_days=30,
        failed_batch_days=30,
        delivery_error_days=30,
        query_result_days=7,
        rollup_days=730,
        log_days=30,
    ),
    query_scan_limit_gib=200,
    keeps_data=True,
)

LARGE = replace(
    BASELINE,
    name="large",
    brokers=Brokers(instance_type="kafka.m7g.4xlarge", count=9, storage_gib=2000),
    topics=Topics(
        raw_events=Topic(partitions=120, retention_seconds=6 * HOUR),
        replay_events=Topic(partitions=120, retention_seconds=6 * HOUR),
        dead_letter=Topic(partitions=24, retention_seconds=30 * DAY, partition_bytes=4 * GIB),
        alert_events=Topic(partitions=24, retention_seconds=7 * DAY),
    ),
    ingest=replace(
        BASELINE.ingest,
        compute=Compute(memory_mib=1769, timeout_seconds=15, concurrency=200),
        started=20,
        throttles=Throttles(
            events=Throttle(rate=8000, burst=10_000),
            readings=Throttle(rate=4000, burst=5000),
            activity=Throttle(rate=4000, burst=5000),
        ),
    ),
    archive=replace(
        BASELINE.archive,
        compute=Compute(memory_mib=1769, timeout_seconds=120, concurrency=120),
        minimum_pollers=12,
        maximum_pollers=120,
    ),
    # A shard has ten times the devices there. Started every minute, each for more than seven: eight side by side.
    roll=replace(
        BASELINE.roll,
        compute=Compute(memory_mib=512, timeout_seconds=660, concurrency=8),
        shards=8,
        loop_seconds=440,
    ),
    aggregate=replace(
        BASELINE.aggregate,
        consumer=replace(
            BASELINE.aggregate.consumer,
            compute=Compute(memory_mib=1769, timeout_seconds=120, concurrency=40),
            minimum_pollers=8,
            maximum_pollers=40,
        ),
    ),
    deadletter=replace(
        BASELINE.deadletter,
        compute=replace(BASELINE.deadletter.compute, concurrency=24),
        maximum_pollers=24,
    ),
    # Ten times the rows: the next run begins when the last one ends.
    tier=replace(BASELINE.tier, every_minutes=15, slice_windows=6),
    query=replace(
        BASELINE.query,
        compute=replace(BASELINE.query.compute, concurrency=60),
        throttle=Throttle(rate=300, burst=600),
    ),
    database=Database(
        instance_type="r7g.8xlarge",
        storage_gib=8000,
        maximum_storage_gib=16000,
        max_connections=2000,
        multi_az=True,
        backup_days=35,
    ),
    cache=Cache(maximum_gib=100, maximum_ecpu_per_second=500_000),
    query_scan_limit_gib=2000,
)

# m7g.large even for one developer: t3.small admits too few new connections a second for IAM authentication.
DEV = replace(
    BASELINE,
    name="dev",
    brokers=Brokers(instance_type="kafka.m7g.large", count=3, storage_gib=100),
    ingest=replace(BASELINE.ingest, started=0),
    archive=replace(
        BASELINE.archive,
        compute=replace(BASELINE.archive.compute, concurrency=5),
        batching_window_seconds=2,
        minimum_pollers=1,
        maximum_pollers=5,
    ),
    aggregate=replace(
        BASELINE.aggregate,
        consumer=replace(
            BASELINE.aggregate.consumer,
            compute=replace(BASELINE.aggregate.consumer.compute, concurrency=4),
            minimum_pollers=1,
            maximum_pollers=4,
        ),
    ),
    deadletter=replace(
        BASELINE.deadletter,
        compute=replace(BASELINE.deadletter.compute, concurrency=2),
        batching_window_seconds=5,
        maximum_pollers=2,
    ),
    # A file a day.
    tier=replace(BASELINE.tier, slice_windows=1440),
    recall=replace(BASELINE.recall, concurrency=4),
    database=Database(
        instance_type="t4g.medium",
        storage_gib=20,
        maximum_storage_gib=100,
        max_connections=200,
        multi_az=False,
        backup_days=7,
    ),
    cache=Cache(maximum_gib=1, maximum_ecpu_per_second=5_000),
    retention=replace(BASELINE.retention, log_days=7),
    query_scan_limit_gib=20,
    keeps_data=False,
)

# The same shape with short waits, so that no test sits through a real minute.
TEST = replace(
    DEV,
    name="test",
    ingest=replace(
        DEV.ingest,
        # A laptop's few processes answer slowly: callers wait for one there, where Lambda would start another.
        compute=replace(DEV.ingest.compute, concurrency=100),
        produce_deadline_seconds=3,
        key_memory_seconds=1,
        key_cache_seconds=2,
    ),
    archive=replace(DEV.archive, batching_window_seconds=1, version_hold_seconds=6),
    aggregate=replace(DEV.aggregate, transaction_seconds=10, hold_seconds=1, version_hold_seconds=6),
    # A schedule's minute lasts five seconds there.
    roll=replace(
        DEV.roll,
        grace_seconds=1,
        straggler_seconds=1,
        hour_seconds=2,
        day_seconds=2,
        loop_seconds=8,
        pause_seconds=0.2,
        answer_seconds=10,
    ),
    # As many of a schedule's short minutes.
    pressure=replace(DEV.pressure, hold_seconds=1, snapshot_seconds=15),
    query=replace(
        DEV.query,
        # Few enough to leave the database's connections to the many of ingest.
        compute=replace(DEV.query.compute, concurrency=8),
        requests_per_second=200,
        lookup_seconds=3,
        lookup_rest_seconds=2,
        group_believed_seconds=2,
    ),
    lookup=replace(DEV.lookup, directory_seconds=1),
    reconcile=replace(DEV.reconcile, every_minutes=1, archive_grace_seconds=20, aggregate_grace_seconds=10),
    trace=replace(
        DEV.trace,
        compute=replace(DEV.trace.compute, concurrency=1),
        throttle=Throttle(rate=100, burst=200),
        requests_per_second=100,
    ),
    deadletter=replace(DEV.deadletter, batching_window_seconds=1),
    delivery=Delivery(interval_seconds=2, size_mib=64),
)

PROFILES = {profile.name: profile for profile in (TEST, DEV, BASELINE, LARGE)}


def profile_named(name: str) -> Profile:
    """Return a profile, or refuse the name together with the ones that exist."""
    require(name in PROFILES, f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]

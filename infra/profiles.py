"""The sizes a deployment comes in: test, dev, baseline and large."""

from dataclasses import replace

from infra.settings import (
    DAY,
    GIB,
    HOUR,
    Brokers,
    Cache,
    Compute,
    Consumer,
    Database,
    Delivery,
    Ingest,
    Profile,
    Retention,
    Throttle,
    Throttles,
    Topic,
    Topics,
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
    archive=Consumer(
        compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=15),
        batch_size=10_000,
        batching_window_seconds=5,
        late_after_seconds=60,
        minimum_pollers=3,
        maximum_pollers=15,
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
    migrate=Compute(memory_mib=512, timeout_seconds=600, concurrency=1),
    delivery=Delivery(interval_seconds=60, size_mib=128),
    database=Database(
        instance_type="r7g.xlarge",
        storage_gib=400,
        maximum_storage_gib=2000,
        max_connections=400,
        multi_az=True,
        backup_days=14,
    ),
    cache=Cache(maximum_gib=10, maximum_ecpu_per_second=50_000),
    retention=Retention(
        raw_days=90, dead_letter_days=30, failed_batch_days=30, delivery_error_days=30, query_result_days=7, log_days=30
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
    deadletter=replace(
        BASELINE.deadletter,
        compute=replace(BASELINE.deadletter.compute, concurrency=24),
        maximum_pollers=24,
    ),
    database=Database(
        instance_type="r7g.8xlarge",
        storage_gib=4000,
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
    deadletter=replace(
        BASELINE.deadletter,
        compute=replace(BASELINE.deadletter.compute, concurrency=2),
        batching_window_seconds=5,
        maximum_pollers=2,
    ),
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
    archive=replace(DEV.archive, batching_window_seconds=1),
    deadletter=replace(DEV.deadletter, batching_window_seconds=1),
    delivery=Delivery(interval_seconds=2, size_mib=64),
)

PROFILES = {profile.name: profile for profile in (TEST, DEV, BASELINE, LARGE)}


def profile_named(name: str) -> Profile:
    """Return a profile, or refuse the name together with the ones that exist."""
    require(name in PROFILES, f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]

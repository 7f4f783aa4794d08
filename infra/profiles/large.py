"""The profile for ten times the devices of the baseline."""

from dataclasses import replace

from infra.api.door import Throttle
from infra.building_blocks.function import Compute
from infra.deployment import DAY, GIB, HOUR
from infra.functions.ingest import Throttles
from infra.profiles.baseline import BASELINE
from infra.stores.cache import CacheProfile
from infra.stores.database import DatabaseProfile
from infra.stores.topics import Brokers, Topic, Topics

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
            readings=Throttle(rate=3500, burst=5000),
            activity=Throttle(rate=3500, burst=5000),
        ),
        # 200,000 events a second in tens would be more requests than AWS admits to an account: 10,000 a second.
        minimum_events_per_request=30,
    ),
    archive=replace(
        BASELINE.archive,
        compute=Compute(memory_mib=1769, timeout_seconds=120, concurrency=120),
        minimum_pollers=12,
        maximum_pollers=120,
    ),
    # A shard has ten times the devices here. A run starts every minute and lasts over seven: eight run at once.
    roll=replace(
        BASELINE.roll,
        compute=Compute(memory_mib=512, timeout_seconds=660, concurrency=8),
        shards=8,
        loop_seconds=440,
    ),
    aggregate=replace(
        BASELINE.aggregate,
        compute=Compute(memory_mib=1769, timeout_seconds=120, concurrency=40),
        minimum_pollers=8,
        maximum_pollers=40,
    ),
    detect=replace(
        BASELINE.detect,
        compute=Compute(memory_mib=1769, timeout_seconds=120, concurrency=40),
        minimum_pollers=8,
        maximum_pollers=40,
    ),
    # A shard has ten times the devices: its baselines take the database 40 s.
    learn=replace(
        BASELINE.learn,
        compute=Compute(memory_mib=1769, timeout_seconds=600, concurrency=1),
        every_seconds=900,
        shards=5,
        statement_seconds=200,
        reserve_seconds=220,
    ),
    deadletter=replace(
        BASELINE.deadletter,
        compute=replace(BASELINE.deadletter.compute, concurrency=24),
        maximum_pollers=24,
    ),
    # Ten times the rows: the next run begins when the last one ends.
    tier=replace(BASELINE.tier, every_minutes=15, slice_windows=6),
    # 45 million ids a quarter of an hour on average, compared with 4.7 billion of 26 hours: some 740 s a run. That
    # is the most that one invocation at a time can do: after a peak it does not catch up, and its alarm fires.
    match=replace(
        BASELINE.match, compute=replace(BASELINE.match.compute, memory_mib=4096), every_minutes=15, reserve_seconds=800
    ),
    alert=replace(BASELINE.alert, compute=replace(BASELINE.alert.compute, concurrency=12), maximum_pollers=12),
    query=replace(
        BASELINE.query,
        compute=replace(BASELINE.query.compute, concurrency=60),
        throttle=Throttle(rate=300, burst=600),
    ),
    database=DatabaseProfile(
        instance_type="r7g.8xlarge",
        storage_gib=8000,
        maximum_storage_gib=16000,
        max_connections=2000,
        multi_az=True,
        backup_days=35,
    ),
    # 200,000 rows a second. Ask AWS for the higher quota first: it takes 31 streams otherwise.
    delivery=replace(BASELINE.delivery, peak_mib_per_second=121, quota_mib_per_second=40),
    cache=CacheProfile(maximum_gib=100, maximum_ecpu_per_second=500_000),
    query_scan_limit_gib=2000,
    monthly_budget_usd=50_000,
)

"""The profile for one developer: the baseline with little of everything."""

from dataclasses import replace

from infra.api.door import Throttle
from infra.building_blocks.shift import AT_ONCE
from infra.functions.ingest import Throttles
from infra.profiles.baseline import BASELINE
from infra.stores.cache import CacheProfile
from infra.stores.checkpoints import Lock
from infra.stores.database import DatabaseProfile
from infra.stores.topics import Brokers

# m7g.large even for one developer: t3.small admits too few new connections a second for IAM authentication.
DEV = replace(
    BASELINE,
    name="dev",
    brokers=Brokers(instance_type="kafka.m7g.large", count=3, storage_gib=100),
    ingest=replace(
        BASELINE.ingest,
        compute=replace(BASELINE.ingest.compute, concurrency=20),
        started=0,
        shift_minutes=AT_ONCE,
        throttles=Throttles(
            events=Throttle(rate=1000, burst=2000),
            readings=Throttle(rate=400, burst=800),
            activity=Throttle(rate=400, burst=800),
        ),
    ),
    archive=replace(
        BASELINE.archive,
        compute=replace(BASELINE.archive.compute, concurrency=5),
        batching_window_seconds=2,
        minimum_pollers=1,
        maximum_pollers=5,
    ),
    aggregate=replace(
        BASELINE.aggregate,
        compute=replace(BASELINE.aggregate.compute, concurrency=4),
        minimum_pollers=1,
        maximum_pollers=4,
    ),
    detect=replace(
        BASELINE.detect,
        compute=replace(BASELINE.detect.compute, concurrency=4),
        minimum_pollers=1,
        maximum_pollers=4,
    ),
    deadletter=replace(
        BASELINE.deadletter,
        compute=replace(BASELINE.deadletter.compute, concurrency=2),
        batching_window_seconds=5,
        maximum_pollers=2,
    ),
    alert=replace(
        BASELINE.alert, compute=replace(BASELINE.alert.compute, concurrency=2), minimum_pollers=1, maximum_pollers=2
    ),
    notify=replace(BASELINE.notify, compute=replace(BASELINE.notify.compute, concurrency=8), destinations_at_once=4),
    # A stage that is deleted may lose what is in its buckets.
    checkpoint=replace(BASELINE.checkpoint, lock=Lock(days=1, mode="governance")),
    # A file a day.
    tier=replace(BASELINE.tier, slice_windows=1440),
    recall=replace(BASELINE.recall, concurrency=4),
    database=DatabaseProfile(
        instance_type="t4g.medium",
        storage_gib=20,
        maximum_storage_gib=100,
        max_connections=200,
        multi_az=False,
        backup_days=7,
    ),
    cache=CacheProfile(maximum_gib=1, maximum_ecpu_per_second=5_000),
    delivery=replace(BASELINE.delivery, peak_mib_per_second=1),
    log_days=7,
    shift_minutes=AT_ONCE,
    query_scan_limit_gib=20,
    monthly_budget_usd=1000,
    keeps_data=False,
)

"""The profile of the local stack and of tests."""

from dataclasses import replace

from infra.api.door import Keys, Throttle
from infra.profiles.baseline import BASELINE
from infra.profiles.dev import DEV
from infra.stores.control_data import Rules

# The same shape with short waits, so that no test sits through a real minute.
TEST = replace(
    DEV,
    name="test",
    keys=Keys(key_valkey_seconds=1, key_s3_seconds=2),
    rules=Rules(rule_valkey_seconds=1, rule_s3_seconds=2),
    ingest=replace(
        DEV.ingest,
        # A laptop's few processes answer slowly: callers wait for a free one, where Lambda would start another.
        compute=replace(DEV.ingest.compute, concurrency=98),
        throttles=BASELINE.ingest.throttles,
    ),
    archive=replace(DEV.archive, minimum_pollers=2, batching_window_seconds=1, version_hold_seconds=6),
    aggregate=replace(DEV.aggregate, minimum_pollers=2, transaction_seconds=10, hold_seconds=1, version_hold_seconds=6),
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
    # The same number of a schedule's short minutes.
    pressure=replace(DEV.pressure, hold_seconds=1, snapshot_seconds=15),
    # No device but those of a test. A test that wants a probe invokes it.
    probe=replace(DEV.probe, scheduled=False),
    query=replace(
        DEV.query,
        requests_per_second=200,
        lookup_seconds=3,
        lookup_rest_seconds=2,
        group_believed_seconds=2,
    ),
    lookup=replace(DEV.lookup, directory_seconds=1),
    reconcile=replace(DEV.reconcile, every_minutes=1, archive_grace_seconds=20, aggregate_grace_seconds=10),
    replay=replace(DEV.replay, every_minutes=1, chunk_mib=4, fixed_seconds=10, wait_seconds=1),
    # More than a laptop can do.
    resend=replace(DEV.resend, compute=replace(DEV.resend.compute, concurrency=2), per_second=40_000),
    recount=replace(DEV.recount, minimum_pollers=2, transaction_seconds=10, hold_seconds=1, version_hold_seconds=6),
    alert=replace(DEV.alert, minimum_pollers=2, transaction_seconds=10, hold_seconds=1, version_hold_seconds=6),
    notify=replace(DEV.notify, destination_s3_seconds=2),
    redrive=replace(DEV.redrive, compute=replace(DEV.redrive.compute, concurrency=2), settle_seconds=3),
    trace=replace(
        DEV.trace,
        compute=replace(DEV.trace.compute, concurrency=1),
        throttle=Throttle(rate=100, burst=200),
        requests_per_second=100,
    ),
    detect=replace(DEV.detect, minimum_pollers=2, hold_seconds=1, version_hold_seconds=6),
    # All shards in every run of the schedule's short minutes, and a device is learned in as many of them.
    learn=replace(
        DEV.learn,
        every_seconds=60,
        shards=64,
        learning_seconds=60,
        types_seconds=5,
        statement_seconds=10,
        reserve_seconds=25,
    ),
    backtest=replace(DEV.backtest, seconds=20, statement_seconds=10, reserve_seconds=40),
    deadletter=replace(DEV.deadletter, batching_window_seconds=1),
    # Two streams: baseline has several, too.
    delivery=replace(DEV.delivery, interval_seconds=2, size_mib=64, peak_mib_per_second=6),
)

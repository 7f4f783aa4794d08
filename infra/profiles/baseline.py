"""The profile for a fleet of 50,000 devices."""

from infra.api.door import Keys, Throttle
from infra.building_blocks.consumer import ConsumerProfile
from infra.building_blocks.function import Compute
from infra.deployment import DAY, GIB, HOUR
from infra.functions.admin import AdminProfile
from infra.functions.aggregate import AggregateProfile
from infra.functions.alert import AlertProfile
from infra.functions.archive import ArchiveProfile
from infra.functions.attend import AttendProfile
from infra.functions.backtest import BacktestProfile
from infra.functions.checkpoint import CheckpointProfile
from infra.functions.detect import DetectProfile
from infra.functions.ingest import IngestProfile, Throttles
from infra.functions.learn import LearnProfile
from infra.functions.lookup import LookupProfile
from infra.functions.maintain import MaintainProfile
from infra.functions.match import MatchProfile
from infra.functions.notify import NotifyProfile
from infra.functions.pressure import PressureProfile
from infra.functions.probe import ProbeProfile
from infra.functions.publish import PublishProfile
from infra.functions.query import QueryProfile
from infra.functions.reconcile import ReconcileProfile
from infra.functions.recount import RecountProfile
from infra.functions.redrive import RedriveProfile
from infra.functions.replay import ReplayProfile
from infra.functions.resend import ResendProfile
from infra.functions.roll import RollProfile
from infra.functions.salvage import SalvageProfile
from infra.functions.seek import SeekProfile
from infra.functions.show import ShowProfile
from infra.functions.tier import TierProfile
from infra.functions.trace import TraceProfile
from infra.profiles.profile import Profile
from infra.stores.buckets import Retention
from infra.stores.cache import CacheProfile
from infra.stores.checkpoints import Lock
from infra.stores.control_data import Rules
from infra.stores.database import DatabaseProfile
from infra.stores.delivery import DeliveryProfile
from infra.stores.topics import Brokers, Topic, Topics

BASELINE = Profile(
    name="baseline",
    brokers=Brokers(instance_type="kafka.m7g.large", count=3, storage_gib=500),
    topics=Topics(
        raw_events=Topic(partitions=30, retention_seconds=6 * HOUR),
        replay_events=Topic(partitions=30, retention_seconds=6 * HOUR),
        dead_letter=Topic(partitions=6, retention_seconds=30 * DAY, partition_bytes=4 * GIB),
        alert_events=Topic(partitions=6, retention_seconds=7 * DAY),
    ),
    keys=Keys(key_valkey_seconds=30, key_s3_seconds=240),
    rules=Rules(rule_valkey_seconds=30, rule_s3_seconds=240),
    ingest=IngestProfile(
        # The peak takes 17 at once, as measured here, and 33 if AWS takes twice as long. All routes together admit no
        # more requests than 60 answer: a caller beyond that gets the gateway's 429, and not Lambda's 503.
        compute=Compute(memory_mib=1769, timeout_seconds=15, concurrency=60),
        # Each costs about 15 USD a month while idle, and saves money when busy: started environments run cheaper.
        started=3,
        shift_minutes=10,
        # One bucket for all fleets and for callers without a key. It caps the cost of requests. It is above the peak,
        # so that a fleet's own quota stops it, and not its neighbours' traffic.
        throttles=Throttles(
            events=Throttle(rate=2000, burst=4000),
            readings=Throttle(rate=1000, burst=2000),
            activity=Throttle(rate=1000, burst=2000),
        ),
        produce_deadline_seconds=5,
        minimum_events_per_request=10,
    ),
    archive=ArchiveProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=15),
        batch_size=10_000,
        batching_window_seconds=5,
        late_after_seconds=60,
        minimum_pollers=3,
        maximum_pollers=15,
        hold_seconds=10,
        # Longer than at the edge: no caller waits for archive; a failed dead letter means a retry of the batch.
        produce_deadline_seconds=10,
        # A deployment updates readers first, and waits until they have shifted. A longer wait means a mistake.
        version_hold_seconds=600,
    ),
    # A batch is one transaction. Large ones cost the database least, and freshness allows a wait of one second.
    aggregate=AggregateProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=10),
        batch_size=10_000,
        batching_window_seconds=1,
        late_after_seconds=60,
        minimum_pollers=2,
        maximum_pollers=10,
        transaction_seconds=30,
        hold_seconds=30,
        version_hold_seconds=600,
        # Longer than at the edge: no caller waits for aggregate.
        produce_deadline_seconds=10,
    ),
    # Two runs at a time, each almost two minutes long: one always runs, and both share a large backlog.
    roll=RollProfile(
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
    # No reader is in a hurry for a dead letter: long batches make fewer and larger objects.
    deadletter=ConsumerProfile(
        compute=Compute(memory_mib=512, timeout_seconds=120, concurrency=6),
        batch_size=10_000,
        batching_window_seconds=30,
        late_after_seconds=900,
        minimum_pollers=1,
        maximum_pollers=6,
    ),
    # The largest object is a Firehose buffer of 128 MiB, read line by line: its 169,000 letters took 20 s on a laptop.
    salvage=SalvageProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=300, concurrency=1),
        reserve_seconds=200,
        waiting_seconds=900,
        produce_deadline_seconds=10,
    ),
    migrate=Compute(memory_mib=512, timeout_seconds=600, concurrency=1),
    # A browser asks for the page's files all at once.
    show=ShowProfile(
        compute=Compute(memory_mib=512, timeout_seconds=5, concurrency=40), throttle=Throttle(rate=200, burst=400)
    ),
    admin=AdminProfile(
        compute=Compute(memory_mib=512, timeout_seconds=28, concurrency=5),
        throttle=Throttle(rate=20, burst=40),
        answer_seconds=5,
        key_overlap_days=7,
        reader_key_days=90,
        replay_seconds=15,
        redrive_seconds=20,
        notify_seconds=20,
    ),
    publish=PublishProfile(compute=Compute(memory_mib=512, timeout_seconds=50, concurrency=1), answer_seconds=5),
    # A run verifies up to 110,000 entries. Besides reading them, that takes a core 0.4 s.
    checkpoint=CheckpointProfile(
        compute=Compute(memory_mib=512, timeout_seconds=120, concurrency=1),
        every_minutes=5,
        lock=Lock(days=365, mode="compliance"),
        statement_seconds=10,
    ),
    # A whole CPU: merging a group's digests takes most of the time of a long answer.
    query=QueryProfile(
        compute=Compute(memory_mib=1769, timeout_seconds=28, concurrency=20),
        throttle=Throttle(rate=100, burst=200),
        requests_per_second=20,
        answer_seconds=4,
        recent_seconds=300,
        lookup_seconds=5,
        lookup_rest_seconds=30,
        recall_seconds=10,
        group_believed_seconds=60,
        letters_seconds=15,
        letters_believed_seconds=300,
    ),
    lookup=LookupProfile(compute=Compute(memory_mib=512, timeout_seconds=6, concurrency=5), directory_seconds=2),
    maintain=MaintainProfile(
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
    # Minutes of 50,000 devices are 50,000 x 1,440 x 954 B = 69 GB a day. Two hot days, the day being filled and the day
    # being moved as a whole take up to 275 GB on disk; a week would take 620. Hours take 1 GB a day and are moved by
    # the month: up to 120 GB.
    tier=TierProfile(
        compute=Compute(memory_mib=1769, timeout_seconds=900, concurrency=1),
        every_minutes=60,
        minute_days=2,
        hour_days=90,
        # An hour of minutes, or a day of hours: 3 million rows, 2.4 GB.
        slice_windows=60,
        reserve_seconds=400,
        behind_hours=24,
    ),
    # The snapshot stays valid while two runs fail or are late.
    pressure=PressureProfile(
        compute=Compute(memory_mib=512, timeout_seconds=120, concurrency=1), hold_seconds=30, snapshot_seconds=180
    ),
    # One run at a time, and beside it a request for a statement. Firehose tries for longer than an hour only when S3
    # is away, and then nothing is called missing.
    reconcile=ReconcileProfile(
        compute=Compute(memory_mib=1769, timeout_seconds=600, concurrency=2),
        every_minutes=5,
        archive_grace_seconds=3600,
        aggregate_grace_seconds=900,
        rerun_seconds=120,
        reserve_seconds=180,
        statement_seconds=30,
    ),
    # An hour's 11 million ids on average, 54 million with the peak, and the arrays of 26 hours beside them.
    match=MatchProfile(
        compute=Compute(memory_mib=3008, timeout_seconds=900, concurrency=1),
        every_minutes=60,
        reserve_seconds=500,
        statement_seconds=60,
        behind_hours=3,
        produce_deadline_seconds=10,
    ),
    # Less work for an event than aggregate has, and as little waiting as it: a breach should be known within seconds.
    detect=DetectProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=6),
        batch_size=10_000,
        batching_window_seconds=1,
        late_after_seconds=60,
        minimum_pollers=2,
        maximum_pollers=6,
        stale_seconds=1800,
        hold_seconds=30,
        version_hold_seconds=600,
        produce_deadline_seconds=10,
    ),
    # A shard has 780 devices. A run publishes 16 of 64 shards, and computes the baselines of one that is due.
    learn=LearnProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=300, concurrency=1),
        every_seconds=300,
        shards=16,
        learning_seconds=7 * DAY,
        days=7,
        types_seconds=HOUR,
        lookup_seconds=5,
        statement_seconds=60,
        reserve_seconds=90,
        produce_deadline_seconds=10,
    ),
    # A step of the machine, and beside it a plan and the schedule's run. Its longest piece of work is a slice of files,
    # as tier's is.
    replay=ReplayProfile(
        compute=Compute(memory_mib=1769, timeout_seconds=900, concurrency=3),
        every_minutes=5,
        chunk_mib=32,
        fixed_seconds=420,
        wait_seconds=10,
        statement_seconds=400,
        reserve_seconds=450,
        slow_after_minutes=30,
        timeout_minutes=24 * 60,
    ),
    # Live traffic is 3,000 events a second on average and 15,000 in its peak; aggregate takes twice the peak.
    resend=ResendProfile(
        compute=Compute(memory_mib=1769, timeout_seconds=600, concurrency=3),
        per_second=6_000,
        answer_seconds=5,
        produce_deadline_seconds=10,
    ),
    # Replays are rare: nothing waits here most of the time.
    recount=RecountProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=4),
        batch_size=10_000,
        batching_window_seconds=1,
        late_after_seconds=1800,
        minimum_pollers=1,
        maximum_pollers=4,
        transaction_seconds=30,
        hold_seconds=30,
        version_hold_seconds=600,
        produce_deadline_seconds=10,
    ),
    # A run, and beside it one question for readers and an admin's. Each reads every letter of a range, and holds up to
    # 200,000 ids.
    redrive=RedriveProfile(
        compute=Compute(memory_mib=1769, timeout_seconds=300, concurrency=3),
        per_second=1_000,
        # deadletter's window, the write to S3, and a retry.
        settle_seconds=120,
        answer_seconds=12,
        give_seconds=120,
        produce_deadline_seconds=10,
        statement_seconds=30,
        reserve_seconds=160,
        # archive's grace is an hour.
        standstill_seconds=7200,
    ),
    # Verdicts are few: of what breaches, and of what has an incident. A batch locks the fleets that it concerns.
    alert=AlertProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=120, concurrency=6),
        batch_size=1000,
        batching_window_seconds=1,
        late_after_seconds=60,
        minimum_pollers=1,
        maximum_pollers=6,
        transaction_seconds=20,
        hold_seconds=20,
        version_hold_seconds=600,
        produce_deadline_seconds=10,
    ),
    # A run waits a minute for what is late, so that the next one begins beside it.
    probe=ProbeProfile(
        compute=Compute(memory_mib=512, timeout_seconds=100, concurrency=2), patience_seconds=65, scheduled=True
    ),
    attend=AttendProfile(
        compute=Compute(memory_mib=512, timeout_seconds=60, concurrency=3), statement_seconds=10, reserve_seconds=25
    ),
    # 500 devices of a week, of which a hundred are in memory at once.
    backtest=BacktestProfile(
        compute=Compute(memory_mib=3008, timeout_seconds=300, concurrency=1),
        seconds=90,
        windows=5_000_000,
        statement_seconds=60,
        reserve_seconds=170,
    ),
    # It mostly waits for others. TLS takes its time with less memory.
    notify=NotifyProfile(
        compute=Compute(memory_mib=1024, timeout_seconds=30, concurrency=12),
        destination_s3_seconds=30,
        destinations_at_once=8,
    ),
    recall=Compute(memory_mib=1769, timeout_seconds=20, concurrency=20),
    # Two days of ids are 20 GB here and cost 0.10 USD. People ask, so requests are rare.
    trace=TraceProfile(
        compute=Compute(memory_mib=512, timeout_seconds=28, concurrency=5),
        throttle=Throttle(rate=5, burst=10),
        requests_per_second=0.1,
        answer_seconds=1,
        seek_seconds=15,
    ),
    # Longer than trace waits: even when every call times out, seek must still stop the queries.
    seek=SeekProfile(compute=Compute(memory_mib=512, timeout_seconds=40, concurrency=5), athena_seconds=12),
    # 15,000 rows of 630 bytes.
    delivery=DeliveryProfile(interval_seconds=60, size_mib=128, peak_mib_per_second=9.1, quota_mib_per_second=5),
    database=DatabaseProfile(
        instance_type="r7g.xlarge",
        storage_gib=800,
        maximum_storage_gib=2000,
        max_connections=400,
        multi_az=True,
        backup_days=14,
    ),
    cache=CacheProfile(maximum_gib=10, maximum_ecpu_per_second=50_000),
    retention=Retention(
        raw_days=90,
        dead_letter_days=30,
        failed_batch_days=30,
        delivery_error_days=30,
        query_result_days=7,
        rollup_days=730,
        trail_days=400,
    ),
    log_days=30,
    shift_minutes=5,
    query_scan_limit_gib=200,
    monthly_budget_usd=5000,
    keeps_data=True,
)

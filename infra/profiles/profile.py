"""The settings of a profile, and the rules between them."""

from dataclasses import dataclass

from infra.api.door import Keys
from infra.building_blocks.consumer import ConsumerProfile
from infra.building_blocks.function import Compute
from infra.deployment import require
from infra.functions.admin import AdminProfile
from infra.functions.aggregate import AggregateProfile
from infra.functions.alert import AlertProfile
from infra.functions.archive import ArchiveProfile
from infra.functions.attend import AttendProfile
from infra.functions.backtest import BacktestProfile
from infra.functions.checkpoint import CheckpointProfile
from infra.functions.detect import DetectProfile
from infra.functions.ingest import IngestProfile
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
from infra.stores.buckets import Retention
from infra.stores.cache import CacheProfile
from infra.stores.control_data import Rules
from infra.stores.database import DatabaseProfile
from infra.stores.delivery import DeliveryProfile
from infra.stores.topics import Brokers, Topics
from sluice.core.consumers import CONSUMERS


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All settings of one size of deployment."""

    name: str
    brokers: Brokers
    topics: Topics
    delivery: DeliveryProfile
    database: DatabaseProfile
    cache: CacheProfile
    retention: Retention
    log_days: int
    shift_minutes: int
    """For how long a tenth of the invocations meets a new release, before all do; 0: all at once."""
    query_scan_limit_gib: int
    """How much one Athena query may read before it is stopped: bounds the cost of a forgotten WHERE."""
    monthly_budget_usd: float
    """From which part of it on AWS sends messages; a test holds the expected bill below it."""
    keeps_data: bool
    """Whether the data stays when the stacks are deleted, and deletion is protected."""

    keys: Keys
    rules: Rules
    ingest: IngestProfile
    archive: ArchiveProfile
    aggregate: AggregateProfile
    deadletter: ConsumerProfile
    salvage: SalvageProfile
    pressure: PressureProfile
    probe: ProbeProfile
    roll: RollProfile
    maintain: MaintainProfile
    tier: TierProfile
    recall: Compute
    reconcile: ReconcileProfile
    match: MatchProfile
    detect: DetectProfile
    learn: LearnProfile
    replay: ReplayProfile
    resend: ResendProfile
    recount: RecountProfile
    redrive: RedriveProfile
    alert: AlertProfile
    attend: AttendProfile
    backtest: BacktestProfile
    notify: NotifyProfile
    query: QueryProfile
    lookup: LookupProfile
    trace: TraceProfile
    seek: SeekProfile
    show: ShowProfile
    admin: AdminProfile
    publish: PublishProfile
    checkpoint: CheckpointProfile
    migrate: Compute

    def __post_init__(self) -> None:
        for consumer in CONSUMERS:
            require(
                getattr(self, consumer.name).maximum_pollers <= self.topics.by_name()[consumer.topic].partitions,
                "a poller without a partition has nothing to read",
            )
        require(
            self.tier.minute_days * 24 > self.maintain.sample_hours,
            "minutes must stay longer than samples: those that move to files cannot be rolled again",
        )
        require(
            self.delivery.interval_seconds < self.reconcile.archive_grace_seconds,
            "archive's grace must exceed Firehose's interval: a buffered row is not missing",
        )
        require(
            max(self.reconcile.archive_grace_seconds, self.reconcile.aggregate_grace_seconds)
            < self.topics.raw_events.retention_seconds // 2,
            "missing events must be noticed while Kafka still has them",
        )
        require(
            max(self.archive.compute.timeout_seconds, self.aggregate.compute.timeout_seconds)
            <= self.reconcile.rerun_seconds,
            "a rerun must have as long as an invocation of the consumer may take",
        )
        require(
            max(self.archive.compute.timeout_seconds, self.aggregate.compute.timeout_seconds)
            <= self.redrive.give_seconds,
            "redrive must wait for as long as an invocation of the consumer may take",
        )
        require(
            self.redrive.answer_seconds < self.admin.redrive_seconds,
            "redrive must end its answer before admin gives up, or admin cannot say what was read",
        )
        require(
            self.redrive.answer_seconds < self.query.letters_seconds,
            "redrive must end its answer before query gives up, or readers never see the groups of many letters",
        )
        require(
            2 * self.lookup.directory_seconds <= self.query.lookup_seconds,
            "lookup must give up before query does, or query cannot say why",
        )
        require(
            2 * self.lookup.directory_seconds <= self.learn.lookup_seconds,
            "lookup must give up before learn does, or learn cannot say why",
        )
        require(
            self.query.recall_seconds <= self.recall.timeout_seconds,
            "recall must run for as long as query waits",
        )
        require(
            self.seek.athena_seconds + 2 < self.trace.seek_seconds <= self.seek.compute.timeout_seconds,
            "seek must give up before trace does, or trace cannot say why",
        )

    @property
    def visible_seconds(self) -> int:
        """How old an event is when trace should find it: twice the longest delay of its buffers."""
        stored = self.archive.batching_window_seconds + self.delivery.interval_seconds
        return 2 * max(stored, self.deadletter.batching_window_seconds)

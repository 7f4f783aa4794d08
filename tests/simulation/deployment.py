"""The simulated deployment: which functions it has, when they run and what they read, and the parts around them."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from functions.admin import handler as admin
from functions.aggregate import handler as aggregate
from functions.alert import handler as alert
from functions.archive import handler as archive
from functions.attend import handler as attend
from functions.deadletter import handler as deadletter
from functions.detect import handler as detect
from functions.ingest import handler as ingest
from functions.publish import handler as publish
from functions.reconcile import handler as reconcile
from functions.recount import handler as recount
from functions.redrive import handler as redrive
from functions.replay import handler as replay
from functions.resend import handler as resend
from functions.roll import handler as roll
from functions.salvage import handler as salvage
from local.models.config import MappingConfig, StreamConfig
from tests.simulation import settings
from tests.simulation.broker import Brokers
from tests.simulation.cache import SimulatedCache
from tests.simulation.delivery_stream import DeliveryStream, Firehose, read_columns
from tests.simulation.event_source import EventSource
from tests.simulation.history import (
    ALERTS,
    BATCHES,
    KEYS,
    LIMITS,
    MANY_RETRIES,
    REDRIVES,
    REPLAYS,
    RERUNS,
    ROLLUPS,
    History,
)
from tests.simulation.lambdas import Lambdas
from tests.simulation.names import CLUSTER, FAILED, RAW
from tests.simulation.object_store import ObjectStore
from tests.simulation.processes import Runtime, SimulatedFunction
from tests.simulation.step_functions import StepFunctions
from tests.simulation.topics import Topics
from tests.simulation.world import World


class Described(NamedTuple):
    """A function of the deployment."""

    module: ModuleType
    processes: int
    seconds: float
    every_seconds: float = 0.0
    """How often its schedule starts it; 0: it has none."""
    reads: str = ""
    """The topic of its event source, if it has one."""
    area: str = ""
    """Only histories of this area have it."""


FUNCTIONS = {
    "ingest": Described(ingest, settings.INGEST_PROCESSES, 29),
    "archive": Described(archive, 4, 120, reads="raw-events"),
    "aggregate": Described(aggregate, 4, 240, reads="raw-events"),
    "deadletter": Described(deadletter, 2, 120, reads="dead-letter"),
    "roll": Described(roll, 2, 300, every_seconds=30),
    "reconcile": Described(reconcile, 2, 300, every_seconds=40),
    "salvage": Described(salvage, 1, 300, every_seconds=60),
    "publish": Described(publish, 2, 30, every_seconds=60),
    "admin": Described(admin, 2, 29),
    "detect": Described(detect, 4, 120, reads="raw-events", area=ALERTS),
    "alert": Described(alert, 2, 120, reads="alert-events", area=ALERTS),
    "attend": Described(attend, 2, 60, every_seconds=60, area=ALERTS),
    "redrive": Described(redrive, 2, 120, every_seconds=60, area=REDRIVES),
    "replay": Described(replay, 4, 120, every_seconds=60, area=REPLAYS),
    "resend": Described(resend, 2, 300, area=REPLAYS),
    "recount": Described(recount, 4, 240, reads="replay-events", area=REPLAYS),
}
OF_BENT = {
    BATCHES: ("ingest", "archive", "aggregate", "deadletter"),
    ROLLUPS: ("aggregate", "roll"),
    LIMITS: ("ingest",),
    KEYS: ("ingest", "publish", "admin"),
    RERUNS: ("archive", "aggregate", "salvage", "reconcile"),
}
"""The functions that a history is about which is bent to something."""
ROLLS_OFTEN_SECONDS = 4.0
"""How often roll is started where minutes change while they are rolled: it hardly rests then, as it does in earnest."""
RUN_AGAIN = ("archive", "aggregate")
"""Consumers whose records reconcile runs again: only their event sources may give batches up early."""
NEVER_GIVE_UP = ("deadletter", "alert")
"""Consumers whose batches are retried for ever."""


class Deployment:
    """Everything that runs, in one world."""

    def __init__(self, world: World, history: History, directory: Path) -> None:
        self.world = world
        self._areas = history.areas
        self.functions = {
            name: function
            for name, function in FUNCTIONS.items()
            if not function.area or function.area in history.areas
        }
        self.brokers = Brokers(world)
        self.store = ObjectStore(world)
        self.cache = SimulatedCache(world)
        self.runtime = Runtime(world)
        for name, function in self.functions.items():
            environment = settings.settings_of(name)
            self.runtime.add(
                SimulatedFunction(name, function.module, environment, function.processes, function.seconds)
            )
        streams = {name: _make_stream(world, self.store, name, directory) for name in settings.STREAMS}
        self.firehose = Firehose(world, streams)
        self.topics = Topics(world)
        self.workflows = StepFunctions(world, self.store, self.runtime)
        self.sources = {
            name: self._map(name, function.reads, history)
            for name, function in self.functions.items()
            if function.reads
        }

    def clients(self) -> dict[str, Any]:
        """The clients of services, by the names that boto3 has for them."""
        return {
            "s3": self.store,
            "firehose": self.firehose,
            "lambda": Lambdas(self.world, self.runtime),
            "sns": self.topics,
            "stepfunctions": self.workflows,
        }

    def list_own(self, areas: Iterable[str]) -> list[str]:
        """The functions that some areas are about."""
        running = [name for name, function in self.functions.items() if function.area in areas]
        return sorted({*running, *(name for area in areas for name in OF_BENT.get(area, ()))})

    def find_interval(self, name: str) -> float:
        """How often a function's schedule starts it; 0: it has none."""
        often = name == "roll" and ROLLUPS in self._areas
        return ROLLS_OFTEN_SECONDS if often else self.functions[name].every_seconds

    def unread(self) -> list[str]:
        """The consumers that have not read their topics to the end."""
        return [name for name in self.sources if self.brokers.unread(name, self.functions[name].reads)]

    def _map(self, name: str, topic: str, history: History) -> EventSource:
        gives_up = name not in NEVER_GIVE_UP
        retries = history.retries if name in RUN_AGAIN else MANY_RETRIES
        mapping = MappingConfig(
            uuid=f"mapping-{name}",
            enabled=True,
            cluster_arn=CLUSTER,
            topic=topic,
            group=name,
            function_arn=name,
            function_timeout_seconds=self.functions[name].seconds,
            starting_position="TRIM_HORIZON",
            batch_size=history.batch_size,
            window_seconds=2.0,
            pollers=2,
            partial_failures=True,
            maximum_retries=retries if gives_up else -1,
            maximum_age_seconds=4 * 3600 if gives_up else -1,
            failure_bucket=FAILED if gives_up else None,
        )
        return EventSource(self.world, self.brokers, self.store, self.runtime, mapping)


def _make_stream(world: World, store: ObjectStore, name: str, directory: Path) -> DeliveryStream:
    config = StreamConfig(
        name=name,
        bucket=RAW,
        prefix="raw/region=us-east-1/dt=!{timestamp:yyyy-MM-dd}/",
        error_prefix="errors/!{firehose:error-output-type}/dt=!{timestamp:yyyy-MM-dd}/",
        interval_seconds=20,
        size_mb=128,
        compression="SNAPPY",
        database="sluice",
        table="raw_events",
        columns=read_columns(),
    )
    return DeliveryStream(world, store, config, directory)

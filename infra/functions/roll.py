"""roll: from samples to minutes, hours and days, all the time."""

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import NOTHING_HAPPENED, UNKNOWN, counted
from infra.building_blocks.schedule import Schedule
from infra.settings import RAW_EVENTS
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database
from infra.stores.stream import IAM_PORT, Stream

DATABASE_USER = "sluice_roll"
EVERY_MINUTES = 1
"""The least a schedule knows; within it, and into the next, a run loops."""


class Roll(Construct):
    """The function that rolls windows, and the schedule that keeps it running."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        database: Database,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.roll
        self.function = Function(
            self,
            "roll",
            base=base,
            compute=settings.compute,
            synchronous=False,
            further_layers=[base.layers.database],
            environment={
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "RAW_EVENTS_TOPIC": RAW_EVENTS,
                # Not its own, it produces nothing: how much later than received something may still be stored.
                "PRODUCE_DEADLINE_SECONDS": str(base.deployment.profile.ingest.produce_deadline_seconds),
                "GRACE_SECONDS": str(settings.grace_seconds),
                "STRAGGLER_SECONDS": str(settings.straggler_seconds),
                "HOUR_SECONDS": str(settings.hour_seconds),
                "DAY_SECONDS": str(settings.day_seconds),
                "ROLL_SHARDS": str(settings.shards),
                "ROLL_LOOP_SECONDS": str(settings.loop_seconds),
                "ROLL_PAUSE_SECONDS": str(settings.pause_seconds),
                "ROLL_ANSWER_SECONDS": str(settings.answer_seconds),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
            },
            grants=[*stream.may_watch(RAW_EVENTS, groups=["aggregate"]), database.may_connect_as(DATABASE_USER)],
            reaches=[Reach(database.security_group, DATABASE_PORT), Reach(stream.security_group, IAM_PORT)],
        )
        Schedule(self, "Schedule", base=base, function=self.function, every_minutes=EVERY_MINUTES)
        own = {"service": "roll"}
        base.operations.alarm(
            self,
            "behind",
            metric=counted(base.deployment.metrics, "WatermarkAgeSeconds", own, minutes=5, statistic="Maximum"),
            above=settings.behind_seconds,
            # A run that cannot even tell fails, and that has an alarm of its own.
            no_data=UNKNOWN,
            means=f"Windows close more than {settings.behind_seconds} s late: events wait to be aggregated.",
        )
        base.operations.alarm(
            self,
            "below-horizon",
            metric=counted(base.deployment.metrics, "WindowsBelowHorizon", own, minutes=5),
            above=0,
            no_data=NOTHING_HAPPENED,
            means="Windows were not rolled again although samples came for them: the others were gone already.",
        )

"""maintain: the database's partitions, floors and retention, once an hour."""

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import NOTHING_HAPPENED, counted
from infra.building_blocks.schedule import Schedule
from infra.settings import HOUR
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database

DATABASE_USER = "sluice_maintain"
# A drop that is put off by whoever reads just then is none to speak of; half a day of them is.
OVERDUE_PARTITIONS = 6


class Maintain(Construct):
    """The function that keeps the database in shape, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        database: Database,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.maintain
        self.function = Function(
            self,
            "maintain",
            base=base,
            compute=settings.compute,
            synchronous=False,
            further_layers=[base.layers.database],
            environment={
                "PARTITIONS_AHEAD_HOURS": str(settings.partitions_ahead_hours),
                "SAMPLE_HOURS": str(settings.sample_hours),
                "WAITING_SAMPLE_HOURS": str(settings.waiting_sample_hours),
                "CHANGE_HOURS": str(settings.change_hours),
                "OUTCOME_DAYS": str(settings.outcome_days),
                "SIGHTING_DAYS": str(settings.sighting_days),
                "SUMMARY_DAYS": str(settings.summary_days),
                "LOCK_SECONDS": str(settings.lock_seconds),
                # One statement may take most of a run, and is rolled back rather than cut off.
                "STATEMENT_SECONDS": str(settings.compute.timeout_seconds // 2),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
            },
            grants=[database.may_connect_as(DATABASE_USER)],
            reaches=[Reach(database.security_group, DATABASE_PORT)],
        )
        Schedule(
            self,
            "Schedule",
            base=base,
            function=self.function,
            every_minutes=settings.every_minutes,
        )
        base.operations.alarm(
            self,
            "overdue",
            metric=counted(
                base.deployment.metrics,
                "PartitionsOverdue",
                {"service": "maintain"},
                minutes=60,
                statistic="Maximum",
            ),
            above=OVERDUE_PARTITIONS,
            no_data=NOTHING_HAPPENED,
            means="Partitions of samples cannot be dropped, because somebody holds on to them: the disk fills up.",
        )
        base.operations.alarm(
            self,
            "waiting",
            metric=counted(
                base.deployment.metrics, "SampleAge", {"service": "maintain"}, minutes=60, statistic="Maximum"
            ),
            # The floor is a full hour, and a run may be missed.
            above=(settings.sample_hours + 3) * HOUR,
            no_data=NOTHING_HAPPENED,
            means=f"Samples stay because roll has not rolled them. After {settings.waiting_sample_hours} h they go.",
        )

"""seek: queries Athena for trace. It runs outside the private network, which has no way to Athena."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import counted
from infra.deployment import GIB
from sluice.edge.settings import SeekSettings

SCANNED_AN_HOUR = 2000 * GIB
"""10 USD: what a hundred traces read at baseline."""


@dataclass(frozen=True)
class SeekProfile:
    """The function that searches the files, and how long it waits for Athena."""

    compute: Compute
    athena_seconds: int


class Seek(Function):
    """The function that may read the files of two tables, through one workgroup."""

    def __init__(self, scope: Construct, base: Base, settings: SeekProfile) -> None:
        super().__init__(
            scope,
            "seek",
            base,
            settings,
            # trace waits for it.
            synchronous=True,
            reads=SeekSettings,
            uses=[base.lake.queries.access()],
        )
        base.lake.delivery.read_by(self)
        self.alarm(
            "scans",
            _paid_for(base.lake.queries.workgroup.name),
            above=SCANNED_AN_HOUR,
            means="Traces and analysts read more than 2000 GiB within an hour. That costs 10 USD.",
        )


def _paid_for(workgroup: str) -> cloudwatch.IMetric:
    """Sum up the bytes that a workgroup's queries read: a cancelled query costs as much as an answered one."""
    # The API writes one of these with two L, and CloudWatch with one. A missing metric adds nothing.
    states = {"answered": "SUCCEEDED", "canceled": "CANCELED", "cancelled": "CANCELLED"}
    return cloudwatch.MathExpression(
        expression=" + ".join(f"FILL({name}, 0)" for name in states),
        using_metrics={
            name: counted(
                "AWS/Athena",
                "ProcessedBytes",
                {"WorkGroup": workgroup, "QueryType": "DML", "QueryState": state},
                minutes=60,
            )
            for name, state in states.items()
        },
        period=Duration.minutes(60),
    )

"""The usage of the brokers' disks, from CloudWatch's metrics: the brokers do not report it."""

from datetime import datetime, timedelta
from typing import Any

from sluice.core.errors import Retryable
from sluice.edge import aws

ANSWER_SECONDS, TRIES = 3, 2
PERIOD_SECONDS = 60
LAST_KNOWN = timedelta(minutes=15)
"""The maximum age of a figure: CloudWatch has a minute's figure some minutes later."""


class Disks:
    """Asks for the fullest disk; the last figure is used until it is too old."""

    def __init__(self, cloudwatch: Any, cluster: str, brokers: int) -> None:
        self._cloudwatch = cloudwatch
        self._queries = [_query(cluster, broker) for broker in range(1, brokers + 1)]
        self._known: tuple[datetime, float] | None = None

    def ask(self, now: datetime) -> float:
        """Return the usage of the fullest disk in percent; Retryable while no figure exists."""
        try:
            self._known = (now, self._ask(now))
        except Retryable:
            if self._known is None or now - self._known[0] >= LAST_KNOWN:
                raise
        return self._known[1]

    def _ask(self, now: datetime) -> float:
        with aws.asking("CloudWatch"):
            answer = self._cloudwatch.get_metric_data(
                MetricDataQueries=self._queries,
                StartTime=now - LAST_KNOWN,
                EndTime=now,
                ScanBy="TimestampDescending",
            )
        latest = [one["Values"][0] for one in answer["MetricDataResults"] if one["Values"]]
        # A figure that is not a percentage cannot be a disk's.
        if not (told := [percent for percent in latest if 0 <= percent <= 100]):
            raise Retryable("CloudWatch has no figures of the disks")
        return float(max(told))


def _query(cluster: str, broker: int) -> dict[str, Any]:
    """Ask for one broker's figure: no figure exists for the cluster."""
    dimensions = [{"Name": "Cluster Name", "Value": cluster}, {"Name": "Broker ID", "Value": str(broker)}]
    metric = {"Namespace": "AWS/Kafka", "MetricName": "KafkaDataLogsDiskUsed", "Dimensions": dimensions}
    return {"Id": f"broker{broker}", "MetricStat": {"Metric": metric, "Period": PERIOD_SECONDS, "Stat": "Maximum"}}

"""How full the brokers' disks are, by CloudWatch's metrics: the brokers do not say."""

from datetime import datetime, timedelta
from typing import Any

from sluice.core.errors import Retryable
from sluice.edge import aws

ANSWER_SECONDS, TRIES = 3, 2
PERIOD_SECONDS = 60
LAST_KNOWN = timedelta(minutes=15)
"""How old a figure may be: CloudWatch has a minute's figure some minutes later."""


class Disks:
    """Asks for the fullest disk; the last figure serves until it is old."""

    def __init__(self, cloudwatch: Any, cluster: str, brokers: int) -> None:
        self._cloudwatch = cloudwatch
        self._queries = [_query(cluster, broker) for broker in range(1, brokers + 1)]
        self._known: tuple[datetime, float] | None = None

    def ask(self, now: datetime) -> float:
        """Return what part of the fullest disk holds data, in percent; Retryable while there is no figure."""
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
        # A figure that is no percentage cannot be a disk's.
        if not (told := [percent for percent in latest if 0 <= percent <= 100]):
            raise Retryable("CloudWatch has no figures of the disks")
        return float(max(told))


def _query(cluster: str, broker: int) -> dict[str, Any]:
    """Ask for one broker's figure: there is none for a cluster."""
    dimensions = [{"Name": "Cluster Name", "Value": cluster}, {"Name": "Broker ID", "Value": str(broker)}]
    metric = {"Namespace": "AWS/Kafka", "MetricName": "KafkaDataLogsDiskUsed", "Dimensions": dimensions}
    return {"Id": f"broker{broker}", "MetricStat": {"Metric": metric, "Period": PERIOD_SECONDS, "Stat": "Maximum"}}

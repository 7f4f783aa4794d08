"""How full the brokers' disks are, as CloudWatch has it: the brokers' own interface does not tell."""

from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sluice.core.errors import Retryable

ANSWER_SECONDS, TRIES = 3, 2
PERIOD_SECONDS = 60
LAST_KNOWN = timedelta(minutes=15)
"""How old a figure may be: CloudWatch hears of a minute some minutes later."""


class Disks:
    """Asks for the fullest disk; a figure that was told serves until it is old."""

    def __init__(self, cloudwatch: Any, cluster: str, brokers: int) -> None:
        self._cloudwatch = cloudwatch
        self._queries = [_query(cluster, broker) for broker in range(1, brokers + 1)]
        self._known: tuple[datetime, float] | None = None

    def ask(self, now: datetime) -> float:
        """Return what part of the fullest disk holds data, in percent; Retryable while nobody can tell."""
        try:
            self._known = (now, self._ask(now))
        except Retryable:
            if self._known is None or now - self._known[0] >= LAST_KNOWN:
                raise
        return self._known[1]

    def _ask(self, now: datetime) -> float:
        try:
            answer = self._cloudwatch.get_metric_data(
                MetricDataQueries=self._queries,
                StartTime=now - LAST_KNOWN,
                EndTime=now,
                ScanBy="TimestampDescending",
            )
        except (BotoCoreError, ClientError) as error:
            raise Retryable(f"CloudWatch does not say how full the disks are: {error}") from error
        latest = [one["Values"][0] for one in answer["MetricDataResults"] if one["Values"]]
        # What is no percentage is no figure of a disk.
        if not (told := [percent for percent in latest if 0 <= percent <= 100]):
            raise Retryable("CloudWatch has no figures of the disks")
        return float(max(told))


def _query(cluster: str, broker: int) -> dict[str, Any]:
    """Ask for one broker's figure: there is none for a cluster."""
    dimensions = [{"Name": "Cluster Name", "Value": cluster}, {"Name": "Broker ID", "Value": str(broker)}]
    metric = {"Namespace": "AWS/Kafka", "MetricName": "KafkaDataLogsDiskUsed", "Dimensions": dimensions}
    return {"Id": f"broker{broker}", "MetricStat": {"Metric": metric, "Period": PERIOD_SECONDS, "Stat": "Maximum"}}

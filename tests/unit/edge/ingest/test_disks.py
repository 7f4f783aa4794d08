"""The fullest disk, as CloudWatch reports it."""

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from sluice.core.errors import Retryable
from sluice.edge.ingest.disks import LAST_KNOWN, Disks
from tests.support.samples import NOW

UNREACHABLE = ReadTimeoutError(endpoint_url="https://monitoring")


class CloudWatch:
    """Answers with the latest values of each broker, or not."""

    def __init__(self, *values: list[float]) -> None:
        self.values = values
        self.fails: Exception | None = None
        self.asked: dict[str, Any] = {}

    def get_metric_data(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        if self.fails:
            raise self.fails
        return {"MetricDataResults": [{"Values": values} for values in self.values]}


def test_the_fullest_broker_counts_by_its_latest_figure() -> None:
    cloudwatch = CloudWatch([20.0, 99.0], [72.5, 10.0], [])
    assert Disks(cloudwatch, "sluice-test-events", 3).ask(NOW) == 72.5
    assert (cloudwatch.asked["StartTime"], cloudwatch.asked["EndTime"]) == (NOW - LAST_KNOWN, NOW)
    assert cloudwatch.asked["ScanBy"] == "TimestampDescending"
    metrics = [query["MetricStat"]["Metric"] for query in cloudwatch.asked["MetricDataQueries"]]
    assert [{one["Name"]: one["Value"] for one in metric["Dimensions"]} for metric in metrics] == [
        {"Cluster Name": "sluice-test-events", "Broker ID": broker} for broker in ("1", "2", "3")
    ]


@pytest.mark.parametrize("values", [[[]], [[-1.0]], [[float("nan")], [400.0]]])
def test_no_figure_and_no_percentage_are_no_disk(values: list[list[float]]) -> None:
    with pytest.raises(Retryable, match="no figures"):
        Disks(CloudWatch(*values), "c", len(values)).ask(NOW)


@pytest.mark.parametrize("error", [UNREACHABLE, ClientError({"Error": {"Code": "Throttling"}}, "GetMetricData")])
def test_a_figure_that_was_told_serves_until_it_is_old(error: Exception) -> None:
    cloudwatch = CloudWatch([72.5])
    disks = Disks(cloudwatch, "c", 1)
    disks.ask(NOW)
    cloudwatch.fails = error
    assert disks.ask(NOW + LAST_KNOWN - timedelta(seconds=1)) == 72.5
    with pytest.raises(Retryable, match="CloudWatch failed"):
        disks.ask(NOW + LAST_KNOWN)

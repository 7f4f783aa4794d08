"""A model of what Amazon MSK tells CloudWatch of its brokers: how full each one's data disk is.

Modelled: `KafkaDataLogsDiskUsed` for each broker, in percent, put into the emulated CloudWatch under the names that MSK
uses. A disk is as large as the template says; what is on it is what the broker's data directory holds.

Not modelled: every other metric, and the minutes after which CloudWatch hears of them.

`POST /_model/disk` (ours) with `{"percent": 95}` makes it say so of the first broker; an empty object ends that.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from local.models.aws_client import aws_client
from local.models.config import BrokerMetricsConfig, read
from local.models.serve import main

log = logging.getLogger(__name__)

GIB = 1024**3


class Disk(msgspec.Struct, forbid_unknown_fields=True):
    """What to say of the first broker instead of the truth, on a test's request."""

    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None


class BrokerMetrics:
    """Measures the brokers' disks and puts what they are."""

    def __init__(self, config: BrokerMetricsConfig, cloudwatch: Any) -> None:
        self._config = config
        self._cloudwatch = cloudwatch
        self._told = Disk()

    async def keep(self) -> None:
        """Put the metric again and again."""
        while True:
            try:
                await asyncio.to_thread(self.put)
            except (BotoCoreError, ClientError) as error:
                log.warning("not put: %s", error)
            await asyncio.sleep(self._config.every_seconds)

    def put(self) -> None:
        """Put what every disk is now."""
        percents = [100 * _bytes_in(Path(each)) / (self._config.disk_gib * GIB) for each in self._config.directories]
        if self._told.percent is not None:
            percents[0] = self._told.percent
        data = [self._datum(number, percent) for number, percent in enumerate(percents, start=1)]
        self._cloudwatch.put_metric_data(Namespace="AWS/Kafka", MetricData=data)

    async def tell(self, request: web.Request) -> web.Response:
        """Say from now on what the request says."""
        try:
            self._told = msgspec.json.decode(await request.read(), type=Disk)
        except msgspec.DecodeError as error:
            return web.json_response({"message": str(error)}, status=400)
        await asyncio.to_thread(self.put)
        return web.json_response(msgspec.to_builtins(self._told))

    def _datum(self, broker: int, percent: float) -> dict[str, Any]:
        dimensions = {"Cluster Name": self._config.cluster, "Broker ID": str(broker)}
        return {
            "MetricName": "KafkaDataLogsDiskUsed",
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Value": percent,
            "Unit": "Percent",
        }


def _bytes_in(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        # Kafka deletes segments while we look.
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size * path.is_file()
    return total


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The metric of all brokers, and the means to falsify it."""
    config = read(BrokerMetricsConfig, config_file)
    metrics = BrokerMetrics(config, aws_client("cloudwatch", config.aws, config.region))
    application = web.Application()
    application.router.add_post("/_model/disk", metrics.tell)
    keeping = asyncio.create_task(metrics.keep())
    try:
        yield application
    finally:
        keeping.cancel()


if __name__ == "__main__":
    main(model)

"""A CloudWatch dashboard for each audience: operators, platform, fleets, and dropouts.

Each graph answers one question of its audience. Names are written, not referred to: other stacks may replace what they
name.
"""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.building_blocks.foundation import Foundation
from infra.building_blocks.operations import counted
from infra.watch.severity import OUTAGES
from sluice.core import metrics
from sluice.core.consumers import CONSUMERS
from sluice.core.metrics import Metric

WIDTH, HEIGHT = 12, 6
MINUTES = 5
Lines = Mapping[str, cloudwatch.IMetric]


class Dashboards(Construct):
    """The dashboards of a deployment."""

    def __init__(
        self, scope: Construct, foundation: Foundation, *, api_id: str, database: str, brokers: int, streams: int
    ) -> None:
        super().__init__(scope, "Dashboards")
        self._deployment = foundation.deployment
        self._api, self._database = {"ApiId": api_id}, {"DBInstanceIdentifier": database}
        self._brokers, self._streams = brokers, streams
        self._make("operators", self._outages(), *self._for_operators())
        self._make("platform", *self._for_platform())
        self._make("fleets", *self._for_fleets())
        self._make("dropouts", *self._for_dropouts())

    def _make(self, audience: str, *widgets: cloudwatch.IWidget) -> None:
        cloudwatch.Dashboard(
            self,
            audience.capitalize(),
            dashboard_name=self._deployment.named(audience),
            default_interval=Duration.hours(3),
            # Two graphs in a row.
            widgets=[list(widgets[at : at + 2]) for at in range(0, len(widgets), 2)],
        )

    def _outages(self) -> cloudwatch.IWidget:
        alarms = [
            cloudwatch.Alarm.from_alarm_name(self, outage.name, self._deployment.named(outage.name))
            for outage in OUTAGES
        ]
        return cloudwatch.AlarmStatusWidget(title="Outages", alarms=alarms, width=WIDTH, height=HEIGHT)

    def _for_operators(self) -> list[cloudwatch.IWidget]:
        late = {consumer.name: self._lag(consumer.name, consumer.topic) for consumer in CONSUMERS}
        return [
            _graph("Are events accepted? Events in five minutes", self._of_ingest()),
            _graph("Do requests fail? Answers 5xx", {"5xx": self._of_api("5xx")}),
            _graph("How long do devices wait? Milliseconds, p99", {"p99": self._of_api("Latency", "p99")}),
            _graph("How far are consumers behind? Seconds", late),
            _graph(
                "How old are numbers? Seconds",
                {
                    "oldest event stored": self._own("aggregate", metrics.OLDEST_EVENT, "Maximum"),
                    "watermark": self._own("roll", metrics.WATERMARK_AGE, "Maximum"),
                    "probe event, until it was readable": self._own("probe", metrics.PROBE_READABLE, "Maximum"),
                },
            ),
            _graph("Is the edge refusing? Share", {"refused": self._own("pressure", metrics.REFUSED_SHARE, "Maximum")}),
            _graph(
                "Is every event accounted for? Events",
                {"unaccounted": self._own("reconcile", metrics.UNACCOUNTED_EVENTS, "Maximum")},
            ),
            _graph(
                "Do messages reach people?",
                {
                    "sent": self._own("notify", metrics.NOTIFICATIONS_SENT),
                    "failed": self._own("notify", metrics.NOTIFICATIONS_FAILED),
                    "given up": self._own("notify", metrics.NOTIFICATIONS_GIVEN_UP),
                },
            ),
        ]

    def _for_platform(self) -> list[cloudwatch.IWidget]:
        return [
            _graph("Functions at once", {"": self._of_functions("ConcurrentExecutions", "Maximum")}),
            _graph("Functions: errors", {"": self._of_functions("Errors", "Sum")}),
            _graph("Functions: throttles", {"": self._of_functions("Throttles", "Sum")}),
            _graph("Functions: milliseconds, p99", {"": self._of_functions("Duration", "p99")}),
            _graph("Database: processors, %", {"busy": self._of_database("CPUUtilization", "Average")}),
            _graph("Database: connections", {"used": self._of_database("DatabaseConnections", "Maximum")}),
            _graph("Database: free bytes", {"free": self._of_database("FreeStorageSpace", "Minimum")}),
            _graph("Brokers: idle, %", self._of_brokers("CpuIdle", "Average")),
            _graph("Brokers: disk used, %", self._of_brokers("KafkaDataLogsDiskUsed", "Maximum")),
            _graph(
                "Valkey: ECPU and refused commands in five minutes",
                {name: self._of_cache(name) for name in ("ElastiCacheProcessingUnits", "ThrottledCmds")},
            ),
            _graph("Delivery: bytes in five minutes", self._of_streams("IncomingBytes", "Sum")),
            _graph(
                "Delivery: seconds until rows are in a file", self._of_streams("DeliveryToS3.DataFreshness", "Maximum")
            ),
        ]

    def _for_fleets(self) -> list[cloudwatch.IWidget]:
        refused = (
            f"SEARCH('{{{self._deployment.metrics},fleet,reason,service}}"
            f" MetricName=\"{metrics.REQUESTS_REFUSED.name}\"', 'Sum', {MINUTES * 60})"
        )
        return [
            _graph("What is accepted of all fleets? Events in five minutes", self._of_ingest()),
            _graph("Whose requests are refused, and why?", {"": _expression(refused)}),
            _graph(
                "Incidents",
                {
                    "open": self._own("attend", metrics.INCIDENTS_OPEN, "Maximum"),
                    "without a message": self._own("attend", metrics.INCIDENTS_HELD, "Maximum"),
                    "opened": self._own("alert", metrics.INCIDENTS_OPENED),
                },
            ),
            _graph(
                "How long until people are notified? Seconds from the reading",
                {"p99": self._own("notify", metrics.NOTIFICATION_TIME, "p99")},
            ),
            _graph(
                "Devices that only thresholds could judge, or old statistics",
                {
                    "no statistics": self._own("detect", metrics.STATISTICS_MISSING),
                    "old statistics": self._own("detect", metrics.STATISTICS_STALE),
                },
            ),
            _graph(
                "Does the directory answer?",
                {"unanswered": self._own("lookup", metrics.DIRECTORY_UNAVAILABLE)},
            ),
        ]

    def _for_dropouts(self) -> list[cloudwatch.IWidget]:
        return [
            _graph(
                "At the edge: not taken, events in five minutes",
                {
                    "rejected": self._own("ingest", metrics.EVENTS_REJECTED),
                    "to send again": self._own("ingest", metrics.EVENTS_TO_RETRY),
                    "requests refused for pressure": self._own("ingest", metrics.REFUSED_FOR_PRESSURE),
                },
            ),
            _graph(
                "In numbers: taken and not counted",
                {
                    "late": self._own("aggregate", metrics.EVENTS_LATE),
                    "duplicate": self._own("aggregate", metrics.EVENTS_DUPLICATE),
                    "ids that recur": self._own("match", metrics.SAMPLES_REMOVED),
                },
            ),
            _graph(
                "Put aside by consumers",
                {name: self._own(name, metrics.RECORDS_QUARANTINED) for name in ("archive", "aggregate", "detect")},
            ),
            _graph(
                "Dead letters",
                {
                    "stored": self._own("deadletter", metrics.LETTERS_KEPT),
                    "of what was given up": self._own("salvage", metrics.LETTERS_SALVAGED),
                    "sent again": self._own("redrive", metrics.EVENTS_REDRIVEN),
                },
            ),
            _graph(
                "Missing, and run again",
                {
                    "missing": self._own("reconcile", metrics.UNACCOUNTED_EVENTS, "Maximum"),
                    "run again": self._own("reconcile", metrics.EVENTS_RERUN),
                },
            ),
            _graph(
                "Fleets that fell silent",
                {"fleets asleep": self._own("learn", metrics.FLEETS_ASLEEP, "Maximum")},
            ),
        ]

    def _own(self, verb: str, metric: Metric, statistic: str = "Sum") -> cloudwatch.Metric:
        return counted(self._deployment.metrics, metric.name, {"service": verb}, minutes=MINUTES, statistic=statistic)

    def _of_ingest(self) -> Lines:
        return {
            "accepted": self._own("ingest", metrics.EVENTS_ACCEPTED),
            "rejected": self._own("ingest", metrics.EVENTS_REJECTED),
            "to send again": self._own("ingest", metrics.EVENTS_TO_RETRY),
        }

    def _of_api(self, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return counted("AWS/ApiGateway", name, self._api, minutes=MINUTES, statistic=statistic)

    def _of_database(self, name: str, statistic: str) -> cloudwatch.Metric:
        return counted("AWS/RDS", name, self._database, minutes=MINUTES, statistic=statistic)

    def _of_cache(self, name: str) -> cloudwatch.Metric:
        return counted("AWS/ElastiCache", name, {"clusterId": self._deployment.named("cache")}, minutes=MINUTES)

    def _of_functions(self, name: str, statistic: str) -> cloudwatch.IMetric:
        """All functions of the stage, also those of later releases."""
        # Words of a name, which CloudWatch splits at its hyphens. In quotes it would be the whole name.
        ours = f'MetricName="{name}" sluice {self._deployment.stage}'
        return _expression(f"SEARCH('{{AWS/Lambda,FunctionName}} {ours}', '{statistic}', {MINUTES * 60})")

    def _of_brokers(self, name: str, statistic: str) -> Lines:
        cluster = {"Cluster Name": self._deployment.named("events")}
        return {
            f"broker {number}": counted(
                "AWS/Kafka", name, {**cluster, "Broker ID": str(number)}, minutes=MINUTES, statistic=statistic
            )
            for number in range(1, self._brokers + 1)
        }

    def _of_streams(self, name: str, statistic: str) -> Lines:
        names = ["raw", *(f"raw-{number}" for number in range(2, self._streams + 1))]
        return {
            stream: counted(
                "AWS/Firehose",
                name,
                {"DeliveryStreamName": self._deployment.named(stream)},
                minutes=MINUTES,
                statistic=statistic,
            )
            for stream in names
        }

    def _lag(self, group: str, topic: str) -> cloudwatch.Metric:
        named = {"Cluster Name": self._deployment.named("events"), "Consumer Group": group, "Topic": topic}
        return counted("AWS/Kafka", "EstimatedMaxTimeLag", named, minutes=MINUTES, statistic="Maximum")


def _graph(title: str, lines: Lines) -> cloudwatch.GraphWidget:
    left = [line.with_(label=label) if isinstance(line, cloudwatch.Metric) else line for label, line in lines.items()]
    return cloudwatch.GraphWidget(title=title, left=left, width=WIDTH, height=HEIGHT)


def _expression(text: str) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(expression=text, using_metrics={}, label="", period=Duration.minutes(MINUTES))

"""What it costs to run the deployment: endpoints, schedules, alarms, logs, keys, and the answers to people."""

from collections.abc import Iterator

from cli.cost.bill import Position
from cli.cost.figures import Figures
from cli.cost.front import GB, invoked, logged, started, traced
from cli.cost.templates import Deployed
from cli.cost.workload import HOURS, Workload

SECONDS = HOURS * 3600
METRICS_OF_A_ROUTE = 5
"""Count, both kinds of errors, both latencies, data: what the gateway writes for a route that asks for it."""
SOURCE_METRICS = 5
"""Polled, filtered, invoked, failed, dropped, delivered: what an event source writes that asks for it."""


def operation(deployed: Deployed, _work: Workload, figures: Figures) -> Iterator[Position]:
    """List what is there without a single event, and what readers ask."""
    yield Position("Endpoints", "hours", "interface_endpoint_hour", deployed.endpoints * HOURS, "size")
    for function in deployed.functions.values():
        yield from started(function)
    yield from _schedules(deployed, figures)
    yield from _readers(deployed, figures)
    # What ingest and query do for them is less than a dollar.
    probed = deployed.functions["probe"].runs_a_month * figures.probe_requests.value
    yield Position("API Gateway", "requests of probe", "http_api_request", probed, "size")
    metrics = figures.metrics.value + deployed.detailed_routes * METRICS_OF_A_ROUTE
    metrics += sum(source.counted for source in deployed.pollers.values()) * SOURCE_METRICS
    yield Position("CloudWatch", "metrics", "cloudwatch_metric_month", metrics, "size")
    yield Position("CloudWatch", "alarms", "cloudwatch_alarm_month", deployed.alarm_metrics, "size")
    outages, dashboards = deployed.composite_alarms, deployed.dashboards
    yield Position("CloudWatch", "composite alarms", "cloudwatch_composite_month", outages, "size")
    yield Position("CloudWatch", "dashboards", "cloudwatch_dashboard_month", dashboards, "size")
    yield Position("KMS", "keys", "kms_key_month", deployed.keys, "size")
    yield Position("Secrets Manager", "secrets", "secret_month", deployed.secrets, "size")


def _schedules(deployed: Deployed, figures: Figures) -> Iterator[Position]:
    for function in deployed.functions.values():
        if not function.runs_a_month:
            continue
        runs = function.runs_a_month
        yield from invoked(function, runs, runs * figures.scheduled_seconds[function.name].value, "size")
        yield from traced(function, runs, SECONDS, "size")
        yield from logged(f"log of {function.name}", runs, figures.scheduled_line_bytes.value, figures, "size")
        yield Position("Scheduler", function.name, "scheduler_invocation", runs, "size")


def _readers(deployed: Deployed, figures: Figures) -> Iterator[Position]:
    answers = figures.answers_per_second.value * SECONDS
    yield Position("API Gateway", "answers to readers", "http_api_request", answers, "questions")
    answered = answers * figures.answer_kilobytes.value * 1e3 / GB
    yield Position("API Gateway", "data to readers", "internet_out_gb", answered, "questions")
    query = deployed.functions["query"]
    yield from invoked(query, answers, answers * figures.answer_milliseconds.value / 1e3, "questions")
    yield from traced(query, answers, SECONDS, "questions")

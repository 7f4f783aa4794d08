"""Writing metrics: one line per invocation carries them all."""

from collections.abc import Mapping

from aws_lambda_powertools import Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.metrics import Metric

metrics = Metrics()
"""A handler's decorator `metrics.log_metrics` writes the line when the invocation ends."""


def record(metric: Metric, value: float) -> None:
    """Add a value to the invocation's line."""
    metrics.add_metric(metric.name, MetricUnit(metric.unit), value)


def record_apart(metric: Metric, value: float, **dimensions: str) -> None:
    """Write a separate line for a metric whose dimensions the invocation's line must not have."""
    with single_metric(metric.name, MetricUnit(metric.unit), value) as line:
        for name, given in dimensions.items():
            line.add_dimension(name, given)


def record_all(values: Mapping[Metric, float]) -> dict[str, float]:
    """Add values to the invocation's line; return them by name, for an answer or a log line."""
    for metric, value in values.items():
        record(metric, value)
    return {metric.name: value for metric, value in values.items()}

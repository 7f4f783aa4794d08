"""The availability that is promised, and how fast its error budget burns: for devices, and apart for people."""

from collections.abc import Callable, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.building_blocks.foundation import Foundation
from infra.building_blocks.function import Function
from infra.building_blocks.operations import counted
from sluice.core import metrics

BUDGET_PERCENT = 0.1
"""What may fail: 99.9 % is promised."""
_PER_BUDGET = f"{100 / BUDGET_PERCENT:g}"
FEW = 5
"""So many failures in a window burn nothing: on a quiet stage one is a large share."""
FAST, SLOW, STEADY = 14.4, 6, 1
"""How many times faster than allowed the budget burns: 2 % of a month in an hour, 5 % in six, 10 % in three days."""
WINDOWS = {"1h": (60, FAST), "5m": (5, FAST), "6h": (360, SLOW), "30m": (30, SLOW)}
"""The minutes of each window, and from which rate it counts; two of one rate page together."""
BUSY_REQUESTS = 3000
"""Requests in five minutes from which their share counts that no function saw: strangers ask a quiet stage too."""
UNSEEN_PERCENT = 10


class Availability(Construct):
    """The burn rates, and the share of requests that the gateway answers by itself.

    Devices fail when ingest fails, is throttled, or answers `retry` because it cannot store. What it refuses under
    pressure or over a quota is an answer. What the gateway answers with a 5xx besides is counted to the people.
    The gateway's metrics of single routes are not used: AWS's pages do not agree about their dimensions.
    """

    def __init__(self, scope: Construct, foundation: Foundation, *, api_id: str, doors: Sequence[Function]) -> None:
        super().__init__(scope, "Slo")
        self._foundation = foundation
        self._api = {"ApiId": api_id}
        self._ingest, *_ = doors
        for of, rate in (("devices", self._devices), ("people", self._people)):
            self._watch(of, rate)
        foundation.operations.alarm(
            self,
            "unseen",
            metric=self._unseen(doors),
            above=UNSEEN_PERCENT,
            times=3,
            means=f"The gateway has answered more than {UNSEEN_PERCENT} % of requests by itself: it throttled a route,"
            " or there is no such route. No function saw them, and callers got answers that are not ours.",
        )

    def _watch(self, of: str, rate: Callable[[int], cloudwatch.IMetric]) -> None:
        for name, (minutes, bound) in WINDOWS.items():
            self._foundation.operations.alarm(
                self,
                f"{of}-{name}",
                metric=rate(minutes),
                above=bound,
                silent=True,
                means=f"Within {name}, {of} met failures {bound:g} times as often as the promised 99.9 % allows.",
            )
        self._foundation.operations.alarm(
            self,
            f"{of}-3d",
            # A period lasts a day at most.
            metric=rate(24 * 60),
            above=STEADY,
            times=3,
            means=f"On each of three days, {of} met more failures than the promised 99.9 % allows.",
        )

    def _devices(self, minutes: int) -> cloudwatch.IMetric:
        """Compute the worse of two rates: of requests that fail, and of events that cannot be stored.

        A stage without devices has one event of probe a minute; alarm probe-unaccepted tells when all of those fail.
        """
        counts = {
            "stored": metrics.EVENTS_ACCEPTED,
            "rejected": metrics.EVENTS_REJECTED,
            "unstored": metrics.EVENTS_TO_RETRY,
        }
        own = {name: self._ingest.own(metric, minutes=minutes) for name, metric in counts.items()}
        failed = _share("(FILL(errors, 0) + FILL(throttles, 0))", "(FILL(runs, 0) + FILL(throttles, 0))")
        unstored = _share("FILL(unstored, 0)", "(FILL(stored, 0) + FILL(rejected, 0) + FILL(unstored, 0))")
        return cloudwatch.MathExpression(
            expression=f"{_PER_BUDGET} * MAX([{failed}, {unstored}])",
            using_metrics={**own, **self._of_ingest(minutes)},
            period=Duration.minutes(minutes),
        )

    def _people(self, minutes: int) -> cloudwatch.IMetric:
        """Compute it from what the gateway counts, without what ingest does."""
        failed = "(FILL(failed, 0) - FILL(errors, 0) - FILL(throttles, 0))"
        requests = "(FILL(requests, 0) - FILL(runs, 0) - FILL(throttles, 0))"
        return cloudwatch.MathExpression(
            expression=f"{_PER_BUDGET} * {_share(failed, requests)}",
            using_metrics={
                "failed": counted("AWS/ApiGateway", "5xx", self._api, minutes=minutes),
                "requests": counted("AWS/ApiGateway", "Count", self._api, minutes=minutes),
                **self._of_ingest(minutes),
            },
            period=Duration.minutes(minutes),
        )

    def _unseen(self, doors: Sequence[Function]) -> cloudwatch.IMetric:
        runs = {function.verb: self._of_lambda(function.verb, "Invocations", 5) for function in doors}
        seen = " + ".join(f"FILL({verb}, 0)" for verb in runs)
        return cloudwatch.MathExpression(
            expression=f"IF(requests > {BUSY_REQUESTS}, 100 * (requests - ({seen})) / requests, 0)",
            using_metrics={"requests": counted("AWS/ApiGateway", "Count", self._api, minutes=5), **runs},
            period=Duration.minutes(5),
        )

    def _of_ingest(self, minutes: int) -> dict[str, cloudwatch.IMetric]:
        named = {"runs": "Invocations", "errors": "Errors", "throttles": "Throttles"}
        return {name: self._of_lambda(self._ingest.verb, metric, minutes) for name, metric in named.items()}

    def _of_lambda(self, verb: str, metric: str, minutes: int) -> cloudwatch.Metric:
        # By name: another stack has the function, and may replace it.
        function = {"FunctionName": self._foundation.deployment.named(verb)}
        return counted("AWS/Lambda", metric, function, minutes=minutes)


def _share(failures: str, of: str) -> str:
    return f"IF({failures} > {FEW}, {failures} / {of}, 0)"

"""The quotas that a deployment may exceed: Lambda's concurrent executions, and what Firehose takes."""

from datetime import datetime, timedelta
from typing import Any

from cli.account.needs import MissingError, Needs
from cli.aws import OpenClient

UNRESERVED = 100
"""What Lambda keeps of an account's executions for functions that reserve none."""
LAMBDA_QUOTA = "L-B99A9384"
MIB = 1024**2
GENEROUS = ("us-east-1", "us-west-2", "eu-west-1")
"""The regions where a delivery stream takes 5 MiB/s by default; elsewhere it takes 1."""


def find_executions(needs: Needs, client_of: OpenClient, _now: datetime) -> str:
    """Compare the concurrent executions that are unreserved with those that the functions reserve."""
    client = client_of("lambda")
    limits = client.get_account_settings()["AccountLimit"]
    limit = int(limits["ConcurrentExecutions"])
    free = int(limits["UnreservedConcurrentExecutions"]) + _reserved_already(client, needs.deployment.named(""))
    has = f"{free} of {limit} concurrent executions are unreserved"
    if not needs.deployment.reserves:
        return f"{has}; the stage reserves none and shares them"
    wanted = needs.reserved + UNRESERVED
    if free >= wanted:
        return f"{has}; the stage reserves {needs.reserved}, and {UNRESERVED} stay unreserved"
    request = (
        f"`aws service-quotas request-service-quota-increase --region {needs.deployment.region} --service-code lambda"
        f" --quota-code {LAMBDA_QUOTA} --desired-value {limit - free + wanted}`"
    )
    instead = "" if needs.deployment.keeps_data else ", or deploy with RESERVE=no"
    raise MissingError(
        f"{has}, and the stage reserves {needs.reserved} where {UNRESERVED} must stay unreserved: {request}{instead}"
    )


def _reserved_already(client: Any, prefix: str) -> int:
    """Add up what an earlier deployment of the stage reserved: the next one does not reserve it twice."""
    total = 0
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            if function["FunctionName"].startswith(prefix):
                found = client.get_function_concurrency(FunctionName=function["FunctionName"])
                total += int(found.get("ReservedConcurrentExecutions", 0))
    return total


def find_delivery(needs: Needs, client_of: OpenClient, now: datetime) -> str:
    """Compare what AWS lets a delivery stream take with what the profile counts on.

    A stream reports its own limit. Before there is one, only the documentation says what AWS grants.
    """
    region, wanted = needs.deployment.region, needs.firehose_mib
    reported = _read_limit(client_of("cloudwatch"), now)
    granted = (5.0 if region in GENEROUS else 1.0) if reported is None else reported / MIB
    source = "by AWS's documentation" if reported is None else "as a stream of this account reports"
    has = f"a delivery stream takes {granted:g} MiB/s in {region}, {source}"
    if wanted <= granted:
        return f"{has}; the profile counts on {wanted:g}"
    raise MissingError(
        f"{has}, and the profile counts on {wanted:g}: deploy with FIREHOSE_MIB={granted:g}, which makes more streams,"
        f" or ask for {wanted:g} in the Amazon Data Firehose limits form of the support console"
    )


def _read_limit(client: Any, now: datetime) -> float | None:
    """Read the largest limit that a stream of the region reported within a day, in bytes per second."""
    metric = {"Namespace": "AWS/Firehose", "MetricName": "BytesPerSecondLimit"}
    limits = []
    for listed in client.list_metrics(**metric)["Metrics"][:10]:
        found = client.get_metric_statistics(
            **metric,
            Dimensions=listed["Dimensions"],
            StartTime=now - timedelta(days=1),
            EndTime=now,
            Period=3600,
            Statistics=["Maximum"],
        )
        limits += [float(point["Maximum"]) for point in found["Datapoints"]]
    return max(limits, default=None)

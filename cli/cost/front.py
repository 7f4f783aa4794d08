"""What devices' requests cost: the gateway, ingest, and their logs."""

from collections.abc import Iterator

from cli.cost.bill import Driver, Position
from cli.cost.figures import Figures
from cli.cost.templates import Deployed, Function
from cli.cost.workload import HOURS, Workload

GB = 1e9
STEP = 512 * 1024
"""The gateway bills a larger body as several requests."""


def front(deployed: Deployed, work: Workload, figures: Figures) -> Iterator[Position]:
    """List what requests cost until ingest has answered them."""
    steps = -(-work.events_per_request * figures.event_bytes.value // STEP)
    yield Position("API Gateway", "requests", "http_api_request", work.requests * steps, "requests")
    answered = work.requests * figures.answer_bytes.at(work.events_per_request)
    if deployed.firewall_rules:
        yield from _firewall(deployed, work, figures, answered)
    else:
        yield Position("API Gateway", "answers to devices", "internet_out_gb", answered / GB, "requests")
    line = deployed.access_log_text + sum(figures.access_value_bytes[each].value for each in deployed.access_log)
    yield from logged("access log", work.requests, line, figures, "requests")

    ingest = deployed.functions["ingest"]
    seconds = work.requests * figures.ingest_milliseconds.at(work.events_per_request) / 1000
    yield from _provisioned(ingest, work, seconds)
    yield Position("Lambda", "ingest, requests", "lambda_request", work.requests, "requests")
    yield from traced(ingest, work.requests, work.seconds, "requests")
    yield from logged("metrics of ingest", work.requests, figures.ingest_line_bytes.value, figures, "requests")


def _firewall(deployed: Deployed, work: Workload, figures: Figures, answered: float) -> Iterator[Position]:
    """List what CloudFront and WAF add; answers leave through CloudFront, to which API Gateway sends for nothing."""
    yield Position("CloudFront", "requests", "cloudfront_request", work.requests, "requests")
    sent = work.events * figures.event_bytes.value
    yield Position("CloudFront", "events to the API", "cloudfront_origin_gb", sent / GB, "events")
    yield Position("CloudFront", "answers to devices", "cloudfront_out_gb", answered / GB, "requests")
    yield Position("WAF", "requests", "waf_request", work.requests, "requests")
    yield Position("WAF", "list of rules", "waf_acl_month", 1, "size")
    yield Position("WAF", "rules", "waf_rule_month", deployed.firewall_rules, "size")


def started(function: Function) -> Iterator[Position]:
    """List the environments of a function that stay started."""
    yield Position(
        "Lambda",
        f"{function.name}, environments that stay started",
        "lambda_provisioned_gb_second_arm",
        function.started * HOURS * 3600 * function.memory_gib,
        "size",
    )


def _provisioned(ingest: Function, work: Workload, seconds: float) -> Iterator[Position]:
    """Split the run time: environments that stay started take what they can, at a lower price."""
    by_started = min(seconds, ingest.started * work.seconds)
    yield Position(
        "Lambda",
        "ingest, run time in them",
        "lambda_provisioned_duration_gb_second_arm",
        by_started * ingest.memory_gib,
        "requests",
    )
    yield Position(
        "Lambda", "ingest, run time", "lambda_gb_second_arm", (seconds - by_started) * ingest.memory_gib, "requests"
    )


def invoked(function: Function, runs: float, seconds: float, driver: Driver) -> Iterator[Position]:
    """List the runs of a function that take so many seconds together."""
    yield Position(
        "Lambda", f"{function.name}, run time", "lambda_gb_second_arm", seconds * function.memory_gib, driver
    )
    yield Position("Lambda", f"{function.name}, requests", "lambda_request", runs, driver)


def traced(function: Function, runs: float, seconds: float, driver: Driver) -> Iterator[Position]:
    """List what X-Ray records by its default rule: the first of each second, and a twentieth of the others."""
    if function.traced:
        recorded = min(runs, seconds) + 0.05 * max(0.0, runs - seconds)
        yield Position("X-Ray", f"traces of {function.name}", "xray_trace_recorded", recorded, driver)


def logged(item: str, lines: float, line: float, figures: Figures, driver: Driver) -> Iterator[Position]:
    """List lines of a log group of the standard class."""
    yield Position(
        "CloudWatch logs", item, "cloudwatch_log_gb", lines * (line + figures.log_overhead_bytes.value) / GB, driver
    )

"""What a stage has really done today: its events, fleet by fleet, and the requests they came in."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from cli.aws import open_client
from cli.functions import find_function, read_answer
from cli.stages import CommandError, Target
from sluice.core.ledger.statement import Statement


class Actual(msgspec.Struct, frozen=True):
    """A stage's day so far."""

    hours: float
    requests: float
    events: Mapping[str, int]
    """Accepted events by fleet."""


def read_actual(target: Target, now: datetime) -> Actual:
    """Ask reconcile for the day's statement, and the gateway's side for the requests."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = find_function(target, "reconcile")({"statement": midnight.date().isoformat()})
    if not asked:
        raise CommandError("the database does not answer; the log of reconcile says why")
    statement = read_answer(asked, Statement)
    events = {fleet.fleet_id or "(unknown)": fleet.accepted for fleet in statement.fleets if fleet.accepted}
    if target.stage:
        began, requests = midnight, _count_invocations(target, midnight, now)
    else:
        began, requests = _count_lines(target, midnight)
    if not events or not requests:
        raise CommandError("nothing was accepted today: there is nothing to bill")
    return Actual((now - began).total_seconds() / 3600, requests, events)


def _count_lines(target: Target, midnight: datetime) -> tuple[datetime, int]:
    """Count the local stack's requests of devices in its access log, which begins with the stack."""
    began = datetime.fromtimestamp((target.dir / "stack.json").stat().st_mtime, UTC)
    lines = (target.dir / "state" / "access.log").read_text().splitlines()
    return max(began, midnight), sum(json.loads(line)["route"].startswith("POST ") for line in lines)


def _count_invocations(target: Target, since: datetime, until: datetime) -> float:
    """Count the invocations of ingest: one for each request."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = open_client(target, "cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Invocations",
            Dimensions=[{"Name": "FunctionName", "Value": f"sluice-{target.stage}-ingest"}],
            StartTime=since,
            EndTime=until,
            Period=3600,
            Statistics=["Sum"],
        )
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"CloudWatch did not answer: {error}") from error
    return float(sum(point["Sum"] for point in answer["Datapoints"]))

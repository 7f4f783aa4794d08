"""Replay: makes plans, and does the steps of a replay, one for each invocation of the state machine.

{"step": "plan", "wanted": {...}} makes a plan, and {"step": "check", "plan": {...}} checks one. Without a step, as the
schedule calls it, it ends replays whose execution was stopped. The other steps are in edge/replay/steps.py.
"""

import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.metrics import REPLAYS_ACTIVE
from sluice.core.replay.plan import PlanRefusedError, check_age, check_place, describe, read_plan, read_wanted
from sluice.edge import aws
from sluice.edge.bucket import Bucket
from sluice.edge.context import Context, seconds_left, seconds_to_work
from sluice.edge.correlation import use_correlation_id
from sluice.edge.database import Database, connect
from sluice.edge.executions import is_running
from sluice.edge.metrics import metrics, record
from sluice.edge.replay.planning import Place, Planning
from sluice.edge.replay.steps import Machine, Steps
from sluice.edge.replay.tables import ReplayTables
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.settings import BrokerSettings, DatabaseSettings, ReplaySettings
from sluice.edge.topic_offsets import TopicOffsets

logger = Logger()

ANSWER_SECONDS, TRIES = 30, 3  # for S3
GROUP = "replay"


@cache
def build() -> tuple[Machine, ReplaySettings]:
    """Build the function, once per cold start."""
    settings = ReplaySettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES)
    raw, control = Bucket(s3, settings.raw_bucket), Bucket(s3, settings.control_bucket)
    place = Place(
        stage=settings.sluice_stage,
        region=settings.aws_region,
        raw=raw,
        control=control,
        raw_days=settings.raw_days,
        fixed_seconds=settings.replay_fixed_seconds,
        per_second=settings.resend_per_second,
    )
    machine = Machine(
        stage=settings.sluice_stage,
        region=settings.aws_region,
        planning=Planning(place, Limits()),
        raw=raw,
        control=control,
        rollups=RollupFiles(s3, settings.rollup_bucket),
        raw_offsets=TopicOffsets(brokers, settings.raw_events_topic, GROUP),
        replay_offsets=TopicOffsets(brokers, settings.replay_events_topic, GROUP),
        limits=Limits(),
        chunk_bytes=settings.replay_chunk_mib * 1024 * 1024,
        is_running=is_running,
    )
    return machine, settings


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Do one step."""
    machine, settings = build()
    login = DatabaseSettings.from_environ(os.environ)
    database = Database(lambda: connect(login, settings.statement_seconds), seconds_to_work(context))
    with use_correlation_id(event.get("correlation_id", "")), closing(database), database.use() as connection:
        tables = ReplayTables(connection)
        steps = Steps(machine, connection, lambda: seconds_left(context) > settings.reserve_seconds)
        done = work(event, machine, tables, steps)
        record(REPLAYS_ACTIVE, len(tables.list_active()))
    return done


def work(event: dict[str, Any], machine: Machine, tables: ReplayTables, steps: Steps) -> dict[str, Any]:
    """Do what the event asks for, or else what the schedule is for."""
    match event.get("step", "sweep"):
        case "plan":
            return answer(lambda: describe(machine.planning.make(tables.connection, read_wanted(event["wanted"]))))
        case "check":
            return answer(lambda: check(machine, tables, event["plan"]))
        case "sweep":
            return steps.sweep()
        case step:
            done: dict[str, Any] = getattr(steps, step)(event)
            logger.info("a step of a replay", extra={"step": step, **done})
            return done


def check(machine: Machine, tables: ReplayTables, given: object) -> dict[str, Any]:
    """Refuse a plan that the first step would refuse."""
    plan = read_plan(given)
    check_place(plan, machine.stage, machine.region)
    claimed = tables.find_claim(plan)
    if claimed is None:
        check_age(plan, datetime.now(UTC))
        machine.planning.check(tables.connection, plan)
        tables.check_overlap(plan)
    return {"replay_id": plan.replay_id, "applied": claimed is not None}


def answer(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Answer who invoked: with the result, or with why it is refused."""
    try:
        return {"result": ask()}
    except Refusal as refusal:
        return {"refused": {"status": refusal.status, "code": refusal.code, "detail": refusal.detail}}
    except PlanRefusedError as refused:
        return {"refused": {"status": 409, "code": refused.code, "detail": refused.detail}}

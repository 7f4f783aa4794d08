"""A small deployment with a state machine of every kind of state that ours have, built from our parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aws_cdk import App, Duration, Environment, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks

from infra.building_blocks.base import Base
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.layers import Layers
from infra.building_blocks.operations import Operations
from infra.building_blocks.state_machine import Items, StateMachine, describe_access, start_access
from infra.deployment import Deployment
from infra.network import Network
from infra.profiles import profile_named
from infra.stores.buckets import Bucket, Expiry
from sluice.edge.settings import Settings
from tests.infra.templates import Templates, context

# A machine has no part in the background.
PLACES = ("network", "data", "pipeline")
PREFIX = "manifests/"


class StarterSettings(Settings, frozen=True):
    """What a function that starts executions reads."""

    copy_machine: str


@dataclass(frozen=True)
class Synthesized:
    """The app, and its templates."""

    app: App
    templates: Templates


def synthesize_machine(outdir: Path, **changed: Any) -> Synthesized:
    """Synthesize a machine that plans with one function, polls, and copies each item of a list with another."""
    profile = profile_named("test")
    deployment = Deployment(stage="proof", region="us-east-1", log_days=profile.log_days, keeps_data=False)
    app = App(context={**context("test"), "aws:cdk:bundling-stacks": []}, outdir=str(outdir))
    network_stack, data, pipeline = (
        Stack(app, deployment.named(each), env=Environment(region=deployment.region)) for each in PLACES
    )
    network = Network(network_stack, "Network", deployment)
    key = kms.Key(data, "Key", enable_key_rotation=True)
    operations = Operations(data, "Operations", deployment=deployment, key=key, monthly_budget_usd=1)
    foundation = Foundation(deployment=deployment, operations=operations, network=network, key=key)
    bucket = Bucket(data, "Plans", field="plan_bucket", foundation=foundation, expiries=[Expiry(1)])
    unused = ("shifts", "stream", "lake", "database", "cache", "control_data", "checkpoints", "alerting")
    # These functions use no store, and no source invokes them.
    base = Base(**vars(foundation), layers=Layers(pipeline, "Layers"), **dict.fromkeys(unused, cast("Any", None)))
    compute = Compute(memory_mib=512, timeout_seconds=60, concurrency=2)
    # The code of these verbs is somebody else's: no template looks into it.
    plan, copy = (Function(pipeline, verb, base, compute) for verb in ("lookup", "recall"))
    wanted: dict[str, Any] = {
        "definition": _definition(pipeline, bucket, plan, copy),
        "runs": [plan, copy],
        "items": Items(bucket, PREFIX),
        "slow_after_minutes": 30,
        "timeout_minutes": 120,
    }
    machine = StateMachine(pipeline, "copy", foundation, **{**wanted, **changed})
    Function(
        pipeline,
        "show",
        base,
        compute,
        reads=StarterSettings,
        uses=[each(pipeline, foundation, machine.name) for each in (start_access, describe_access)],
    )
    app.synth()
    files = {stack: outdir / f"{deployment.named(stack)}.template.json" for stack in PLACES}
    return Synthesized(app, Templates(profile, files))


def _definition(scope: Stack, bucket: Bucket, plan: Function, copy: Function) -> sfn.IChainable:
    failed = sfn.Fail(scope, "Failed", error_path="$.failure.Error", cause_path="$.failure.Cause")
    planned = tasks.LambdaInvoke(scope, "Plan", lambda_function=plan.resource, result_path="$.plan")
    planned.add_retry(
        errors=["Unavailable", "Lambda.TooManyRequestsException"],
        interval=Duration.seconds(1),
        max_attempts=3,
        backoff_rate=1,
    )
    planned.add_catch(failed, result_path="$.failure")
    each = sfn.DistributedMap(
        scope,
        "Each",
        item_reader=sfn.S3JsonItemReader(bucket=bucket, key=sfn.JsonPath.string_at("$.key")),
        item_selector={
            "calls": sfn.JsonPath.string_at("$.calls"),
            "item": sfn.JsonPath.string_at("$$.Map.Item.Value.file"),
        },
        max_concurrency_path="$.at_once",
        result_path="$.copied",
    )
    each.item_processor(tasks.LambdaInvoke(scope, "Copy", lambda_function=copy.resource, payload_response_only=True))
    each.add_catch(failed, result_path="$.failure")
    pause = sfn.Wait(scope, "Pause", time=sfn.WaitTime.seconds_path("$.seconds"))
    ready = sfn.Choice(scope, "Ready")
    ready.when(sfn.Condition.boolean_equals("$.plan.Payload.done", True), each)
    ready.otherwise(pause)
    pause.next(planned)
    planned.next(ready)
    each.next(sfn.Succeed(scope, "Done"))
    return sfn.Chain.start(planned)

"""The state machine of a replay.

claim -> gather -> resend (a map over chunks of raw files) -> drain -> swap -> verify

Each step answers which step is next, so that an execution can begin where another one ended. The functions hold the
rules; the machine holds the order, the waits and the retries.
"""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.state_machine import Items, StateMachine
from infra.functions.replay import Replay, ReplayProfile
from infra.functions.resend import Resend
from sluice.edge.replay.planning import LISTS

NAME = "replay"
# A database that fails over, or brokers that elect leaders, are back by then.
TRIES, LONGEST_WAIT_SECONDS = 12, 60
FOR_GOOD = ("PlanRefusedError", "UnverifiedError", "ChunksMissingError", "NeverSentError")
"""Errors that no retry of the same step mends."""


class ReplayMachine(StateMachine):
    """The state machine, made of the functions' steps."""

    def __init__(
        self,
        scope: Construct,
        base: Base,
        settings: ReplayProfile,
        *,
        replay: Replay,
        resend: Resend,
        at_once: int,
    ) -> None:
        self._scope = Construct(scope, "ReplaySteps")
        self._replay = replay
        control = base.lake.buckets.control
        super().__init__(
            scope,
            NAME,
            base,
            definition=self._define(settings, resend, control, at_once=at_once),
            runs=[replay, resend],
            items=Items(control, LISTS),
            slow_after_minutes=settings.slow_after_minutes,
            timeout_minutes=settings.timeout_minutes,
        )

    def _define(
        self, settings: ReplayProfile, resend: Resend, manifests: s3.IBucket, *, at_once: int
    ) -> sfn.IChainable:
        failed = sfn.Fail(self._scope, "Failed", error="ReplayFailed", cause="`sluice replay show` says why.")
        fail = self._step("Fail", error=sfn.JsonPath.object_at("$.error")).next(failed)
        ended = sfn.Succeed(self._scope, "Ended")
        claim = self._task(
            "Claim",
            {
                "step": "claim",
                "input": sfn.JsonPath.entire_payload,
                "execution": sfn.JsonPath.execution_id,
            },
        )
        gather, drain, swap, verify, cancel = map(self._step, ("Gather", "Drain", "Swap", "Verify", "Cancel"))
        send = self._map(resend, manifests, at_once=at_once)
        following = sfn.Choice(self._scope, "What is next")
        waits = {
            "gather": ("raw", gather),
            "drain": ("recount", drain),
            "swap": ("tier", swap),
            "verify": ("roll", verify),
        }
        for step, (whom, task) in waits.items():
            wait = sfn.Wait(
                self._scope,
                f"Wait for {whom}",
                time=sfn.WaitTime.duration(Duration.seconds(settings.wait_seconds)),
            )
            asked = sfn.Condition.and_(
                sfn.Condition.string_equals("$.next", step), sfn.Condition.is_present("$.waits_for")
            )
            following.when(asked, wait.next(task))
        steps: Mapping[str, sfn.IChainable] = {
            "gather": gather,
            "resend": send,
            "drain": drain,
            "swap": swap,
            "verify": verify,
            "cancel": cancel,
        }
        for step, state in steps.items():
            following.when(sfn.Condition.string_equals("$.next", step), state)
        following.otherwise(ended)
        send.next(drain)
        # A map may succeed although some of its children failed.
        drain.add_catch(send, errors=["ChunksMissingError"], result_path="$.error")
        for task in (claim, gather, drain, swap, verify, cancel):
            task.next(following)
        for caught in (gather, send, drain, swap, verify):
            caught.add_catch(fail, errors=["States.ALL"], result_path="$.error")
        return claim

    def _step(self, name: str, **more: object) -> tasks.LambdaInvoke:
        return self._task(
            name,
            {"step": name.lower(), "replay_number": sfn.JsonPath.number_at("$.replay_number"), **more},
        )

    def _task(self, name: str, payload: Mapping[str, object]) -> tasks.LambdaInvoke:
        task = tasks.LambdaInvoke(
            self._scope,
            name,
            lambda_function=self._replay.resource,
            payload=sfn.TaskInput.from_object(dict(payload)),
            payload_response_only=True,
            retry_on_service_exceptions=False,
        )
        return _retried(task)

    def _map(self, resend: Resend, manifests: s3.IBucket, *, at_once: int) -> sfn.DistributedMap:
        send = sfn.DistributedMap(
            self._scope,
            "Resend",
            map_execution_type=sfn.StateMachineType.STANDARD,
            # Each of its invocations may send its part of what all together may.
            max_concurrency=at_once,
            item_reader=sfn.S3JsonItemReader(bucket=manifests, key=sfn.JsonPath.string_at("$.manifest")),
            result_path=sfn.JsonPath.DISCARD,
        )
        chunk = tasks.LambdaInvoke(
            self._scope,
            "Send a chunk",
            lambda_function=resend.resource,
            payload_response_only=True,
            retry_on_service_exceptions=False,
        )
        return send.item_processor(_retried(chunk))


def _retried(task: tasks.LambdaInvoke) -> tasks.LambdaInvoke:
    task.add_retry(errors=list(FOR_GOOD), max_attempts=0)
    task.add_retry(
        errors=["States.ALL"],
        interval=Duration.seconds(2),
        backoff_rate=1.5,
        max_delay=Duration.seconds(LONGEST_WAIT_SECONDS),
        max_attempts=TRIES,
    )
    return task

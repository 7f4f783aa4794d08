"""A schedule that invokes a function at a fixed rate, and an alarm for when it does not."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct

from infra.building_blocks.function import Function
from infra.building_blocks.operations import NOTHING_HAPPENED, TROUBLE, counted

# An invocation that could not even be handed over is tried again so often.
RETRIES = 3


class Schedule(Construct):
    """The schedule of one function, with a role that may start it and nothing else."""

    def __init__(self, function: Function, *, every_minutes: int, enabled: bool = True) -> None:
        super().__init__(function, "Schedule")
        interval = Duration.minutes(every_minutes)
        # No caller waits for a run, and the next run does its work: after a while it is better not to start it.
        patience = Duration.minutes(min(every_minutes, 60))
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
            inline_policies={
                "invoke": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["lambda:InvokeFunction"], resources=[function.resource.function_arn]
                        )
                    ]
                )
            },
        )
        # Without these, an hour's runs would queue up behind one that hangs, and all be run then.
        function.resource.configure_async_invoke(retry_attempts=0, max_event_age=patience)
        scheduler.Schedule(
            self,
            "Schedule",
            schedule=scheduler.ScheduleExpression.rate(interval),
            enabled=enabled,
            target=targets.LambdaInvoke(
                function.resource, role=role.without_policy_updates(), retry_attempts=RETRIES, max_event_age=patience
            ),
        )
        function.alarm(
            "not-run",
            _not_run(function, max(every_minutes, 5)),
            times=2,
            no_data=TROUBLE if enabled else NOTHING_HAPPENED,
            means=f"{function.verb} should run every {every_minutes} min and does not.",
        )


def _not_run(function: Function, minutes: int) -> cloudwatch.IMetric:
    return cloudwatch.MathExpression(
        expression="runs < 1",
        using_metrics={
            "runs": counted(
                "AWS/Lambda", "Invocations", {"FunctionName": function.resource.function_name}, minutes=minutes
            )
        },
        period=Duration.minutes(minutes),
    )

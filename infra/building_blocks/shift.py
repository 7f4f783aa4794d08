"""How a release reaches a function step by step, and goes back by itself when an alarm fires.

The rule: what a route or an event source invokes, it invokes by the alias `live`, behind which a release shifts. All
other functions switch at once. A schedule or a function of ours invokes them, and what fails is run again. `show`
switches at once too: the files of one page must be of one release.
"""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.deployment import Deployment, require

AT_ONCE = 0
PACES = {
    AT_ONCE: codedeploy.LambdaDeploymentConfig.ALL_AT_ONCE,
    5: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
    10: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_10_MINUTES,
    15: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_15_MINUTES,
    30: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_30_MINUTES,
}
"""For how many minutes a tenth of the invocations meets a new version, before all do: the paces that AWS offers."""
ALIAS = "live"


class Shifts(Construct):
    """What the shifts of a stage share: CodeDeploy's application, and the role in which it moves the aliases."""

    def __init__(self, scope: Construct, name: str, deployment: Deployment, *, minutes: int) -> None:
        super().__init__(scope, name)
        self.minutes = minutes
        self.application = deployment.named("releases")
        codedeploy.LambdaApplication(self, "Application", application_name=self.application)
        functions = Stack.of(self).format_arn(
            service="lambda",
            resource="function",
            resource_name=deployment.named("*"),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        moving = ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            inline_policies={
                "shift": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(actions=moving, resources=[functions]),
                        # It takes no resource.
                        iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"]),
                    ]
                )
            },
        )
        # The document holds all of its permissions. Each group would add a managed policy, which has more.
        self.role = role.without_policy_updates()


class Live(Construct):
    """A function's alias `live`, and the group of deployments that moves it from one version to the next.

    CloudFormation deletes the version before when the update has succeeded: the shift, and a rollback, have both.
    """

    def __init__(
        self, scope: Construct, verb: str, function: lambda_.Function, shifts: Shifts, *, minutes: int, started: int
    ) -> None:
        super().__init__(scope, "Live")
        require(minutes in PACES, f"{verb} cannot shift in {minutes} min: AWS offers {', '.join(map(str, PACES))}")
        self.alias = lambda_.Alias(
            self,
            "Alias",
            alias_name=ALIAS,
            version=function.current_version,
            provisioned_concurrent_executions=started or None,
        )
        self.dimensions = {
            "FunctionName": function.function_name,
            "Resource": f"{function.function_name}:{ALIAS}",
            "ExecutedVersion": function.current_version.version,
        }
        """Where AWS counts what this release does while it shifts."""
        self._group = codedeploy.LambdaDeploymentGroup(
            self,
            "Group",
            # By name: an update policy that refers to another stack is not documented.
            application=codedeploy.LambdaApplication.from_lambda_application_name(
                self, "Application", shifts.application
            ),
            deployment_group_name=verb,
            alias=self.alias,
            role=shifts.role,
            deployment_config=PACES[minutes],
            # What switches at once has no time for an alarm, and one that is already on would refuse the fix.
            ignore_alarm_configuration=minutes == AT_ONCE,
        )

    def roll_back_on(self, alarm: cloudwatch.Alarm) -> None:
        """End a shift, and go back, when this alarm fires. It must not depend on what invokes the alias."""
        self._group.add_alarm(alarm)

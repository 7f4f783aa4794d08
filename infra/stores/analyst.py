"""The role of people who ask Athena: the lake's tables through the stage's workgroup, and no route of the API."""

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.deployment import Deployment
from infra.stores.queries import Queries

ANALYST = "analyst"


class Analyst(Construct):
    """The role. The account's IAM decides who may assume it."""

    def __init__(self, scope: Construct, deployment: Deployment, queries: Queries) -> None:
        super().__init__(scope, "Analyst")
        role = iam.Role(
            self,
            "Role",
            role_name=deployment.named(ANALYST),
            assumed_by=iam.AccountRootPrincipal(),
            inline_policies={
                "lake": iam.PolicyDocument(statements=queries.grants_for_analysts(deployment.region)),
            },
        )
        CfnOutput(self, "Arn", value=role.role_arn)

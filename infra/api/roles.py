"""Who may use the admins' routes: a role for each kind of person, with exactly the routes that it needs.

Analysts use no route: their role is in infra/stores/analyst.py.
"""

import re

from aws_cdk import CfnOutput
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.deployment import Deployment, require
from infra.stores.checkpoints import Checkpoints
from infra.stores.trail import Trail

READS = (
    "GET /v1/admin/fleets",
    "GET /v1/admin/fleets/{fleet}",
    "GET /v1/admin/fleets/{fleet}/keys",
    "GET /v1/admin/fleets/{fleet}/keys/{key}",
    "GET /v1/admin/fleets/{fleet}/rules",
    "GET /v1/admin/fleets/{fleet}/rules/{rule}",
    "GET /v1/admin/fleets/{fleet}/rule-report",
    "GET /v1/admin/backtests/{backtest}",
    "GET /v1/admin/destinations",
    "GET /v1/admin/destinations/{destination}",
    "GET /v1/admin/replays",
    "GET /v1/admin/replays/{replay}",
    "GET /v1/admin/dead-letters/groups",
    "GET /v1/admin/dead-letters/groups/{group}/proposal",
    "GET /v1/admin/dead-letters/letters/{letter}",
    "GET /v1/admin/redrives",
    "GET /v1/admin/redrives/{redrive}",
    "GET /v1/admin/alerts",
    "GET /v1/admin/alerts/{incident}",
    "GET /v1/admin/fleets/{fleet}/devices/{device}/alerts",
    "GET /v1/admin/silences",
)
AUDIT = ("GET /v1/admin/audit",)
ON_CALL = (
    "POST /v1/admin/alerts/{incident}/acknowledge",
    "POST /v1/admin/alerts/{incident}/resolve",
    "POST /v1/admin/silences",
    "POST /v1/admin/silences/{silence}/end",
)
"""What someone who was woken does."""
CHANGES = (
    "POST /v1/admin/fleets",
    "PATCH /v1/admin/fleets/{fleet}",
    "POST /v1/admin/fleets/{fleet}/archive",
    "POST /v1/admin/fleets/{fleet}/keys",
    "POST /v1/admin/fleets/{fleet}/keys/{key}/rotate",
    "POST /v1/admin/fleets/{fleet}/keys/{key}/revoke",
    "POST /v1/admin/fleets/{fleet}/rules",
    "PATCH /v1/admin/fleets/{fleet}/rules/{rule}",
    "POST /v1/admin/fleets/{fleet}/rules/{rule}/archive",
    "POST /v1/admin/fleets/{fleet}/backtests",
    "POST /v1/admin/destinations",
    "PATCH /v1/admin/destinations/{destination}",
    "POST /v1/admin/destinations/{destination}/archive",
    "POST /v1/admin/destinations/{destination}/test",
    "POST /v1/admin/replays/plan",
    "POST /v1/admin/replays",
    "POST /v1/admin/replays/{replay}/cancel",
    "POST /v1/admin/consumers/{consumer}/allow",
    "POST /v1/admin/redrives",
    "POST /v1/admin/redrives/{redrive}/cancel",
)

ROUTES = {
    "admin": (*READS, *AUDIT, *ON_CALL, *CHANGES),
    "operator": (*READS, *ON_CALL),
    "auditor": (*READS, *AUDIT),
    # The routes of schemas come with their registry. Until then both see the fleets, whose events schemas describe.
    "schema-proposer": READS,
    "schema-approver": READS,
}
"""What each role may ask for."""

VERIFIERS = ("admin", "auditor")
"""Who may download checkpoints of the audit and their public key, and the trail where there is one."""


class Roles(Construct):
    """The roles of people. The context may name who becomes admin; otherwise the account's IAM decides."""

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        api: gateway.HttpApi,
        checkpoints: Checkpoints,
        trail: Trail | None,
        *,
        admins: str | None,
    ) -> None:
        super().__init__(scope, "Roles")
        require(
            admins is None or re.fullmatch(r"arn:aws[\w-]*:(iam|sts)::\d{12}:[\w+=,.@/-]+", admins) is not None,
            f"admins {admins!r} must be the ARN of the principal that may assume the role of admins",
        )
        downloads = {"checkpoints": checkpoints.reading()} | ({"trail": trail.reading()} if trail else {})
        trusted = iam.ArnPrincipal(admins) if admins else iam.AccountRootPrincipal()
        for name, routes in ROUTES.items():
            called = "".join(word.capitalize() for word in name.split("-"))
            role = iam.Role(
                self,
                called,
                role_name=deployment.named(name),
                # The context names who may become admin. For the other roles the account's IAM decides.
                assumed_by=trusted if name == "admin" else iam.AccountRootPrincipal(),
                inline_policies={
                    "routes": iam.PolicyDocument(
                        statements=[
                            iam.PolicyStatement(
                                actions=["execute-api:Invoke"],
                                resources=[_arn(api, route) for route in routes],
                            )
                        ]
                    ),
                    **(
                        {what: iam.PolicyDocument(statements=granted) for what, granted in downloads.items()}
                        if name in VERIFIERS
                        else {}
                    ),
                },
            )
            CfnOutput(self, f"{called}Arn", value=role.role_arn)


def _arn(api: gateway.HttpApi, route: str) -> str:
    """Name a route as IAM does. A wildcard also spans slashes: each role has every route that one of its ARNs spans."""
    method, _, path = route.partition(" ")
    return api.arn_for_execute_api(method, re.sub(r"{\w+}", "*", path), "$default")

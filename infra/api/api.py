"""The HTTP API: routes to functions, each with its own limit, and an access log without secrets."""

import json
from collections.abc import Sequence
from typing import cast

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.api.domain import Domain
from infra.api.door import Door, Throttle
from infra.building_blocks.base import Base
from infra.building_blocks.findings import accept
from infra.building_blocks.operations import Operations, counted
from infra.building_blocks.retention import kept_for

FAILED_PERCENT = 1
SLOW_MILLISECONDS = 1000

# It holds no header (the key is one), no address and no agent (who sent it). Each byte is paid for with every request:
# metrics have sizes and latencies by route, and CloudWatch knows the time of a line.
ACCESS_LOG = {
    "request_id": "$context.requestId",
    "route": "$context.routeKey",
    "status": "$context.status",
    "error": "$context.error.message",
}


class Api(Construct):
    """The gateway: throttles requests and passes them to functions, which check the keys.

    It is made before the functions, so that they may know its address, and opened after them.
    """

    def __init__(
        self, scope: Construct, base: Base, *, domain: Domain | None = None, truststore: str | None = None
    ) -> None:
        """Answer also under a name of the operator's own.

        With a truststore: under that name alone, and only clients with a certificate of its authority.
        """
        super().__init__(scope, "Api")
        self._base = base
        self._domain = domain
        self._truststore = truststore
        self.gateway = gateway.HttpApi(
            self,
            "HttpApi",
            api_name=base.deployment.named("api"),
            create_default_stage=False,
            disable_execute_api_endpoint=True if truststore else None,
        )
        accept(
            self.gateway,
            "APIG4",
            "functions check fleets' keys: an authorizer cannot shape answers, and its cache serves revoked keys",
        )
        # Stacks import this address, and are updated later than this one: the export stays, also with a truststore.
        resource = cast("gateway.CfnApi", self.gateway.node.default_child)
        Stack.of(self).export_value(resource.attr_api_endpoint)
        self.address = f"https://{domain.name}" if domain and truststore else self.gateway.api_endpoint
        """Where the API and the dashboard are."""
        CfnOutput(self, "Url", value=self.address)

    def open(self, doors: Sequence[Door]) -> None:
        """Lead the doors' routes to their functions."""
        api, base = self.gateway, self._base
        routes = [route for door in doors for route in _add_routes(api, door)]
        access_log = logs.LogGroup(
            self,
            "AccessLog",
            retention=kept_for(base.deployment.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        stage = gateway.CfnStage(
            self,
            "Stage",
            api_id=api.api_id,
            stage_name="$default",
            auto_deploy=True,
            access_log_settings=gateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=access_log.log_group_arn, format=json.dumps(ACCESS_LOG, separators=(",", ":"))
            ),
            route_settings={
                # Metrics of a route are paid for whether anyone asks it. People ask the signed ones, and seldom.
                route: _limited_to(limit, detailed=not door.signed)
                for door in doors
                for route, limit in door.limits.items()
            },
        )
        # A stage may only limit routes that exist.
        stage.node.add_dependency(*routes)
        if self._domain:
            self._map(self._domain, stage)
        self._watch(base.operations, {"ApiId": api.api_id})

    def _map(self, domain: Domain, stage: gateway.CfnStage) -> None:
        """Answer under this name. Without a truststore the stage's own address stays, and links and `sluice` use it."""
        name = gateway.CfnDomainName(
            self,
            "DomainName",
            domain_name=domain.name,
            domain_name_configurations=[
                gateway.CfnDomainName.DomainNameConfigurationProperty(
                    certificate_arn=domain.certificate, endpoint_type="REGIONAL", security_policy="TLS_1_2"
                )
            ],
            mutual_tls_authentication=gateway.CfnDomainName.MutualTlsAuthenticationProperty(
                truststore_uri=self._truststore
            )
            if self._truststore
            else None,
        )
        mapping = gateway.CfnApiMapping(
            self, "Mapping", api_id=self.gateway.api_id, domain_name=name.ref, stage=stage.ref
        )
        mapping.node.add_dependency(stage)
        CfnOutput(
            self,
            "DomainTarget",
            value=name.attr_regional_domain_name,
            description="the CNAME of the domain points here",
        )

    def _watch(self, operations: Operations, api: dict[str, str]) -> None:
        operations.alarm(
            self,
            "failures",
            metric=cloudwatch.MathExpression(
                expression="100 * failed / requests",
                using_metrics={
                    "failed": counted("AWS/ApiGateway", "5xx", api, minutes=5),
                    "requests": counted("AWS/ApiGateway", "Count", api, minutes=5),
                },
                period=Duration.minutes(5),
            ),
            above=FAILED_PERCENT,
            means=f"More than {FAILED_PERCENT} % of requests failed within five minutes.",
        )
        operations.alarm(
            self,
            "slow",
            metric=counted("AWS/ApiGateway", "Latency", api, minutes=1, statistic="p99"),
            above=SLOW_MILLISECONDS,
            times=5,
            means=f"The slowest 1 % of requests took more than {SLOW_MILLISECONDS} ms for five minutes.",
        )


def _add_routes(api: gateway.HttpApi, door: Door) -> list[gateway.HttpRoute]:
    # One permission for all of the API's routes, which are ours: a function's policy has room for some fifty, and a
    # stack for 500 resources.
    integration = integrations.HttpLambdaIntegration(door.name, door.function, scope_permission_to_route=False)
    authorizer = authorizers.HttpIamAuthorizer() if door.signed else None
    routes = [
        added
        for method, _, path in (route.partition(" ") for route in door.limits)
        for added in api.add_routes(
            path=path, methods=[gateway.HttpMethod[method]], integration=integration, authorizer=authorizer
        )
    ]
    _admit_before_use(routes[0])
    return routes


def _admit_before_use(route: gateway.HttpRoute) -> None:
    """Let an update admit the gateway to what it will invoke, before it invokes it; both are made with this route."""
    made = route.node.find_all()
    (permission,) = (each for each in made if isinstance(each, lambda_.CfnPermission))
    (integration,) = (each for each in made if isinstance(each, gateway.CfnIntegration))
    integration.node.add_dependency(permission)


def _limited_to(limit: Throttle, *, detailed: bool) -> dict[str, int | bool]:
    return {
        "ThrottlingRateLimit": limit.rate,
        "ThrottlingBurstLimit": limit.burst,
        "DetailedMetricsEnabled": detailed,
    }

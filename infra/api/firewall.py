"""CloudFront and WAF in front of the API, where a deployment asks for them: what they refuse reaches no throttle.

WAF does not support HTTP APIs, and protects CloudFront from us-east-1 only. So these are a stack of their own there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from aws_cdk import Annotations, ArnFormat, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.api.door import GATEWAY_SECONDS, Throttle
from infra.api.web_acl import WebAclRules
from infra.building_blocks.findings import accept
from infra.building_blocks.retention import kept_for
from infra.deployment import Deployment, require

REGION = "us-east-1"
"""Where CloudFront's certificates and WAF's rules for it must be."""
ORIGIN = "origin"
"""The label before the domain: the name under which CloudFront finds the API."""
WAY_AROUND = "The API still answers who goes around the firewall: once DOMAIN leads to CloudFront, deploy with TRUSTSTORE=s3://..."
# CloudFront keeps these answers for ten seconds, unless it is told not to.
KEPT_ERRORS = (400, 403, 404, 405, 414, 500, 501, 502, 503, 504)


@dataclass(frozen=True)
class Certificates:
    """What CloudFront shows: to devices as the domain, and to the API as itself. Both are of us-east-1."""

    domain: str
    client: str
    truststore: str | None = None
    """The authority of the client's certificate in S3. With it, the API admits no one but CloudFront."""

    def __post_init__(self) -> None:
        for certificate in (self.domain, self.client):
            require(
                re.fullmatch(rf"arn:aws[\w-]*:acm:{REGION}:\d{{12}}:certificate/[\w-]+", certificate) is not None,
                f"{certificate!r} must be the ARN of a certificate of ACM in {REGION}: WAF needs two",
            )
        # CloudFormation's role reads the file, and may read no other buckets.
        require(
            self.truststore is None or re.fullmatch(r"s3://sluice-[a-z0-9.-]+/\S+", self.truststore) is not None,
            f"truststore {self.truststore!r} must be the address of a file in S3, as s3://sluice-authorities/cloudfront.pem:"
            " CloudFormation may read only buckets whose names begin with sluice-",
        )


class Firewall(Construct):
    """The distribution that devices and people reach, and the rules that it applies first."""

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        *,
        domain: str,
        certificates: Certificates,
        throttles: Mapping[str, Throttle],
    ) -> None:
        """Let one address use a part of the throttle of each route."""
        super().__init__(scope, "Firewall")
        if certificates.truststore is None:
            Annotations.of(self).add_warning_v2("sluice:way-around", WAY_AROUND)
        rules = WebAclRules(self, deployment, throttles=throttles)
        self._log(deployment, rules)
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=deployment.named("api"),
            web_acl_id=rules.acl.attr_arn,
            domain_names=[domain],
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", certificates.domain),
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.HttpOrigin(
                    f"{ORIGIN}.{domain}",
                    protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                    origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
                    # The gateway answers sooner, with an error of its own.
                    read_timeout=Duration.seconds(GATEWAY_SECONDS + 5),
                ),
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                cache_policy=self._one_caller_each(),
                # The name too: administrators sign it, and the API knows itself by no other.
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER,
                compress=False,
            ),
            error_responses=[
                cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0)) for status in KEPT_ERRORS
            ],
        )
        cast("cloudfront.CfnDistribution", distribution.node.default_child).add_property_override(
            "DistributionConfig.Origins.0.CustomOriginConfig.OriginMtlsConfig",
            {"ClientCertificateArn": certificates.client},
        )
        accept(distribution, "CFR1", "devices are wherever their owners are")
        accept(distribution, "CFR3", "the access log of the API has what passes, and the log of WAF what does not")
        CfnOutput(
            self,
            "Target",
            value=distribution.distribution_domain_name,
            description="the CNAME of the domain points here",
        )

    def _one_caller_each(self) -> cloudfront.CachePolicy:
        """Keep no answer, and share none: CloudFront may ask once for equal requests that come at the same time.

        What tells callers apart is part of what makes requests equal. A policy that caches nothing at all could not
        name it, so this one would keep for a second what allows it, and no answer of ours does.
        """
        return cloudfront.CachePolicy(
            self,
            "OneCallerEach",
            min_ttl=Duration.seconds(0),
            default_ttl=Duration.seconds(0),
            max_ttl=Duration.seconds(1),
            header_behavior=cloudfront.CacheHeaderBehavior.allow_list("x-api-key", "Authorization"),
            query_string_behavior=cloudfront.CacheQueryStringBehavior.all(),
            cookie_behavior=cloudfront.CacheCookieBehavior.none(),
            enable_accept_encoding_gzip=True,
        )

    def _log(self, deployment: Deployment, rules: WebAclRules) -> None:
        """Keep who asked too often. A flood without keys has as many lines as requests: WAF samples and counts them."""
        group = logs.LogGroup(
            self,
            "Log",
            # WAF writes to no group of another name.
            log_group_name=f"aws-waf-logs-{deployment.named('api')}",
            retention=kept_for(deployment.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        destination = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=group.log_group_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        rules.log_to(destination)

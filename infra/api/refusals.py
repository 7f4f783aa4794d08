"""The rules of WAF: what is refused before it reaches the API."""

import json

from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.deployment import Deployment
from sluice.core.api.keys import ID_LENGTH, SECRET_LENGTH, compose_key

WINDOW_SECONDS = 60
LEAST = 10
"""What AWS lets a rule count at least."""
FREQUENT = "frequent"
SECRETS = ("x-api-key", "authorization")
"""The headers that no log and no sample may show."""
SIGNATURE = "AWS4-HMAC-SHA256 "
"""How the header `authorization` of a signed request begins."""

Acl = waf.CfnWebACL


class Refusals(Construct):
    """Two rules: no way without what has the form of a key, and no address may use up what all have.

    Files of the page need no key, and what an administrator signed has none: the gateway checks the signature. Whether
    a key is valid is for functions to say: a copy of the keys here would serve revoked ones.
    """

    def __init__(self, scope: Construct, deployment: Deployment, *, requests_per_second: int) -> None:
        """Let one address ask that often."""
        super().__init__(scope, "Refusals")
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            name=deployment.named("api"),
            scope="CLOUDFRONT",
            default_action=Acl.DefaultActionProperty(allow={}),
            visibility_config=_seen_as("requests"),
            data_protection_config=Acl.DataProtectionConfigProperty(
                data_protections=[
                    Acl.DataProtectProperty(
                        action="SUBSTITUTION",
                        field=Acl.FieldToProtectProperty(field_type="SINGLE_HEADER", field_keys=list(SECRETS)),
                    )
                ]
            ),
            custom_response_bodies={
                "keyless": _body("Send the fleet's API key in the x-api-key header."),
                FREQUENT: _body("Too Many Requests"),
            },
            rules=[
                Acl.RuleProperty(
                    name="keyless",
                    priority=0,
                    statement=_none(_key(deployment.stage), _signed(), _file()),
                    action=_refuse(401, "keyless"),
                    visibility_config=_seen_as("keyless"),
                ),
                Acl.RuleProperty(
                    name=FREQUENT,
                    priority=1,
                    statement=Acl.StatementProperty(
                        rate_based_statement=Acl.RateBasedStatementProperty(
                            aggregate_key_type="IP",
                            evaluation_window_sec=WINDOW_SECONDS,
                            limit=max(LEAST, requests_per_second * WINDOW_SECONDS),
                        )
                    ),
                    action=_refuse(429, FREQUENT, {"retry-after": str(WINDOW_SECONDS)}),
                    rule_labels=[Acl.LabelProperty(name=FREQUENT)],
                    visibility_config=_seen_as(FREQUENT),
                ),
            ],
        )

    def log_to(self, destination: str) -> None:
        """Write a line about each request of an address that asks too often.

        A flood without keys would cost a line for each request: WAF counts those, and shows samples.
        """
        label = f"{self.acl.attr_label_namespace}{FREQUENT}"
        waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.acl.attr_arn,
            log_destination_configs=[destination],
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ALL",
                        "Conditions": [{"LabelNameCondition": {"LabelName": label}}],
                    }
                ],
            },
        )


def _key(stage: str) -> Acl.StatementProperty:
    """Match a header that begins and ends where a key of the stage does. Its checksum is for functions to compute."""
    header = Acl.FieldToMatchProperty(single_header={"Name": "x-api-key"})
    length = len(compose_key(stage, "0" * ID_LENGTH, "0" * SECRET_LENGTH))
    return _all(
        _begins(header, f"slc_{stage}_"),
        Acl.StatementProperty(
            size_constraint_statement=Acl.SizeConstraintStatementProperty(
                comparison_operator="EQ", field_to_match=header, size=length, text_transformations=_after()
            )
        ),
    )


def _signed() -> Acl.StatementProperty:
    authorization = Acl.FieldToMatchProperty(single_header={"Name": "authorization"})
    return _all(_path("/v1/admin/"), _begins(authorization, SIGNATURE))


def _file() -> Acl.StatementProperty:
    return _all(_begins(Acl.FieldToMatchProperty(method={}), "GET"), _none(_path("/v1/")))


def _path(below: str) -> Acl.StatementProperty:
    """Match a path, also one that is written in another way."""
    return _begins(Acl.FieldToMatchProperty(uri_path={}), below, "URL_DECODE", "NORMALIZE_PATH")


def _begins(field: Acl.FieldToMatchProperty, text: str, *read_as: str) -> Acl.StatementProperty:
    return Acl.StatementProperty(
        byte_match_statement=Acl.ByteMatchStatementProperty(
            field_to_match=field,
            positional_constraint="STARTS_WITH",
            search_string=text,
            text_transformations=_after(*read_as),
        )
    )


def _all(*statements: Acl.StatementProperty) -> Acl.StatementProperty:
    return Acl.StatementProperty(and_statement=Acl.AndStatementProperty(statements=list(statements)))


def _none(*statements: Acl.StatementProperty) -> Acl.StatementProperty:
    refuted = [
        Acl.StatementProperty(not_statement=Acl.NotStatementProperty(statement=statement)) for statement in statements
    ]
    return _all(*refuted) if len(refuted) > 1 else refuted[0]


def _after(*changes: str) -> list[Acl.TextTransformationProperty]:
    return [
        Acl.TextTransformationProperty(priority=place, type=change) for place, change in enumerate(changes or ("NONE",))
    ]


def _seen_as(metric: str) -> Acl.VisibilityConfigProperty:
    return Acl.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=True
    )


def _refuse(status: int, body: str, headers: dict[str, str] | None = None) -> Acl.RuleActionProperty:
    return Acl.RuleActionProperty(
        block=Acl.BlockActionProperty(
            custom_response=Acl.CustomResponseProperty(
                response_code=status,
                custom_response_body_key=body,
                response_headers=[
                    Acl.CustomHTTPHeaderProperty(name=name, value=value) for name, value in (headers or {}).items()
                ]
                or None,
            )
        )
    )


def _body(message: str) -> Acl.CustomResponseBodyProperty:
    """Write an answer in the form of the gateway's own."""
    return Acl.CustomResponseBodyProperty(content=json.dumps({"message": message}), content_type="APPLICATION_JSON")

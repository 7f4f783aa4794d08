"""The rules of WAF: what is refused before it reaches the API."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.api.door import Throttle
from infra.deployment import Deployment
from sluice.core.api.keys import ID_LENGTH, SECRET_LENGTH, compose_key

WINDOW_SECONDS = 60
SHARE = 4
"""One address may send this part of what the gateway admits: a quarter, so that four must join to use it up."""
KEYLESS = "keyless"
FREQUENT = "frequent"
SECRETS = ("x-api-key", "authorization")
"""The headers that no log and no sample may show."""
SIGNATURE = "AWS4-HMAC-SHA256 "
"""How the header `authorization` of a signed request begins."""

Acl = waf.CfnWebACL


@dataclass(frozen=True)
class Area:
    """Paths whose requests are counted together."""

    name: str
    paths: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        """Return whether a path is one of them."""
        return path in self.paths or path.startswith(self.prefixes)

    def statement(self) -> Acl.StatementProperty:
        """Match them, also where they are written in another way."""
        return _any_of(
            *(_has_path("EXACTLY", path) for path in self.paths),
            *(_has_path("STARTS_WITH", prefix) for prefix in self.prefixes),
        )


PAGE = Area("page", ("/", "/openapi.json", "/health"), ("/assets/",))
"""What needs neither a key nor a signature."""
ADMIN = Area("admin", prefixes=("/v1/admin/",))
AREAS = (
    Area("events", ("/v1/events",)),
    Area("readings", ("/v1/readings",)),
    Area("activity", ("/v1/activity",)),
    Area("trace", prefixes=("/v1/trace/",)),
    ADMIN,
    PAGE,
)
READERS = "readers"
"""All other paths: the routes of readers, and paths that are no route."""


class WebAclRules(Construct):
    """Refuses a request without the form of a key, and an address that sends more than its share of a route.

    Files of the page need no key, and what an administrator signed has none: the gateway checks the signature. Whether
    a key is valid is for functions to say: a copy of the keys here would serve revoked ones.
    """

    def __init__(self, scope: Construct, deployment: Deployment, *, throttles: Mapping[str, Throttle]) -> None:
        """Let one address use a part of the throttle of each route."""
        super().__init__(scope, "WebAclRules")
        keyless = _none_of(_has_key_form(deployment.stage), _is_signed_admin_request(), _is_page_file())
        counted = {area.name: area.statement() for area in AREAS} | {
            READERS: _none_of(*(area.statement() for area in AREAS))
        }
        limits = share_throttles(throttles)
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
                KEYLESS: _body("Send the fleet's API key in the x-api-key header."),
                FREQUENT: _body("Too Many Requests"),
            },
            rules=[
                Acl.RuleProperty(
                    name=KEYLESS,
                    priority=0,
                    statement=keyless,
                    action=_refuse(401, KEYLESS),
                    visibility_config=_seen_as(KEYLESS),
                ),
                *(
                    _limit(place, name, statement, limits[name])
                    for place, (name, statement) in enumerate(counted.items(), start=1)
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


def share_throttles(throttles: Mapping[str, Throttle]) -> dict[str, int]:
    """Return how many requests of a window one address may send: a part of the smallest throttle of each area."""
    rates: dict[str, list[int]] = {}
    for route, throttle in throttles.items():
        path = route.partition(" ")[2]
        name = next((area.name for area in AREAS if area.covers(path)), READERS)
        rates.setdefault(name, []).append(throttle.rate)
    return {name: min(found) * WINDOW_SECONDS // SHARE for name, found in rates.items()}


def _limit(place: int, name: str, statement: Acl.StatementProperty, limit: int) -> Acl.RuleProperty:
    """Count an address's requests of an area, and refuse what goes beyond the limit."""
    return Acl.RuleProperty(
        name=f"{FREQUENT}-{name}",
        priority=place,
        statement=Acl.StatementProperty(
            rate_based_statement=Acl.RateBasedStatementProperty(
                aggregate_key_type="IP",
                evaluation_window_sec=WINDOW_SECONDS,
                limit=limit,
                scope_down_statement=statement,
            )
        ),
        action=_refuse(429, FREQUENT, {"retry-after": str(WINDOW_SECONDS)}),
        rule_labels=[Acl.LabelProperty(name=FREQUENT)],
        visibility_config=_seen_as(f"{FREQUENT}-{name}"),
    )


def _has_key_form(stage: str) -> Acl.StatementProperty:
    """Match a header that begins and ends where a key of the stage does. Its checksum is for functions to compute."""
    header = Acl.FieldToMatchProperty(single_header={"Name": "x-api-key"})
    length = len(compose_key(stage, "0" * ID_LENGTH, "0" * SECRET_LENGTH))
    return _all_of(
        _matches(header, "STARTS_WITH", f"slc_{stage}_"),
        Acl.StatementProperty(
            size_constraint_statement=Acl.SizeConstraintStatementProperty(
                comparison_operator="EQ", field_to_match=header, size=length, text_transformations=_transformations()
            )
        ),
    )


def _is_signed_admin_request() -> Acl.StatementProperty:
    authorization = Acl.FieldToMatchProperty(single_header={"Name": "authorization"})
    return _all_of(ADMIN.statement(), _matches(authorization, "STARTS_WITH", SIGNATURE))


def _is_page_file() -> Acl.StatementProperty:
    return _all_of(_matches(Acl.FieldToMatchProperty(method={}), "EXACTLY", "GET"), PAGE.statement())


def _has_path(constraint: str, path: str) -> Acl.StatementProperty:
    return _matches(Acl.FieldToMatchProperty(uri_path={}), constraint, path, "URL_DECODE", "NORMALIZE_PATH")


def _matches(
    field: Acl.FieldToMatchProperty, constraint: str, text: str, *transformations: str
) -> Acl.StatementProperty:
    return Acl.StatementProperty(
        byte_match_statement=Acl.ByteMatchStatementProperty(
            field_to_match=field,
            positional_constraint=constraint,
            search_string=text,
            text_transformations=_transformations(*transformations),
        )
    )


def _all_of(*statements: Acl.StatementProperty) -> Acl.StatementProperty:
    return Acl.StatementProperty(and_statement=Acl.AndStatementProperty(statements=list(statements)))


def _any_of(*statements: Acl.StatementProperty) -> Acl.StatementProperty:
    if len(statements) == 1:
        # WAF accepts no list of one.
        return statements[0]
    return Acl.StatementProperty(or_statement=Acl.OrStatementProperty(statements=list(statements)))


def _none_of(*statements: Acl.StatementProperty) -> Acl.StatementProperty:
    return Acl.StatementProperty(not_statement=Acl.NotStatementProperty(statement=_any_of(*statements)))


def _transformations(*types: str) -> list[Acl.TextTransformationProperty]:
    return [Acl.TextTransformationProperty(priority=place, type=each) for place, each in enumerate(types or ("NONE",))]


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

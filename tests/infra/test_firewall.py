"""CloudFront and WAF stand in front where a deployment asks for it, refuse floods, and cannot be gone around."""

import json
import posixpath
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cdk_nag import AwsSolutionsChecks

from bench.flood_traffic import has_key
from infra.profiles.dev import DEV
from sluice.core.api.keys import ID_LENGTH, SECRET_LENGTH, compose_key
from tests.infra.options import DOMAIN, FIREWALL, Told, of_type
from tests.infra.test_api import ROUTES
from tests.infra.test_lint import IGNORED

KEY = compose_key("proof", "k" * ID_LENGTH, "s" * SECRET_LENGTH)
CHANGES: Mapping[str, Callable[[str], str]] = {
    "NONE": str,
    "URL_DECODE": unquote,
    "NORMALIZE_PATH": posixpath.normpath,
}
"""How WAF may read a field before it compares it."""
SIGNATURE = "AWS4-HMAC-SHA256 Credential=AKIA/20261130/eu-central-1/execute-api/aws4_request, Signature=0"


@pytest.fixture(scope="module")
def rules(told: Told) -> dict[str, dict[str, Any]]:
    (acl,) = of_type(told.template("firewall"), "AWS::WAFv2::WebACL")
    assert (acl["Scope"], acl["DefaultAction"]) == ("CLOUDFRONT", {"Allow": {}})
    named = {rule["Name"]: rule for rule in sorted(acl["Rules"], key=lambda rule: rule["Priority"])}
    # What is refused for its missing key does not count for its address.
    assert next(iter(named)) == "keyless"
    return named


def holds(statement: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Evaluate a statement as WAF's documentation says."""
    ((kind, body),) = statement.items()
    if kind == "AndStatement":
        return all(holds(each, request) for each in body["Statements"])
    if kind == "OrStatement":
        assert len(body["Statements"]) > 1, "WAF accepts no list of one"
        return any(holds(each, request) for each in body["Statements"])
    if kind == "NotStatement":
        return not holds(body["Statement"], request)
    ((field, which),) = body["FieldToMatch"].items()
    value = request["headers"].get(which["Name"]) if field == "SingleHeader" else request[field]
    if value is None:
        return False
    for change in sorted(body["TextTransformations"], key=lambda each: each["Priority"]):
        value = CHANGES[change["Type"]](value)
    if kind == "SizeConstraintStatement":
        assert body["ComparisonOperator"] == "EQ"
        return bool(len(value) == body["Size"])
    assert kind == "ByteMatchStatement"
    if body["PositionalConstraint"] == "EXACTLY":
        return bool(value == body["SearchString"])
    assert body["PositionalConstraint"] == "STARTS_WITH"
    return bool(value.startswith(body["SearchString"]))


def refused(rules: Mapping[str, Any], method: str, path: str, **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return holds(rules["keyless"]["Statement"], {"Method": method, "UriPath": path, "headers": named})


def test_every_route_is_there_for_who_has_what_it_asks_for(rules: dict[str, Any]) -> None:
    for name, routes in ROUTES.items():
        for route in routes:
            method, _, path = route.partition(" ")
            assert not refused(rules, method, path, x_api_key=KEY), route
            if name == "admin":
                assert not refused(rules, method, path, authorization=SIGNATURE), route
            if name == "show":
                assert not refused(rules, method, path), route
    assert not refused(rules, "GET", "/health")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_api_key": ""},
        {"x_api_key": "x"},
        {"x_api_key": KEY[:-1]},
        {"x_api_key": f"{KEY}0"},
        {"x_api_key": KEY.replace("slc_proof", "slc_other")},
        {"authorization": SIGNATURE},
        {"authorization": KEY},
    ],
)
def test_what_has_no_form_of_a_key_reaches_no_route_that_takes_one(
    rules: dict[str, Any], headers: dict[str, str]
) -> None:
    for name in ("ingest", "query", "trace"):
        for route in ROUTES[name] - {"GET /health"}:
            method, _, path = route.partition(" ")
            assert refused(rules, method, path, **headers), route
            assert refused(rules, method, path.replace("v", "%76", 1), **headers), route
            assert refused(rules, method, f"/assets/..{path}", **headers), route
    assert refused(rules, "POST", "/", **headers)


@pytest.mark.parametrize(
    "path",
    ["/x", "/v1", "/V1/events", "/assets", "/healthz", "/health/x", "/index.html", "/v2/events"],
)
@pytest.mark.parametrize("headers", [{}, {"authorization": SIGNATURE}])
def test_a_path_that_is_no_file_of_the_page_needs_a_key(
    rules: dict[str, Any], path: str, headers: dict[str, str]
) -> None:
    assert refused(rules, "GET", path, **headers)


def test_the_stand_in_of_the_benchmark_refuses_the_same(rules: dict[str, Any]) -> None:
    for key in ("", "x", KEY, KEY[:-1], KEY.replace("proof", "other")):
        head = f"POST /v1/events HTTP/1.1\r\nX-Api-Key: {key}\r\n\r\n".encode()
        assert has_key("proof")(head) is not refused(rules, "POST", "/v1/events", x_api_key=key), key
    assert not has_key("proof")(b"POST /v1/events HTTP/1.1\r\nhost: x\r\n\r\n")


def test_what_is_refused_is_answered_as_the_gateway_answers(told: Told, rules: dict[str, Any]) -> None:
    (acl,) = of_type(told.template("firewall"), "AWS::WAFv2::WebACL")
    answers = {name: rule["Action"]["Block"]["CustomResponse"] for name, rule in rules.items()}
    keyless, *frequent = answers.values()
    assert keyless["ResponseCode"] == 401
    assert {answer["ResponseCode"] for answer in frequent} == {429}
    for answer in frequent:
        assert answer["ResponseHeaders"] == [{"Name": "retry-after", "Value": "60"}]
    for answer in answers.values():
        body = acl["CustomResponseBodies"][answer["CustomResponseBodyKey"]]
        assert body["ContentType"] == "APPLICATION_JSON"
        assert set(json.loads(body["Content"])) == {"message"}


def counting(rules: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the statement of the one rule that counts an address's requests for a path."""
    (found,) = [
        rate
        for rule in rules.values()
        if (rate := rule["Statement"].get("RateBasedStatement"))
        and holds(rate["ScopeDownStatement"], {"Method": "GET", "UriPath": path, "headers": {}})
    ]
    assert found["AggregateKeyType"] == "IP"
    assert found["Limit"] >= 10, "WAF counts no less"
    return dict(found)


def test_one_address_may_send_at_most_a_quarter_of_what_any_route_admits(told: Told, rules: dict[str, Any]) -> None:
    (stage,) = of_type(told.template("pipeline"), "AWS::ApiGatewayV2::Stage")
    assert set(stage["RouteSettings"]) == set().union(*ROUTES.values())
    used = set()
    for route, settings in stage["RouteSettings"].items():
        rate = counting(rules, route.partition(" ")[2])
        assert rate["Limit"] / rate["EvaluationWindowSec"] <= settings["ThrottlingRateLimit"] / 4, route
        used.add(json.dumps(rate, sort_keys=True))
    assert len(used) == len(rules) - 1, "a rule that counts nothing"
    for name in ("events", "readings", "activity"):
        rate = counting(rules, f"/v1/{name}")
        throttle = getattr(DEV.ingest.throttles, name)
        assert rate["Limit"] / rate["EvaluationWindowSec"] == throttle.rate / 4, "devices get a whole quarter"


def test_a_path_that_is_no_route_counts_too(rules: dict[str, Any]) -> None:
    readers = counting(rules, "/v1/fleets")
    for path in ("/", "/assets/x", "/v1/events/x", "/v1/trace", "/V1/events", "/v1/%61dmin/fleets", "/x"):
        assert counting(rules, path)["Limit"] <= readers["Limit"], path


def test_neither_a_log_nor_a_sample_shows_a_key(told: Told) -> None:
    (acl,) = of_type(told.template("firewall"), "AWS::WAFv2::WebACL")
    (protection,) = acl["DataProtectionConfig"]["DataProtections"]
    assert protection == {
        "Action": "SUBSTITUTION",
        "Field": {"FieldType": "SINGLE_HEADER", "FieldKeys": ["x-api-key", "authorization"]},
    }
    (log,) = of_type(told.template("firewall"), "AWS::WAFv2::LoggingConfiguration")
    assert log["LoggingFilter"]["DefaultBehavior"] == "DROP"
    (kept,) = log["LoggingFilter"]["Filters"]
    assert kept["Behavior"] == "KEEP"
    assert json.dumps(kept["Conditions"]).endswith('"frequent"]]}}}]')
    (group,) = of_type(told.template("firewall"), "AWS::Logs::LogGroup")
    assert group["LogGroupName"].startswith("aws-waf-logs-")
    assert group["RetentionInDays"] == DEV.log_days


def test_only_cloudfront_reaches_the_api(told: Told) -> None:
    (api,) = of_type(told.template("pipeline"), "AWS::ApiGatewayV2::Api")
    (name,) = of_type(told.template("pipeline"), "AWS::ApiGatewayV2::DomainName")
    (distribution,) = of_type(told.template("firewall"), "AWS::CloudFront::Distribution")
    (origin,) = distribution["DistributionConfig"]["Origins"]
    assert api["DisableExecuteApiEndpoint"] is True
    assert name["MutualTlsAuthentication"] == {"TruststoreUri": FIREWALL["truststore"]}
    assert origin["DomainName"] == f"origin.{DOMAIN['domain']}"
    assert origin["CustomOriginConfig"]["OriginMtlsConfig"] == {"ClientCertificateArn": FIREWALL["client_certificate"]}
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    # The stage's own name is gone: links and `sluice` use the domain.
    (url,) = [each["Value"] for key, each in told.template("pipeline")["Outputs"].items() if key.startswith("ApiUrl")]
    assert url == f"https://{DOMAIN['domain']}"


def test_no_answer_is_kept_and_callers_share_none(told: Told) -> None:
    (distribution,) = of_type(told.template("firewall"), "AWS::CloudFront::Distribution")
    configuration = distribution["DistributionConfig"]
    (policy,) = of_type(told.template("firewall"), "AWS::CloudFront::CachePolicy")
    policy = policy["CachePolicyConfig"]
    equal = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert (policy["MinTTL"], policy["DefaultTTL"], policy["MaxTTL"]) == (0, 0, 1)
    assert equal["HeadersConfig"]["Headers"] == ["x-api-key", "Authorization"]
    assert equal["QueryStringsConfig"] == {"QueryStringBehavior": "all"}
    assert equal["EnableAcceptEncodingGzip"] is True
    kept = {each["ErrorCode"]: each["ErrorCachingMinTTL"] for each in configuration["CustomErrorResponses"]}
    assert set(kept.values()) == {0}
    assert {404, 500, 502, 503, 504} <= set(kept)
    assert configuration["WebACLId"] == {"Fn::GetAtt": [next(_acls(told)), "Arn"]}
    assert configuration["ViewerCertificate"]["AcmCertificateArn"] == FIREWALL["waf_certificate"]
    assert configuration["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"


def _acls(told: Told) -> Any:
    resources = told.template("firewall")["Resources"].items()
    return (name for name, resource in resources if resource["Type"] == "AWS::WAFv2::WebACL")


def test_it_is_where_cloudfront_looks_for_it(told: Told) -> None:
    manifest = json.loads((told.place / "manifest.json").read_text())
    assert manifest["artifacts"]["sluice-proof-firewall"]["environment"] == "aws://unknown-account/us-east-1"
    assert manifest["artifacts"]["sluice-proof-pipeline"]["environment"] == "aws://unknown-account/eu-central-1"


def test_the_review_and_the_schemas_find_nothing(told: Told) -> None:
    firewall = told.app.node.find_child("sluice-proof-firewall")
    found = {each.rule_name for each in AwsSolutionsChecks().validate_scope(firewall).violations}
    assert found == set()
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [str(linter), "--ignore-checks", *IGNORED, "--regions", "us-east-1", "--", str(told.file("firewall"))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

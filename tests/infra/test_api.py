"""The API's routes are throttled and lead to their functions, and its log holds nothing confidential."""

import json

from infra.api.door import GATEWAY_SECONDS
from tests.infra.templates import Templates

ROUTES = {
    "ingest": {"POST /v1/events", "POST /v1/readings", "POST /v1/activity"},
    "query": {
        "GET /health",
        "GET /v1/fleets",
        "GET /v1/fleets/{fleet}",
        "GET /v1/fleets/{fleet}/devices",
        "GET /v1/fleets/{fleet}/groups",
        "GET /v1/fleets/{fleet}/groups/{group}",
        "GET /v1/fleets/{fleet}/recent",
        "GET /v1/fleets/{fleet}/rollups",
        "GET /v1/fleets/{fleet}/baselines",
        "GET /v1/fleets/{fleet}/counters",
        "GET /v1/fleets/{fleet}/changes",
        "GET /v1/statement",
        "GET /v1/dead-letters",
        "GET /v1/incidents",
        "GET /v1/incidents/{incident}",
    },
    "trace": {"GET /v1/trace/{event_id}"},
    "admin": {
        "GET /v1/admin/fleets",
        "POST /v1/admin/fleets",
        "GET /v1/admin/fleets/{fleet}",
        "PATCH /v1/admin/fleets/{fleet}",
        "POST /v1/admin/fleets/{fleet}/archive",
        "GET /v1/admin/fleets/{fleet}/keys",
        "POST /v1/admin/fleets/{fleet}/keys",
        "GET /v1/admin/fleets/{fleet}/keys/{key}",
        "POST /v1/admin/fleets/{fleet}/keys/{key}/rotate",
        "POST /v1/admin/fleets/{fleet}/keys/{key}/revoke",
        "GET /v1/admin/fleets/{fleet}/rules",
        "POST /v1/admin/fleets/{fleet}/rules",
        "GET /v1/admin/fleets/{fleet}/rules/{rule}",
        "PATCH /v1/admin/fleets/{fleet}/rules/{rule}",
        "POST /v1/admin/fleets/{fleet}/rules/{rule}/archive",
        "GET /v1/admin/fleets/{fleet}/rule-report",
        "POST /v1/admin/fleets/{fleet}/backtests",
        "GET /v1/admin/backtests/{backtest}",
        "GET /v1/admin/destinations",
        "POST /v1/admin/destinations",
        "GET /v1/admin/destinations/{destination}",
        "PATCH /v1/admin/destinations/{destination}",
        "POST /v1/admin/destinations/{destination}/archive",
        "POST /v1/admin/destinations/{destination}/test",
        "GET /v1/admin/audit",
        "GET /v1/admin/replays",
        "POST /v1/admin/replays",
        "POST /v1/admin/replays/plan",
        "GET /v1/admin/replays/{replay}",
        "POST /v1/admin/replays/{replay}/cancel",
        "POST /v1/admin/consumers/{consumer}/allow",
        "GET /v1/admin/dead-letters/groups",
        "GET /v1/admin/dead-letters/groups/{group}/proposal",
        "GET /v1/admin/dead-letters/letters/{letter}",
        "POST /v1/admin/redrives",
        "GET /v1/admin/redrives",
        "GET /v1/admin/redrives/{redrive}",
        "POST /v1/admin/redrives/{redrive}/cancel",
        "GET /v1/admin/alerts",
        "GET /v1/admin/alerts/{incident}",
        "POST /v1/admin/alerts/{incident}/acknowledge",
        "POST /v1/admin/alerts/{incident}/resolve",
        "GET /v1/admin/fleets/{fleet}/devices/{device}/alerts",
        "GET /v1/admin/silences",
        "POST /v1/admin/silences",
        "POST /v1/admin/silences/{silence}/end",
    },
    "show": {"GET /", "GET /assets/{name}", "GET /openapi.json"},
}
# Authentication and a call to the cache: the cost per request of a flood beyond its quota.
REFUSED_REQUEST_SECONDS = 0.005


def test_every_route_leads_to_the_function_it_is_for(templates: Templates) -> None:
    behind = {
        integration.name: json.dumps(integration.properties["IntegrationUri"])
        for integration in templates.every("AWS::ApiGatewayV2::Integration")
    }
    found: dict[str, set[str]] = {verb: set() for verb in ROUTES}
    for route in templates.every("AWS::ApiGatewayV2::Route"):
        target = behind[route.properties["Target"]["Fn::Join"][1][1]["Ref"]]
        (verb,) = (verb for verb in ROUTES if f'"{verb.capitalize()}' in target)
        found[verb].add(route.properties["RouteKey"])
    assert found == ROUTES


def test_the_gateway_checks_signatures_on_the_admins_routes_and_on_no_other(templates: Templates) -> None:
    checked = {
        route.properties["RouteKey"]: route.properties.get("AuthorizationType")
        for route in templates.every("AWS::ApiGatewayV2::Route")
    }
    assert {route for route, kind in checked.items() if kind == "AWS_IAM"} == ROUTES["admin"]
    assert set(checked.values()) == {"AWS_IAM", "NONE"}


def test_the_gateway_waits_longer_than_functions_take(templates: Templates) -> None:
    for verb in ROUTES:
        assert templates.functions()[verb].properties["Timeout"] < GATEWAY_SECONDS, verb


def test_every_route_has_its_own_limit(templates: Templates) -> None:
    settings = templates.only("AWS::ApiGatewayV2::Stage").properties["RouteSettings"]
    assert set(settings) == set().union(*ROUTES.values())
    for route, limit in settings.items():
        assert 0 < limit["ThrottlingRateLimit"] <= limit["ThrottlingBurstLimit"], route


def test_routes_of_devices_and_readers_have_metrics_of_their_own_and_those_of_admins_have_none(
    templates: Templates,
) -> None:
    settings = templates.only("AWS::ApiGatewayV2::Stage").properties["RouteSettings"]
    detailed = {route for route, limit in settings.items() if limit["DetailedMetricsEnabled"]}
    assert detailed == set(settings) - ROUTES["admin"]


def test_ingest_can_refuse_all_that_the_routes_admit(templates: Templates) -> None:
    settings = templates.only("AWS::ApiGatewayV2::Stage").properties["RouteSettings"]
    admitted = sum(settings[route]["ThrottlingRateLimit"] for route in ROUTES["ingest"])
    concurrency = templates.functions()["ingest"].properties["ReservedConcurrentExecutions"]
    assert admitted * REFUSED_REQUEST_SECONDS <= concurrency


def test_the_access_log_is_json_without_keys_addresses_or_agents(templates: Templates) -> None:
    stage = templates.only("AWS::ApiGatewayV2::Stage").properties
    fields = json.loads(stage["AccessLogSettings"]["Format"])
    assert set(fields) == {"request_id", "route", "status", "error"}
    for private in ("header", "identity", "authorizer", "apiKey"):
        assert private not in stage["AccessLogSettings"]["Format"]


def test_a_release_keeps_the_apis_address(templates: Templates) -> None:
    # Under another name in its stack, a deployment would make another API, and every device would lose its address.
    gateway = templates.only("AWS::ApiGatewayV2::Api")
    assert (gateway.stack, gateway.name) == ("pipeline", "ApiHttpApi4C294DC0")


def test_who_writes_messages_knows_the_address_of_the_dashboard(templates: Templates) -> None:
    gateway = templates.only("AWS::ApiGatewayV2::Api")
    for verb in ("alert", "attend"):
        function = templates.functions()[verb]
        address = function.properties["Environment"]["Variables"]["DASHBOARD_ADDRESS"]
        if "Fn::ImportValue" in address:
            outputs = templates.template(gateway.stack)["Outputs"].values()
            (address,) = [
                each["Value"] for each in outputs if each.get("Export", {}).get("Name") == address["Fn::ImportValue"]
            ]
        assert address == {"Fn::GetAtt": [gateway.name, "ApiEndpoint"]}, verb


def test_functions_get_the_payload_format_they_decode(templates: Templates) -> None:
    integrations = list(templates.every("AWS::ApiGatewayV2::Integration"))
    assert {integration.properties["PayloadFormatVersion"] for integration in integrations} == {"2.0"}

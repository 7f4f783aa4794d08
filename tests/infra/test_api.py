"""The API has three limited routes, and its log could be shown to anybody."""

import json

from tests.infra.templates import Templates

ROUTES = {"POST /v1/events", "POST /v1/readings", "POST /v1/activity"}
# Authentication and a question to the cache: what a flood beyond its quota costs us a request.
REFUSED_REQUEST_SECONDS = 0.005


def test_there_are_the_three_routes_of_the_three_contracts(templates: Templates) -> None:
    assert {route.properties["RouteKey"] for route in templates.every("AWS::ApiGatewayV2::Route")} == ROUTES


def test_every_route_has_its_own_limit(templates: Templates) -> None:
    settings = templates.only("AWS::ApiGatewayV2::Stage").properties["RouteSettings"]
    assert set(settings) == ROUTES
    for route, limit in settings.items():
        assert 0 < limit["ThrottlingRateLimit"] <= limit["ThrottlingBurstLimit"], route


def test_ingest_can_refuse_all_that_the_routes_admit(templates: Templates) -> None:
    settings = templates.only("AWS::ApiGatewayV2::Stage").properties["RouteSettings"]
    admitted = sum(limit["ThrottlingRateLimit"] for limit in settings.values())
    concurrency = templates.functions()["ingest"].properties["ReservedConcurrentExecutions"]
    assert admitted * REFUSED_REQUEST_SECONDS <= concurrency


def test_the_access_log_is_json_without_keys_addresses_or_agents(templates: Templates) -> None:
    stage = templates.only("AWS::ApiGatewayV2::Stage").properties
    fields = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"request_id", "route", "status", "latency_ms"} <= set(fields)
    for private in ("header", "identity", "authorizer", "apiKey"):
        assert private not in stage["AccessLogSettings"]["Format"]


def test_ingest_gets_the_payload_format_it_decodes(templates: Templates) -> None:
    assert templates.only("AWS::ApiGatewayV2::Integration").properties["PayloadFormatVersion"] == "2.0"

"""Ingest is warm where devices wait for it, and has one entry point."""

import json

from tests.infra.templates import Templates


def test_requests_go_to_what_is_kept_started_where_something_is(templates: Templates) -> None:
    route = next(
        one for one in templates.every("AWS::ApiGatewayV2::Route") if one.properties["RouteKey"].startswith("POST")
    )
    integrations = {one.name: one for one in templates.every("AWS::ApiGatewayV2::Integration")}
    uri = json.dumps(integrations[route.properties["Target"]["Fn::Join"][1][1]["Ref"]].properties["IntegrationUri"])
    aliases = list(templates.every("AWS::Lambda::Alias"))
    if templates.profile.ingest.started == 0:
        assert aliases == []
        assert templates.functions()["ingest"].name in uri
    else:
        (alias,) = aliases
        assert alias.name in uri
        started = alias.properties["ProvisionedConcurrencyConfig"]["ProvisionedConcurrentExecutions"]
        assert started == templates.profile.ingest.started


def test_an_alarm_fires_when_events_cannot_be_stored_although_every_answer_is_a_429(templates: Templates) -> None:
    alarm = templates.alarms()["ingest-unstored"].properties
    queries = {query["Id"]: query for query in alarm["Metrics"]}
    metrics = {query["MetricStat"]["Metric"]["MetricName"] for query in queries.values() if "MetricStat" in query}
    assert metrics == {"EventsAccepted", "EventsRejected", "EventsToRetry"}
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (1, 5)

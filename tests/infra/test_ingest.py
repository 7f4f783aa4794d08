"""Ingest is warm where devices wait for it, and says when it cannot store."""

from tests.infra.templates import Templates


def test_environments_of_what_requests_go_to_stay_started_where_the_profile_says_so(templates: Templates) -> None:
    alias = templates.aliases()["ingest"].properties
    started = templates.profile.ingest.started
    wanted = {"ProvisionedConcurrentExecutions": started} if started else None
    assert alias.get("ProvisionedConcurrencyConfig") == wanted


def test_an_alarm_fires_when_events_cannot_be_stored_although_every_answer_is_a_429(templates: Templates) -> None:
    alarm = templates.alarms()["ingest-unstored"].properties
    queries = {query["Id"]: query for query in alarm["Metrics"]}
    metrics = {query["MetricStat"]["Metric"]["MetricName"] for query in queries.values() if "MetricStat" in query}
    assert metrics == {"EventsAccepted", "EventsRejected", "EventsToRetry"}
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (1, 5)

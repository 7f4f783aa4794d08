"""Trace is bounded, answers before the gateway gives up, and may read and ask, but change nothing."""

from dataclasses import replace

import pytest

from infra.functions.trace import visible_seconds
from infra.profiles import BASELINE
from tests.infra.templates import Templates
from tests.infra.test_tier import granted


def test_the_gateway_waits_longer_than_trace_takes(templates: Templates) -> None:
    assert templates.functions()["trace"].properties["Timeout"] < 30


def test_every_environment_knows_how_many_of_it_there_may_be(templates: Templates) -> None:
    trace = templates.functions()["trace"].properties
    assert int(trace["Environment"]["Variables"]["TRACE_CONCURRENCY"]) == trace["ReservedConcurrentExecutions"]


def test_a_revoked_key_stops_tracing_as_soon_as_it_stops_sending(templates: Templates) -> None:
    trace, ingest = (templates.functions()[verb].properties["Environment"]["Variables"] for verb in ("trace", "ingest"))
    for name in ("KEY_MEMORY_SECONDS", "KEY_CACHE_SECONDS"):
        assert trace[name] == ingest[name]


def test_it_may_log_in_as_itself_and_invoke_seek_and_nothing_else(templates: Templates) -> None:
    grants = granted(templates, "trace")
    own = {action for action in grants if not action.startswith(("logs:", "xray:", "ec2:"))}
    assert own == {"rds-db:connect", "elasticache:Connect", "lambda:InvokeFunction"}
    (invoked,) = grants["lambda:InvokeFunction"]
    assert "SeekFunction" in invoked


def test_what_is_not_visible_yet_follows_from_the_buffers_on_the_way(templates: Templates) -> None:
    told = templates.functions()["trace"].properties["Environment"]["Variables"]["TRACE_VISIBLE_SECONDS"]
    profile = templates.profile
    assert int(told) > profile.archive.batching_window_seconds + profile.delivery.interval_seconds
    assert int(told) > profile.deadletter.batching_window_seconds
    assert visible_seconds(BASELINE) == 130


def test_somebody_hears_of_a_single_trace_that_lacked_a_source(templates: Templates) -> None:
    alarm = templates.alarms()["trace-blind"].properties
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == ("SourcesUnavailable", "Sum", 0)
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (3600, 1)
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "trace"}]


def test_its_cache_user_has_keys_and_quotas_and_no_counter(templates: Templates) -> None:
    (user,) = [
        user.properties
        for user in templates.every("AWS::ElastiCache::User")
        if user.properties["UserName"] == "sluice-proof-trace"
    ]
    assert user["AccessString"].split()[:4] == ["on", "~key:*", "~quota:*", "-@all"]


def test_trace_must_be_able_to_say_that_somebody_does_not_answer() -> None:
    with pytest.raises(ValueError, match="before it is stopped"):
        replace(BASELINE.trace, seek_seconds=17)
    with pytest.raises(ValueError, match="seek must give up before trace does"):
        replace(BASELINE, seek=replace(BASELINE.seek, athena_seconds=13))


def test_the_route_leads_to_it_with_a_limit_of_its_own(templates: Templates) -> None:
    settings = templates.only("AWS::ApiGatewayV2::Stage").properties["RouteSettings"]
    limit = settings["GET /v1/trace/{event_id}"]
    assert limit["ThrottlingRateLimit"] == templates.profile.trace.throttle.rate

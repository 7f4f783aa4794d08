"""Aggregate gives an event four hours of failures, and writes batches that are large, soon and bounded."""

from tests.infra.templates import Templates


def test_it_reads_raw_events_as_itself(templates: Templates) -> None:
    source = templates.sources()["aggregate"].properties
    assert source["Topics"] == ["raw-events"]
    assert source["FunctionName"]["Fn::GetAtt"][0] == templates.functions()["aggregate"].name


def test_a_failing_batch_is_retried_for_four_hours_and_then_kept_in_a_bucket(templates: Templates) -> None:
    source = templates.sources()["aggregate"].properties
    assert source["MaximumRetryAttempts"] == 10_000
    assert source["MaximumRecordAgeInSeconds"] == 4 * 3600
    assert "FailedBatches" in source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::ImportValue"]


def test_it_runs_on_2_to_10_pollers_and_as_many_connections_at_the_baseline(templates: Templates) -> None:
    if templates.profile.name == "baseline":
        pollers = templates.sources()["aggregate"].properties["ProvisionedPollerConfig"]
        assert (pollers["MinimumPollers"], pollers["MaximumPollers"]) == (2, 10)
        assert templates.functions()["aggregate"].properties["ReservedConcurrentExecutions"] == 10


def test_batches_are_as_large_as_they_can_be_in_a_second(templates: Templates) -> None:
    source = templates.sources()["aggregate"].properties
    assert source["BatchSize"] == 10_000
    # A part of the 10 s within which an event is to be seen.
    assert source["MaximumBatchingWindowInSeconds"] == 1


def test_it_says_what_comes_again_before_it_is_stopped(templates: Templates) -> None:
    function = templates.functions()["aggregate"].properties
    told = function["Environment"]["Variables"]
    waits = [int(told[name]) for name in ("HOLD_SECONDS", "TRANSACTION_SECONDS", "PRODUCE_DEADLINE_SECONDS")]
    assert sum(waits) < function["Timeout"]


def test_being_a_minute_late_for_five_minutes_is_told(templates: Templates) -> None:
    alarm = templates.alarms()["aggregate-late"].properties
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (60, 60, 5)

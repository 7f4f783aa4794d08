"""Archive gives an event four hours of failures, and never blocks or drops silently."""

from tests.infra.templates import Templates


def test_it_reads_raw_events_as_itself(templates: Templates) -> None:
    source = templates.sources()["archive"].properties
    assert source["Topics"] == ["raw-events"]
    assert source["FunctionName"]["Fn::GetAtt"][0] == templates.functions()["archive"].name


def test_a_failing_batch_is_retried_for_four_hours_and_then_kept_in_a_bucket(templates: Templates) -> None:
    source = templates.sources()["archive"].properties
    # Infinite retries with a destination would be cut to 10.
    assert source["MaximumRetryAttempts"] == 10_000
    assert source["MaximumRecordAgeInSeconds"] == 4 * 3600
    assert "FailedBatches" in source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::ImportValue"]


def test_somebody_hears_of_what_was_set_aside(templates: Templates) -> None:
    alarm = templates.alarms()["archive-set-aside"].properties
    assert alarm["MetricName"] == "OnFailureDestinationDeliveredEventCount"
    assert alarm["Dimensions"] == [
        {"Name": "EventSourceMappingUUID", "Value": {"Ref": templates.sources()["archive"].name}}
    ]
    assert alarm["Threshold"] == 0


def test_being_a_minute_late_for_five_minutes_is_told(templates: Templates) -> None:
    alarm = templates.alarms()["archive-late"].properties
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (60, 60, 5)


def test_it_runs_on_3_to_15_pollers_at_the_baseline(templates: Templates) -> None:
    if templates.profile.name == "baseline":
        pollers = templates.sources()["archive"].properties["ProvisionedPollerConfig"]
        assert (pollers["MinimumPollers"], pollers["MaximumPollers"]) == (3, 15)

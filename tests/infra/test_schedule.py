"""A schedule starts its function at a rate, may do nothing else, and an alarm fires when it does not."""

import json
import re
from datetime import timedelta

from tests.infra.templates import ROOT, Resource, Templates


def schedules(templates: Templates) -> dict[str, Resource]:
    """The schedules by the verbs of the functions they start."""
    verbs = {function.name: verb for verb, function in templates.functions().items()}
    return {
        verbs[schedule.properties["Target"]["Arn"]["Fn::GetAtt"][0]]: schedule
        for schedule in templates.every("AWS::Scheduler::Schedule")
    }


def test_what_is_scheduled_is_enabled_and_at_a_rate(templates: Templates) -> None:
    assert set(schedules(templates)) == {
        "attend",
        "backtest",
        "checkpoint",
        "learn",
        "maintain",
        "pressure",
        "probe",
        "publish",
        "reconcile",
        "redrive",
        "replay",
        "roll",
        "salvage",
        "match",
        "tier",
    }
    for verb, schedule in schedules(templates).items():
        enabled = verb != "probe" or templates.profile.probe.scheduled
        assert schedule.properties["State"] == ("ENABLED" if enabled else "DISABLED"), verb
        assert schedule.properties["ScheduleExpression"].startswith("rate("), verb


def test_a_schedule_starts_all_functions_of_the_background_which_the_architecture_names(templates: Templates) -> None:
    background = {verb for verb, function in templates.functions().items() if function.stack == "background"}
    assert background <= set(schedules(templates))
    (row,) = re.findall(
        r"^\| `background` \|.*: ([\w, ]+) \|$", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE
    )
    assert row.split(", ") == sorted(background)


def test_a_schedule_may_start_its_function_and_nothing_else(templates: Templates) -> None:
    roles = {role.name: role.properties for role in templates.every("AWS::IAM::Role")}
    for verb, schedule in schedules(templates).items():
        role = roles[schedule.properties["Target"]["RoleArn"]["Fn::GetAtt"][0]]
        (policy,) = role["Policies"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Action"] == "lambda:InvokeFunction", verb
        assert statement["Resource"] == {"Fn::GetAtt": [templates.functions()[verb].name, "Arn"]}, verb
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}, verb
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}, verb


def test_runs_that_could_not_start_do_not_pile_up(templates: Templates) -> None:
    waits = {
        config.properties["FunctionName"]["Ref"]: config.properties
        for config in templates.every("AWS::Lambda::EventInvokeConfig")
    }
    for verb, schedule in schedules(templates).items():
        config = waits[templates.functions()[verb].name]
        assert config["MaximumRetryAttempts"] == 0, verb
        assert config["MaximumEventAgeInSeconds"] <= 3600, verb
        assert schedule.properties["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600, verb


def test_an_alarm_fires_when_a_function_is_not_started(templates: Templates) -> None:
    for verb, schedule in schedules(templates).items():
        alarm = templates.alarms()[f"{verb}-not-run"].properties
        enabled = schedule.properties["State"] == "ENABLED"
        assert alarm["TreatMissingData"] == ("breaching" if enabled else "notBreaching"), verb
        (runs,) = [one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one]
        assert runs["Metric"]["MetricName"] == "Invocations", verb
        assert templates.functions()[verb].name in json.dumps(runs["Metric"]["Dimensions"]), verb
        # CloudWatch looks back no further than a day, or a week where a period is an hour or more.
        back = timedelta(seconds=alarm["EvaluationPeriods"] * runs["Period"])
        assert back <= (timedelta(days=7) if runs["Period"] >= 3600 else timedelta(days=1)), verb

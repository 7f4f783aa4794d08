"""seek may read two tables' files through one workgroup, and what that costs is watched."""

import json

from infra.seek import SCANNED_AN_HOUR
from tests.infra.templates import Templates
from tests.infra.test_tier import granted


def test_it_may_ask_one_workgroup_and_nothing_else_of_athena(templates: Templates) -> None:
    grants = granted(templates, "seek")
    asking = {action: places for action, places in grants.items() if action.startswith("athena:")}
    assert set(asking) == {
        "athena:StartQueryExecution",
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "athena:StopQueryExecution",
    }
    for (place,) in asking.values():
        assert place.endswith(':workgroup/sluice-proof-analysts"]]}')


def test_it_may_see_two_tables(templates: Templates) -> None:
    grants = granted(templates, "seek")
    assert {action for action in grants if action.startswith("glue:")} == {"glue:GetDatabase", "glue:GetTable"}
    places = sorted(grants["glue:GetTable"])
    assert [place.rpartition(":")[2].removesuffix('"]]}') for place in places] == [
        "catalog",
        "database/sluice_proof",
        "table/sluice_proof/dead_letters",
        "table/sluice_proof/raw_events",
    ]


def test_it_may_read_events_and_dead_letters_and_write_results_alone(templates: Templates) -> None:
    grants = granted(templates, "seek")
    letters, raw = sorted(place for place in grants["s3:GetObject"] if "QueryResults" not in place)
    assert "DeadLetter" in letters
    assert letters.endswith('"/dead_letters/*"]]}')
    assert "Raw" in raw
    assert raw.endswith('"/raw/*"]]}')
    assert all("QueryResults" in place for place in grants["s3:PutObject"])
    assert not {action for action in grants if "Delete" in action}


def test_it_lists_only_below_what_it_may_read(templates: Templates) -> None:
    (role,) = [role for role in templates.every("AWS::IAM::Role") if role.name.startswith("SeekRole")]
    statements = [one for policy in role.properties["Policies"] for one in policy["PolicyDocument"]["Statement"]]
    listing = [one for one in statements if "s3:ListBucket" in one["Action"]]
    below = {json.dumps(one["Resource"]): one.get("Condition") for one in listing}
    for place, condition in below.items():
        assert (condition is None) == ("QueryResults" in place)


def test_it_is_outside_the_private_network(templates: Templates) -> None:
    assert "VpcConfig" not in templates.functions()["seek"].properties


def test_it_gives_up_before_trace_does(templates: Templates) -> None:
    seek, trace = (templates.functions()[verb].properties for verb in ("seek", "trace"))
    waits = int(trace["Environment"]["Variables"]["SEEK_SECONDS"])
    assert int(seek["Environment"]["Variables"]["ATHENA_SECONDS"]) < waits <= seek["Timeout"]


def test_somebody_hears_when_much_is_scanned(templates: Templates) -> None:
    alarm = templates.alarms()["seek-scans"].properties
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Period"]) == ("ProcessedBytes", "Sum", 3600)
    assert alarm["Threshold"] == SCANNED_AN_HOUR
    assert f"{SCANNED_AN_HOUR // 1024**3} GiB" in alarm["AlarmDescription"]
    assert {one["Name"]: one["Value"] for one in alarm["Dimensions"]} == {
        "WorkGroup": "sluice-proof-analysts",
        "QueryType": "DML",
        "QueryState": "SUCCEEDED",
    }

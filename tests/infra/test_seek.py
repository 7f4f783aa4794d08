"""seek may read two tables' files through one workgroup, and an alarm watches the cost."""

import json

from infra.functions.seek import SCANNED_AN_HOUR
from sluice.edge.aws import CONNECT_SECONDS
from sluice.edge.trace.athena import CALL_SECONDS, TRIES
from tests.infra.templates import Templates


def test_it_may_ask_one_workgroup_and_nothing_else_of_athena(templates: Templates) -> None:
    grants = templates.granted("seek")
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
    grants = templates.granted("seek")
    assert {action for action in grants if action.startswith("glue:")} == {"glue:GetDatabase", "glue:GetTable"}
    places = sorted(grants["glue:GetTable"])
    assert [place.rpartition(":")[2].removesuffix('"]]}') for place in places] == [
        "catalog",
        "database/sluice_proof",
        "table/sluice_proof/dead_letters",
        "table/sluice_proof/raw_events",
    ]


def test_it_may_read_events_and_dead_letters_and_write_results_alone(templates: Templates) -> None:
    grants = templates.granted("seek")
    letters, raw = sorted(place for place in grants["s3:GetObject"] if "QueryResults" not in place)
    assert "DeadLetter" in letters
    assert letters.endswith('"/dead_letters/*"]]}')
    assert "Raw" in raw
    assert raw.endswith('"/raw/*"]]}')
    assert all("QueryResults" in place for place in grants["s3:PutObject"])
    assert not {action for action in grants if "Delete" in action}


def test_it_lists_only_below_what_it_may_read(templates: Templates) -> None:
    listing = [one for one in templates.statements("seek") if "s3:ListBucket" in one["Action"]]
    below = {json.dumps(one["Resource"]): one.get("Condition") for one in listing}
    for place, condition in below.items():
        assert (condition is None) == ("QueryResults" in place)


def test_it_has_time_to_stop_the_queries_where_every_call_is_silent(templates: Templates) -> None:
    seek = templates.functions()["seek"].properties
    # A second between the tries of a call. The last look, and a stop for each query.
    call = TRIES * (CONNECT_SECONDS + CALL_SECONDS) + 1
    assert int(seek["Environment"]["Variables"]["ATHENA_SECONDS"]) + 3 * call < seek["Timeout"]


def test_an_alarm_fires_when_answered_or_cancelled_queries_scan_much(templates: Templates) -> None:
    alarm = templates.alarms()["seek-scans"].properties
    assert alarm["Threshold"] == SCANNED_AN_HOUR
    assert f"{SCANNED_AN_HOUR // 1024**3} GiB" in alarm["AlarmDescription"]
    parts = {one["Id"]: one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one}
    (expression,) = (one["Expression"] for one in alarm["Metrics"] if "Expression" in one)
    # A metric without data must not hide the others.
    assert set(expression.split(" + ")) == {f"FILL({name}, 0)" for name in parts}
    states = set()
    for part in parts.values():
        assert (part["Metric"]["MetricName"], part["Stat"], part["Period"]) == ("ProcessedBytes", "Sum", 3600)
        dimensions = {one["Name"]: one["Value"] for one in part["Metric"]["Dimensions"]}
        states.add(dimensions.pop("QueryState"))
        assert dimensions == {"WorkGroup": "sluice-proof-analysts", "QueryType": "DML"}
    assert states == {"SUCCEEDED", "CANCELED", "CANCELLED"}

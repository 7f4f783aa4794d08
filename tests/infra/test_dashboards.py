"""Each audience has a dashboard, whose graphs show metrics that something writes."""

import json
import re
from typing import Any

from sluice.core.metrics import METRICS
from tests.infra.templates import ROOT, Templates

AUDIENCES = ("operators", "platform", "fleets", "dropouts")
OURS = "Sluice/proof"


def bodies(templates: Templates) -> dict[str, dict[str, Any]]:
    """What each dashboard shows; what only a deployment knows is `X`."""
    return {
        dashboard.properties["DashboardName"].removeprefix("sluice-proof-"): json.loads(
            "".join(part if isinstance(part, str) else "X" for part in _parts(dashboard.properties["DashboardBody"]))
        )
        for dashboard in templates.every("AWS::CloudWatch::Dashboard")
    }


def _parts(body: Any) -> list[Any]:
    return [body] if isinstance(body, str) else list(body["Fn::Join"][1])


def graphs(body: dict[str, Any]) -> list[list[Any]]:
    """All lines of a dashboard's graphs."""
    return [line for widget in body["widgets"] for line in widget["properties"].get("metrics", [])]


def test_each_audience_has_a_dashboard(templates: Templates) -> None:
    found = bodies(templates)
    assert set(found) == set(AUDIENCES)
    for body in found.values():
        assert len(body["widgets"]) >= 6
        titles = [widget["properties"]["title"] for widget in body["widgets"]]
        assert len(set(titles)) == len(titles)


def test_every_metric_of_ours_is_registered_and_written_by_its_function(templates: Templates) -> None:
    written = {metric.name: metric for metric in METRICS}
    shown = [line for body in bodies(templates).values() for line in graphs(body) if line[0] == OURS]
    assert shown
    for _, name, *dimensions in shown:
        named = dict(zip(dimensions[:-1:2], dimensions[1::2], strict=False))
        assert not written[name].dimensions, f"{name} has more dimensions than its function"
        assert set(named) == {"service"}
        assert (ROOT / "functions" / named["service"]).is_dir(), named


def test_searches_name_metrics_with_their_dimensions(templates: Templates) -> None:
    lines = [line for body in bodies(templates).values() for line in graphs(body) if isinstance(line[0], dict)]
    searches = [line[0]["expression"] for line in lines]
    assert searches
    registered = {metric.name: metric for metric in METRICS}
    for namespace, schema, name in re.findall(
        r"SEARCH\('\{([^,]+),([\w,]+)\} MetricName=\"(\w+)\"", " ".join(searches)
    ):
        if namespace == OURS:
            assert set(schema.split(",")) == {"service", *registered[name].dimensions}
        else:
            assert (namespace, schema) == ("AWS/Lambda", "FunctionName")


def test_operators_see_every_outage(templates: Templates) -> None:
    shown = json.dumps(bodies(templates)["operators"])
    for outage in templates.outages():
        assert f"alarm:{outage.properties['AlarmName']}" in shown


def test_each_broker_and_stream_is_shown(templates: Templates) -> None:
    lines = [json.dumps(line) for line in graphs(bodies(templates)["platform"])]
    assert sum('"CpuIdle"' in line for line in lines) == templates.profile.brokers.count
    assert sum('"IncomingBytes"' in line for line in lines) == templates.profile.delivery.streams

"""recall may read rollups, and nothing else anywhere."""

from tests.infra.templates import Templates
from tests.infra.test_tier import granted


def test_it_may_read_published_files_and_nothing_else(templates: Templates) -> None:
    grants = granted(templates, "recall")
    assert set(grants) - {"logs:CreateLogStream", "logs:PutLogEvents"} == {
        "s3:GetObject",
        "kms:Decrypt",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }
    (place,) = grants["s3:GetObject"]
    assert "Rollups" in place
    assert place.endswith('"/rollups/*"]]}')


def test_it_is_outside_the_private_network(templates: Templates) -> None:
    assert "VpcConfig" not in templates.functions()["recall"].properties


def test_query_does_not_wait_longer_for_it_than_it_may_run(templates: Templates) -> None:
    waits = templates.functions()["query"].properties["Environment"]["Variables"]["RECALL_SECONDS"]
    assert int(waits) <= templates.functions()["recall"].properties["Timeout"]

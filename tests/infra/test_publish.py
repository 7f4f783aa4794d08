"""Who writes control data, who reads it, and that no one does without."""

from tests.infra.templates import Templates, listed

READERS = {"attend", "detect", "ingest", "learn", "query", "trace"}
WRITERS = {"admin", "migrate", "publish"}
# Outside the private network there is no Valkey.
OUTSIDE = {"notify"}


def granted_on_control_data(templates: Templates, action: str) -> set[str]:
    """Return the functions that may do something with published control data."""
    return {
        verb
        for verb in templates.functions()
        for resource in listed(templates.granted(verb).get(action, []))
        if "LakeBucketsControl" in str(resource) and "/published/" in str(resource)
    }


def test_readers_read_and_only_those_who_publish_write(templates: Templates) -> None:
    assert granted_on_control_data(templates, "s3:GetObject") == READERS | WRITERS | OUTSIDE
    assert granted_on_control_data(templates, "s3:PutObject") == WRITERS
    assert granted_on_control_data(templates, "s3:DeleteObject") == set()
    users = {
        user.properties["UserName"].removeprefix("sluice-proof-"): user.properties["AccessString"]
        for user in templates.every("AWS::ElastiCache::User")
    }
    assert {verb for verb, access in users.items() if " ~published:* " in access} == READERS | WRITERS


def test_an_alarm_says_that_nothing_is_published(templates: Templates) -> None:
    assert {"publish-errors", "publish-not-run"} <= set(templates.alarms())

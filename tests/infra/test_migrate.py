"""The schema is there before anything uses it, and a deployment fails where it cannot be."""

from tests.infra.templates import Templates


def test_migrations_run_before_what_depends_on_them_and_after_they_can_connect(templates: Templates) -> None:
    trigger = templates.only("Custom::Trigger")
    for dependent in (
        templates.functions()["ingest"],
        templates.functions()["archive"],
        templates.sources()["archive"],
        templates.functions()["aggregate"],
        templates.sources()["aggregate"],
    ):
        assert trigger.name in dependent.policies["DependsOn"], dependent.name
    doors = {
        rule.name
        for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
        for rule in templates.every(kind)
        if rule.name.startswith("Migrate")
    }
    assert doors <= set(trigger.policies["DependsOn"])


def test_what_is_kept_started_starts_after_the_migrations(templates: Templates) -> None:
    trigger = templates.only("Custom::Trigger")
    for alias in templates.every("AWS::Lambda::Alias"):
        assert trigger.name in alias.policies["DependsOn"]

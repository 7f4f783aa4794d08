"""The schema exists before anything uses it, and a deployment fails where it cannot."""

from tests.infra.templates import Templates
from tests.infra.test_schedule import schedules


def test_migrations_run_before_what_depends_on_them_and_after_they_can_connect(templates: Templates) -> None:
    trigger = templates.only("Custom::Trigger")
    connecting = {
        verb
        for verb, function in templates.functions().items()
        if "DATABASE_USER" in function.properties["Environment"]["Variables"]
    } - {"migrate"}
    connecting |= {
        verb for verb in templates.functions() if "CONTROL_BUCKET" in templates.variables(verb) and verb != "migrate"
    }
    assert connecting > {"ingest", "aggregate", "query"}
    for dependent in (
        *(templates.functions()[verb] for verb in connecting),
        templates.sources()["aggregate"],
        *(schedule for verb, schedule in schedules(templates).items() if verb in connecting),
    ):
        assert templates.waits_for(dependent, trigger), dependent.name
    doors = {
        rule.name
        for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
        for rule in templates.every(kind)
        if rule.name.startswith("Migrate")
    }
    assert doors <= set(trigger.policies["DependsOn"])


def test_what_is_kept_started_starts_after_the_migrations(templates: Templates) -> None:
    trigger = templates.only("Custom::Trigger")
    connecting = {"ingest", "query", "trace", "admin", "aggregate", "recount", "alert", "detect", "attend", "notify"}
    for verb, alias in templates.aliases().items():
        assert templates.waits_for(alias, trigger) == (verb in connecting), verb

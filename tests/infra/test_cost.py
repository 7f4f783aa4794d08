"""The bill of the real templates stays below the budget, and docs/cost.md says what it is."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.cost.caps import caps
from cli.cost.figures import load_figures
from cli.cost.levers import FIREWALL_RULES
from cli.cost.page import write_page
from cli.cost.prices import load_prices
from cli.cost.report import Model
from cli.cost.templates import FREE, Deployed, read_templates
from cli.cost.workload import BUDGETS, SIZES
from infra.profiles.baseline import BASELINE
from local.template import Assembly, TemplateError
from tests.infra.options import Told
from tests.infra.templates import ROOT, Templates, synthesize


def model_of(templates: Templates) -> Model:
    deployed = read_templates(Assembly.of({stack: templates.template(stack) for stack in templates.files}))
    return Model(deployed, SIZES[templates.profile.name], load_figures(), load_prices())


def month(model: Model, events_per_request: int) -> float:
    return model.bill(model.size.workload(events_per_request=events_per_request)).total


@pytest.fixture(scope="module")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesize("baseline", tmp_path_factory.mktemp("cost"))


@pytest.fixture(scope="module")
def baseline(synthesized: Templates) -> Model:
    return model_of(synthesized)


@pytest.mark.parametrize(("events_per_request", "budget"), BUDGETS.items())
def test_a_month_at_baseline_stays_below_its_budget(baseline: Model, events_per_request: int, budget: int) -> None:
    assert month(baseline, events_per_request) < budget
    assert BASELINE.monthly_budget_usd == baseline.deployed.monthly_budget == BUDGETS[10]


COSTLY: dict[str, Any] = {
    "a larger database": lambda deployed: msgspec.structs.replace(
        deployed, database=msgspec.structs.replace(deployed.database, instance_type="r7g.8xlarge")
    ),
    "more brokers": lambda deployed: msgspec.structs.replace(
        deployed, brokers=msgspec.structs.replace(deployed.brokers, count=18)
    ),
    "raw events kept for years": lambda deployed: msgspec.structs.replace(
        deployed, kept_days=deployed.kept_days | {_raw(deployed): 3000}
    ),
    "a poller group for each consumer, and many pollers": lambda deployed: msgspec.structs.replace(
        deployed,
        pollers={
            verb: msgspec.structs.replace(each, group=verb, minimum=100) for verb, each in deployed.pollers.items()
        },
    ),
    "environments that stay started": lambda deployed: msgspec.structs.replace(
        deployed,
        functions={**deployed.functions, "ingest": msgspec.structs.replace(deployed.functions["ingest"], started=150)},
    ),
}


def _raw(deployed: Any) -> str:
    (place,) = (place for place in deployed.kept_days if place.endswith("/raw/"))
    return str(place)


@pytest.mark.parametrize("setting", COSTLY)
def test_a_costly_setting_breaks_the_budget(baseline: Model, setting: str) -> None:
    costly = msgspec.structs.replace(baseline, deployed=COSTLY[setting](baseline.deployed))
    assert any(month(costly, events) > budget for events, budget in BUDGETS.items())


def test_the_page_is_what_the_templates_say(baseline: Model, tmp_path: Path) -> None:
    large = model_of(synthesize("large", tmp_path))
    assert (ROOT / "docs" / "cost.md").read_text() == write_page(baseline, large), (
        "the page is stale; write it again: make cost"
    )


def test_every_profile_can_be_billed(templates: Templates) -> None:
    if templates.profile.name == "test":
        pytest.skip("never deployed, and so without a size")
    model = model_of(templates)
    assert 0 < month(model, 100) < month(model, 10) < templates.profile.monthly_budget_usd


def test_each_bound_names_an_alarm_that_exists(baseline: Model, synthesized: Templates) -> None:
    named = {cap.alarm for cap in caps(baseline.deployed, baseline.figures, baseline.prices)}
    assert named - {"budget"} <= set(synthesized.alarms())


def test_a_type_of_which_nobody_said_what_it_costs_is_refused(synthesized: Templates) -> None:
    stacks = {stack: synthesized.template(stack) for stack in synthesized.files}
    next(iter(stacks.values()))["Resources"]["Surprise"] = {"Type": "AWS::MWAA::Environment", "Properties": {}}
    with pytest.raises(TemplateError, match=r"AWS::MWAA::Environment.*Surprise"):
        read_templates(Assembly.of(stacks))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("AWS::RDS::DBInstance", {"StorageType": "io2"}),
        ("AWS::MSK::Cluster", {"EnhancedMonitoring": "PER_TOPIC_PER_PARTITION"}),
        ("AWS::Lambda::Function", {"Architectures": ["x86_64"]}),
        ("AWS::S3::Bucket", {"VersioningConfiguration": {"Status": "Enabled"}}),
    ],
)
def test_what_the_model_takes_for_granted_is_checked(
    synthesized: Templates, kind: str, changes: dict[str, object]
) -> None:
    stacks = {stack: synthesized.template(stack) for stack in synthesized.files}
    for template in stacks.values():
        for resource in template["Resources"].values():
            if resource["Type"] == kind:
                resource["Properties"].update(changes)
    with pytest.raises(TemplateError, match=rf"{kind}.*{next(iter(changes))}.*for granted"):
        read_templates(Assembly.of(stacks))


def test_a_state_machine_costs_nothing_until_it_runs_and_then_by_its_transitions(synthesized: Templates) -> None:
    def deployed(kind: str) -> Deployed:
        stacks = {stack: synthesized.template(stack) for stack in synthesized.files}
        machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineType": kind}}
        stacks["pipeline"]["Resources"]["Machine"] = machine
        return read_templates(Assembly.of(stacks))

    assert deployed("STANDARD") == model_of(synthesized).deployed
    assert load_prices()["step_functions_transition"].cost(1_000) == 0.025
    with pytest.raises(TemplateError, match="'EXPRESS'; the cost model takes 'STANDARD' for granted"):
        deployed("EXPRESS")


def test_every_type_that_is_called_free_is_in_a_template(synthesized: Templates, told: Told) -> None:
    optional = {one["Type"] for stack in ("pipeline", "firewall") for one in told.template(stack)["Resources"].values()}
    assert set(FREE) <= {resource.type for resource in synthesized.every()} | optional


def test_the_model_has_the_rows_that_the_profile_makes_room_for() -> None:
    figures, size = load_figures(), SIZES["baseline"]
    rows = size.peak * figures.row_bytes.value / 2**20
    assert rows <= BASELINE.delivery.peak_mib_per_second <= 1.2 * rows
    assert replace(BASELINE.delivery, quota_mib_per_second=1).streams == 12


def test_the_page_of_deployments_says_what_waf_and_the_trail_add(baseline: Model) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    closed = msgspec.structs.replace(
        baseline, deployed=msgspec.structs.replace(baseline.deployed, firewall_rules=FIREWALL_RULES)
    )
    for events, hours in ((10, 14), (10, 24), (100, 14)):
        work = baseline.size.workload(events_per_request=events, hours_a_day=hours)
        assert re.search(rf"\b{closed.bill(work).total - baseline.bill(work).total:,.0f}\b", page), (events, hours)
    flood = baseline.prices["waf_request"].cost(5_000 * 3600)
    assert f"{flood:.0f} dollars an hour at 5,000" in page
    (trail,) = [line.usd for line in baseline.bill(work).lines if line.service == "CloudTrail"]
    assert f"about {trail:.0f} dollar a month" in page


def test_a_distribution_is_billed_with_its_rules_and_has_no_price_without(synthesized: Templates, told: Told) -> None:
    stacks = {stack: synthesized.template(stack) for stack in synthesized.files}
    stacks["firewall"] = told.template("firewall")
    assert read_templates(Assembly.of(stacks)).firewall_rules == FIREWALL_RULES
    resources = stacks["firewall"]["Resources"].items()
    stacks["firewall"]["Resources"] = {name: one for name, one in resources if one["Type"] != "AWS::WAFv2::WebACL"}
    with pytest.raises(TemplateError, match="a distribution without WAF"):
        read_templates(Assembly.of(stacks))

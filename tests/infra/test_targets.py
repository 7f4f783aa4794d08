"""The targets of deployments run the CDK's engine with what they were told, and set up nothing that only tests use."""

import subprocess

import pytest

from tests.infra.templates import ROOT

STAGE = ("STAGE=prod", "PROFILE=baseline")


def recipe(*arguments: str, status: int = 0) -> str:
    """What make would run, with everything that it would set up before, or what it says against it."""
    ran = subprocess.run(
        ["make", "--dry-run", "--always-make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == status, ran.stderr
    return ran.stdout if status == 0 else ran.stderr


def engine(written: str) -> list[str]:
    """The calls of the CDK's engine."""
    return [line.partition("aws-cdk@")[2].partition(" ")[2] for line in written.splitlines() if "aws-cdk@" in line]


def test_a_deployment_passes_on_what_it_is_told() -> None:
    (call,) = engine(
        recipe(
            "deploy",
            *STAGE,
            "REGION=eu-central-1",
            "ZONES=eu-central-1a,eu-central-1b,eu-central-1c",
            "CIDR=10.9.0.0/16",
            "DOMAIN=telemetry.example.org",
            "CERTIFICATE=arn:x",
            "FIREHOSE_MIB=1",
            "RESERVE=no",
            "WAF=yes",
            "WAF_CERTIFICATE=arn:z",
            "CLIENT_CERTIFICATE=arn:v",
            "TRUSTSTORE=s3://sluice-a/b.pem",
            "RESTORED_DATABASE=db-RESTORED0123456789ABCDEF",
            "RESTORED_SECRET=arn:y",
            "ALARM_EMAIL=ops@example.org",
            "TAGS=team=iot cost-center=42",
            "APPROVAL=never",
        )
    )
    words = call.split()
    told = {words[number + 1] for number, word in enumerate(words) if word == "--context"}
    assert words[:2] == ["deploy", "--all"]
    assert told == {
        "stage=prod",
        "profile=baseline",
        "region=eu-central-1",
        "zones=eu-central-1a,eu-central-1b,eu-central-1c",
        "cidr=10.9.0.0/16",
        "domain=telemetry.example.org",
        "certificate=arn:x",
        "firehose_mib=1",
        "reserve=no",
        "waf=yes",
        "waf_certificate=arn:z",
        "client_certificate=arn:v",
        "truststore=s3://sluice-a/b.pem",
        "restored_database=db-RESTORED0123456789ABCDEF",
        "restored_secret=arn:y",
        "alarm_email=ops@example.org",
    }
    assert "--tags team=iot --tags cost-center=42 --require-approval never" in call


def test_without_options_a_deployment_has_the_defaults_of_its_profile_and_of_the_engine() -> None:
    (call,) = engine(recipe("deploy", *STAGE))
    assert call.split() == ["deploy", "--all", "--context", "stage=prod", "--context", "profile=baseline"]


def test_a_first_deployment_is_protected_by_a_second_run_after_its_success() -> None:
    unprotected, protected = engine(recipe("deploy", *STAGE, "FIRST=yes"))
    assert unprotected.split()[-2:] == ["--context", "first=yes"]
    assert protected.split() == unprotected.split()[:-2]


def test_a_deployment_ends_with_the_policy_of_the_stack_that_holds_the_data() -> None:
    written = recipe("deploy", *STAGE, "FIRST=yes", "REGION=eu-central-1")
    assert written.rindex("deploy --all") < written.index("cli.stack_policy prod eu-central-1")


def test_going_back_replaces_the_functions_and_leaves_the_stores() -> None:
    written = recipe("deploy", *STAGE, "ONLY=code", "SHIFT=no")
    (call,) = engine(written)
    assert call.split()[:4] == ["deploy", "--exclusively", "sluice-prod-pipeline", "sluice-prod-background"]
    assert "--all" not in call
    assert call.split()[-2:] == ["--context", "shift=no"]
    assert "cli.stack_policy" not in written


def test_a_stage_is_deleted_by_name_its_functions_first_and_its_buckets_emptied_between() -> None:
    written = recipe("destroy", "STAGE=dev", "PROFILE=dev", "REGION=eu-central-1")
    functions, everything = engine(written)
    assert "--force" in functions
    assert functions.endswith("sluice-dev-background sluice-dev-pipeline")
    assert everything.startswith("destroy --force --all")
    order = [
        written.index(part)
        for part in ("Type the name of the stage", "sluice-dev-background", "cli.emptying dev eu-central-1", "--all")
    ]
    assert order == sorted(order)


def test_a_bootstrap_gives_the_engine_our_policy() -> None:
    written = recipe("bootstrap", "ACCOUNT=123456789012", "REGION=eu-central-1")
    assert "cli.execution_policy 123456789012" in written
    assert "--cloudformation-execution-policies $policy" in written


@pytest.mark.parametrize("target", ["deploy", "destroy", "synth"])
def test_it_sets_up_no_local_stack_and_nothing_that_only_tests_use(target: str) -> None:
    written = recipe(target, *STAGE)
    assert "sh local/venv.sh requirements-deploy.txt" in written
    assert "-m local.page" in written
    for other in ("requirements-dev.txt", "local.install"):
        assert other not in written


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("deploy", "PROFILE=dev"), "say which STAGE"),
        (("destroy", "STAGE=dev"), "say which PROFILE"),
        (("bootstrap", "REGION=us-east-1"), "say which ACCOUNT"),
        (("deploy", *STAGE, "FIRST=true"), "FIRST is yes, or not given"),
        (("deploy", *STAGE, "ONLY=data"), "ONLY is code, or not given"),
        (("deploy", *STAGE, "ONLY=code", "FIRST=yes"), "it cannot be the FIRST"),
    ],
)
def test_what_must_be_said_is_asked_for(arguments: tuple[str, ...], says: str) -> None:
    assert says in recipe(*arguments, status=2)

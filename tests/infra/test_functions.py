"""Every function is one of ours, uses our one definition, and has what its code imports."""

import ast
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from infra.building_blocks.layers import PANDAS_LAYER
from sluice.edge.settings import FunctionSettings
from tests.infra.templates import ROOT, Templates

CDKS_OWN = {
    # They run at deployment only, in code and with settings that the CDK brings.
    "AWS679f53fac002430cb0da5b7982bd22872D164C4C": "asks for the brokers' addresses",
    "LogRetentionaae0aa3c5b4d4f87b02d85b201efdd8aFD4BFC8A": "says how long PostgreSQL's log is kept",
    "AWSCDKTriggerCustomResourceProviderCustomResourceProviderHandler97BECD91": "starts the migrations",
}
# These need no broker, database or cache of ours and have no access to them.
OUTSIDE = {"show", "lookup", "notify", "probe", "recall", "seek"}
PACKAGE = ROOT / "layers" / "sluice" / "python"
IN_THE_RUNTIME = {"boto3", "botocore"}
# The published layer has no requirements of ours to read.
PARQUET = {"awswrangler", "numpy", "pandas", "pyarrow"}


def test_there_is_no_function_but_ours_and_three_of_the_cdk(templates: Templates) -> None:
    others = {function.name for function in templates.every("AWS::Lambda::Function")} - {
        function.name for function in templates.functions().values()
    }
    assert others == set(CDKS_OWN)


def test_every_function_is_bounded_traced_and_where_it_belongs(templates: Templates) -> None:
    for verb, function in templates.functions().items():
        properties = function.properties
        assert 0 < properties["Timeout"] <= 900, verb
        assert properties["ReservedConcurrentExecutions"] >= 1, verb
        assert properties["MemorySize"] >= 512, verb
        assert len(properties.get("VpcConfig", {}).get("SubnetIds", ())) == (0 if verb in OUTSIDE else 3), verb
        assert properties["Architectures"] == ["arm64"], verb
        assert properties["Runtime"] == "python3.13", verb


def test_every_function_logs_json_into_its_own_group_that_expires(templates: Templates) -> None:
    groups = {group.name: group.properties for group in templates.every("AWS::Logs::LogGroup")}
    for verb, function in templates.functions().items():
        logging = function.properties["LoggingConfig"]
        assert logging["LogFormat"] == "JSON", verb
        group = groups[logging["LogGroup"]["Ref"]]
        assert group["LogGroupName"] == f"/aws/lambda/sluice-proof-{verb}"
        assert group["RetentionInDays"] == templates.profile.log_days


def test_no_log_group_is_kept_for_ever(templates: Templates) -> None:
    for group in templates.every("AWS::Logs::LogGroup"):
        assert group.properties["RetentionInDays"] <= 30, group.name


def test_every_function_writes_its_metrics_under_its_own_name_and_stage(templates: Templates) -> None:
    for verb in templates.functions():
        assert templates.settings(verb, FunctionSettings) == FunctionSettings("proof", verb, "Sluice/proof")


def test_every_environment_that_shares_a_limit_knows_how_many_share_it(templates: Templates) -> None:
    told = {verb: templates.variables(verb).get(f"{verb.upper()}_CONCURRENCY") for verb in templates.functions()}
    assert {verb for verb, number in told.items() if number} == {
        *("ingest", "archive", "aggregate", "query", "trace", "recount", "resend", "detect", "alert")
    }
    for verb, number in told.items():
        reserved = templates.functions()[verb].properties["ReservedConcurrentExecutions"]
        assert number in (None, str(reserved)), verb


def test_a_revoked_key_stops_working_behind_every_route_at_once(templates: Templates) -> None:
    for name in ("KEY_VALKEY_SECONDS", "KEY_S3_SECONDS"):
        told = {verb: templates.variables(verb).get(name) for verb in ("ingest", "query", "trace")}
        assert len(set(told.values())) == 1, told


def test_secrets_are_named_and_never_carried_in_settings(templates: Templates) -> None:
    for function in templates.functions().values():
        for variable in function.properties["Environment"]["Variables"]:
            assert "PASSWORD" not in variable
            assert not variable.endswith("_SECRET")


def test_what_is_produced_is_settled_before_the_function_is_stopped(templates: Templates) -> None:
    for verb in (
        "ingest",
        "archive",
        "aggregate",
        "salvage",
        "recount",
        "resend",
        "redrive",
        "detect",
        "learn",
        "alert",
    ):
        timeout = templates.functions()[verb].properties["Timeout"]
        assert int(templates.variables(verb)["PRODUCE_DEADLINE_SECONDS"]) < timeout, verb


def test_every_function_has_the_libraries_that_its_code_imports(templates: Templates) -> None:
    for verb, function in templates.functions().items():
        had = set(IN_THE_RUNTIME)
        for layer in function.properties["Layers"]:
            for name in ("Stream", "Database"):
                if f"Layers{name}" in str(layer):
                    had |= _installed_by(ROOT / "layers" / name.lower() / "requirements.txt")
            had |= PARQUET if PANDAS_LAYER in str(layer) else set()
        if verb != "show":
            imported = _libraries_imported_by(ROOT / "functions" / verb / "handler.py")
            assert "aws_lambda_powertools" in imported
            assert imported <= had, f"{verb} imports {imported - had}, and no layer of it has that"


@cache
def _installed_by(requirements: Path) -> set[str]:
    """Return what can be imported once these requirements are installed."""
    wanted = {line.partition("[")[0] for line in requirements.read_text().split()}
    return {
        name for name, found in packages_distributions().items() if wanted & {each.replace("_", "-") for each in found}
    }


@cache
def _libraries_imported_by(handler: Path) -> set[str]:
    """Return the libraries that a handler imports, itself or through our package."""
    seen: set[Path] = set()
    waiting = [handler]
    libraries: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                named = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            for name in named:
                first = name.partition(".")[0]
                if first == "sluice":
                    place = PACKAGE.joinpath(*name.split("."))
                    waiting += [place.with_suffix(".py"), place / "__init__.py"]
                elif first not in sys.stdlib_module_names:
                    libraries.add(first)
    return libraries


def test_the_code_layer_holds_the_contracts_and_no_build_leftovers(templates: Templates) -> None:
    template = templates.template("pipeline")
    (layer,) = [body for name, body in template["Resources"].items() if name.startswith("LayersSluice")]
    asset = templates.files["pipeline"].parent / f"asset.{layer['Properties']['Content']['S3Key'].removesuffix('.zip')}"
    assert (asset / "python" / "sluice" / "__init__.py").is_file()
    assert any((asset / "schemas").rglob("*.json"))
    assert not list(asset.rglob("__pycache__"))

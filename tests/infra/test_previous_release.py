"""The functions of the previous release can stay, and be deployed again, beside the stores of this one."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.database.releases import NAMED, extract
from tests.infra.templates import ROOT, Templates

PARTS = (
    "app.py",
    "cdk.json",
    "constraints.txt",
    "functions",
    "infra",
    "layers",
    "local",
    "requirements.txt",
    "schemas",
    "web",
)
STORES = ("network", "data")


@pytest.mark.parametrize("templates", ["dev"], indirect=True)
def test_functions_of_the_release_before_find_all_that_they_import_from_stores(
    templates: Templates, tmp_path: Path
) -> None:
    # An upgrade updates stores while these functions still import from them. Going back brings these functions back.
    before = _synthesize_before(tmp_path)
    imported = _imports(before["pipeline"]) | _imports(before["background"])
    had = {name: value for stack in STORES for name, value in _exports(before[stack]).items()}
    have = {name: value for stack in STORES for name, value in _exports(templates.template(stack)).items()}
    used = imported & set(had)
    assert len(used) > 50
    # CloudFormation refuses to remove an export that is in use, and to change it.
    assert {name: have.get(name) for name in used} == {name: had[name] for name in used}


def _synthesize_before(place: Path) -> dict[str, dict[str, Any]]:
    """Synthesize the previous release with its own code."""
    release = place / "release"
    extract(NAMED.read_text().strip(), release, *PARTS)
    # The page's libraries come from a registry, and what they hold is not compared.
    (release / "web" / "node_modules").symlink_to(ROOT / "web" / "node_modules")
    told = {"stage": "proof", "profile": "dev"}
    environment = {
        "CDK_OUTDIR": str(place / "out"),
        "CDK_CONTEXT_JSON": json.dumps(told),
        "PYTHONPATH": f"{release}:{release / 'layers/sluice/python'}",
    }
    subprocess.run([sys.executable, "app.py"], cwd=release, env={**os.environ, **environment}, check=True)
    stacks = (*STORES, "pipeline", "background")
    return {stack: json.loads((place / "out" / f"sluice-proof-{stack}.template.json").read_text()) for stack in stacks}


def _exports(template: Mapping[str, Any]) -> dict[str, Any]:
    return {each["Export"]["Name"]: each["Value"] for each in template["Outputs"].values() if "Export" in each}


def _imports(value: Any) -> set[str]:
    """Return the names of the exports that a template imports."""
    if isinstance(value, dict):
        if set(value) == {"Fn::ImportValue"}:
            return {value["Fn::ImportValue"]}
        return {name for each in value.values() for name in _imports(each)}
    return {name for each in value for name in _imports(each)} if isinstance(value, list) else set()

"""Every AWS client has explicit timeouts: all clients are made in one place, which requires them."""

import ast
from pathlib import Path
from typing import Any

import pytest

from sluice.edge import aws

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "sluice" / "python" / "sluice"
ONLY_PLACE = PACKAGE / "edge" / "aws.py"
MODULES = sorted([*(ROOT / "functions").rglob("*.py"), *PACKAGE.rglob("*.py")])
MAKERS = {"client", "resource", "create_client"}


def made_in(source: str) -> set[str]:
    """Return how a module makes its own clients: its SDK imports and calls."""
    tree = ast.parse(source)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "boto3"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "boto3":
            found.add(node.module or "")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS:
            owner = node.func.value
            if not (isinstance(owner, ast.Name) and owner.id == "aws"):
                found.add(ast.unparse(node.func))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_clients_are_made_where_they_get_their_timeouts(module: Path) -> None:
    assert (made_in(module.read_text()) != set()) == (module == ONLY_PLACE)


@pytest.mark.parametrize(
    "source", ["import boto3\nboto3.client('s3')", "from boto3 import client", "session.create_client('s3')"]
)
def test_the_check_itself_sees_a_client_made_without(source: str) -> None:
    assert made_in(source)


def test_a_client_waits_and_tries_as_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config: Any = aws.client("firehose", answer_seconds=5).meta.config
    assert (config.connect_timeout, config.read_timeout) == (aws.CONNECT_SECONDS, 5)
    assert config.retries["total_max_attempts"] == 1
    with pytest.raises(TypeError):
        aws.client("firehose")  # type: ignore[call-arg]

"""The core takes everything it needs as an argument. This test enforces it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "layers" / "sluice" / "python" / "sluice"
MODULES = sorted((PACKAGE / "core").rglob("*.py"))

# What the core may import: rules about text, numbers and times, and nothing that knows where or when it runs.
ALLOWED = {
    "base64", "binascii", "bisect", "collections", "contextlib", "datetime", "difflib", "functools", "gzip", "hashlib",
    "hmac", "http", "ipaddress", "itertools", "json", "math", "re", "statistics", "typing", "uuid", "zlib",
    "fastjsonschema", "msgspec", "rfc8785", "sluice",
    "numpy", "numpy.typing",  # numbers by the million; it reads no files here, as every call is checked
    "urllib.parse",  # and nothing else of urllib, which has a network in it
}  # fmt: skip
# Calls that would bring in a clock or randomness through an allowed module.
FORBIDDEN_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "getenv"}


def imported_by(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def called_by(tree: ast.AST) -> set[str]:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_core_module_imports_and_calls_nothing_of_the_world(module: Path) -> None:
    tree = ast.parse(module.read_text())
    imports = imported_by(tree)
    assert {name for name in imports if not {name, name.split(".")[0]} & ALLOWED} == set()
    assert {name for name in imports if name.startswith("sluice") and not name.startswith("sluice.core")} == set()
    assert called_by(tree) & FORBIDDEN_CALLS == set()


def test_importing_the_whole_core_loads_no_client_of_a_service() -> None:
    places = (
        module.relative_to(PACKAGE.parent).with_suffix("").parts for module in MODULES if module.stem != "__init__"
    )
    modules = ", ".join(".".join(parts) for parts in places)
    script = f"import sys, {modules}\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(loaded) & {"boto3", "botocore", "confluent_kafka", "psycopg", "redis", "aws_lambda_powertools"} == set()


def test_the_check_itself_sees_a_breach() -> None:
    breach = ast.parse("import boto3\nfrom datetime import datetime\nmoment = datetime.now()")
    assert "boto3" not in ALLOWED
    assert "boto3" in imported_by(breach)
    assert called_by(breach) & FORBIDDEN_CALLS == {"now"}

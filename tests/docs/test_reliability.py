"""Everything that the reliability page names exists, alarms of loss paths exist, and limits are those of the code."""

import importlib
import re
from datetime import timedelta
from functools import reduce
from pathlib import Path

import pytest

from infra.profiles.baseline import BASELINE
from tests.docs.pages import LOSS_PATHS, collect
from tests.infra.templates import synthesize

ROOT = Path(__file__).parents[2]
EDGE = ROOT / "layers" / "sluice" / "python" / "sluice" / "edge"
TIMEOUTS = (ROOT / "docs" / "timeouts.md").read_text()
LIMITS = re.findall(r"`((?:edge|functions|baseline)\.[\w.]+)` = ([\d.]+)", TIMEOUTS)
# What opens a connection, or makes the client that will.
OPENS = re.compile(
    r"socket\.create_connection\(|psycopg\.connect\(|RedisCluster\(|HTTPSConnection|boto3\.client\(|\bProducer\b|\bAdminClient\b|\bConsumer\("
)


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "reliability.md").read_text())
    assert named
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), f"{file}::{test}"


def test_every_alarm_that_a_loss_path_names_exists(tmp_path: Path) -> None:
    named = {
        alarm for row in collect(ROOT / "tests", LOSS_PATHS) for alarm in re.findall(r"`([\w-]+)`", row.texts["told"])
    }
    assert named
    assert named - set(synthesize("baseline", tmp_path).alarms()) == set()


@pytest.mark.parametrize(("name", "value"), LIMITS)
def test_every_limit_is_the_one_in_the_code(name: str, value: str) -> None:
    home, *path, constant = name.split(".")
    modules = {"edge": ["sluice", "edge", *path], "functions": ["functions", *path, "handler"]}
    if home in modules:
        found = getattr(importlib.import_module(".".join(modules[home])), constant)
    else:
        found = reduce(getattr, [*path, constant], BASELINE)
    assert (found.total_seconds() if isinstance(found, timedelta) else found) == float(value)


def test_no_limit_is_documented_that_the_code_does_not_name() -> None:
    rows = [line.split("|") for line in TIMEOUTS.splitlines() if line.startswith("| ")][1:]
    assert rows
    told = [re.sub(r"`[^`]*` = [\d.]+( \(.*?\))?", "", cell) for row in rows for cell in row[3:6]]
    assert [cell for cell in told if re.search(r"\d|\b(two|three|four|five|ten|twice)\b", cell)] == []


def test_every_module_that_opens_a_connection_has_its_limits_documented() -> None:
    opening = [path.relative_to(EDGE.parent) for path in EDGE.rglob("*.py") if OPENS.search(path.read_text())]
    assert opening
    told = {path: f"`{'.'.join(path.with_suffix('').parts)}`" for path in opening}
    assert {path for path, name in told.items() if name not in TIMEOUTS} == set()

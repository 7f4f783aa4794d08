"""What the pages on reliability name is there, and the limits they tell are those of the code."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

from infra.profiles.baseline import BASELINE
from tests.infra.templates import synthesize

ROOT = Path(__file__).parents[2]
EDGE = ROOT / "layers" / "sluice" / "python" / "sluice" / "edge"
PAGES = ("reliability.md", "loss-paths.md")
TIMEOUTS = (ROOT / "docs" / "timeouts.md").read_text()
LIMITS = re.findall(r"`((?:edge|baseline)\.[\w.]+)` = ([\d.]+)", TIMEOUTS)
# What opens a connection, or makes the client that will.
OPENS = re.compile(
    r"psycopg\.connect\(|RedisCluster\(|HTTPSConnection|boto3\.client\(|\bProducer\b|\bAdminClient\b|\bConsumer\("
)


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / page).read_text())
    assert named
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), f"{file}::{test}"


def test_every_alarm_that_a_loss_path_names_exists(tmp_path: Path) -> None:
    rows = [line.split("|") for line in (ROOT / "docs" / "loss-paths.md").read_text().splitlines() if "::test_" in line]
    assert rows
    named = {alarm for row in rows for alarm in re.findall(r"`([\w-]+)`", row[3])}
    assert named
    assert named - set(synthesize("baseline", tmp_path).alarms()) == set()


def test_every_row_of_the_loss_paths_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "loss-paths.md").read_text().splitlines() if line.startswith("|")]
    told = [row for row in rows if not re.match(r"\|(---| what fails )", row)]
    assert told
    assert [row for row in told if "::test_" not in row] == []


@pytest.mark.parametrize(("name", "value"), LIMITS)
def test_every_limit_is_the_one_in_the_code(name: str, value: str) -> None:
    home, *path = name.split(".")
    if home == "edge":
        *module, constant = path
        assert getattr(importlib.import_module(".".join(["sluice", "edge", *module])), constant) == float(value)
    else:
        found: object = reduce(getattr, path, BASELINE)
        assert found == float(value)


def test_every_module_that_opens_a_connection_has_its_limits_told() -> None:
    opening = [path.relative_to(EDGE.parent) for path in EDGE.rglob("*.py") if OPENS.search(path.read_text())]
    assert opening
    told = {path: f"`{'.'.join(path.with_suffix('').parts)}`" for path in opening}
    assert {path for path, name in told.items() if name not in TIMEOUTS} == set()

"""What lookup answers: what the directory says, and an outage is no error of ours."""

from typing import TYPE_CHECKING, cast

import pytest

from functions.lookup.handler import lookup
from sluice.core.query.groups import Group, Told, Wanted
from sluice.edge.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluice.edge.query.directory import Directory

WANTED = Wanted("demo", "hall", "c-1")


class Played:
    """A directory with one answer."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def ask(self, _wanted: Wanted) -> Told:
        return self.told


@pytest.fixture(autouse=True)
def counted() -> "Iterator[None]":
    yield
    metrics.clear_metrics()


@pytest.mark.parametrize(
    ("told", "unavailable"),
    [
        (Told(group=Group("hall", "Hall", ())), 0.0),
        (Told(problem="unknown"), 0.0),
        (Told(problem="no_directory"), 0.0),
        (Told(problem="unavailable", detail="no answer"), 1.0),
    ],
)
def test_what_the_directory_tells_is_handed_on_and_its_absence_is_counted(told: Told, unavailable: float) -> None:
    assert lookup(WANTED, cast("Directory", Played(told))) == told
    assert metrics.metric_set["DirectoryUnavailable"]["Value"] == [unavailable]

"""What lookup answers: what the directory says, and an outage is no error of ours."""

from typing import TYPE_CHECKING, cast

import pytest

from functions.lookup.handler import lookup
from sluice.core.query.groups import Group, GroupAnswer, GroupQuestion
from sluice.edge.metrics import metrics

if TYPE_CHECKING:
    from sluice.edge.query.directory import Directory

WANTED = GroupQuestion("demo", "hall", "c-1")


class Played:
    """A directory with one answer."""

    def __init__(self, told: GroupAnswer) -> None:
        self.told = told

    def ask(self, _wanted: GroupQuestion) -> GroupAnswer:
        return self.told


@pytest.mark.parametrize(
    ("told", "unavailable"),
    [
        (GroupAnswer(group=Group("hall", "Hall", ())), 0.0),
        (GroupAnswer(problem="unknown"), 0.0),
        (GroupAnswer(problem="no_directory"), 0.0),
        (GroupAnswer(problem="unavailable", detail="no answer"), 1.0),
    ],
)
def test_what_the_directory_tells_is_handed_on_and_its_absence_is_counted(
    told: GroupAnswer, unavailable: float
) -> None:
    assert lookup(WANTED, cast("Directory", Played(told))) == told
    assert metrics.metric_set["DirectoryUnavailable"]["Value"] == [unavailable]

"""Each bug that no history is asked to find has a reason, and the page says of each bug what was found."""

import pytest

from tests.mutations.mutants import MUTANTS, Mutant
from tests.mutations.running import ROOT, change
from tests.simulation.history import AREAS
from tests.simulation.reach import BESIDE, find_area, find_reason
from tests.simulation.seeded import SEEDED

PAGE = ROOT / "docs" / "simulation.md"


def test_each_reason_is_one_of_some_bug() -> None:
    reasons = {find_reason(mutant) for mutant in MUTANTS}
    assert reasons == {*BESIDE.values(), None}


@pytest.mark.parametrize("mutant", SEEDED, ids=lambda mutant: str(mutant.bug))
def test_a_bug_can_still_be_seeded(mutant: Mutant) -> None:
    assert change((ROOT / mutant.file).read_text(), mutant)


def test_bugs_are_searched_for_in_areas_that_histories_have() -> None:
    areas = {find_area(mutant) for mutant in (*SEEDED, *MUTANTS) if find_reason(mutant) is None}
    assert areas <= {*AREAS, ""}


def test_the_page_has_a_line_for_each_bug() -> None:
    page = PAGE.read_text()
    assert [mutant.bug for mutant in (*SEEDED, *MUTANTS) if f"| {mutant.bug} |" not in page] == []

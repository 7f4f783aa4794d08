"""Each bug that no history is asked to find has a reason, and the page says of each bug what was found."""

import re
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.mutations.mutants import MUTANTS, Mutant
from tests.mutations.running import ROOT, change
from tests.simulation.history import AREAS
from tests.simulation.reach import BESIDE, find_area, find_reason
from tests.simulation.seeded import SEEDED

PAGE = ROOT / "docs" / "simulation.md"
OUT_OF_REACH, NOT_TRIED, NOT_FOUND = "out of reach", "not tried", "not found"


def test_each_reason_is_one_of_some_bug() -> None:
    reasons = {find_reason(mutant) for mutant in MUTANTS}
    assert reasons == {*BESIDE.values(), None}


@pytest.mark.parametrize("mutant", SEEDED, ids=lambda mutant: str(mutant.bug))
def test_a_bug_can_still_be_seeded(mutant: Mutant) -> None:
    assert change((ROOT / mutant.file).read_text(), mutant)


def test_bugs_are_searched_for_in_areas_that_histories_have() -> None:
    areas = {find_area(mutant) for mutant in (*SEEDED, *MUTANTS) if find_reason(mutant) is None}
    assert areas <= {*AREAS, ""}


def test_the_page_says_of_each_bug_once_what_was_found_or_why_it_is_out_of_reach() -> None:
    rows = read_rows()
    assert [bug for bug, _, _ in rows] == [mutant.bug for mutant in (*SEEDED, *MUTANTS)]
    reasons = [find_reason(mutant) for mutant in (*SEEDED, *MUTANTS)]
    assert [said if came_to == OUT_OF_REACH else None for _, came_to, said in rows] == reasons
    assert [bug for bug, came_to, said in rows if came_to.isdigit() != bool(said) and came_to != OUT_OF_REACH] == []


def test_the_page_counts_its_rows() -> None:
    rows = read_rows()
    seeded, mutants = count(rows[: len(SEEDED)]), count(rows[len(SEEDED) :])
    page = PAGE.read_text()
    assert f"Of the {len(SEEDED)} bugs that" in page
    assert f"snapshots, {write(seeded)}" in page
    out = mutants[OUT_OF_REACH]
    others = f"Of the other {len(MUTANTS) - out}, {write(mutants)}"
    assert f"Of the {len(MUTANTS)} bugs of `make mutants`, histories cannot reach {out}. {others}" in page


def read_rows() -> list[tuple[str, str, str]]:
    """Read the tables of bugs: each bug, what the search for it came to, and what is said of that."""
    _, _, tables = PAGE.read_text().partition("## Which seeded bugs it finds")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", tables, re.MULTILINE)
    return [row for row in rows if row[0] != "bug"]


def count(rows: Sequence[tuple[str, str, str]]) -> Counter[str]:
    """Count bugs by what their searches came to."""
    kinds = {OUT_OF_REACH: OUT_OF_REACH, NOT_TRIED: NOT_TRIED}
    return Counter(kinds.get(came_to, "found" if came_to.isdigit() else NOT_FOUND) for _, came_to, _ in rows)


def write(counts: Counter[str]) -> str:
    """Write counts as the page does."""

    def say(kind: str) -> str:
        return f"{counts[kind]} {'was' if counts[kind] == 1 else 'were'} {kind}"

    return f"{say('found')}, {say(NOT_FOUND)} and {say(NOT_TRIED)}."

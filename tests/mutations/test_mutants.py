"""Every seeded bug fails its test. Here are those whose tests need no service; `make mutants` runs all."""

from pathlib import Path

import pytest

from tests.mutations.mutants import MUTANTS, Mutant
from tests.mutations.running import ROOT, change, report, run


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: str(mutant.bug))
def test_a_mutant_can_still_be_seeded_and_its_test_exists(mutant: Mutant) -> None:
    assert change((ROOT / mutant.file).read_text(), mutant)
    file, _, name = mutant.caught_by.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_no_mutant_survives_its_unit_test(tmp_path: Path) -> None:
    assert report(run([mutant for mutant in MUTANTS if not mutant.needs_database], tmp_path)) == []

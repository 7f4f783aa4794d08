"""The previous release runs on the schema of this one: so a deployment may mix both, and may be taken back."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.database.releases import NAMED, MissingReleaseError, run_tests, take_out
from tests.database.server import MIGRATIONS

# Its tests of the functions that use the database most. Of some, only those that need many statements and little time.
CHOSEN = (
    "test_aggregate.py",
    "test_alert.py",
    "test_attend.py",
    "test_control.py",
    "test_learn.py::test_a_silent_device_keeps_its_baseline_and_its_last_sighting",
    "test_ledger.py",
    "test_publishing.py",
    "test_query.py",
    "test_replay_steps.py",
    "test_roll.py::test_a_day_waits_for_the_hours_that_are_due_in_it",
    "test_roll.py::test_a_missing_partition_is_made_and_the_step_taken_again",
    "test_roll.py::test_a_straggler_costs_its_own_row_and_its_fleets",
    "test_roll.py::test_a_window_without_samples_any_more_has_no_row",
    "test_roll.py::test_changes_are_written_by_fleet_at_first_and_by_name_afterwards",
    "test_trace.py",
)
# They are about time, or do not wait until the server has seen the end of a connection.
LEFT_OUT = (
    "within_a_second",
    "no_longer_than_agreed",
    "for_ever",
    "whose_lock_is_held",
    "waits_for_the_end_of_a_run_of_tier",
)
# The name comes after every migration that there will be.
BREAKING = {"9999_break.sql": "ALTER TABLE fleet DROP COLUMN rejects_per_second CASCADE;"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous release, in a folder, with this one's migrations."""
    return take_out(NAMED.read_text().strip(), tmp_path_factory.mktemp("release"))


@pytest.mark.shows_fault(part="migration", fault="the previous release on the new schema")
def test_the_release_before_passes_its_own_tests_on_the_schema_of_this_one(release: Path) -> None:
    ran = run_tests(release, *(f"tests/database/{each}" for each in CHOSEN), "-k", f"not ({' or '.join(LEFT_OUT)})")
    assert ran.returncode == 0, ran.stdout[-20_000:]


def test_it_is_that_releases_code_on_this_ones_migrations(release: Path) -> None:
    asked = "import sluice.edge.database, tests.database.server as it; print(sluice.__path__[0], it.MIGRATIONS)"
    answered = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=release,
        env={"PYTHONPATH": f"{release}:{release}/layers/sluice/python"},
        capture_output=True,
        text=True,
        check=True,
    )
    code, migrations = map(Path, answered.stdout.split())
    assert code == release / "layers/sluice/python/sluice"
    assert migrations == release / "functions/migrate/migrations"
    assert {path.name: path.read_bytes() for path in migrations.iterdir()} == {
        path.name: path.read_bytes() for path in MIGRATIONS.glob("*.sql")
    }


def test_a_migration_that_takes_away_what_it_uses_fails_its_tests(tmp_path: Path) -> None:
    further = []
    for name, statement in BREAKING.items():
        further.append(tmp_path / name)
        further[-1].write_text(statement)
    broken = take_out(NAMED.read_text().strip(), tmp_path / "release", *further)
    ran = run_tests(broken, "tests/database/test_publishing.py", "-x")
    assert ran.returncode == 1, ran.stdout[-20_000:]
    assert 'column "rejects_per_second" does not exist' in ran.stdout.replace("fleet.", "")


def test_a_clone_without_that_release_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(MissingReleaseError, match=r"previous_release\.txt names .* 0{40}, and this clone lacks it"):
        take_out("0" * 40, tmp_path)

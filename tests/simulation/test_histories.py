"""Histories from fixed seeds: each ends right, and the same seed gives the same history, byte for byte."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.simulation import snapshot
from tests.simulation.coverage import add_up, count_pairs
from tests.simulation.databases import HistoryDatabases
from tests.simulation.history import KILLER, REDRIVE, REDRIVES, REPLAY, REPLAYS, Change, make_history
from tests.simulation.names import RAW
from tests.simulation.object_store import ObjectStore
from tests.simulation.running import explain, fingerprint, run_seeds
from tests.simulation.simulation import Simulation, run_history
from tests.support import invariants

SEEDS = [f"fixed-{number}" for number in range(12)]
PAIRS = 60
"""How many pairs of a step and a fault the fixed seeds meet at least."""


def test_fixed_seeds_end_right_and_meet_many_faults(histories: HistoryDatabases) -> None:
    mets = []
    for seed, outcome, _ in run_seeds(histories, SEEDS):
        if outcome.wrong:
            pytest.fail(str(explain(histories, seed, outcome)))
        mets.append(outcome.met)
    assert count_pairs(add_up(mets)) >= PAIRS


def test_what_aggregate_gave_up_as_a_killer_is_counted_once_by_a_replay(
    histories: HistoryDatabases, tmp_path: Path
) -> None:
    changes = (Change(20, KILLER, "aggregate"), Change(120, REPLAY, "all"))
    drawn = make_history("counted back", REPLAYS)
    history = replace(drawn, seconds=180, open_share=0, outages=(), changes=changes, faults=())
    with histories.fresh() as dsn:
        simulation = Simulation(history, dsn, tmp_path)
        outcome = simulation.run()
        letters = snapshot.take(simulation.deployment.brokers, simulation.deployment.store, dsn).letters
        with psycopg.connect(dsn) as connection:
            rows = connection.execute("SELECT partition, offsets FROM counted_back").fetchall()
    assert outcome.wrong == []
    back = {
        (partition, offset) for partition, offsets in rows for one in offsets for offset in range(one.lower, one.upper)
    }
    assert back == invariants.places_of(letters, "aggregate")
    assert len(back) == 1


def test_killers_that_are_redriven_count_once(histories: HistoryDatabases, tmp_path: Path) -> None:
    changes = (
        *(Change(20, KILLER, consumer) for consumer in ("archive", "aggregate")),
        Change(150, REDRIVE, "proposed"),
    )
    drawn = make_history("redriven", REDRIVES)
    history = replace(drawn, seconds=180, open_share=0, posts=drawn.posts[:3], outages=(), changes=changes, faults=())
    with histories.fresh() as dsn:
        outcome = Simulation(history, dsn, tmp_path).run()
        with psycopg.connect(dsn) as connection:
            redriven = connection.execute(
                "SELECT DISTINCT consumer FROM redrive_letter WHERE consumer IS NOT NULL ORDER BY consumer"
            ).fetchall()
    assert outcome.wrong == []
    assert redriven == [("aggregate",), ("archive",)]


def test_the_same_seed_gives_the_same_history_and_its_written_faults_give_it_again(
    histories: HistoryDatabases,
) -> None:
    history = make_history("fixed-repeated", REPLAYS)
    outcomes = []
    # Another one in between leaves nothing behind.
    for each in (history, make_history("fixed-other", REPLAYS), history):
        with histories.fresh() as dsn:
            outcomes.append(run_history(each, dsn))
    first, _, second = outcomes
    assert first.trace == second.trace
    assert first.history == second.history
    with histories.fresh() as dsn:
        again = run_history(first.history, dsn)
    assert fingerprint(again) == fingerprint(first)


def test_a_row_that_is_lost_is_found(histories: HistoryDatabases, monkeypatch: pytest.MonkeyPatch) -> None:
    read = snapshot._read_objects

    def lose(store: ObjectStore, bucket: str, prefix: str, reader: Any) -> list[Any]:
        rows = read(store, bucket, prefix, reader)
        return [row for row in rows if row.place != rows[0].place] if bucket == RAW else rows

    monkeypatch.setattr(snapshot, "_read_objects", lose)
    with histories.fresh() as dsn:
        outcome = run_history(make_history("fixed-1"), dsn)
    (wrong,) = outcome.wrong
    assert wrong.startswith("neither archived nor dead-lettered by archive: ")

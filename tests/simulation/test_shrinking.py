"""A history that fails is shortened to what matters, in a bounded number of runs."""

from dataclasses import replace

from tests.simulation.coverage import count_pairs, write_table
from tests.simulation.faults import KILLED_AFTER, Fault, Place
from tests.simulation.history import History, Outage, make_history
from tests.simulation.shrinking import shorten

CAUSE = Fault(Place("aggregate", 3, 7), KILLED_AFTER)


def made() -> History:
    history = make_history("long")
    noise = tuple(Fault(Place("roll", number, 1), KILLED_AFTER) for number in range(40))
    outages = tuple(Outage(float(number), 3.0, "cache") for number in range(5))
    return replace(history, faults=(*noise[:20], CAUSE, *noise[20:]), outages=outages)


def test_only_the_fault_and_the_event_that_matter_are_left() -> None:
    history = made()
    body = history.posts[-1].events[0].body

    def fails(candidate: History) -> bool:
        return CAUSE in (candidate.faults or ()) and any(
            event.body == body for post in candidate.posts for event in post.events
        )

    shortened = shorten(history, fails, 500)
    assert shortened.faults == (CAUSE,)
    assert (shortened.outages, shortened.changes) == ((), ())
    assert [[event.body for event in post.events] for post in shortened.posts] == [[body]]
    assert shortened.lines()[-1] == "at step 7 of aggregate#3: killed after"


def test_a_history_is_run_at_most_so_many_times() -> None:
    runs = 0

    def fails(_: History) -> bool:
        nonlocal runs
        runs += 1
        return False

    assert shorten(made(), fails, 10) == made()
    assert runs == 10


def test_a_seed_makes_the_same_history_again_and_another_one_another() -> None:
    assert make_history("a") == make_history("a")
    assert make_history("a") != make_history("b")
    assert make_history("a", "replays").areas == {"replays"}


def test_the_table_has_a_line_for_each_step_and_counts_pairs_with_a_fault() -> None:
    met = {("archive", "delivery stream put", "-"): 5, ("archive", "delivery stream put", "answer lost"): 2}
    head, line = write_table(met)
    assert head.split()[:1] == ["fine"]
    assert line.split() == ["archive:", "delivery", "stream", "put", "5", "2"]
    assert count_pairs(met) == 1

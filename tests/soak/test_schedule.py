"""A soak's faults follow from its seed, and none is left out for ever."""

from itertools import pairwise

from tests.soak.schedule import FAULTS, LONGEST_SECONDS, QUIET_SECONDS, draw_schedule

HOUR = 3600


def test_a_seed_draws_the_same_faults_again_and_another_seed_others() -> None:
    assert list(draw_schedule(7, HOUR)) == list(draw_schedule(7, HOUR))
    assert list(draw_schedule(7, HOUR)) != list(draw_schedule(8, HOUR))


def test_a_longer_soak_begins_as_a_shorter_one() -> None:
    short, long = list(draw_schedule(7, 600)), list(draw_schedule(7, HOUR))
    assert short
    assert long[: len(short)] == short


def test_faults_come_one_after_the_other_and_end_before_the_soak_does() -> None:
    steps = list(draw_schedule(7, HOUR))
    assert all(before.at + before.seconds < after.at for before, after in pairwise(steps))
    assert all(step.at >= QUIET_SECONDS and step.seconds <= LONGEST_SECONDS for step in steps)
    assert steps[-1].at + steps[-1].seconds <= HOUR - QUIET_SECONDS


def test_every_fault_of_every_part_is_drawn_in_the_end() -> None:
    drawn = {(step.fault, step.part) for step in draw_schedule(1, 24 * HOUR)}
    assert drawn == {(fault, part) for fault, parts in FAULTS.items() for part in parts}


def test_a_step_says_what_happens_when() -> None:
    step = next(draw_schedule(7, HOUR))
    assert str(step).split() == [
        f"{step.at:.1f}",
        "s",
        *step.fault.split(),
        *step.part.split(),
        "for",
        f"{step.seconds:.1f}",
        "s",
    ]

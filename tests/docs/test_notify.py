"""docs/notify.md shows the messages that the code writes, and says its numbers."""

import re

from infra.profiles.baseline import BASELINE
from sluice.core.notify import outcomes
from sluice.core.notify.deliveries import LONGEST_PAUSE, MOST_ATTEMPTS, MOST_RECEIVES, PAUSES
from sluice.core.notify.secrets import LEAST_KEY, PAGERDUTY
from sluice.edge.notify.posting import CONNECT_SECONDS, MOST_BODY, TOTAL_SECONDS
from sluice.edge.notify.secrets import REMEMBERED_SECONDS
from tests.docs.notifications import MARKER, PAGE, write_examples

TEXT = " ".join(PAGE.read_text().split())


def test_the_examples_are_those_that_the_code_writes() -> None:
    page = PAGE.read_text()

    assert len(MARKER.findall(page)) == 3
    assert page == write_examples(page), "the page is stale; write it again: .venv/bin/python -m tests.docs.pages"


def test_the_page_says_how_often_and_how_long_a_destination_is_tried() -> None:
    pauses = [str(each) for each in PAUSES]
    assert f"again after {', '.join(pauses[:-1])} and {pauses[-1]} seconds" in TEXT
    assert f"up to {LONGEST_PAUSE // 60} minutes" in TEXT
    assert f"fails at the {MOST_ATTEMPTS}th attempt" in TEXT
    assert f"after {MOST_RECEIVES} receives" in TEXT
    assert f"An attempt ends after {TOTAL_SECONDS:g} seconds, {CONNECT_SECONDS:g} of them" in TEXT
    assert f"{MOST_BODY // 1024} KiB is read" in TEXT


def test_the_page_says_what_an_answer_means() -> None:
    retried = [each for each in outcomes.FOR_NOW if each < 500]
    assert f"answers {', '.join(map(str, retried))} or 5xx" in TEXT
    *others, last = map(str, outcomes.OF_THE_SECRET)
    assert f"{', '.join(others)} or {last}: a rotated secret" in TEXT


def test_the_page_says_what_a_secret_needs_and_when_a_change_is_in_force() -> None:
    assert PAGERDUTY in TEXT
    assert re.search(rf"at least {LEAST_KEY} characters", TEXT)
    assert f"within {BASELINE.notify.destination_s3_seconds} seconds" in TEXT
    assert REMEMBERED_SECONDS == 5 * 60

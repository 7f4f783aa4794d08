"""Which destinations an incident's explanation names as not reached."""

from typing import Any

from sluice.core.alerts.explaining import explain_incident
from sluice.core.alerts.incidents import Incident, open_incident
from sluice.core.alerts.series import key_of
from tests.support.alerts import START, readings, verdict


def incident() -> Incident:
    given = verdict(readings("b"))
    return open_incident(key_of(given), given, given.readings[0], START)


def attempt(outcome: str, hour: int, destination: str = "ops", sequence: int = 1) -> dict[str, Any]:
    at = f"2026-11-30T{hour}:00:00.000Z"
    return {"sequence": sequence, "destination_id": destination, "outcome": outcome, "at": at}


def unreached(*attempts: dict[str, Any]) -> list[str]:
    return [each for each in explain_incident(incident(), (), attempts, START) if "did not reach" in each]


def test_a_message_that_was_delivered_when_it_was_sent_again_has_reached_its_destination() -> None:
    assert unreached(attempt("given_up", 12), attempt("delivered", 13)) == []


def test_a_destination_that_no_later_attempt_reached_is_named() -> None:
    said = ["Messages did not reach ops: see attempts."]
    assert unreached(attempt("given_up", 12)) == said
    assert unreached(attempt("refused", 12), attempt("delivered", 13, sequence=2)) == said
    assert unreached(attempt("refused", 12), attempt("delivered", 13, destination="other")) == said

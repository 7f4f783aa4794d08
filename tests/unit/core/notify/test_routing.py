"""Which destinations get a message: by fleet, by severity, and by how long no one has acknowledged the incident."""

import pytest

from sluice.core.notify.routing import choose_destinations
from tests.support.alert_messages import make_destination, make_message


@pytest.mark.parametrize(
    ("fleet", "told"), [(None, True), ("demo", True), ("other", False)], ids=["every fleet", "its own", "another"]
)
def test_a_destination_hears_of_its_fleet(fleet: str | None, told: bool) -> None:
    destination = make_destination(fleet_id=fleet)

    assert choose_destinations(make_message(), [destination]) == ((destination,) if told else ())


@pytest.mark.parametrize(
    ("severity", "least", "told"),
    [
        ("info", "info", True),
        ("info", "warning", False),
        ("warning", "warning", True),
        ("warning", "critical", False),
        ("critical", "critical", True),
        ("critical", "info", True),
    ],
)
def test_a_destination_hears_of_its_least_severity_and_worse(severity: str, least: str, told: bool) -> None:
    destination = make_destination(least_severity=least)

    assert bool(choose_destinations(make_message(severity=severity), [destination])) is told


@pytest.mark.parametrize("happening", ["opened", "updated", "acknowledged", "resolved", "silence_ended"])
def test_who_is_told_at_once_hears_all_but_that_others_are_told(happening: str) -> None:
    destination = make_destination()

    assert choose_destinations(make_message(happening=happening), [destination]) == (destination,)
    assert choose_destinations(make_message(happening="escalated", escalated_minutes=15), [destination]) == ()


@pytest.mark.parametrize(
    ("happening", "minutes", "told"),
    [
        ("opened", 0, False),
        ("escalated", 15, True),
        ("escalated", 10, False),
        ("escalated", 60, True),
        ("resolved", 15, True),
        ("resolved", 0, False),
    ],
)
def test_who_is_escalated_to_hears_from_then_on(happening: str, minutes: int, told: bool) -> None:
    destination = make_destination(after_minutes=15)
    message = make_message(happening=happening, escalated_minutes=minutes)

    assert bool(choose_destinations(message, [destination])) is told

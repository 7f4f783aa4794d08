"""Destinations as admins write them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sluice.core.control.destinations import (
    MOST_DESTINATIONS,
    DestinationChange,
    NewDestination,
    StoredDestination,
    archive_destination,
    change_destination,
    check_room,
    create_destination,
)
from sluice.core.errors import Refusal

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
SECRET = "sluice-prod-destinations/on-call"


def create(**changed: Any) -> StoredDestination:
    return create_destination(
        NewDestination(**{"destination_id": "on-call", "kind": "pagerduty", "secret": SECRET} | changed), "prod", NOW
    )


def test_a_destination_is_notified_at_once_of_warnings_of_every_fleet() -> None:
    described = create().described()
    assert (described["fleet_id"], described["least_severity"], described["after_minutes"]) == (None, "warning", 0)
    assert (described["state"], described["secret"], described["version"]) == ("active", SECRET, 1)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "sluice-prod-destinations/",
        "sluice-test-destinations/on-call",
        "sluice-prod-database",
        "arn:aws:secretsmanager:eu-west-1:1:secret:sluice-prod-destinations/on-call",
        "sluice-prod-destinations/on call",
        "sluice-prod-destinations/on-call\n",
        "sluice-prod-destinations/" + "x" * 129,
        "sluice-prod-destinations/*",
    ],
)
def test_a_secret_is_one_of_the_stages_own(secret: str) -> None:
    with pytest.raises(Refusal, match="begins with sluice-prod-destinations/") as refused:
        create(secret=secret)
    assert refused.value.code == "invalid_destination"
    with pytest.raises(Refusal, match="begins with sluice-prod-destinations/"):
        change_destination(create(), DestinationChange(secret=secret), "prod")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"destination_id": "On-Call"}, "destination_id is 1 to 63 lower-case letters"),
        ({"destination_id": "a\n"}, "destination_id is 1 to 63 lower-case letters"),
        ({"after_minutes": -1}, "after_minutes is from 0 to 10,080, and not -1"),
        ({"after_minutes": 10_081}, "and not 10081"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        create(**changed)


def test_a_change_leaves_what_it_does_not_name() -> None:
    changed = change_destination(create(), DestinationChange(after_minutes=30), "prod")
    assert (changed.after_minutes, changed.secret, changed.version) == (30, SECRET, 2)
    assert change_destination(create(), DestinationChange(secret=SECRET), "prod") == create()


def test_an_archived_destination_does_not_change() -> None:
    archived = archive_destination(create(), NOW)
    assert (archived.state, archived.version) == ("archived", 2)
    with pytest.raises(Refusal, match="archived"):
        archive_destination(archived, NOW)
    with pytest.raises(Refusal, match="archived"):
        change_destination(archived, DestinationChange(after_minutes=1), "prod")


def test_destinations_are_limited() -> None:
    check_room(MOST_DESTINATIONS - 1)
    with pytest.raises(Refusal, match="200 destinations already"):
        check_room(MOST_DESTINATIONS)

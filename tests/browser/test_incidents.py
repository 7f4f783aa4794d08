"""Incidents on the page: a list in words, marks on the charts of a device, and apart from the rest of the page."""

import re
import uuid
from datetime import timedelta

import psycopg
import pytest
from playwright.sync_api import Page, Route, expect

from local.admin import Admin
from tests.browser.conftest import Complaints, Sample, WatchedFleet, log_in, now
from tests.browser.test_access import find_barriers
from tests.flow.conftest import Stack, create_fleet
from tests.support.incidents import add_incident, add_rule

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def troubled(stack: Stack) -> WatchedFleet:
    """A fleet with open incidents, one silenced and one of a device that calls itself markup, and one that is over."""
    fleet = f"troubled-{uuid.uuid4().hex[:8]}"
    device_key = create_fleet(stack, fleet)
    made = WatchedFleet(stack, fleet, device_key, Admin.of(stack).create_key(fleet, "reader"))
    # Neither breaches nor clear: alert, which is at work, leaves the incident as it is.
    made.send([Sample(HOSTILE, now() - timedelta(seconds=ago), 76.0 + ago % 3) for ago in range(1, 200, 10)])
    hour = timedelta(hours=1)
    with psycopg.connect(stack["database"]) as connection:
        add_rule(connection, fleet)
        hot = add_incident(
            connection, fleet, [HOSTILE], opened_at=now() - timedelta(minutes=2), why=f"{HOSTILE} is hot"
        )
        connection.execute(
            "INSERT INTO delivery (incident_id, sequence, destination_id, attempt, outcome, detail, at, seconds)"
            " SELECT incident_id, 1, 'on-call', 1, 'delivered', '', opened_at + interval '12 s', 0.1 FROM incident"
            " WHERE incident_id = %s",
            [hot],
        )
        add_incident(
            connection,
            fleet,
            ["press-7", "press-8"],
            metric="humidity",
            severity="warning",
            rule_id="wet",
            kind="level",
        )
        add_incident(connection, fleet, ["press-9"], opened_at=now() - 5 * hour, resolved_at=now() - 4 * hour)
        add_incident(
            connection,
            fleet,
            ["lost-1"],
            metric="",
            unit="",
            kind="silence",
            rule_id="lost",
            severity="info",
            value=None,
        )
        connection.execute(
            "INSERT INTO silence (fleet_id, rule_id, reason, principal, made_at, until)"
            " VALUES (%s, 'wet', 'the <b>roof</b> leaks', 'someone', now(), now() + interval '1 hour')",
            (fleet,),
        )
    stack.settle()
    return made


def test_incidents_say_what_is_wrong_since_when_and_until_when_they_are_silenced(
    page: Page, troubled: WatchedFleet
) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 844})
    log_in(page, troubled.reader_key)
    # A default may find something too, once learn has seen the device: all that it finds are warnings or less.
    expect(page.locator("#open-now")).to_contain_text("open incidents: 1 critical, ")
    part = page.get_by_role("region", name="Incidents")
    lines = part.locator("#incidents summary")
    expect(part).to_contain_text("humidity of 2 devices has moved to another level")
    expect(part).to_contain_text("2 of 2 devices still · silenced until")
    expect(part.locator("#dropped-out")).to_contain_text("lost-1: since")
    expect(part.locator("#silences")).to_contain_text("the <b>roof</b> leaks")
    part.get_by_label("Severity").select_option("critical")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text(f"critical cpu_temp of {HOSTILE} is above 80 degC")
    lines.focus()
    page.keyboard.press("Enter")
    expect(part).to_contain_text("hot: opens above 80 degC, clear at 75 degC, with 3 of 5 readings")
    expect(part).to_contain_text("12 s after the reading that opened it")
    expect(part.locator("code")).to_contain_text("sluice alerts show")
    assert find_barriers(page) == []
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    part.get_by_role("radio", name="Resolved").check()
    expect(lines).to_contain_text("cpu_temp of press-9 is above 80 degC")
    assert part.locator("img, b").count() == 0
    assert dialogs == []


def test_an_incident_leads_to_its_device_whose_chart_says_when_it_was(page: Page, troubled: WatchedFleet) -> None:
    log_in(page, troubled.reader_key)
    part = page.get_by_role("region", name="Incidents")
    part.get_by_label("Device").fill(HOSTILE)
    part.get_by_label("Device").press("Enter")
    part.get_by_label("Severity").select_option("critical")
    line = part.locator("#incidents summary")
    expect(line).to_have_count(1)
    line.click()
    part.get_by_role("button", name=f"Show the charts of {HOSTILE}").click()
    expect(page.get_by_role("heading", name=f"Device {HOSTILE}")).to_be_visible()
    panel = page.get_by_role("region", name="cpu_temp").first
    expect(panel.locator(".marks")).to_contain_text(f"critical: cpu_temp of {HOSTILE} is above 80 degC, open since")
    expect(panel.locator(".marks")).to_contain_text("Rule hot: opens above 80 degC, clear at 75 degC")
    expect(panel.locator(".drawing")).to_have_attribute("aria-label", re.compile("1 incident"))
    assert page.locator("main img").count() == 0


def test_while_they_cannot_be_read_the_page_says_so_and_goes_on(
    page: Page, fleet: WatchedFleet, complaints: Complaints
) -> None:
    complaints.expect("503")

    def refuse(route: Route) -> None:
        route.fulfill(status=503, json={"code": "too_slow", "detail": "The answer takes too long."})

    page.route("**/v1/incidents*", refuse)
    log_in(page, fleet.reader_key, "#device=press-1&range=1h&metric=cpu_temp")
    part = page.get_by_role("region", name="Incidents")
    expect(part).to_contain_text("cannot be shown right now: The answer takes too long.")
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()
    expect(page.locator("#connection")).to_contain_text("Connected")

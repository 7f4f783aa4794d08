"""Rejected events on the page: in groups, in words, as text, and apart from the rest of the page."""

import json
import uuid

import pytest
from playwright.sync_api import Page, Route, expect

from cli.simulation.devices import EVENTS
from local.admin import Admin
from tests.browser.conftest import Complaints, WatchedFleet, log_in, now
from tests.browser.test_access import find_barriers
from tests.flow.conftest import Stack, create_fleet
from tests.flow.http import post
from tests.support.letters import put, telemetry

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def reader_key(stack: Stack) -> str:
    """The reader's key of a fleet that has a bug, and a device that calls itself markup."""
    fleet = f"rejected-{uuid.uuid4().hex[:8]}"
    device_key = create_fleet(stack, fleet)
    change = put("cpu_temp", HOSTILE)
    events = [json.loads(telemetry(number, change, now())) | {"device_id": HOSTILE} for number in range(3)]
    status, _, answer = post(stack, EVENTS, json.dumps(events).encode(), device_key)
    assert status == 400, answer
    stack.settle(readers=["deadletter"])
    return Admin.of(stack).create_key(fleet, "reader")


def test_rejected_events_say_what_is_wrong_what_would_pass_and_what_to_do(page: Page, reader_key: str) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 844})
    log_in(page, reader_key)
    part = page.get_by_role("region", name="Rejected events")
    line = part.locator("summary")
    expect(line).to_contain_text("3 events metrics.cpu_temp must be a number")
    line.focus()
    page.keyboard.press("Enter")
    expect(part).to_contain_text(json.dumps(HOSTILE))
    expect(part).to_contain_text("a number")
    expect(part.locator("code")).to_contain_text("sluice dead-letters propose --group")
    part.get_by_role("button", name="Trace").first.click()
    expect(part.locator(".found").first).to_contain_text("Rejected: it is kept as a dead letter")
    assert part.locator("img").count() == 0
    assert dialogs == []
    assert find_barriers(page) == []
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_while_they_cannot_be_read_the_page_says_so_and_goes_on(
    page: Page, fleet: WatchedFleet, complaints: Complaints
) -> None:
    complaints.expect("503")

    def refuse(route: Route) -> None:
        route.fulfill(status=503, json={"code": "dead_letters_unavailable", "detail": "They cannot be read right now."})

    page.route("**/v1/dead-letters", refuse)
    log_in(page, fleet.reader_key)
    part = page.get_by_role("region", name="Rejected events")
    expect(part).to_contain_text("cannot be shown right now: They cannot be read right now.")
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()
    expect(page.locator("#connection")).to_contain_text("Connected")

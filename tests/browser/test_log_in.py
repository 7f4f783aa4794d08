"""Log-in: a reader key opens the page, stays in its tab only, and can be revoked."""

import json
import uuid

import pytest
from playwright.sync_api import Page, Route, expect

from local.admin import Admin
from tests.browser.conftest import Complaints, WatchedFleet, log_in


@pytest.mark.parametrize("kind", ["none of ours", "mistyped", "of a device"])
def test_an_unknown_key_is_refused_with_the_reason(
    page: Page, fleet: WatchedFleet, complaints: Complaints, kind: str
) -> None:
    complaints.expect("status of 401", "status of 403")
    key = {"none of ours": "hunter2", "mistyped": fleet.reader_key[:-1] + "!", "of a device": fleet.device_key}[kind]
    page.goto("/")
    page.get_by_label("Reader key").fill(key)
    page.get_by_role("button", name="Log in").click()
    alert = page.get_by_role("alert").filter(has_text="key")
    expect(alert).to_contain_text("needs a reader key" if kind == "of a device" else "key")
    expect(page.get_by_label("Reader key")).to_be_focused()
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_reader_key_opens_its_fleet_and_stays_in_the_tab(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key)
    expect(page.get_by_role("heading", name=f"Fleet {fleet.name} as a whole")).to_be_visible()
    kept = page.evaluate("[location.href, document.cookie, JSON.stringify(localStorage)]")
    assert fleet.reader_key not in json.dumps(kept)
    assert fleet.reader_key not in page.content()
    page.reload()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    stranger = page.context.new_page()
    stranger.goto("/")
    expect(stranger.get_by_label("Reader key")).to_be_visible()


def test_who_logs_out_leaves_nothing_behind(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key, "#device=press-1&range=1h")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Reader key")).to_have_value("")
    assert page.evaluate("[sessionStorage.length, location.hash]") == [0, ""]
    page.reload()
    expect(page.get_by_label("Reader key")).to_be_visible()


def test_who_logs_out_ends_the_questions_that_are_still_open(
    page: Page, fleet: WatchedFleet, complaints: Complaints
) -> None:
    complaints.expect("net::ERR")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/fleets/*", hold)
    log_in(page, fleet.reader_key)
    while not held:
        page.wait_for_timeout(100)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
    # Sooner than the page's own request timeout.
    with page.expect_event("requestfailed", lambda request: request.url == held[0].request.url, timeout=10_000):
        page.get_by_role("button", name="Log out").click()
    page.wait_for_timeout(500)
    assert asked == [], "nothing more is asked with the key"


def test_a_revoked_key_closes_the_open_page(page: Page, fleet: WatchedFleet, complaints: Complaints) -> None:
    complaints.expect("status of 401")
    admin = Admin.of(fleet.stack)
    key = admin.create_key(fleet.name, "reader")
    log_in(page, key)
    admin.revoke_key(fleet.name, key)
    expect(page.get_by_role("alert").filter(has_text="withdrawn")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_link_to_another_fleet_shows_ones_own_and_says_so(page: Page, fleet: WatchedFleet) -> None:
    other = f"other-{uuid.uuid4().hex[:6]}"
    log_in(page, fleet.reader_key, f"#fleet={other}&device=secret&range=5m")
    expect(page.get_by_role("alert").filter(has_text=other)).to_be_visible()
    expect(page.get_by_role("heading", name=f"Fleet {fleet.name} as a whole")).to_be_visible()

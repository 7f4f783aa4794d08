"""Reconnect: the page reports an outage, backs off between retries, and misses nothing."""

import uuid

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Complaints, WatchedFleet, log_in, minutes_of, read_table

LOST = ("Failed to load resource", "net::ERR")


def test_what_happened_while_offline_is_filled_in(page: Page, fleet: WatchedFleet, complaints: Complaints) -> None:
    complaints.expect(*LOST)
    device = f"press-{uuid.uuid4().hex[:6]}"
    fleet.send(minutes_of(device, first=40, last=30))
    fleet.stack.settle_numbers()
    log_in(page, fleet.reader_key, f"#device={device}&range=1h&metric=cpu_temp")
    assert len(read_table(page, "cpu_temp")) == 11
    page.context.set_offline(True)
    expect(page.get_by_role("status").filter(has_text="Offline")).to_be_visible()
    fleet.send(minutes_of(device, first=29, last=6))
    # A late sample among those that were shown already changes their window.
    fleet.send(minutes_of(device, first=35, last=35))
    fleet.stack.settle_numbers()
    assert len(read_table(page, "cpu_temp")) == 11, "nothing can have come"
    page.context.set_offline(False)
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
    expect(page.locator(".panel tbody tr")).to_have_count(35)
    answer = fleet.ask(f"/rollups?device={device}&metric=cpu_temp")
    assert len(answer["items"]) == 35, "no window is missing"
    shown = {row[0]: int(row[1]) for row in read_table(page, "cpu_temp")}
    assert shown == {item["window_start"].replace(".000000Z", "Z"): item["count"] for item in answer["items"]}
    assert sorted(shown.values())[-2:] == [2, 4]


def test_an_expired_feed_cursor_makes_the_page_fetch_everything_again(
    page: Page, fleet: WatchedFleet, complaints: Complaints
) -> None:
    complaints.expect("status of 410")
    log_in(page, fleet.reader_key, "#device=press-1&range=1h&metric=cpu_temp")
    before = read_table(page, "cpu_temp")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/rollups" in request.url else None)
    expired: list[str] = []

    def expire(route: Route) -> None:
        if "cursor" not in route.request.url or expired:
            route.continue_()
            return
        expired.append(route.request.url)
        problem = {"status": 410, "code": "cursor_expired", "detail": "gone", "title": "Gone", "type": "x"}
        route.fulfill(status=410, json=problem, content_type="application/problem+json")

    page.route("**/changes**", expire)
    with page.expect_response(lambda response: "/rollups" in response.url and "resolution=auto" in response.url):
        pass
    assert expired
    assert {row[0] for row in before[1:-1]} <= {row[0] for row in read_table(page, "cpu_temp")}
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()


@pytest.mark.parametrize("failure", ["no answer", "503", "429"])
def test_a_failing_api_is_retried_and_the_page_says_so(
    page: Page, fleet: WatchedFleet, complaints: Complaints, failure: str
) -> None:
    complaints.expect(*LOST)
    log_in(page, fleet.reader_key)
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
    tries: list[str] = []

    def fail(route: Route) -> None:
        tries.append(route.request.url)
        if failure == "no answer":
            route.abort("connectionrefused")
            return
        problem = {"status": int(failure), "code": "away", "detail": "The numbers rest.", "title": "x", "type": "x"}
        route.fulfill(status=int(failure), json=problem, headers={"retry-after": "1"})

    page.route("**/v1/**", fail)
    said = page.get_by_role("status").filter(has_text="Reconnecting")
    expect(said).to_contain_text("no answer" if failure == "no answer" else "The numbers rest.")
    while len(tries) < 3:
        page.wait_for_timeout(100)
    # One request per retry: a refused page does not send all its requests.
    assert {"/changes" in url for url in tries} == {True}
    page.unroute("**/v1/**")
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()


def test_the_pause_doubles_up_to_a_bound_is_spread_by_chance_and_keeps_to_what_was_asked(page: Page) -> None:
    page.goto("/")
    pauses = page.evaluate(
        """async () => {
            const { delay } = await import("/assets/backoff.js");
            const pauses = (failures) => [delay(failures, 0), delay(failures, 1), delay(failures, 0, 45)];
            return [1, 2, 3, 4, 5, 6, 20].map(pauses);
        }"""
    )
    assert pauses == [[bound / 2, bound, 45] for bound in (1, 2, 4, 8, 16, 30, 30)]


def test_a_hidden_page_pauses_and_resumes_when_it_is_shown(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key)
    expect(page.locator("#connection")).to_contain_text("Connected")
    turn = """hidden => {
        Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(turn, True)
    # A page that does not pause answers no request any more.
    page.wait_for_timeout(500)
    assert page.evaluate("1 + 1") == 2
    with page.expect_request("**/changes*"):
        page.evaluate(turn, False)

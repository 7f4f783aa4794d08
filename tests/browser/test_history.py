"""History: ranges, zooming and resolutions, and how the page marks numbers that are not final."""

import re
from datetime import timedelta

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import WatchedFleet, log_in, now, read_table

VIEW = "#device=press-1&range=1h&metric=cpu_temp"


def test_the_windows_shown_are_those_of_the_api(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key, VIEW)
    shown = {row[0]: row for row in read_table(page, "cpu_temp")}
    start = (now() - timedelta(minutes=50)).isoformat().replace("+00:00", "Z")
    end = (now() - timedelta(minutes=6)).isoformat().replace("+00:00", "Z")
    answer = fleet.ask(f"/rollups?device=press-1&metric=cpu_temp&from={start}&to={end}&resolution=1m")
    assert len(answer["items"]) > 30
    for item in answer["items"]:
        row = shown[item["window_start"].replace(".000000Z", "Z")]
        assert [float(cell) for cell in row[1:7]] == [
            item[name] for name in ("count", "min", "avg", "p50", "p95", "max")
        ]


def test_a_range_is_chosen_by_a_button_and_kept_in_the_address(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key, VIEW)
    for button, range_, width in (("6 h", "6h", "minute"), ("30 days", "30d", "hour"), ("1 year", "1y", "day")):
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("button", name=button)).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#progress")).to_contain_text(width)
        assert f"range={range_}" in page.url
    page.go_back()
    expect(page.get_by_role("button", name="30 days")).to_have_attribute("aria-pressed", "true")
    assert "cpu_temp" in page.url
    assert fleet.reader_key not in page.url


def test_dragging_over_a_chart_zooms_into_it(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key, VIEW)
    before = len(read_table(page, "cpu_temp"))
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_url("**/*from=*")
    expect(page.locator("#progress")).to_contain_text("UTC")
    expect(page.locator(".panel tbody tr").first).to_be_visible()
    after = len(read_table(page, "cpu_temp"))
    assert 0 < after < before
    page.get_by_role("button", name="Zoom out").click()
    page.get_by_role("button", name="Zoom out").click()
    expect(page.locator(".panel tbody tr").nth(before // 2 - 1)).to_be_attached()


def test_a_link_shows_the_same_to_another_user(page: Page, fleet: WatchedFleet) -> None:
    start, end = (int((now() - timedelta(minutes=ago)).timestamp()) // 60 * 60 for ago in (40, 20))
    log_in(page, fleet.reader_key, f"#device=press-1&metric=cpu_temp&from={start}&to={end}&resolution=1m")
    assert len(read_table(page, "cpu_temp")) == 20


def test_a_link_to_a_time_that_cannot_be_shows_what_is_shown_at_first(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key, "#device=press-1&from=1&to=1e300")
    expect(page.locator("#progress")).to_contain_text("the last hour")


def test_an_unknown_word_is_not_kept_in_the_address(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key, "#device=press-1&range=live")
    expect(page.locator("#progress")).to_contain_text("the last hour")
    page.wait_for_url("**/*device=press-1&range=1h")
    page.evaluate("location.hash = 'device=press-1&range=for-ever&resolution=2m'")
    page.wait_for_url("**/#device=press-1&range=1h")
    expect(page.get_by_role("button", name="1 h", exact=True)).to_have_attribute("aria-pressed", "true")


def test_an_hour_that_is_not_over_is_not_shown_as_empty(page: Page, fleet: WatchedFleet) -> None:
    def without_items(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"items": []})

    page.route("**/rollups?*", without_items)
    log_in(page, fleet.reader_key, "#range=30d")
    expect(page.locator("#nothing")).to_contain_text("No hour in this range has ended yet")
    page.get_by_role("button", name="1 year").click()
    expect(page.locator("#nothing")).to_contain_text("No day in this range has ended yet")
    page.get_by_role("button", name="1 h", exact=True).click()
    expect(page.locator("#nothing")).to_have_text("No data in this range.")


def test_windows_that_are_not_final_say_so_and_why(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key, "#range=1h")
    notices = page.get_by_role("region", name="Notices")
    expect(notices).to_contain_text("Provisional")
    expect(notices).to_contain_text("still open")
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_have_attribute(
        "aria-label", re.compile("provisional")
    )


def test_a_gap_is_marked_with_its_reason(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key)
    end = now().replace(second=0, microsecond=0)
    times = [(end - timedelta(minutes=ago)).isoformat().replace("+00:00", "Z") for ago in (60, 30, 20, 0)]
    states = [
        {"from": times[0], "to": times[1], "state": "complete", "reason": None},
        {"from": times[1], "to": times[2], "state": "gap", "reason": "offsets_missing"},
        {"from": times[2], "to": times[3], "state": "complete", "reason": None},
    ]

    def with_a_gap(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(json=answer.json() | {"states": states, "from": times[0], "to": times[3]})

    page.route("**/rollups?*", with_a_gap)
    page.get_by_role("button", name="1 h", exact=True).click()
    expect(page.get_by_role("region", name="Notices")).to_contain_text("events were stored that are not counted yet")

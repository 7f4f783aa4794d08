"""The last five minutes: what a device has just posted is on the page, as it was sent."""

import json
import re
import uuid
from datetime import timedelta

from playwright.sync_api import Page, expect

from tests.browser.conftest import Sample, WatchedFleet, log_in, now, read_table


def test_points_of_a_device_appear_live(page: Page, fleet: WatchedFleet) -> None:
    device = f"press-{uuid.uuid4().hex[:6]}"
    # Long before the others: rows are told apart by their times.
    fleet.send([Sample(device, now() - timedelta(minutes=1), 41.25)])
    fleet.stack.settle()
    log_in(page, fleet.reader_key)
    live = page.get_by_role("button", name="Live 5 min")
    expect(live).to_have_accessible_description("Live: pick a group or a device.")
    expect(page.locator("#live-hint")).to_be_visible()
    page.get_by_role("radio", name="Device").check()
    expect(page.locator("#live-hint")).to_be_hidden()
    page.get_by_role("form", name="What to show").get_by_role("combobox", name="Device").fill(device)
    page.keyboard.press("Enter")
    live.click()
    chart = page.get_by_role("group", name="Chart of cpu_temp")
    expect(chart).to_be_visible()
    sent = [Sample(device, now() - timedelta(seconds=ago), 42.0 + ago / 4) for ago in (9, 6, 3)]
    fleet.send(sent)
    panel = page.get_by_role("region", name="cpu_temp", exact=False).first
    panel.get_by_text("As a table").click()
    expect(panel.locator("tbody tr")).to_have_count(4)
    shown = {row[0]: (row[1], float(row[2])) for row in read_table(page, "cpu_temp")}
    for sample in sent:
        written = sample.time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{sample.time.microsecond // 1000:03d}Z"
        device_shown, value = shown[written.replace(".000Z", "Z")]
        assert (device_shown, value) == (device, round(sample.value, 2))


def test_samples_of_the_same_second_are_listed_in_their_order(page: Page, fleet: WatchedFleet) -> None:
    device = f"press-{uuid.uuid4().hex[:6]}"
    second = now().replace(microsecond=0) - timedelta(seconds=5)
    fleet.send([Sample(device, second + timedelta(milliseconds=after), 40.0 + after) for after in (500, 0)])
    fleet.stack.settle()
    log_in(page, fleet.reader_key, f"#device={device}&range=5m&metric=cpu_temp")
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()
    assert [row[2] for row in read_table(page, "cpu_temp")] == ["540", "40"]


def test_a_group_shows_each_of_its_devices(page: Page, fleet: WatchedFleet) -> None:
    devices = [f"hall-{uuid.uuid4().hex[:6]}" for _ in range(3)]
    group = f"group-{uuid.uuid4().hex[:6]}"
    fleet.make_group(group, devices)
    fleet.send([Sample(device, now(), 50.0 + number) for number, device in enumerate(devices)])
    fleet.stack.settle()
    log_in(page, fleet.reader_key, f"#group={group}&range=5m")
    expect(page.get_by_role("heading", name=f"Group The {group} ({group})")).to_be_visible()
    panel = page.get_by_role("region", name="cpu_temp").first
    expect(panel.get_by_text("3 devices")).to_be_visible()
    assert {row[1] for row in read_table(page, "cpu_temp")} == set(devices)


def test_the_page_says_how_fresh_it_is_and_what_comes_in(page: Page, fleet: WatchedFleet) -> None:
    fleet.send([Sample("press-1", now(), 44.0)], unheard_of={"by": "any contract"})
    fleet.send([Sample("press-1", now() - timedelta(hours=2), 44.0)])
    log_in(page, fleet.reader_key)
    expect(page.locator("#freshness")).to_have_text(re.compile(r"\d"))
    expect(page.locator("#complete")).to_have_text(re.compile(r"\d"))
    expect(page.locator("#late")).not_to_have_text("0")
    expect(page.get_by_role("region", name="Notices")).to_contain_text("unheard_of")
    expect(page.get_by_role("region", name="Firmware in the fleet")).to_contain_text("1.8.3")


def test_a_field_unknown_to_several_versions_is_said_once(page: Page, fleet: WatchedFleet) -> None:
    status = fleet.ask("")
    field = {"field": "colour", "contract": "telemetry", "events": 2}
    fields = [field | {"schema_version": version} for version in (2, 1)]
    page.route("**/v1/fleets/*", lambda route: route.fulfill(body=json.dumps(status | {"unknown_fields": fields})))
    log_in(page, fleet.reader_key)
    notice = page.get_by_role("region", name="Notices").get_by_role("listitem").filter(has_text="colour")
    expect(notice).to_have_text(re.compile("of telemetry versions 1, 2, in 4 events"))


def test_freshness_is_the_answers_and_then_the_pages_own_clock(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key)
    status = fleet.ask("")
    page.route("**/v1/fleets/*", lambda route: route.fulfill(body=json.dumps(status | {"freshness_seconds": 3600.0})))
    expect(page.locator("#freshness")).to_have_text("60 min")
    expect(page.locator("#freshness-note")).to_contain_text("behind")
    page.route("**/v1/fleets/*", lambda route: route.fulfill(body=json.dumps(status | {"freshness_seconds": 1.0})))
    expect(page.locator("#freshness-note")).to_contain_text("newest counted event")
    # No more answers: the shown data only grows older.
    page.route("**/v1/fleets/**", lambda _route: None)
    expect(page.locator("#freshness-note")).to_contain_text("slower than usual")

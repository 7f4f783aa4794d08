"""Device names are text: on the page, in downloads, and in everything the page does with them."""

import csv
import io
import uuid
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints, Sample, WatchedFleet, log_in, now, read_table

HOSTILE = "<img src=x onerror=alert(1)>"
FORMULA = "=HYPERLINK(1)"


def test_what_devices_call_themselves_is_text(page: Page, fleet: WatchedFleet) -> None:
    devices = [f"{HOSTILE}{uuid.uuid4().hex[:4]}", f"</script><script>alert(2)</script>{uuid.uuid4().hex[:4]}"]
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    for device in devices:
        fleet.send([Sample(device, now(), 40.0)], **{f"<b>{device[:40]}</b>": 1})
    fleet.stack.settle()
    page.goto("/")
    log_in(page, fleet.reader_key)
    for device in devices:
        page.evaluate("device => { location.hash = new URLSearchParams({device, range: '5m'}) }", device)
        expect(page.get_by_role("heading", name=f"Device {device}")).to_be_visible()
        expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()
        assert read_table(page, "cpu_temp")[0][1] == device
    expect(page.get_by_role("region", name="Notices")).to_contain_text("<b>")
    assert page.locator("main img, .aside img, b, #charts script").count() == 0
    assert dialogs == []


def test_a_download_holds_the_numbers_and_no_formulas(page: Page, fleet: WatchedFleet) -> None:
    device = f"{FORMULA}{uuid.uuid4().hex[:4]}"
    fleet.send([Sample(device, now(), -40.5)])
    fleet.stack.settle()
    log_in(page, fleet.reader_key, f"#{urlencode({'device': device, 'range': '5m', 'metric': 'cpu_temp'})}")
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()
    panel = page.get_by_role("region", name="cpu_temp").first
    panel.get_by_text("As a table").click()
    with page.expect_download() as downloading:
        panel.get_by_role("button", name="Download CSV").click()
    saved = Path(str(downloading.value.path())).read_text()
    header, row = list(csv.reader(io.StringIO(saved)))
    assert header == ["Time (UTC)", "Device", "Value"]
    assert row[1:] == [f"'{device}", "-40.5"]


def test_an_injected_script_does_not_run(page: Page, complaints: Complaints) -> None:
    complaints.expect("Content Security Policy", "TrustedHTML", "Trusted Type")
    page.goto("/")
    ran = page.evaluate(
        """() => {
            try {
                document.body.innerHTML += "<img src=x onerror='window.hit = 1'>";
            } catch (error) {
                return error.name;
            }
            return "it was let in";
        }"""
    )
    assert ran == "TypeError"

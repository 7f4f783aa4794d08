"""Takes the pictures of docs/dashboard.md while `make demo` runs: `.venv/bin/python -m tests.browser.screenshots`."""

import argparse
import json
import subprocess
import sys
import time
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from playwright.sync_api import Browser, expect, sync_playwright

from cli.simulation.devices import EVENTS, Fleet
from local.install import browser_installation
from local.processes import ROOT


class Picture(NamedTuple):
    """One picture: where it is taken, in which light and how large."""

    name: str
    view: str
    scheme: Literal["light", "dark"]
    width: int
    height: int


# Parts of the page below the charts, by their titles.
PARTS = {
    "Incidents": Picture("incidents", "#range=1h", "light", 1280, 1100),
    "Rejected events": Picture("rejections", "#range=1h", "light", 1280, 1100),
}
PICTURES = (
    Picture("desktop", "#range=1h", "light", 1280, 1100),
    Picture("phone", "#device=press-00001&range=5m&metric=cpu_temp", "light", 390, 1500),
    Picture("dark", "#group=hall-1&range=5m", "dark", 1280, 1100),
)


def watch(directory: Path) -> None:
    """Write a rule under which the pictures' device fires within a minute, so that there is an incident to see."""
    limits = ("--open", "50", "--clear", "46", "--breaches", "2", "--of", "5", "--severity", "critical")
    series = ("--kind", "above", "--metric", "cpu_temp", "--device", "press-00001")
    command = [sys.executable, "-m", "cli", "rules", "create", "--dir", str(directory), "demo", "cpu-hot"]
    subprocess.run([*command, *series, *limits], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def remember(stack: dict[str, Any]) -> None:
    """Send the simulated fleet's last hour, as far as it is not late."""
    moment = datetime.now(UTC) - timedelta(minutes=56)
    devices = Fleet(1, 500, lambda: moment)
    while moment < datetime.now(UTC) - timedelta(minutes=1):
        moment += timedelta(seconds=15)
        # The ids follow from the simulation's seed, and the simulation may be sending them too.
        events = [json.loads(devices.good_event().body) | {"event_id": str(uuid.uuid4())} for _ in range(100)]
        headers = {"content-type": "application/json", "x-api-key": stack["keys"]["device"]}
        request = urllib.request.Request(stack["api"] + EVENTS, json.dumps(events).encode(), headers)
        urllib.request.urlopen(request, timeout=60).close()
    # Until it is all counted and rolled.
    time.sleep(90)


def take(browser: Browser, api: str, key: str, picture: Picture, directory: Path) -> None:
    """Take one picture of the page as a user sees it after a moment."""
    size = {"width": picture.width, "height": picture.height}
    page = browser.new_page(color_scheme=picture.scheme, viewport=size, base_url=api)  # type: ignore[arg-type]  # a TypedDict
    page.goto(f"/{picture.view}")
    page.get_by_label("Reader key").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()
    expect(page.locator("#freshness")).not_to_be_empty()
    page.wait_for_timeout(8000)
    page.mouse.move(0, 0)
    page.screenshot(path=directory / f"dashboard-{picture.name}.png", animations="disabled")
    page.close()


def take_part(browser: Browser, api: str, key: str, title: str, picture: Picture, directory: Path) -> None:
    """Take one part of the page, with its first line open."""
    size = {"width": picture.width, "height": picture.height}
    page = browser.new_page(color_scheme=picture.scheme, viewport=size, base_url=api)  # type: ignore[arg-type]  # a TypedDict
    page.goto(f"/{picture.view}")
    page.get_by_label("Reader key").fill(key)
    page.keyboard.press("Enter")
    part = page.get_by_role("region", name=title)
    part.locator("summary").first.click(timeout=90_000)
    page.wait_for_timeout(1000)
    page.mouse.move(0, 0)
    part.screenshot(path=directory / f"dashboard-{picture.name}.png", animations="disabled")
    page.close()


def main() -> None:
    """Take all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=ROOT / ".local", help="the stack's directory (default: .local)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where the pictures go (default: docs)")
    options = parser.parse_args()
    stack = json.loads((options.dir / "stack.json").read_text())
    watch(options.dir)
    remember(stack)
    installed = browser_installation()
    environment: dict[str, str | float | bool] = dict(installed.environment)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed.executable, args=["--no-sandbox"], env=environment
        )
        for picture in PICTURES:
            take(browser, stack["api"], stack["keys"]["reader"], picture, options.out)
        for title, picture in PARTS.items():
            take_part(browser, stack["api"], stack["keys"]["reader"], title, picture, options.out)
        browser.close()


if __name__ == "__main__":
    main()

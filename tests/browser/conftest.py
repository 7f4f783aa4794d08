"""A real Chromium, and a fleet of its own to look at with it."""

import json
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from cli.simulation.devices import EVENTS
from local.admin import Admin
from local.install import browser_installation
from tests.flow.conftest import Stack, create_fleet
from tests.flow.http import post

# The page works in seconds. A slow machine may need longer.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Sample:
    """What a device measured, and when."""

    device: str
    time: datetime
    value: float


@dataclass(frozen=True)
class WatchedFleet:
    """A fleet that only these tests send for, with a device key and a reader key."""

    stack: Stack
    name: str
    device_key: str
    reader_key: str

    def send(self, samples: list[Sample], **more: Any) -> None:
        """Post telemetry, and be sure that it was accepted."""
        for start in range(0, len(samples), 100):
            events = [self._event(sample, more) for sample in samples[start : start + 100]]
            status, _, answer = post(self.stack, EVENTS, json.dumps(events).encode(), self.device_key)
            assert status == 202, answer

    def make_group(self, group: str, devices: list[str]) -> None:
        """Add a group to the directory."""
        request = urllib.request.Request(
            f"{self.stack['directory']}/fleets/{self.name}/groups/{group}",
            json.dumps({"group_id": group, "name": f"The {group}", "devices": devices}).encode(),
            {"content-type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=60).close()

    def ask(self, path: str) -> Any:
        """Ask the query API what the page asks it."""
        return ask(self.stack, f"/v1/fleets/{self.name}{path}", self.reader_key)

    @staticmethod
    def _event(sample: Sample, more: dict[str, Any]) -> dict[str, Any]:
        return {
            "event_id": str(uuid.uuid4()),
            "device_id": sample.device,
            "device_firmware_version": "1.8.3",
            "timestamp": sample.time.isoformat(timespec="milliseconds"),
            "metrics": {"cpu_temp": sample.value, "vibration_rms": 1.5, "supply_voltage": 24.0},
        } | more


def ask(stack: Stack, path: str, key: str) -> Any:
    """Get a document."""
    request = urllib.request.Request(stack["api"] + path, headers={"x-api-key": key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture(scope="package")
def fleet(stack: Stack) -> WatchedFleet:
    """The fleet, with an hour of one device behind it."""
    name = f"watched-{uuid.uuid4().hex[:8]}"
    device_key = create_fleet(stack, name)
    reader_key = Admin.of(stack).create_key(name, "reader")
    made = WatchedFleet(stack, name, device_key, reader_key)
    made.send(minutes_of("press-1", first=45, last=6))
    stack.settle_numbers()
    return made


def now() -> datetime:
    """Return the time by this machine's clock, which is the stack's too."""
    return datetime.now(UTC)


def minutes_of(device: str, first: int, last: int) -> list[Sample]:
    """Two samples in every minute from so many minutes ago to so many."""
    minute = now().replace(second=0, microsecond=0)
    return [
        Sample(device, minute - timedelta(minutes=ago, seconds=-15 * second), 40.0 + ago % 7 + second)
        for ago in range(first, last - 1, -1)
        for second in (1, 2)
    ]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser; its sandbox needs a user who is not root."""
    installed = browser_installation()
    environment: dict[str, str | float | bool] = dict(installed.environment)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed.executable, args=["--no-sandbox"], env=environment
        )
        yield browser
        browser.close()


class Complaints:
    """The browser's errors. An unexpected one fails the test that made it."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self.expected: tuple[str, ...] = ()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))

    def expect(self, *parts: str) -> None:
        """Ignore errors that contain one of these: the test causes them."""
        self.expected = parts

    def unexpected(self) -> list[str]:
        """Return the unexpected errors."""
        return [said for said in self.said if not any(part in said for part in self.expected)]

    def _hear(self, message: ConsoleMessage) -> None:
        # Dead letters are read for one fleet at a time: the page of another one gets 429, and asks again.
        if message.location["url"].endswith("/v1/dead-letters") and "429" in message.text:
            return
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text}")


@pytest.fixture
def page(chromium: Browser, stack: Stack) -> Iterator[Page]:
    """A page of a fresh browser. It must report no error, least of all about its own rules."""
    context = chromium.new_context(base_url=stack["api"], viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    made = context.new_page()
    yield made
    context.close()


@pytest.fixture(autouse=True)
def complaints(page: Page) -> Iterator[Complaints]:
    """The browser's errors during a test: none, unless the test expects them."""
    heard = Complaints(page)
    yield heard
    assert heard.unexpected() == []


def log_in(page: Page, key: str, view: str = "") -> None:
    """Open the page at a view and log in as a person would."""
    page.goto(f"/{view}")
    page.get_by_label("Reader key").fill(key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def read_table(page: Page, metric: str) -> list[list[str]]:
    """Read a metric's chart as its table, the latest row first."""
    panel = page.get_by_role("region", name=metric).filter(has=page.get_by_role("heading", name=metric))
    table = panel.get_by_role("table")
    if not table.is_visible():
        panel.get_by_text("As a table").click()
    expect(table).to_be_visible()
    rows: list[list[str]] = table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows

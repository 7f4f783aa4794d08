"""Accessibility: keyboard only, screen reader, dark theme and phone."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from local.processes import ROOT
from tests.browser.conftest import WatchedFleet, log_in, read_table

AXE = (ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text()
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


def find_barriers(page: Page) -> list[str]:
    """Return axe's findings against WCAG 2.2 AA and good practice, with their places."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.fixture
def look(request: pytest.FixtureRequest, page: Page) -> Page:
    """The page in a theme and a width."""
    scheme, width = request.param
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 844})
    return page


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=["light", "dark", "phone", "dark phone"])
@pytest.mark.parametrize("view", ["#range=1h", "#device=press-1&range=6h&metric=cpu_temp"], ids=["fleet", "device"])
def test_every_view_is_free_of_barriers_and_fits_its_width(look: Page, fleet: WatchedFleet, view: str) -> None:
    look.goto("/")
    expect(look.get_by_label("Reader key")).to_be_visible()
    assert find_barriers(look) == []
    log_in(look, fleet.reader_key, view)
    read_table(look, "cpu_temp")
    look.get_by_text("Exact times and resolution").click()
    assert find_barriers(look) == []
    widths = look.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_the_checker_itself_finds_a_barrier(page: Page) -> None:
    page.goto("/")
    page.evaluate("document.querySelector('label').remove()")
    assert any(barrier.startswith("label") for barrier in find_barriers(page))


def press_until(page: Page, focused: str) -> None:
    """Press Tab until the focus is where a selector says."""
    for _ in range(80):
        if page.evaluate("selector => document.activeElement?.matches(selector) ?? false", focused):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not lead to {focused}")


def test_everything_can_be_done_by_keyboard_alone(page: Page, fleet: WatchedFleet) -> None:
    page.goto("/")
    press_until(page, "#key")
    page.keyboard.insert_text(fleet.reader_key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()

    page.locator("#log-out").focus()
    press_until(page, "input[name=scope]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    press_until(page, "#device")
    page.keyboard.type("press-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Device press-1")).to_be_visible()

    press_until(page, "button[data-range='6h']")
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_contain_text("6 hours")
    press_until(page, "#zoom-in")
    page.keyboard.press("Space")
    page.wait_for_url("**/*from=*")

    press_until(page, "summary")
    page.keyboard.press("Enter")
    press_until(page, "#resolution")
    page.keyboard.press("ArrowDown")
    press_until(page, "#apply-times")
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_contain_text("one value a minute")

    press_until(page, "input[value=vibration_rms]")
    page.keyboard.press("Space")
    expect(page.get_by_role("region", name="vibration_rms")).to_have_count(0)

    press_until(page, ".drawing")
    page.keyboard.press("End")
    readout = page.locator(".readout").first
    expect(readout).to_contain_text("average")
    last = readout.text_content()
    page.keyboard.press("ArrowLeft")
    expect(readout).not_to_have_text(str(last))

    press_until(page, ".panel summary")
    page.keyboard.press("Enter")
    expect(page.locator(".panel table").first).to_be_visible()


def test_the_focus_can_be_seen_wherever_it_is(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key)
    expect(page.get_by_role("group", name="Chart of cpu_temp")).to_be_visible()
    page.locator("#theme").focus()
    stops = 0
    while page.evaluate("document.activeElement !== document.body"):
        stops += 1
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => {
                const at = document.activeElement;
                if (at === document.body) return true;
                const drawn = [at, at.nextElementSibling].filter(Boolean).map((one) => getComputedStyle(one));
                return drawn.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
            }"""
        )
        assert seen, page.evaluate("document.activeElement.outerHTML")
    assert stops > 15


def test_changes_of_the_connection_and_of_the_view_are_announced(page: Page, fleet: WatchedFleet) -> None:
    log_in(page, fleet.reader_key)
    expect(page.locator("#announcer[aria-live=polite]")).to_contain_text("the last hour")
    page.get_by_role("button", name="6 h", exact=True).click()
    expect(page.locator("#announcer")).to_contain_text("the last 6 hours")
    expect(page.locator("#connection[role=status]")).to_contain_text("Connected")


def test_the_theme_can_be_chosen_and_is_kept(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


def test_a_page_without_scripts_says_what_it_needs(chromium: Browser, page: Page) -> None:
    context = chromium.new_context(java_script_enabled=False)
    bare = context.new_page()
    page.goto("/")
    bare.goto(page.url)
    assert "needs JavaScript" in bare.locator("noscript").inner_text()
    context.close()

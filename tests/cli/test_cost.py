"""Prices with tiers, bills and their shares, figures between measured points, and what the command says."""

import math
import re

import pytest

from cli.__main__ import main
from cli.cost.bill import Position, write_bill
from cli.cost.figures import Curve, load_figures
from cli.cost.levers import LEVERS
from cli.cost.prices import Price, load_prices
from cli.cost.share import Use, share
from cli.cost.tables import Table, dollars
from cli.cost.workload import SIZES, Workload

TIERED = Price(
    usd=[(100, 2.0), (300, 1.0), (math.inf, 0.5)], per=10, unit="thing", source="https://x", seen="2026-01-01"
)
FLAT = Price(usd=3.0, unit="hour", source="https://x", seen="2026-01-01")


@pytest.mark.parametrize(("units", "usd"), [(0, 0), (50, 10), (100, 20), (200, 30), (300, 40), (500, 50)])
def test_a_tier_holds_for_its_own_units_only(units: float, usd: float) -> None:
    assert TIERED.cost(units) == pytest.approx(usd)
    assert FLAT.cost(units) == 3 * units


def test_positions_of_one_price_share_its_tiers() -> None:
    positions = [Position("A", "a", "tiered", 100, "events"), Position("B", "b", "tiered", 400, "size")]
    bill = write_bill([*positions, Position("B", "idle", "flat", 0, "size")], {"tiered": TIERED, "flat": FLAT})
    assert [line.usd for line in bill.lines] == pytest.approx([10, 40])
    assert bill.total == pytest.approx(TIERED.cost(500))
    assert bill.by(lambda line: line.service) == pytest.approx({"B": 40, "A": 10})


@pytest.mark.parametrize(("events", "value"), [(1, 4), (10, 13), (55, 35.5), (100, 58), (200, 108)])
def test_a_figure_lies_on_the_lines_between_what_was_measured_and_beyond(events: float, value: float) -> None:
    assert Curve([(1, 4), (10, 13), (100, 58)], "ms", "test").at(events) == pytest.approx(value)


def test_fleets_together_pay_the_bill_and_each_for_its_own_requests() -> None:
    work = Workload(devices=10, events_per_second=10, events_per_request=10)
    lines = [Position("A", "a", "flat", 7, "requests"), Position("B", "b", "flat", 5, "events")]
    bill = write_bill([*lines, Position("C", "c", "flat", 11, "size")], {"flat": FLAT})
    packed, single = Use(work.events / 2, work.requests / 5), Use(work.events / 2, work.requests * 4 / 5)
    first, second = (share(bill, work, fleet) for fleet in (packed, single))
    assert first.total + second.total == pytest.approx(bill.total)
    assert first.shared == second.shared
    assert second.caused - first.caused == pytest.approx(3 / 5 * 21)
    assert share(bill, work, Use(single.events / 730, single.requests / 730), months=1 / 730).total == pytest.approx(
        second.total / 730
    )


def test_every_price_has_a_source_and_a_date() -> None:
    for name, price in load_prices().items():
        assert price.source.startswith("https://"), name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d|believed|undated", price.seen), name
        assert price.cost(1) >= 0


def test_every_figure_says_where_it_is_from() -> None:
    figures = load_figures()
    for name in figures.__struct_fields__:
        found = getattr(figures, name)
        for each in found.values() if isinstance(found, dict) else [found]:
            assert len(each.how) > 5, name


def test_no_lever_is_named_twice() -> None:
    assert len({lever.name for lever in LEVERS}) == len(LEVERS)


def test_a_table_is_aligned_for_a_terminal_and_marked_up_for_a_page() -> None:
    table = Table(("what", "dollars"), [("brokers", "447"), ("an alarm", dollars(7.804))])
    assert list(table.as_text()) == ["what      dollars", "brokers       447", "an alarm     7.80"]
    assert list(table.as_markdown()) == ["| what | dollars |", "|---|--:|", "| brokers | 447 |", "| an alarm | 7.80 |"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--profile", "huge"], "'huge' is no profile that is deployed: choose one of dev, baseline, large"),
        (["--templates", "/nowhere", "levers"], "/nowhere holds no synthesized templates"),
        (["fleet", "--events", "5", "--requests", "50"], "50 requests have at least as many events, and not 5"),
        (["actual", "--dir", "/nowhere"], "no stack is running here"),
    ],
)
def test_a_mistake_is_answered_in_words(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_month_is_the_work_of_its_devices() -> None:
    work = SIZES["baseline"].workload(events_per_request=10)
    assert work.events == pytest.approx(5_000 * 14 * 3600 * 365 / 12)
    assert work.requests == work.events / 10
    assert SIZES["baseline"].workload(events_per_request=10, peak=True).events == 3 * work.events

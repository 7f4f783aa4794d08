"""Wrong clocks, and more events than planned for."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cli.simulation.client import digest
from cli.simulation.clocks import now
from cli.simulation.devices import EVENTS, Fleet, Sent, write
from tests.faults.conftest import check, post_during, post_settled
from tests.flow.conftest import Stack, create_fleet
from tests.flow.http import post
from tests.support import samples

BASE_RATE, BURST = 50, 40


def event_at(device: str, moment: str) -> Sent:
    """A good event, but for its time."""
    event = samples.read("telemetry-v1.json")
    return Sent(EVENTS, write(event | {"event_id": str(uuid.uuid4()), "device_id": device, "timestamp": moment}), "")


@pytest.mark.shows_fault(
    part="clock",
    fault="minutes, 27 hours or ages wrong, and backwards",
    expected="stored, flagged, in the right windows",
)
def test_clocks_that_are_wrong_by_minutes_days_or_ages_are_stored_flagged_and_counted_right(
    stack: Stack, earlier: set[str]
) -> None:
    offsets = {
        "ahead-4-minutes": (timedelta(minutes=4), ()),
        "ahead-6-minutes": (timedelta(minutes=6), ("clock_ahead",)),
        "ahead-27-hours": (timedelta(hours=27), ("clock_ahead",)),
        "behind-5-minutes": (timedelta(minutes=-5), ()),
        "behind-27-hours": (timedelta(hours=-27), ("late_arrival",)),
    }
    flags: dict[str, tuple[str, ...]] = {f"clock-{name}": expected for name, (_, expected) in offsets.items()}
    sent = [event_at(f"clock-{name}", (now() + by).isoformat()) for name, (by, _) in offsets.items()]
    for year, flag in (("9999", "clock_ahead"), ("0001", "late_arrival")):
        flags[f"clock-{year}"] = (flag,)
        sent.append(event_at(f"clock-{year}", f"{year}-06-01T12:00:00Z"))
    # A clock that is set back while its device sends: each event counts at its own time, in any order of arrival.
    backwards = [
        event_at("clock-backwards", (now() - timedelta(minutes=10 * step)).isoformat()) for step in range(1, 6)
    ]
    ledger = post_settled(stack, [sent, *([one] for one in backwards)])
    assert sum(ledger.accepted.values()) == len(sent) + len(backwards)
    # The windows themselves, each at its right time, are among what is checked.
    check(stack, ledger, earlier)
    found = {row.event.device_id: row.event.flags for row in stack.stores.rows() if row.event.device_id in flags}
    assert found == flags
    samples_of = Counter(one.device_id for one in stack.stores.read().samples)
    assert samples_of["clock-backwards"] == len(backwards)
    assert samples_of["clock-behind-27-hours"] == samples_of["clock-0001"] == 0


def burst(seed: int, rate: float, seconds: float) -> Iterator[list[Sent]]:
    """So many events a second, half of them of one device."""
    fleet, hot = (
        Fleet(seed, devices=200, clock=lambda: datetime.now(UTC)),
        Fleet(seed + 1, 1, lambda: datetime.now(UTC)),
    )
    size = min(100, int(rate / 5))
    began = time.monotonic()
    for number in range(int(rate * seconds / size)):
        time.sleep(max(0.0, began + number * size / rate - time.monotonic()))
        yield [(hot if index % 2 else fleet).good_event(EVENTS) for index in range(size)]


@pytest.mark.shows_fault(
    part="load",
    fault="one hot device, forty times the load",
    expected="answered, stored and caught up with; other devices keep their answers",
)
def test_forty_times_the_load_half_of_it_from_one_device_is_answered_kept_and_caught_up_with(
    stack: Stack, earlier: set[str]
) -> None:
    quiet = create_fleet(stack, "beside-the-burst")
    thread, ledgers = post_during(stack, burst(91, BASE_RATE, seconds=2))
    thread.join()
    (ledger,) = ledgers
    assert set(ledger.statuses) == {202}
    earlier |= set(ledger.accepted)
    thread, ledgers = post_during(stack, burst(93, BASE_RATE * BURST, seconds=3))
    others: Counter[int] = Counter()
    body = samples.encode(samples.read("telemetry-v1.json") | {"device_id": "beside-the-burst"})
    while thread.is_alive():
        others[post(stack, EVENTS, body, quiet)[0]] += 1
        time.sleep(0.1)
    thread.join()
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) == BASE_RATE * BURST * 3
    assert set(ledger.statuses) <= {202, 207, 429}
    assert set(others) == {202}
    check(stack, ledger, earlier | {digest(body)})

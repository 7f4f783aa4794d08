"""Each bound of a profile holds its peak, and docs/sizing.md says what happens beyond it, and which test shows that."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.cost.figures import load_figures
from cli.cost.workload import SIZES
from infra.building_blocks.function import Compute
from infra.deployment import GIB
from infra.profiles import profile_named
from infra.profiles.profile import Profile
from infra.stores import cache, delivery

ROOT = Path(__file__).parents[2]
DEPLOYED = ("dev", "baseline", "large")
FIGURES = load_figures()
MIB = GIB / 1024
SLOWER = 2
"""ingest was measured beside its brokers and without TLS: on AWS a request may take so many times as long."""
GATEWAY_REQUESTS = 10_000
"""Requests a second that AWS admits to all HTTP APIs of an account in a region, without an increase of the quota."""
COMMANDS_PER_REQUEST = 6
"""A request's quota is a script that sends five commands (`sluice.edge.api.quotas`); Valkey bills each by its work."""
CATCHING_UP = 3
"""How many times the average rate consumers work through after an outage."""
BATCH_EVENTS = 6e6 / FIGURES.batch_payload_bytes.value
"""Lambda takes six megabytes in an invocation."""


@dataclass(frozen=True)
class Load:
    """What a profile has to do at its peak."""

    profile: Profile
    peak: float
    average: float

    @classmethod
    def of(cls, name: str) -> "Load":
        """Find it by the profile's name."""
        return cls(profile_named(name), SIZES[name].peak, SIZES[name].average)

    @property
    def requests(self) -> float:
        """Requests a second, as large as the contract asks for."""
        return self.peak / self.profile.ingest.minimum_events_per_request

    @property
    def request_seconds(self) -> float:
        """How long ingest takes for one of them."""
        return FIGURES.ingest_milliseconds.at(self.profile.ingest.minimum_events_per_request) / 1000

    @property
    def admitted(self) -> float:
        """Requests a second that the gateway admits on all routes of devices together."""
        throttles = self.profile.ingest.throttles
        return throttles.events.rate + throttles.readings.rate + throttles.activity.rate

    def at_once(self, microseconds: float) -> float:
        """Compute how many environments a consumer needs at its busiest: at the peak, or while it catches up."""
        events = max(self.peak, CATCHING_UP * self.average)
        return events * (microseconds + 1000 * FIGURES.batch_milliseconds.value / BATCH_EVENTS) / 1e6

    def cache_units(self) -> float:
        """Compute what data and requests take of Valkey in a second."""
        return self.peak * FIGURES.commands_per_event.value + self.requests * COMMANDS_PER_REQUEST


def _environments(compute: Compute) -> float:
    assert compute.memory_mib >= 1024, "the figures were measured with so much"
    return compute.concurrency


BOUNDS: dict[str, tuple[Callable[[Load], float], Callable[[Load], float]]] = {
    "requests a second": (lambda load: load.requests, lambda load: load.profile.ingest.throttles.events.rate),
    "ingest at once": (
        lambda load: load.requests * load.request_seconds,
        lambda load: _environments(load.profile.ingest.compute),
    ),
    "archive at once": (
        lambda load: load.at_once(FIGURES.archive_microseconds.value),
        lambda load: _environments(load.profile.archive.compute),
    ),
    "aggregate at once": (
        lambda load: load.at_once(FIGURES.aggregate_microseconds.value),
        lambda load: _environments(load.profile.aggregate.compute),
    ),
    "detect at once": (
        lambda load: load.at_once(FIGURES.detect_microseconds.value),
        lambda load: _environments(load.profile.detect.compute),
    ),
    "MiB a second into Firehose": (
        lambda load: load.peak * FIGURES.row_bytes.value / MIB,
        lambda load: load.profile.delivery.streams * load.profile.delivery.quota_mib_per_second,
    ),
    "units of Valkey a second": (Load.cache_units, lambda load: load.profile.cache.maximum_ecpu_per_second),
}
"""By its name in docs/sizing.md: what the peak takes, and what the profile allows."""


@pytest.mark.parametrize("profile", DEPLOYED)
@pytest.mark.parametrize("bound", BOUNDS)
def test_the_peak_fits(bound: str, profile: str) -> None:
    takes, allowed = (of(Load.of(profile)) for of in BOUNDS[bound])
    assert 0 < takes <= allowed


@pytest.mark.parametrize("profile", DEPLOYED)
def test_the_peak_fits_if_aws_takes_twice_as_long_for_a_request(profile: str) -> None:
    load = Load.of(profile)
    assert SLOWER * load.requests * load.request_seconds <= load.profile.ingest.compute.concurrency


@pytest.mark.parametrize("profile", DEPLOYED)
def test_the_gateway_refuses_before_lambda_does(profile: str) -> None:
    """A throttled function is a 503 of AWS, and not the gateway's 429."""
    load = Load.of(profile)
    assert load.admitted * load.request_seconds <= load.profile.ingest.compute.concurrency
    assert load.requests <= GATEWAY_REQUESTS


@pytest.mark.parametrize("profile", DEPLOYED)
def test_the_peak_raises_no_alarm_that_is_meant_for_what_exceeds_it(profile: str) -> None:
    load, streams = Load.of(profile), Load.of(profile).profile.delivery
    rows = load.peak * FIGURES.row_bytes.value / MIB
    assert rows <= streams.peak_mib_per_second
    assert rows <= streams.streams * streams.quota_mib_per_second * delivery.QUOTA_PERCENT / 100
    assert load.cache_units() <= load.profile.cache.maximum_ecpu_per_second * cache.BUSY_PERCENT / 100


def test_a_profile_that_does_not_fit_would_be_found() -> None:
    assert all(
        takes(Load(profile_named("dev"), 1e6, 1e5)) > allowed(Load.of("dev")) for takes, allowed in BOUNDS.values()
    )


def rows() -> dict[str, list[str]]:
    """The table of bounds, by the first cell."""
    text = (ROOT / "docs/sizing.md").read_text().partition("## Bounds")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in cells[2:]}


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_page_has_what_the_profiles_take_and_allow(bound: str) -> None:
    written = [
        f"{math.ceil(takes(load)):,} of {math.floor(allowed(load)):,}"
        for takes, allowed in [BOUNDS[bound]]
        for load in (Load.of("baseline"), Load.of("large"))
    ]
    assert rows()[bound][:2] == written


def test_every_bound_has_an_answer_and_the_alarms_and_tests_that_the_page_names_exist() -> None:
    table = rows()
    assert BOUNDS.keys() < table.keys()
    alarms = set(
        re.findall(r"^### `(.+)`$", "".join(p.read_text() for p in (ROOT / "docs/runbooks").glob("*.md")), re.MULTILINE)
    )
    for bound, (*_, answer, told, shown) in table.items():
        assert answer, bound
        assert set(re.findall(r"`(.+?)`", told)) <= alarms
        assert told
        tests = re.findall(r"`(.+?)::(.+?)`", shown)
        assert tests, bound
        for path, name in tests:
            assert f"def {name}(" in (ROOT / "tests" / path).read_text(), (bound, name)

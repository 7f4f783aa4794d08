"""Pressure on a real stack: requests are refused whole and with advice while it lasts, and accepted again by itself."""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from cli.simulation.client import Ledger, post_all
from cli.simulation.clocks import now
from cli.simulation.devices import EVENTS, Fleet, Sent
from functions.pressure.handler import logger, watch
from local.models.aws_client import aws_client
from sluice.core.consumers import ACCOUNTED
from sluice.core.ingest.pressure import LEAST_SAMPLE
from sluice.edge import cache as valkey
from sluice.edge.ingest.disks import Disks
from sluice.edge.ingest.gauge import Gauge
from sluice.edge.ingest.pressure import NAME, Snapshots
from sluice.edge.metrics import metrics
from sluice.edge.retry import Retry
from sluice.edge.settings import BrokerSettings, CacheSettings
from sluice.edge.topic_offsets import TopicOffsets
from tests.faults.conftest import Injector, check, wait_until
from tests.flow.conftest import Stack
from tests.flow.http import post
from tests.support import samples
from tests.support.cache import open_cache
from tests.support.stores import end_offsets

EVENT = samples.read_bytes("telemetry-v1.json")
# CloudWatch takes the highest value of a minute, so earlier values still count.
A_MINUTE_OF_FIGURES = 90


@contextlib.contextmanager
def disk_at(stack: Stack, percent: float) -> Iterator[None]:
    """Have CloudWatch believe that a disk is so full."""
    tell_disk(stack, {"percent": percent})
    try:
        yield
    finally:
        tell_disk(stack, {})


def tell_disk(stack: Stack, told: dict[str, float]) -> None:
    request = urllib.request.Request(f"{stack['broker_metrics']}/_model/disk", json.dumps(told).encode())
    urllib.request.urlopen(request, timeout=10).close()


def status_now(stack: Stack) -> tuple[int, str | None]:
    status, _, body = post(stack, "/v1/events", EVENT)
    return status, body.get("code")


def fresh_batches(seed: int, count: int) -> Iterator[list[Sent]]:
    fleet = Fleet(seed, devices=50, clock=lambda: datetime.now(UTC))
    for _ in range(count // 20):
        yield [fleet.good_event(EVENTS) for _ in range(20)]


@pytest.mark.shows_fault(
    part="load", fault="more than the buffer holds", expected="429 before the brokers are in danger"
)
@pytest.mark.shows_loss_path(
    fails="the buffer or a disk fills up",
    section="Before it is accepted",
    event_is="with the device, 429 `pressure`, nothing of the request stored",
    told="`pressure-level`, `ingest-refusing`, `stream-disk`",
    comes_back="sent later, and less of it, as `advice` says",
)
def test_a_disk_that_fills_up_stops_ingestion_whole_and_only_that_and_room_lets_it_in_again(
    stack: Stack, earlier: set[str]
) -> None:
    bodies = [EVENT, samples.read_bytes("mixed-batch.json"), b"[no events"]
    with disk_at(stack, 95):
        wait_until("ingest refuses", lambda: status_now(stack) == (429, "pressure"))
        time.sleep(4)  # until every worker has read it
        before = {topic: end_offsets(stack["broker"], topic) for topic in ("raw-events", "dead-letter")}
        waits = set()
        for body in bodies * 4:
            status, headers, answer = post(stack, "/v1/events", body)
            assert (status, answer["code"], "results" in answer) == (429, "pressure", False)
            assert answer["advice"] == {"sample": LEAST_SAMPLE, "retry_after": int(headers["retry-after"])}
            waits.add(answer["advice"]["retry_after"])
        assert 30 <= min(waits) < max(waits) <= 90
        # Nothing of a refused request is stored, not even events that would be rejected.
        assert before == {topic: end_offsets(stack["broker"], topic) for topic in before}
        key = {"x-api-key": stack["keys"]["reader"]}
        for path, headers in (("/health", {}), (f"/v1/fleets/{stack['fleet']}", key)):
            with urllib.request.urlopen(urllib.request.Request(stack["api"] + path, headers=headers), timeout=10) as it:
                assert it.status == 200
    wait_until("ingest takes events again", lambda: status_now(stack) == (202, None), A_MINUTE_OF_FIGURES)
    ledger = asyncio.run(post_all(stack["api"], stack["keys"]["device"], fresh_batches(81, 400), until_settled=True))
    assert sum(ledger.accepted.values()) == 400
    check(stack, ledger, earlier)


class Watcher:
    """The function's own code against the stack's services, with a buffer of seconds instead of hours."""

    def __init__(self, stack: Stack, buffer_seconds: float) -> None:
        host, port = stack["cache"].removeprefix("redis://").split(":")
        login = CacheSettings(host, int(port), "local", "local", "none", stack["region"])
        cloudwatch = aws_client("cloudwatch", stack["aws"], stack["region"])
        brokers = BrokerSettings(stack["broker"], "none", stack["region"], 1)
        gauge = Gauge(
            {one.name: TopicOffsets(brokers, one.topic, one.name) for one in ACCOUNTED},
            Disks(cloudwatch, f"sluice-{stack['stage']}-events", 3),
            buffer_seconds,
            Retry(1),
            now,
            logger,
        )
        self._parts = gauge, Snapshots(valkey.Cache(partial(valkey.connect, login))), 15

    def watch(self) -> tuple[float, float]:
        """Measure and publish once. Return the share to refuse, and how much of the buffer is used."""
        said = watch(*self._parts)
        # No invocation ends here, and writes them.
        metrics.clear_metrics()
        return said["share"], said["used"]


@pytest.mark.shows_fault(part="load", fault="more than the buffer holds")
def test_an_archive_that_stands_still_presses_when_half_the_buffer_is_used_and_no_sooner(
    stack: Stack, injector: Injector, earlier: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    watcher = Watcher(stack, buffer_seconds=24)
    ledgers: list[Ledger] = []

    def send(seed: int, until_settled: bool = False) -> Ledger:
        ledgers.append(
            asyncio.run(
                post_all(stack["api"], stack["keys"]["device"], fresh_batches(seed, 200), until_settled=until_settled)
            )
        )
        return ledgers[-1]

    # The stack's own snapshot, by hours, is ignored while ours exists.
    with injector.holding_workers("pressure") as held:
        wait_until("the stack's own pressure runs are held", lambda: len(held) > 0)
        stack.settle()
        assert watcher.watch() == (0, 0)
        with injector.holding_workers("archive"):
            assert sum(send(82).accepted.values()) == 200
            began = now()
            risen: list[tuple[float, float]] = []
            while not risen or risen[-1][0] < 1:
                time.sleep(1)
                risen.append(watcher.watch())
                assert now() - began < timedelta(seconds=60), risen
                if risen[-1][1] < 0.5:
                    assert risen[-1][0] == 0
            assert len([used for share, used in risen if used < 0.5]) >= 5
            assert any(0 < share < 1 for share, _ in risen)
            time.sleep(4)
            refused = send(83)
            assert refused.statuses == {429: 10}
        wait_until("archive has caught up", lambda: stack.unread("archive") == 0)
        wait_until("nothing presses any more", lambda: watcher.watch() == (0, 0))
        time.sleep(4)
        assert sum(send(84, until_settled=True).accepted.values()) == 200
    ledger = Ledger()
    for one in ledgers:
        ledger.accepted.update(one.accepted)
    # Refused before anything is stored: none of these events may be stored, so they do not count as unknown here.
    check(stack, ledger, earlier)


@pytest.mark.parametrize(
    "word",
    [None, b"\xff\xfe", b'{"version":1,"share":7}', b'{"version":9,"share":1}'],
    ids=["none", "garbled", "nonsense", "of another version"],
)
def test_an_unusable_pressure_snapshot_refuses_nothing(stack: Stack, injector: Injector, word: bytes | None) -> None:
    with open_cache(stack["cache"]) as shared, injector.holding_workers("pressure") as held:
        wait_until("the stack's own pressure runs are held", lambda: len(held) > 0)
        if word is None:
            shared.delete(NAME)
        else:
            shared.set(NAME, word)
        time.sleep(4)
        assert {status_now(stack) for _ in range(8)} == {(202, None)}
        shared.delete(NAME)


@pytest.mark.shows_loss_path(
    fails="pressure itself does not run",
    section="Before it is accepted",
    event_is="with the device, or stored: its last snapshot expires and refuses nothing more",
    told="`pressure-errors`, `pressure-not-run`, `ingest-uninformed`",
    comes_back="nothing to do; full brokers are answered `retry`",
)
def test_the_last_pressure_snapshot_expires_when_no_other_comes(stack: Stack, injector: Injector) -> None:
    with open_cache(stack["cache"]) as shared, injector.holding_workers("pressure") as held:
        wait_until("the stack's own pressure runs are held", lambda: len(held) > 0)
        Snapshots(valkey.Cache(lambda: shared)).publish(1.0, datetime.now(UTC), 10)
        wait_until("ingest refuses", lambda: status_now(stack) == (429, "pressure"), seconds=8)
        wait_until("ingest takes events again", lambda: status_now(stack) == (202, None), seconds=20)

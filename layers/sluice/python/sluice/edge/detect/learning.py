"""A run of learn: some shards' statistics are read, judged and published, and one shard's baselines are computed.
Types of devices are read from the directory.

Verdicts come first, then the statistics, then the note that both are out. A run that dies is repeated by the next one,
whose verdicts have the same positions until more is rolled. A shard that fails does not keep the others from theirs.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.detect.defaults import SILENCE_METRIC, default_rules_for
from sluice.core.detect.judging import state_of
from sluice.core.detect.judging_series import find_asleep, judge_series, judge_silence, measure_silence
from sluice.core.detect.learned import LearnedDevice, describe_device
from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import OF_READINGS, SeriesRule
from sluice.core.detect.verdicts import Verdict
from sluice.core.errors import Retryable
from sluice.core.events.units import SeriesBook
from sluice.edge.broker import Broker
from sluice.edge.cache import Cache, CacheAwayError
from sluice.edge.database import named_errors
from sluice.edge.detect.baselines import Baselines, Due
from sluice.edge.detect.device_types import DeviceTypes, TypeRows
from sluice.edge.detect.statistics import Device, find_watched, publish_statistics
from sluice.edge.detect.storing import store_verdicts

logger = Logger()

BASELINES_EVERY = timedelta(days=1)
BASELINES_AGAIN = timedelta(hours=1)
"""How long a shard waits whose baselines could not be computed."""


class LearnReport(msgspec.Struct):
    """The result of a run."""

    shards: int = 0
    devices: int = 0
    series: int = 0
    """Series whose baselines were computed."""
    verdicts: int = 0
    asleep: frozenset[str] = frozenset()
    """Fleets whose silent devices have no verdicts."""
    unpublished: int = 0
    """Shards whose statistics the cache did not take."""
    oldest: timedelta | None = None
    types_age: timedelta | None = None
    """How long ago the types of some fleet's devices were last read completely; None if no rule needs any."""
    defect: Exception | None = None
    """The first error of a shard that no later run mends by itself; the run fails with it at its end."""


class Learning:
    """What learn uses, but for its database."""

    def __init__(
        self,
        rules: Callable[[datetime], Rulebook],
        types: DeviceTypes,
        book: SeriesBook,
        cache: Cache,
        broker: Broker,
        topic: str,
        every: timedelta,
        shards: int,
    ) -> None:
        """Publish the statistics of each shard so often, and those of so many shards in a run."""
        self._rules = rules
        self._types = types
        self._book = book
        self._cache = cache
        self._broker = broker
        self._topic = topic
        self._every = every
        self._shards = shards

    def run(
        self, baselines: Baselines, type_rows: TypeRows, now: datetime, has_time: Callable[[], bool]
    ) -> LearnReport:
        """Do what is due while time is left: statistics of some shards, baselines of one, and types of devices."""
        report, rules = LearnReport(), self._rules(now)
        expected = baselines.read_expected()
        for due in baselines.find_due(now - self._every, self._shards):
            if not has_time():
                break
            baselines.note_try(due.shard, now)
            with _apart(report, f"shard {due.shard}"):
                self._learn(baselines, due, rules, expected, now, report)
        # Last: a shard whose baselines take too long must not keep the others from their statistics.
        waiting = baselines.find_due_for_baselines(now - BASELINES_EVERY, now - BASELINES_AGAIN)
        if waiting is not None and has_time():
            baselines.note_try_of_baselines(waiting.shard, now)
            with _apart(report, f"shard {waiting.shard}"):
                report.series = baselines.compute(waiting, now)
        # After all else, for the directory is not ours.
        with _apart(report, "types of devices"):
            report.types_age = self._types.renew(type_rows, rules.typed_fleets, now, has_time)
        oldest = baselines.find_oldest()
        report.oldest = now - oldest if oldest is not None else None
        return report

    def _learn(
        self,
        baselines: Baselines,
        due: Due,
        rules: Rulebook,
        expected: dict[int, Mapping[str, Sequence[int]]],
        now: datetime,
        report: LearnReport,
    ) -> None:
        """Judge and publish the statistics of one shard."""
        devices = baselines.read(due)
        silences = _Silences(devices, rules, due.until, self._every)
        expected[due.shard] = silences.count()
        asleep = find_asleep(expected)
        watched = find_watched(self._cache, due.shard)
        told = self._judge(devices, silences, rules, due, asleep)
        verdicts = [one for one in told if _is_told(one, watched.get((one.fleet_id, one.device_id), frozenset()))]
        store_verdicts(self._broker, self._topic, verdicts)
        report.unpublished += not self._publish(due, devices)
        baselines.note_published(due.shard, now, expected[due.shard])
        report.shards += 1
        report.devices += len(devices)
        report.verdicts += len(verdicts)
        report.asleep = asleep

    def _judge(
        self,
        devices: Sequence[LearnedDevice],
        silences: "_Silences",
        rules: Rulebook,
        due: Due,
        asleep: Collection[str],
    ) -> Iterator[Verdict]:
        for device in devices:
            for series in device.series:
                for rule in rules_of(rules, device, series.metric):
                    verdict = judge_series(device, series, rule, self._book, due.until, self._every)
                    if verdict is not None:
                        yield verdict
        for device, verdict in silences.verdicts:
            if device.fleet_id not in asleep:
                yield verdict

    def _publish(self, due: Due, devices: Sequence[LearnedDevice]) -> bool:
        """Publish statistics. While the cache is down, detect goes on with what it has."""
        statistics = {_name(device): describe_device(device, due.until) for device in devices}
        try:
            publish_statistics(self._cache, due.shard, statistics)
        except CacheAwayError as error:
            logger.warning("statistics are not published", shard=due.shard, reason=str(error))
            return False
        return True


@contextlib.contextmanager
def _apart(report: LearnReport, part: str) -> Iterator[None]:
    """Keep the failure of a part of the work from the others."""
    try:
        with named_errors():
            yield
    except Retryable as error:
        logger.warning("a part of the run waits for its next turn", part=part, reason=str(error))
    except Exception as error:
        logger.exception("a part of the run failed", part=part)
        report.defect = report.defect or error


class _Silences:
    """The silence of a shard's devices that should send now."""

    def __init__(self, devices: Sequence[LearnedDevice], rules: Rulebook, until: datetime, every: timedelta) -> None:
        self.verdicts: list[tuple[LearnedDevice, Verdict]] = []
        self._expected, self._silent = Counter[str](), Counter[str]()
        for device in devices:
            silence = measure_silence(device, until)
            if silence is None:
                continue
            found = rules_of(rules, device, SILENCE_METRIC)
            self._expected[device.fleet_id] += 1
            self._silent[device.fleet_id] += any(state_of(rule, silence.away) == "breach" for rule in found)
            self.verdicts += [(device, judge_silence(device, rule, silence, until, every)) for rule in found]

    def count(self) -> dict[str, tuple[int, int]]:
        """Count by fleet the devices that should send, and those of them that are silent."""
        return {fleet_id: (many, self._silent[fleet_id]) for fleet_id, many in self._expected.items()}


def rules_of(rules: Rulebook, device: LearnedDevice, metric: str) -> list[SeriesRule]:
    """Return the rules that judge a series, or a device, as a whole."""
    found = rules.rules_for(device.fleet_id, device.device_type, device.device_id, metric)
    found = found or default_rules_for(device.fleet_id, metric)
    return [rule for rule in found if rule.kind not in OF_READINGS]


def _is_told(verdict: Verdict, watched: frozenset[str]) -> bool:
    return verdict.rule_id in watched or any(one.state == "breach" for one in verdict.readings)


def _name(device: LearnedDevice) -> Device:
    return device.fleet_id, device.device_id

"""What is remembered of a series under a rule, and when its breaches fire: m of the latest n readings.

A reading is taken in once. Its position shows that, so verdicts may be delivered again, split and overlap.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from sluice.core.alerts.limits import LEAST_CLEAR, REMEMBERED, SLACK
from sluice.core.detect.verdicts import Judged, Verdict

RECREATED = timedelta(minutes=5)
"""Receptions so much later at lower positions show that the topic was recreated; clocks of receivers differ by less."""
MOST_PARTITIONS = 4

Turn = Literal["fires", "ends"]


class SeriesKey(msgspec.Struct, frozen=True, order=True):
    """A series of a device under a rule."""

    fleet_id: str
    rule_id: str
    metric: str
    device_id: str


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """How far a partition is taken in."""

    position: int
    received_at: datetime


class Series(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The state of a series under a rule. It is stored as a whole."""

    rule_version: int = 0
    taken: dict[int, Taken] = {}
    latest: list[Judged] = []
    """The newest readings, the newest last."""
    clears: int = 0
    """How many readings in a row were clear."""
    clear_since: datetime | None = None
    verdict: Verdict | None = None
    """The newest verdict without its readings: what the rule and the statistics were."""


def key_of(verdict: Verdict) -> SeriesKey:
    """Return which series a verdict is about."""
    return SeriesKey(verdict.fleet_id, verdict.rule_id, verdict.metric, verdict.device_id)


def take_new(series: Series, verdict: Verdict) -> Sequence[Judged]:
    """Return the readings of a verdict that were not taken in before, in their order, and take them in."""
    if not verdict.readings:
        return ()
    readings = sorted(verdict.readings, key=lambda one: one.position)
    last, place = readings[-1].position, verdict.partition
    known = series.taken.get(place)
    if known is not None:
        if last <= known.position:
            if verdict.received_at <= known.received_at + RECREATED:
                return ()
            new = readings
        else:
            new = [one for one in readings if one.position > known.position]
    elif any(verdict.received_at <= each.received_at for each in series.taken.values()):
        # A partition that was forgotten: the device has moved to another one since.
        return ()
    else:
        new = readings
    received_at = max(verdict.received_at, known.received_at) if known else verdict.received_at
    series.taken = dict(
        sorted({**series.taken, place: Taken(last, received_at)}.items(), key=lambda one: one[1].received_at)[
            -MOST_PARTITIONS:
        ]
    )
    if verdict.rule_version < series.rule_version:
        # Judged by a rule that no longer is.
        return ()
    if verdict.rule_version > series.rule_version:
        series.rule_version, series.latest, series.clears, series.clear_since = verdict.rule_version, [], 0, None
    series.verdict = msgspec.structs.replace(verdict, readings=())
    return new


def is_known(series: Series, reading: Judged) -> bool:
    """Return whether a reading is of an event that is among the latest: a device may send an event again."""
    return reading.event_id is not None and any(one.event_id == reading.event_id for one in series.latest)


def add_reading(series: Series, verdict: Verdict, reading: Judged) -> Turn | None:
    """Add a reading; return whether the series fires with it, or whether enough readings were clear."""
    series.latest = [*series.latest, reading][-REMEMBERED:]
    if reading.state == "clear":
        series.clear_since = reading.at if series.clear_since is None else series.clear_since
        series.clears += 1
        least = LEAST_CLEAR if verdict.source == "readings" else 1
        return "ends" if series.clears >= max(verdict.of, least) else None
    series.clears, series.clear_since = 0, None
    if reading.state == "breach" and count_breaches(series, verdict, reading.at) >= verdict.breaches:
        return "fires"
    return None


def count_breaches(series: Series, verdict: Verdict, at: datetime) -> int:
    """Count the breaches among the latest `of` readings that are not too old."""
    latest = series.latest[-verdict.of :]
    breaches = [one for one in latest if one.state == "breach"]
    if verdict.interval_seconds is None:
        return len(breaches)
    oldest = at - timedelta(seconds=SLACK * verdict.of * verdict.interval_seconds)
    return sum(one.at >= oldest for one in breaches)

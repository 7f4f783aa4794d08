"""Why someone was woken, or was not: what a person reads about an incident and about a device's series."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sluice.core.alerts.incidents import Incident, count_left
from sluice.core.alerts.limits import HOUR, MOST_INCIDENTS, SETTLED, SLACK
from sluice.core.alerts.series import Series, count_breaches
from sluice.core.alerts.silences import Silence
from sluice.core.times import write_time


def explain_incident(
    incident: Incident, silences: Sequence[Silence], attempts: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[str]:
    """Say which messages were written about an incident, what waits, and why."""
    if incident.false_alarm:
        yield "Someone has marked it as a false alarm."
    if incident.told == "nothing":
        yield "No message was written about it."
    else:
        last = write_time(incident.told_at[-1])
        yield f"{incident.sequence} messages were written, the last about its state at {last}."
    covering = [each for each in silences if each.covers(incident.fleet_id, incident.rule_id, each.device_id, now)]
    for silence in covering:
        of = f" for {silence.device_id}" if silence.device_id else ""
        yield f"Silence {silence.silence_number} holds{of} until {write_time(silence.until)}."
    if incident.held == "silence" and not covering:
        yield "A silence held it back. The message that is due is sent within a minute."
    if incident.held == "storm":
        yield f"Its fleet had {MOST_INCIDENTS} incidents of this severity within an hour: it waits until there is room."
    if incident.told == "open" and incident.state == "resolved":
        minutes = SETTLED // timedelta(minutes=1)
        yield f"A message reports its end after {minutes} minutes, or as soon as an hour's messages allow it."
    elif count_left(incident, now) < 1:
        yield f"It has sent as many messages as an incident may send in {HOUR // timedelta(minutes=1)} minutes."
    if incident.acknowledged_by is not None:
        yield f"{incident.acknowledged_by} acknowledged it, so it is not escalated."
    elif incident.escalated_minutes:
        yield f"No one had acknowledged it for {incident.escalated_minutes} minutes: it was escalated."
    given_up = sorted(_list_unreached(attempts))
    if given_up:
        yield f"Messages did not reach {', '.join(given_up)}: see attempts."
    elif incident.told != "nothing" and not attempts:
        yield "No destination has reported an attempt yet."


def explain_series(series: Series, now: datetime) -> Iterator[str]:
    """Say how near a series is to firing."""
    verdict = series.verdict
    if verdict is None or not series.latest:
        yield "No reading of it was judged."
        return
    newest = series.latest[-1]
    breaches = count_breaches(series, verdict, newest.at)
    yield f"{breaches} of its latest {verdict.of} readings are breaches; it fires with {verdict.breaches}."
    if verdict.interval_seconds is not None:
        seconds = SLACK * verdict.of * verdict.interval_seconds
        yield f"Breaches that are older than {seconds:g} s no longer count."
    if series.clears:
        yield f"Its latest {series.clears} readings are clear."
    if verdict.statistics is not None and verdict.statistics.stale:
        yield f"It was compared with old statistics, of {write_time(verdict.statistics.computed_at)}."
    yield f"Its newest reading that was reported is {(now - newest.at) // timedelta(seconds=1)} s old."


def _list_unreached(attempts: Sequence[Mapping[str, Any]]) -> set[str]:
    """List the destinations that a message did not reach, not even when it was sent again."""
    reached: dict[tuple[int, str], str] = {}
    for each in attempts:
        if each["outcome"] == "delivered":
            place = each["sequence"], each["destination_id"]
            reached[place] = max(each["at"], reached.get(place, ""))
    return {
        each["destination_id"]
        for each in attempts
        if each["outcome"] in ("given_up", "refused")
        and each["at"] > reached.get((each["sequence"], each["destination_id"]), "")
    }

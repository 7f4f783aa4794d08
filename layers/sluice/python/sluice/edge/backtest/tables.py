"""The table of backtests: whose turn it is, how far it is, and what it found.

A run claims the oldest one and renews its claim. If the claim grows old, the run has died, and another one takes it.
One that could not be made because a store was away rests, and others have their turn.
"""

from datetime import datetime, timedelta
from typing import Any, LiteralString

import msgspec

from sluice.core.backtest.results import Result
from sluice.core.detect.series_rules import SeriesRule
from sluice.edge.database import Connection, find_value

MOST_TRIES = 3
REST = timedelta(minutes=5)
"""Before the next try, so that others have their turn."""
PATIENCE = timedelta(days=1)
"""For so long after a backtest was asked for, it costs no try that a store is away."""
MOST_TYPES_WAIT = timedelta(hours=1)
"""So long a backtest waits for learn to read the types of a fleet's devices for the first time."""

_CLAIM = """
    UPDATE backtest SET state = 'running', tries = tries + 1, claimed_at = %(now)s, devices = 0
    WHERE backtest_number = (
        SELECT backtest_number FROM backtest
        WHERE tries < %(most)s
            AND CASE WHEN state = 'waiting' THEN coalesce(claimed_at <= %(rested)s, TRUE)
                WHEN state = 'running' THEN claimed_at < %(before)s ELSE FALSE END
            -- Without the types of single devices, a rule for a type may be for none. learn reads them of fleets with
            -- such a rule.
            AND NOT (rule ->> 'device_type' IS NOT NULL AND asked_at > %(types_since)s
                AND EXISTS (
                    SELECT FROM rule AS saved WHERE saved.fleet_id = backtest.fleet_id
                        AND saved.device_type IS NOT NULL AND saved.archived_at IS NULL
                )
                AND NOT EXISTS (
                    SELECT FROM device_types_read AS known WHERE known.fleet_id = backtest.fleet_id
                        AND known.completed_at > '-infinity'
                ))
        ORDER BY backtest_number LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING backtest_number, fleet_id, rule::text, days, tries
"""
_GIVE_UP = """
    UPDATE backtest
    SET state = 'failed', ended_at = %(now)s, trouble = concat_ws(' ', %(why)s::text, nullif(trouble, ''))
    WHERE (state = 'waiting' OR (state = 'running' AND claimed_at < %(before)s)) AND tries >= %(most)s
"""
_MINE = "WHERE backtest_number = %(number)s AND tries = %(tries)s AND state = 'running'"


class ClaimedBacktest(msgspec.Struct, frozen=True):
    """A backtest that was claimed."""

    number: int
    fleet_id: str
    rule_text: str
    days: int
    tries: int

    def read_rule(self) -> SeriesRule:
        """Read the rule; msgspec.DecodeError if a newer release wrote it."""
        return msgspec.json.decode(self.rule_text, type=SeriesRule)


class BacktestTables:
    """The table, for one run."""

    def __init__(self, connection: Connection, lease: timedelta) -> None:
        self._connection = connection
        self._lease = lease

    def claim(self, now: datetime) -> ClaimedBacktest | None:
        """Claim the next backtest: one that waits, or whose run has died."""
        parameters = {
            "now": now,
            "before": now - self._lease,
            "rested": now - REST,
            "types_since": now - MOST_TYPES_WAIT,
            "most": MOST_TRIES,
        }
        row = self._connection.execute(_CLAIM, parameters).fetchone()
        return None if row is None else ClaimedBacktest(*row)

    def give_up_dead(self, now: datetime) -> int:
        """End the backtests whose last run has died too, or failed; return how many."""
        why = f"It was started {MOST_TRIES} times, and no run finished it."
        parameters = {"now": now, "before": now - self._lease, "most": MOST_TRIES, "why": why}
        return self._connection.execute(_GIVE_UP, parameters).rowcount

    def note_progress(self, claimed: ClaimedBacktest, devices: int, rule_devices: int, now: datetime) -> bool:
        """Renew the claim; return whether this run still has it."""
        return self._change(
            claimed,
            "claimed_at = %(now)s, devices = %(devices)s, rule_devices = %(rule_devices)s",
            now=now,
            devices=devices,
            rule_devices=rule_devices,
        )

    def finish(self, claimed: ClaimedBacktest, result: Result, now: datetime) -> bool:
        """Store the result; return whether this run still had the claim."""
        stored = msgspec.json.encode(result).decode()
        return self._change(
            claimed,
            "state = 'done', ended_at = %(now)s, trouble = '', result = %(result)s::jsonb, devices = %(devices)s,"
            " rule_devices = %(rule_devices)s",
            now=now,
            result=stored,
            devices=result.devices,
            rule_devices=result.rule_devices,
        )

    def fail(self, claimed: ClaimedBacktest, trouble: str, now: datetime) -> bool:
        """End a backtest that no run can make."""
        return self._change(
            claimed, "state = 'failed', ended_at = %(now)s, trouble = %(trouble)s", now=now, trouble=trouble
        )

    def give_back(self, claimed: ClaimedBacktest, trouble: str, now: datetime) -> bool:
        """Leave a backtest that failed by a defect to a later run; the try counts."""
        changes = "state = 'waiting', claimed_at = %(now)s, trouble = %(trouble)s"
        return self._change(claimed, changes, now=now, trouble=trouble)

    def put_off(self, claimed: ClaimedBacktest, trouble: str, now: datetime) -> bool:
        """Leave a backtest to a later run because a store is away; for a day that costs no try."""
        return self._change(
            claimed,
            "state = 'waiting', claimed_at = %(now)s, trouble = %(trouble)s,"
            " tries = CASE WHEN asked_at > %(patient)s THEN tries - 1 ELSE tries END",
            now=now,
            trouble=trouble,
            patient=now - PATIENCE,
        )

    def find_until(self) -> datetime | None:
        """Find up to when the minutes of every shard are rolled; None if nothing is."""
        found: datetime | None = find_value(
            self._connection, "SELECT min(closed_until) FROM shard WHERE isfinite(closed_until)"
        )
        return found

    def measure_wait(self, now: datetime) -> float:
        """Measure for how many seconds the oldest backtest has been waiting."""
        asked_at = find_value(
            self._connection, "SELECT min(asked_at) FROM backtest WHERE state IN ('waiting', 'running')"
        )
        return 0.0 if asked_at is None else max(0.0, (now - asked_at).total_seconds())

    def _change(self, claimed: ClaimedBacktest, changes: LiteralString, **given: Any) -> bool:
        query: LiteralString = f"UPDATE backtest SET {changes} {_MINE}"  # noqa: S608 - parts of this file
        parameters = given | {"number": claimed.number, "tries": claimed.tries}
        return self._connection.execute(query, parameters).rowcount == 1

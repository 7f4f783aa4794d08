"""The table of backtests: whose turn it is, how far it is, and what it found.

A run claims the oldest one and renews its claim. If the claim grows old, the run has died, and another one takes it.
"""

from datetime import datetime, timedelta
from typing import Any, LiteralString

import msgspec

from sluice.core.backtest.results import Result
from sluice.core.detect.series_rules import SeriesRule
from sluice.edge.database import Connection, find_value

MOST_TRIES = 3

# Somebody waits for a backtest that was asked for, and nobody for a promise.
_CLAIM = """
    UPDATE backtest SET state = 'running', tries = tries + 1, claimed_at = %(now)s, devices = 0
    WHERE backtest_number = (
        SELECT backtest_number FROM backtest
        WHERE (state = 'waiting' OR (state = 'running' AND claimed_at < %(before)s)) AND tries < %(most)s
        ORDER BY promised_version IS NOT NULL, backtest_number LIMIT 1
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
        parameters = {"now": now, "before": now - self._lease, "most": MOST_TRIES}
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

    def give_back(self, claimed: ClaimedBacktest, trouble: str) -> bool:
        """Leave a backtest to a later run."""
        return self._change(claimed, "state = 'waiting', trouble = %(trouble)s", trouble=trouble)

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

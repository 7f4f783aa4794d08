"""The steps of a replay, as its state machine asks for them. Each may be asked for again, and goes on where it was.

claim -> gather (until raw is complete) -> [resend] -> drain (until recount has read all) -> swap -> verify -> end
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from sluice.core.consumers import AGGREGATE, ARCHIVE, RAW_EVENTS, RECOUNT, REPLAY_EVENTS
from sluice.core.control.audit import Act
from sluice.core.limits import Limits
from sluice.core.replay.chunks import cut_chunks
from sluice.core.replay.plan import PlanRefusedError, check_age, check_place, describe, read_plan, receptions
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.counting_back import count_back
from sluice.edge.replay.planning import LISTS, Planning
from sluice.edge.replay.raw_files import UNREADABLE, Scope, read_footer
from sluice.edge.replay.replacing import Replacing, delete_unlisted
from sluice.edge.replay.swapping import Swapping, may_recompute
from sluice.edge.replay.tables import ACTIVE, BEFORE_SWAP, Replay, ReplayTables, find_floor
from sluice.edge.replay.verifying import UnverifiedError, count_waiting_days, verify
from sluice.edge.rollup_archive.database import TierDatabase, lock_files
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.topic_offsets import TopicOffsets

LONGEST_GATHERING = timedelta(hours=1)
"""Firehose holds rows back for longer only when S3 is away."""
MOST_ROWS = 300_000
"""How many rows one invocation of resend can hold, and send in its time."""
MOST_MAPS = 3
"""How often the map may run until every chunk is sent."""
LONGEST_FOR_DAYS = timedelta(minutes=5)
"""How long a replay whose hours are verified waits for their days. Roll merges them in some steps of a second."""
SKEW = timedelta(minutes=10)
"""By how much our clocks may differ: a record's own time is its producer's."""


class Machine(msgspec.Struct, frozen=True):
    """What the steps use."""

    stage: str
    region: str
    planning: Planning
    raw: Bucket
    control: Bucket
    rollups: RollupFiles
    raw_offsets: TopicOffsets
    replay_offsets: TopicOffsets
    limits: Limits
    chunk_bytes: int
    is_running: Callable[[str], bool]
    """Whether an execution of the state machine is running."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class Steps:
    """The steps, over one connection."""

    def __init__(self, machine: Machine, connection: Connection, may_go_on: Callable[[], bool]) -> None:
        self._machine = machine
        self._connection = connection
        self._tables = ReplayTables(connection)
        self._may_go_on = may_go_on

    def claim(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check a plan, and take it: every other execution with the same plan ends without an effect."""
        execution, wanted = str(given["execution"]), given["input"]
        plan = read_plan(wanted.get("plan"))
        machine, principal = self._machine, str(wanted.get("principal"))
        if not self._tables.was_applied_by(plan, principal, str(wanted.get("correlation_id"))):
            principal = execution
        check_place(plan, machine.stage, machine.region)
        claimed = self._tables.find_claim(plan)
        if claimed is None:
            check_age(plan, machine.clock())
            machine.planning.check(self._connection, plan)
            with self._connection.transaction():
                self._tables.lock_claims()
                claimed = self._tables.find_claim(plan)
                if claimed is None:
                    self._tables.check_overlap(plan)
                    replay = self._tables.find(self._tables.claim(plan, execution, principal))
                    self._audit("replay.begin", principal, replay, "gathering", None)
                    return self._go_on(replay)
        if claimed.execution == execution and claimed.state in ACTIVE:
            return self._go_on(claimed)
        if claimed.state in ACTIVE and not machine.is_running(claimed.execution):
            # Its execution was stopped: this one goes on where it ended.
            self._tables.adopt(claimed.replay_number, execution)
            self._tables.note(claimed.replay_number, trouble=None)
            return self._go_on(claimed)
        return self._go_on(claimed) | {"next": "already_applied"}

    def gather(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Wait until raw holds every event that was counted when the replay began; then list what to send."""
        replay = self._tables.find(given["replay_number"])
        if replay.state != "gathering":
            return self._go_on(replay)
        ends = self._tables.ends(replay.replay_number, "raw") or self._ask_raw_ends(replay)
        extents = self._machine.raw_offsets.ask_extents()
        firsts = {partition: extent.first for partition, extent in extents.items()}
        raw_lacks = self._tables.count_uncovered(ARCHIVE.name, RAW_EVENTS, firsts, ends)
        # What aggregate comes to later, it counts itself: a swap before that would count it in the ledger twice.
        unread = self._tables.count_ahead(AGGREGATE.name, RAW_EVENTS, ends)
        self._tables.note(replay.replay_number, raw_waits_for=raw_lacks, aggregate_waits_for=unread)
        if raw_lacks or unread:
            if self._machine.clock() > replay.claimed_at + LONGEST_GATHERING:
                detail = (
                    f"After an hour, raw lacks {raw_lacks:,} events from before the replay, and aggregate {unread:,}."
                )
                raise PlanRefusedError("events_behind", detail)
            return {"replay_number": replay.replay_number, "next": "gather", "waits_for": raw_lacks + unread}
        # First: the floor only rises, so that the files found after this reach back if this does.
        reach = self._machine.planning.find_reach(self._connection, replay.plan)
        files = self._machine.planning.find_files_of(self._connection, replay.plan)
        self._machine.planning.check(self._connection, replay.plan)
        # Equal events take few bytes: a chunk is bounded by its rows too.
        a_row = self._machine.chunk_bytes // MOST_ROWS
        sizes = {name: max(size, a_row * _count_rows(self._machine.raw, name)) for name, (_, size) in files.items()}
        plan = replay.plan
        scope = Scope(plan.fleet_id, plan.device_ids, plan.hours_from, plan.hours_to, reach)
        chunks = cut_chunks(sizes, self._machine.chunk_bytes)
        manifest = [
            {"replay_number": replay.replay_number, "chunk": number, "files": names, "scope": scope}
            for number, names in enumerate(chunks)
        ]
        self._machine.control.put(_name_manifest(replay), msgspec.json.encode(manifest), "application/json")
        self._tables.set_chunks(replay.replay_number, len(chunks))
        self._tables.note(replay.replay_number, files=len(files), reaches_back=reach is not None)
        # What is sent from here on lies behind these offsets.
        starts = {partition: one.last for partition, one in self._machine.replay_offsets.ask_extents().items()}
        self._tables.begin_anew(RECOUNT.name, REPLAY_EVENTS, starts)
        self._tables.set_ends(replay.replay_number, "starts", starts)
        self._tables.move(replay.replay_number, ["gathering"], "resending")
        return self._go_on(self._tables.find(replay.replay_number))

    def drain(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Wait until recount has read everything that was sent."""
        number = given["replay_number"]
        replay = self._tables.find(number)
        if replay.state == "resending":
            chunks, events = self._tables.sent(number)
            if trouble := self._tables.find_trouble(number):
                raise PlanRefusedError("file_unreadable", trouble)
            if chunks < (replay.chunks or 0):
                maps = int(replay.counts.get("maps", 0)) + 1
                self._tables.note(number, maps=maps)
                missing = f"{chunks} of {replay.chunks} chunks were sent by {maps} maps"
                raise ChunksMissingError(missing) if maps < MOST_MAPS else NeverSentError(missing)
            if replay.counts.get("reaches_back") and not self._tables.all_reach_back(number):
                detail = "resend of an older release sent some of the events, and not all. Apply the plan again."
                raise PlanRefusedError("events_left_out", detail)
            extents = self._machine.replay_offsets.ask_extents()
            # Whatever was sent is below the end that the brokers have now.
            self._tables.set_ends(number, "replay", {partition: one.last for partition, one in extents.items()})
            self._tables.note(number, sent=events, chunks=chunks)
            self._tables.move(number, ["resending"], "draining")
            replay = self._tables.find(number)
        if replay.state != "draining":
            return self._go_on(replay)
        starts, ends = (self._tables.ends(number, name) or {} for name in ("starts", "replay"))
        if any(ends[partition] < start for partition, start in starts.items() if partition in ends):
            raise PlanRefusedError(
                "topic_recreated", "replay-events was recreated while the replay ran. Apply it again."
            )
        # Records that Kafka has dropped unread count too: the generation lacks their events.
        waits_for = self._tables.count_uncovered(RECOUNT.name, REPLAY_EVENTS, starts, ends)
        self._tables.note(number, drain_waits_for=waits_for)
        if waits_for:
            return {"replay_number": number, "next": "drain", "waits_for": waits_for}
        unread, ahead = self._tables.count_unread(number)
        if ahead:
            detail = (
                f"recount of this release could not read {ahead:,} events. Apply the plan after the next deployment."
            )
            raise PlanRefusedError("events_ahead", detail)
        self._tables.note(number, unread=unread)
        self._connection.execute("SELECT close_generation(%s)", [number])
        recounted = find_value(self._connection, "SELECT count(*) FROM generation WHERE replay_number = %s", [number])
        if replay.counts.get("sent") and not recounted + unread:
            raise PlanRefusedError(
                "generation_empty", "Events were sent, and recount has none of them. Apply it again."
            )
        self._tables.note(number, recounted=recounted, units=len(self._swapping().list_units(replay)))
        self._tables.move(number, ["draining"], "swapping")
        return self._go_on(self._tables.find(number))

    def swap(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Swap the generation in. Once begun, it is finished: half of a swap is worse than none."""
        replay = self._tables.find(given["replay_number"])
        if replay.state != "swapping":
            return self._go_on(replay)
        floor = find_floor(self._connection)
        recomputes = may_recompute(replay) and floor is not None and replay.plan.hours_from < floor
        if recomputes and not lock_files(self._connection):
            return {"replay_number": replay.replay_number, "next": "swap", "waits_for": "tier"}
        if self._swapping(holds_files=recomputes).swap(replay, self._may_go_on):
            return self._go_on(self._tables.find(replay.replay_number))
        replacing = Replacing(self._connection, self._machine.rollups, replay)
        if recomputes and replacing.replace(self._may_go_on):
            return self._go_on(self._tables.find(replay.replay_number))
        with self._connection.transaction():
            if not self._tables.move(replay.replay_number, ["swapping"], "verifying"):
                return self._go_on(self._tables.find(replay.replay_number))
            counted_back = count_back(self._connection, replay)
            row = self._connection.execute(
                "SELECT coalesce(sum(removed), 0)::bigint, coalesce(sum(added), 0)::bigint,"
                " coalesce(sum(windows), 0)::bigint, count(*) FILTER (WHERE expired),"
                " count(*) FILTER (WHERE recomputed) FROM replay_swap WHERE replay_number = %s",
                [replay.replay_number],
            ).fetchone() or (0, 0, 0, 0, 0)
            names = ("removed", "added", "windows", "units_expired", "units_recomputed")
            self._tables.note(replay.replay_number, **dict(zip(names, row, strict=True)), counted_back=counted_back)
        return self._go_on(self._tables.find(replay.replay_number))

    def verify(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Wait until roll has computed the marked windows, and compare them with the samples.

        The end says how many days were not merged in time. They are merged later all the same.
        """
        replay = self._tables.find(given["replay_number"])
        if replay.state != "verifying":
            return self._go_on(replay)
        now = self._machine.clock()
        if "computed_at" not in replay.counts:
            result = verify(self._connection, replay)
            if result.waits_for:
                return {"replay_number": replay.replay_number, "next": "verify", "waits_for": result.waits_for}
            if result.wrong:
                raise UnverifiedError(f"{result.wrong} windows differ from their samples, for example {result.example}")
            self._tables.note(
                replay.replay_number,
                verified=result.verified,
                unverified_hours=result.unverified_hours,
                computed_at=now.isoformat(),
            )
            replay = self._tables.find(replay.replay_number)
        computed_at = datetime.fromisoformat(replay.counts["computed_at"])
        days = count_waiting_days(self._connection, replay, computed_at)
        if days and now < computed_at + LONGEST_FOR_DAYS:
            return {"replay_number": replay.replay_number, "next": "verify", "waits_for": days}
        with self._connection.transaction():
            self._tables.note(replay.replay_number, days_behind=days)
            replay = self._tables.find(replay.replay_number)
            self._audit("replay.end", replay.principal, replay, "done", None)
            self._tables.end(replay.replay_number, ["verifying"], "done")
        return {"replay_number": replay.replay_number, "next": "done"}

    def cancel(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """End a cancelled replay: its generation is dropped, and nothing else was changed."""
        return self._end(given["replay_number"], "cancelled", None)

    def fail(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """End a replay that cannot go on. In the swap it stays as it is, so that another execution can finish it."""
        if self._tables.find(given["replay_number"]).state == "cancelling":
            return self.cancel(given)
        error = given.get("error") or {}
        reason = f"{error.get('Error', 'unknown')}: {str(error.get('Cause', ''))[:500]}"
        return self._end(
            given["replay_number"], "failed", reason, swapped=error.get("Error") == UnverifiedError.__name__
        )

    def sweep(self) -> dict[str, Any]:
        """End replays whose execution was stopped from outside before the swap, and delete what a stopped swap left."""
        swept = [
            self._end(replay.replay_number, "cancelled", "its execution was stopped", execution=replay.execution)
            for replay in self._tables.list_active()
            if replay.state in (*BEFORE_SWAP, "cancelling") and not self._machine.is_running(replay.execution)
        ]
        database = TierDatabase(self._connection)
        if database.list_unlisted() and lock_files(self._connection):
            delete_unlisted(database, self._machine.rollups)
        return {"swept": [one["replay_number"] for one in swept]}

    def _end(
        self, number: int, state: str, reason: str | None, *, swapped: bool = False, execution: str | None = None
    ) -> dict[str, Any]:
        """End a replay before its swap, or one whose swap is over and does not verify."""
        ends = [*BEFORE_SWAP, "cancelling", *(["verifying"] if swapped else [])]
        with self._connection.transaction():
            replay = self._tables.find(number)
            if self._tables.end(number, ends, state, reason, execution):
                self._audit("replay.end", replay.principal, replay, state, reason)
            elif execution is None:
                self._tables.note(number, trouble=reason)
        return {"replay_number": number, "next": state}

    def _ask_raw_ends(self, replay: Replay) -> dict[int, int]:
        """Ask up to which offsets raw must be complete, after the snapshot of what is counted was taken."""
        extents = self._machine.raw_offsets.ask_extents()
        ends = {partition: extent.last for partition, extent in extents.items()}
        _, until = receptions(replay.plan.hours_from, replay.plan.hours_to, self._machine.limits)
        # Late events of these hours may come at any time.
        if until < self._machine.clock() and not replay.plan.include_late:
            # Later records cannot count in these hours.
            ends |= self._machine.raw_offsets.ask_since(until + SKEW, extents)
        self._tables.set_ends(replay.replay_number, "raw", ends)
        return ends

    def _swapping(self, *, holds_files: bool = False) -> Swapping:
        return Swapping(self._connection, self._machine.limits, holds_files)

    def _go_on(self, replay: Replay) -> dict[str, Any]:
        """Say which step is next, and where the map finds its chunks."""
        return {
            "replay_number": replay.replay_number,
            "next": _NEXT.get(replay.state, replay.state),
            "manifest": _name_manifest(replay),
        }

    def _audit(self, action: str, principal: str, replay: Replay, state: str, reason: str | None) -> None:
        after = {"state": state, "plan": describe(replay.plan)} | dict(replay.counts)
        act = Act(
            self._machine.clock(),
            principal,
            action,
            f"replay/{replay.plan.replay_id}",
            None,
            after,
            replay.execution,
            reason,
        )
        self._tables.audit([act])


class ChunksMissingError(Exception):
    """Some chunks were not sent; the map runs again."""


class NeverSentError(Exception):
    """Some chunks were not sent, however often the map ran."""


_NEXT: Mapping[str, str] = {
    "gathering": "gather",
    "resending": "resend",
    "draining": "drain",
    "swapping": "swap",
    "verifying": "verify",
    "cancelling": "cancel",
}
"""Which step a state asks for."""


def _name_manifest(replay: Replay) -> str:
    return f"{LISTS}{replay.plan.replay_id}-{replay.replay_number}.json"


def _count_rows(raw: Bucket, name: str) -> int:
    """Count a file's rows; a file that is no Parquet must be found before anything is sent."""
    try:
        return read_footer(StoredFile(raw, name))
    except UNREADABLE as error:
        raise PlanRefusedError("file_unreadable", f"The raw file {name} cannot be read: {error}.") from error

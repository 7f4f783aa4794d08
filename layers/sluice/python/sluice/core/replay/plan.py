"""A replay's plan: what is asked, what it rests on, and what is expected. Its hash names the plan.

A plan that was changed by hand no longer has its hash. One whose files have changed is refused when it is applied.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import rfc8785

from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.rollups.resolutions import WIDTHS, ceil_to, floor_to
from sluice.core.times import write_time

VALID = timedelta(hours=24)
"""How long a plan may be applied: what it expects goes out of date."""
MOST_HOURS = 31 * 24
MOST_DEVICES = 1000
HOUR = WIDTHS["1h"]
REMEMBERED = timedelta(hours=26)
"""For how long aggregate knows an id: as long as samples are kept."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """What an admin asks to replay."""

    from_: datetime
    to: datetime
    fleet_id: str | None = None
    """None: every fleet."""
    device_ids: tuple[str, ...] | None = None
    """None: every device of the fleet."""
    include_late: bool = False
    """Whether late events count in the windows of their own time."""
    reprocess: bool = False
    """Whether every window is computed again, even where its samples are the same."""


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin asks to replay without naming it: what the ledger says that aggregate lacks."""

    missing: Literal[True]


class Span(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Hours: from the first moment up to, but not including, the last."""

    from_: str
    to: str


class Files(msgspec.Struct, frozen=True):
    """The raw files that a plan reads; the list is stored under the digest."""

    count: int
    bytes: int
    digest: str


class Expected(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a plan expects. Members with a default are not written without a value: earlier plans keep their hash."""

    events: int
    late: int
    duplicates: int
    uncounted: int
    """Events that aggregate gave up, lost or never counted."""
    seconds: int
    """From the claim to the end."""
    least_seconds: int | None = None
    most_seconds: int | None = None
    """Between which the seconds should be."""
    seconds_from: str | None = None
    """What they rest on, in words."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan as it is shown, stored and given back."""

    version: Literal[1]
    stage: str
    region: str
    made_at: str
    fleet_id: str | None
    device_ids: tuple[str, ...] | None
    include_late: bool
    reprocess: bool
    asked: Span
    hours: Span
    """What is asked, widened to whole hours."""
    widened: tuple[str, ...]
    """What was widened, and why, in words."""
    files: Files
    expected: Expected
    warnings: tuple[str, ...]
    hash: str = ""

    @property
    def replay_id(self) -> str:
        """Return the name under which people and executions know the replay."""
        return f"replay-{self.hash[:16]}"

    @property
    def hours_from(self) -> datetime:
        """Return the beginning of the first hour."""
        return datetime.fromisoformat(self.hours.from_)

    @property
    def hours_to(self) -> datetime:
        """Return the end of the last hour."""
        return datetime.fromisoformat(self.hours.to)


class PlanRefusedError(Exception):
    """A plan that cannot be applied; nothing was produced for it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def seal(plan: Plan) -> Plan:
    """Give a plan its hash."""
    return msgspec.structs.replace(plan, hash=_hash(plan))


def read_plan(given: object) -> Plan:
    """Read a plan that someone gives back; refuse what is no plan of this version, or was changed."""
    try:
        plan = msgspec.convert(given, Plan)
    except msgspec.ValidationError as error:
        raise PlanRefusedError("invalid_plan", f"This is no plan that this release can read: {error}.") from error
    if not _has_its_hash(plan):
        detail = "The plan was changed since it was made: its hash does not fit. Make a new plan."
        raise PlanRefusedError("plan_altered", detail)
    times = (plan.made_at, plan.asked.from_, plan.asked.to, plan.hours.from_, plan.hours.to)
    if not all(map(_is_time, times)):
        raise PlanRefusedError("invalid_plan", "The plan has a time that is none, or that names no zone.")
    return plan


def read_wanted(given: object) -> Wanted | Missing:
    """Read what an admin asks, with times in UTC; an unknown member is refused by name."""
    try:
        if isinstance(given, dict) and "missing" in given:
            return msgspec.convert(given, Missing)
        wanted = msgspec.convert(given, Wanted)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid_body", f"{error}.") from error
    return msgspec.structs.replace(wanted, from_=_to_utc(wanted.from_), to=_to_utc(wanted.to))


def check_place(plan: Plan, stage: str, region: str) -> None:
    """Refuse a plan of another deployment."""
    if (plan.stage, plan.region) != (stage, region):
        detail = f"The plan belongs to stage {plan.stage} in {plan.region}, and this is {stage} in {region}."
        raise PlanRefusedError("plan_of_another_stage", detail)


def check_age(plan: Plan, now: datetime) -> None:
    """Refuse a plan that is too old to begin with."""
    if now > datetime.fromisoformat(plan.made_at) + VALID:
        hours = VALID // HOUR
        raise PlanRefusedError("plan_expired", f"The plan is older than {hours} hours. Make a new one.")


def check_wanted(wanted: Wanted, now: datetime) -> None:
    """Refuse ranges that cannot be replayed, before anything is read."""
    if wanted.to <= wanted.from_:
        raise Refusal(400, "range_reversed", "The range must end after it begins.")
    if wanted.from_ > now:
        raise Refusal(400, "range_in_future", f"The range begins after now, {write_time(now)}.")
    # First as it is asked: the calendar may end before the hour does.
    most = MOST_HOURS * HOUR
    if wanted.to - wanted.from_ > most or ceil_to(wanted.to, HOUR) - floor_to(wanted.from_, HOUR) > most:
        raise Refusal(400, "range_too_long", f"One replay covers at most {MOST_HOURS} hours. Split the range.")
    if wanted.device_ids is not None and wanted.fleet_id is None:
        raise Refusal(400, "invalid_devices", "Name the fleet that the devices belong to.")
    if wanted.device_ids is not None and not 0 < len(wanted.device_ids) <= MOST_DEVICES:
        raise Refusal(400, "invalid_devices", f"Name 1 to {MOST_DEVICES} devices, or none for all of them.")


def widen(wanted: Wanted) -> tuple[datetime, datetime, list[str]]:
    """Widen a range to whole hours: a window can only be replaced as a whole."""
    start, end = floor_to(wanted.from_, HOUR), ceil_to(wanted.to, HOUR)
    told = []
    if (start, end) != (wanted.from_, wanted.to):
        told.append(
            f"from {write_time(start)} to {write_time(end)}: samples are swapped by the hour, so that each window"
            " is replaced as a whole"
        )
    return start, end, told


def receptions(start: datetime, end: datetime, limits: Limits) -> tuple[datetime, datetime]:
    """Return when events of some hours can have been received in time."""
    return start - limits.clock_ahead, end + limits.late + limits.clock_ahead


def digest_files(files: dict[str, str]) -> str:
    """Hash a list of files: their names and ETags."""
    return hashlib.sha256(rfc8785.dumps(dict(files))).hexdigest()


def describe(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON has it."""
    described: dict[str, Any] = msgspec.to_builtins(plan)
    return described


def _to_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise Refusal(400, "invalid_range", "Write times with a zone, such as 2026-11-30T10:00:00Z.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Refusal(400, "invalid_range", f"{moment.isoformat()} is not in UTC's calendar.") from None


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _has_its_hash(plan: Plan) -> bool:
    try:
        return _hash(plan) == plan.hash
    except rfc8785.CanonicalizationError:
        # It holds what no plan had when its hash was made, such as a number beyond 2^53.
        return False


def _hash(plan: Plan) -> str:
    return hashlib.sha256(rfc8785.dumps(describe(plan) | {"hash": ""})).hexdigest()

"""How serious each alarm is, which outage it belongs to, and where its runbook is: the one place that decides.

Every alarm but the silent ones is a ticket: someone looks at it on the next working day. An alarm that an outage names
pages as well, by that outage: what fails together pages once. An alarm that no outage names never pages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

Sign = str | tuple[str, ...]
"""An alarm by its name without the stage, or several that mean something only together."""


@dataclass(frozen=True)
class Outage:
    """What someone is woken for: any of its signs. While its cause is an outage of its own, only that one pages."""

    name: str
    means: str
    signs: tuple[Sign, ...]
    cause: str | None = None
    pages: bool = True

    @property
    def alarms(self) -> tuple[str, ...]:
        """All alarms that its signs name, each once."""
        return tuple(dict.fromkeys(name for sign in self.signs for name in _listed(sign)))


def burn_rates(of: str) -> tuple[Sign, ...]:
    """List the signs of an availability that burns: a long window says that it matters, a short one that it goes on."""
    return (f"slo-{of}-1h", f"slo-{of}-5m"), (f"slo-{of}-6h", f"slo-{of}-30m")


# A cause stands before what it causes: CloudFormation makes the alarms in this order.
OUTAGES = (
    Outage(
        "outage-brokers",
        "Kafka takes or gives no records: devices get `retry`, consumers stand still.",
        ("stream-offline", ("slo-devices-5m", "pressure-errors")),
    ),
    Outage(
        "outage-database",
        "PostgreSQL does not answer. Devices and raw events are not affected.",
        # Both fail when the database refuses, and roll goes on without the brokers.
        ("database-silent", ("publish-errors", "roll-errors")),
    ),
    Outage(
        "outage-stores",
        "Kafka or PostgreSQL is away. It pages no one: it is the cause that other outages name.",
        ("outage-brokers", "outage-database"),
        pages=False,
    ),
    Outage(
        "outage-devices",
        "Devices cannot deliver: requests fail, their events are answered `retry`, or no one knows whether they can.",
        (*burn_rates("devices"), "probe-unaccepted"),
        cause="outage-brokers",
    ),
    Outage(
        "outage-archive",
        "Events are not archived. Kafka holds them for hours.",
        ("archive-late", "archive-retrying", "archive-quarantine", "delivery-late"),
        cause="outage-brokers",
    ),
    Outage(
        "outage-numbers",
        "Numbers stand still: samples or windows are not computed. Raw has every event.",
        ("aggregate-late", "aggregate-retrying", "aggregate-quarantine", "roll-behind", "probe-late"),
        cause="outage-stores",
    ),
    Outage(
        "outage-alerts",
        "Incidents are not found, or people are not notified of them.",
        (
            "detect-late",
            "detect-retrying",
            "detect-quarantine",
            "alert-late",
            "alert-retrying",
            "attend-unsent",
            "attend-not-run",
            "notifications-messages-late",
            "notifications-deliveries-late",
        ),
        cause="outage-stores",
    ),
    Outage(
        "outage-people",
        "The dashboard and the admin API fail for people.",
        burn_rates("people"),
        cause="outage-database",
    ),
    Outage(
        "outage-accounting",
        "Accepted events are not accounted for, or nothing can be compared.",
        ("reconcile-unaccounted",),
        cause="outage-stores",
    ),
    # No cause of others: it may be on for hours in which something else fails.
    Outage(
        "outage-full",
        "Something fills up: Kafka's buffer, a broker's disk, or the database's. Full, it stops.",
        ("pressure-level", "stream-disk", "database-storage"),
    ),
    Outage(
        "outage-lost",
        "Records or dead letters were lost, or will be soon, and no outage of a store excuses it.",
        (
            "archive-dropped",
            "aggregate-dropped",
            "detect-dropped",
            "alert-dropped",
            "deadletter-dropped",
            "recount-dropped",
            # Its threshold counts records of the largest size: usual ones reach it with megabytes, which are soon read.
            ("deadletter-late", "deadletter-unread"),
        ),
    ),
    # Apart: it stays on until someone has found out what happened.
    Outage(
        "outage-audit",
        "Someone altered the audit of what admins did, or the database was restored to an older state.",
        ("checkpoint-altered",),
    ),
)

RUNBOOKS = {
    "api": ("api", "probe", "slo"),
    "ingest": ("ingest", "pressure", "publish"),
    "consumers": ("archive", "aggregate", "detect", "deadletter", "alert", "recount"),
    "delivery": ("delivery", "salvage"),
    "numbers": ("roll", "tier", "maintain", "match"),
    "accounting": ("reconcile",),
    "rules": ("learn", "lookup", "backtest"),
    "alerts": ("attend", "notify", "notifications", "alerting"),
    "repair": ("replay", "resend", "replay-machine", "redrive"),
    "reading": ("query", "recall", "trace", "seek", "show"),
    "administration": ("admin", "migrate", "checkpoint"),
    "stores": ("stream", "database", "cache"),
    "outages": ("outage",),
    "releases": ("release",),
}
"""The pages in docs/runbooks, with the places whose alarms they are about. Another place has a page of its own name."""


def severity_of(alarm: str, *, silent: bool = False) -> str:
    """Say how serious an alarm is. A silent one is no ticket: it pages together with others, or stops a release."""
    pages = [_page(outage, sign, alarm) for outage, sign in _signs(alarm)]
    alone = [] if silent or is_page(alarm) else ["ticket"]
    return "; ".join([*alone, *pages]) or "none"


def is_page(alarm: str) -> bool:
    """Whether an alarm pages by itself."""
    return any(sign == heading_of(alarm) for _, sign in _signs(alarm))


def describe(alarm: str, means: str, *, silent: bool = False) -> str:
    """Write an alarm's description: what it means, how serious it is, and where its runbook is."""
    return f"{means} Severity: {severity_of(alarm, silent=silent)}. Runbook: {runbook_of(alarm)}"


def runbook_of(alarm: str) -> str:
    """Return the place of an alarm's runbook, in the repository."""
    heading = heading_of(alarm)
    # The longest: `replay-machine` is no alarm `machine` of `replay`.
    places = [
        (len(place), page) for page, known in RUNBOOKS.items() for place in known if heading.startswith(f"{place}-")
    ]
    _, page = max(places, default=(0, heading.rpartition("-")[0]))
    return f"docs/runbooks/{page}.md#{heading}"


def heading_of(alarm: str) -> str:
    """Return the heading of an alarm's runbook: the same for several delivery streams, or functions that shift."""
    return re.sub(r"^([a-z]+)\d+-", r"\1-", re.sub(r"^[a-z]+-(?=release-)", "", alarm))


def _signs(alarm: str) -> Iterator[tuple[Outage, Sign]]:
    for outage in OUTAGES:
        for sign in outage.signs:
            if outage.pages and heading_of(alarm) in _listed(sign):
                yield outage, sign


def _page(outage: Outage, sign: Sign, alarm: str) -> str:
    others = [f"`{name}`" for name in _listed(sign) if name != heading_of(alarm)]
    together = f" together with {' and '.join(others)}" if others else ""
    return f"page{together} (`{outage.name}`)"


def _listed(sign: Sign) -> tuple[str, ...]:
    return (sign,) if isinstance(sign, str) else sign

"""The registry of metrics: every name that functions write and alarms read, with its unit and its meaning.

Each has the dimension `service`, the function that writes it; further dimensions are named here. None has a device.
"""

from typing import Literal

import msgspec

Unit = Literal["Count", "Seconds", "Percent", "None"]


class Metric(msgspec.Struct, frozen=True):
    """One metric."""

    name: str
    unit: Unit
    means: str
    dimensions: tuple[str, ...] = ()


# ingest
EVENTS_ACCEPTED = Metric("EventsAccepted", "Count", "Events that the brokers acknowledged.")
EVENTS_REJECTED = Metric("EventsRejected", "Count", "Events that break their contract; each is a dead letter.")
EVENTS_TO_RETRY = Metric("EventsToRetry", "Count", "Events answered `retry`: not acknowledged in time.")
REQUESTS_REFUSED = Metric("RequestsRefused", "Count", "Requests refused as a whole.", ("fleet", "reason"))
REFUSED_FOR_PRESSURE = Metric("RefusedForPressure", "Count", "Requests refused because the buffer or a disk fills up.")
PRESSURE_UNKNOWN = Metric("PressureUnknown", "Count", "Requests for which no current pressure was published.")

# archive, aggregate and deadletter
ROWS_ARCHIVED = Metric("RowsArchived", "Count", "Rows that Firehose took.")
SAMPLES_STORED = Metric("SamplesStored", "Count", "Events that became a sample.")
EVENTS_LATE = Metric("EventsLate", "Count", "Events too old to count; raw has them.")
EVENTS_DUPLICATE = Metric("EventsDuplicate", "Count", "Events that were counted before.")
OLDEST_EVENT = Metric("OldestEventSeconds", "Seconds", "Age of a batch's oldest event once it is stored.")
RECORDS_FAILED = Metric("RecordsFailed", "Count", "Records reported to the event source as failed; it retries them.")
RECORDS_HELD = Metric("RecordsHeld", "Count", "Records held because their version is newer than this release.")
RECORDS_QUARANTINED = Metric("RecordsQuarantined", "Count", "Records whose dead letters are stored.")
QUARANTINE_EXCEEDED = Metric("QuarantineExceeded", "Count", "Batches that halted the consumer: too many bad records.")
LETTERS_KEPT = Metric("LettersKept", "Count", "Dead letters stored in S3.")

# replay, resend and recount
REPLAYS_ACTIVE = Metric("ReplaysActive", "Count", "Replays that are not over.")
EVENTS_RESENT = Metric("EventsResent", "Count", "Stored events that a replay sent again.")
EVENTS_RECOUNTED = Metric("EventsRecounted", "Count", "Replayed events that recount added to a generation.")

# salvage
OBJECTS_SALVAGED = Metric("ObjectsSalvaged", "Count", "Failed objects whose events became dead letters.")
LETTERS_SALVAGED = Metric("LettersSalvaged", "Count", "Dead letters written for failed objects.")
OBJECTS_PENDING = Metric("ObjectsPending", "Count", "Failed objects that wait for the next run.")
PENDING_AGE = Metric("PendingSeconds", "Seconds", "Age of the oldest failed object that waits.")

# roll, maintain, tier and recall
WINDOWS_ROLLED = Metric("WindowsRolled", "Count", "Windows that were computed and stored.")
WINDOWS_BELOW_HORIZON = Metric("WindowsBelowHorizon", "Count", "Windows not computed again: samples are gone.")
STEPS_FAILED = Metric("StepsFailed", "Count", "Steps of a run that failed; the run tries again.")
BROKERS_UNANSWERED = Metric("BrokersUnanswered", "Count", "Questions that the brokers did not answer.")
MARKERS_PENDING = Metric("MarkersPending", "Count", "Dirty markers that wait to be rolled.")
ROLL_TIME = Metric("RollSeconds", "Seconds", "Time that a run spent on rolling.")
WATERMARK_AGE = Metric("WatermarkAgeSeconds", "Seconds", "How far the watermark is behind the clock.")
PARTITIONS_MADE = Metric("PartitionsMade", "Count", "Partitions of samples created ahead of time.")
PARTITIONS_DROPPED = Metric("PartitionsDropped", "Count", "Partitions dropped at the end of their retention.")
PARTITIONS_OVERDUE = Metric("PartitionsOverdue", "Count", "Partitions that should have been dropped and were not.")
COUNTS_FOLDED = Metric("CountsFolded", "Count", "Rows of counts merged into fewer.")
ROWS_FORGOTTEN = Metric("RowsForgotten", "Count", "Rows deleted at the end of their retention.")
SAMPLE_AGE = Metric("SampleAge", "Seconds", "Age of the oldest sample that is kept.")
ROLLUPS_MOVED = Metric("RollupsMoved", "Count", "Rollup rows moved from the database to Parquet.")
TIER_BEHIND = Metric("TierBehind", "Seconds", "How long the oldest rollups have been due to move.")
FILES_ASKED = Metric("FilesAsked", "Count", "Parquet files that a recall reads.")
ROWS_RECALLED = Metric("RowsRecalled", "Count", "Rollup rows read back from Parquet.")

# probe
PROBES_UNACCEPTED = Metric("ProbesUnaccepted", "Count", "Probe events that were not accepted; 0 for one that was.")
PROBES_UNREADABLE = Metric("ProbesUnreadable", "Count", "Probe events that were accepted and not readable in time.")
PROBE_READABLE = Metric(
    "ProbeReadableSeconds", "Seconds", "Time from a probe event's acceptance until it was readable, or given up."
)

# pressure
BUFFER_USED = Metric(
    "BufferUsed", "None", "Share of the buffer's time used by the oldest record that archive has not read."
)
REFUSED_SHARE = Metric("RefusedShare", "None", "Share of requests that ingest is to refuse.")
PRESSURE_LEVEL = Metric("PressureLevel", "None", "0: nothing is refused; 1: some is; 2: everything is.")
DISK_UNKNOWN = Metric("DiskUnknown", "Count", "Runs in which CloudWatch did not say how full the disks are.")
DISK_PERCENT = Metric("DiskPercent", "Percent", "How full the fullest broker's disk is.")
OLDEST_UNREAD = Metric("OldestUnreadSeconds", "Seconds", "Age of a consumer's oldest unread record.", ("consumer",))

# reconcile
OBJECTS_COUNTED = Metric("ObjectsCounted", "Count", "Stored objects counted into the ledger.")
RECORDS_NEWLY_COUNTED = Metric("RecordsNewlyCounted", "Count", "Records counted for the first time.")
OBJECTS_UNREADABLE = Metric("ObjectsUnreadable", "Count", "Stored objects that cannot be counted.")
EVENTS_RERUN = Metric("EventsRerun", "Count", "Records given to a consumer again.")
HOLES_OPEN = Metric("HolesOpen", "Count", "Ranges of committed offsets that nothing accounts for.")
RECORDS_IN_FLIGHT = Metric("RecordsInFlight", "Count", "Records that a consumer has not committed.", ("consumer",))
UNACCOUNTED_EVENTS = Metric("UnaccountedEvents", "Count", "Accepted events that no consumer's account explains.")
NEWLY_MISSING = Metric("NewlyMissing", "Count", "Events that were not missing in the run before.")

# match
IDS_MATCHED = Metric("IdsMatched", "Count", "Stored events whose ids were compared with those of 26 hours.")
CONFLICTS_WRITTEN = Metric("ConflictsWritten", "Count", "Dead letters of events with an earlier event's id.")
SAMPLES_REMOVED = Metric("SamplesRemoved", "Count", "Samples of events whose id had counted before.")
COPIES_UNSETTLED = Metric("CopiesUnsettled", "Count", "Events whose id recurs, and that match could not settle.")
MATCH_BEHIND = Metric("MatchBehindSeconds", "Seconds", "How long the oldest counted file waits for match.")
# redrive
EVENTS_REDRIVEN = Metric("EventsRedriven", "Count", "Fixed events that entered raw-events again.")
REDRIVES_ACTIVE = Metric("RedrivesActive", "Count", "Re-drives that are not over.")
REDRIVES_FAILED = Metric("RedrivesFailed", "Count", "Re-drives that ended as failed.")
REDRIVE_STANDSTILL = Metric(
    "RedriveStandstill", "Seconds", "For how long the slowest re-drive that is not over has dealt with no letters."
)

# detect and learn
EVENTS_JUDGED = Metric("EventsJudged", "Count", "Events whose readings were judged.")
VERDICTS_SENT = Metric("VerdictsSent", "Count", "Verdicts about breaches, or about series that are watched.")
BREACHES_TOLD = Metric("BreachesTold", "Count", "Verdicts that have a breach.")
STATISTICS_MISSING = Metric("StatisticsMissing", "Count", "Devices of a batch that only thresholds could judge.")
STATISTICS_STALE = Metric("StatisticsStale", "Count", "Devices of a batch that were judged by old statistics.")
STATISTICS_AGE = Metric(
    "StatisticsAgeSeconds", "Seconds", "How long ago the oldest statistics of a shard were published."
)
DEVICE_TYPES_AGE = Metric(
    "DeviceTypesAgeSeconds", "Seconds", "How long ago the types of some fleet's devices were last read completely."
)
DEVICES_DESCRIBED = Metric("DevicesDescribed", "Count", "Devices whose statistics were published.")
BASELINES_COMPUTED = Metric("BaselinesComputed", "Count", "Series whose baselines were computed.")
SHARDS_UNPUBLISHED = Metric("ShardsUnpublished", "Count", "Shards whose statistics Valkey did not take.")
FLEETS_ASLEEP = Metric("FleetsAsleep", "Count", "Fleets with so many silent devices that no one is notified of any.")

# trace, seek and lookup
EVENTS_TRACED = Metric("EventsTraced", "Count", "Traces that were answered.")
SOURCES_UNAVAILABLE = Metric("SourcesUnavailable", "Count", "Sources that a trace could not read.")
SEARCHES_UNANSWERED = Metric("SearchesUnanswered", "Count", "Athena searches without an answer.")
DIRECTORY_UNAVAILABLE = Metric("DirectoryUnavailable", "Count", "Questions that the directory did not answer.")

# alert and attend
VERDICTS_TAKEN = Metric("VerdictsTaken", "Count", "Verdicts that alert has read.")
OLDEST_VERDICT = Metric("OldestVerdictSeconds", "Seconds", "Age of a batch's oldest verdict once it is stored.")
INCIDENTS_OPENED = Metric("IncidentsOpened", "Count", "Incidents that were opened.")
INCIDENTS_OPEN = Metric("IncidentsOpen", "Count", "Incidents that are open.")
INCIDENTS_HELD = Metric("IncidentsHeld", "Count", "Open incidents without a message because their fleet has too many.")
MESSAGES_WRITTEN = Metric("MessagesWritten", "Count", "Messages about incidents that were committed.")
MESSAGES_SENT = Metric("MessagesSent", "Count", "Messages about incidents that both SNS topics took.")
MESSAGE_AGE = Metric("MessageAgeSeconds", "Seconds", "Age of the oldest message that SNS has not taken.")
ATTEMPTS_RECORDED = Metric("AttemptsRecorded", "Count", "Delivery attempts of notify that were stored.")

# backtest
BACKTESTS_DONE = Metric("BacktestsDone", "Count", "Backtests that have a result.")
BACKTESTS_FAILED = Metric("BacktestsFailed", "Count", "Backtests that ended without a result.")
WINDOWS_TESTED = Metric("WindowsTested", "Count", "Minutes of devices that backtests judged.")
BACKTEST_WAIT = Metric("BacktestWaitSeconds", "Seconds", "How long ago the oldest backtest that is not over was asked.")

# notify
NOTIFICATIONS_SENT = Metric("NotificationsSent", "Count", "Messages about incidents that a destination took.")
NOTIFICATIONS_FAILED = Metric("NotificationsFailed", "Count", "Attempts that a destination did not take.")
NOTIFICATIONS_GIVEN_UP = Metric("NotificationsGivenUp", "Count", "Notifications that became dead letters.")
NOTIFICATION_TIME = Metric("NotificationSeconds", "Seconds", "Time from a reading to the notification about it.")
ATTEMPTS_UNREPORTED = Metric("AttemptsUnreported", "Count", "Attempts that notify could not report to attend.")

# checkpoint
CHECKPOINTS_SIGNED = Metric("CheckpointsSigned", "Count", "Checkpoints of the audit that were signed and stored.")
ENTRIES_UNSIGNED = Metric("EntriesUnsigned", "Count", "Audit entries that no checkpoint covers.")
AUDIT_ALTERED = Metric("AuditAltered", "Count", "Runs that found the audit or its checkpoint altered.")

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

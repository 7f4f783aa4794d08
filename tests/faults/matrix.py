"""The matrix of faults: what is broken, where its events must be, and which tests show it.

docs/faults.md is written from it: `python -m tests.faults.matrix` prints the page's table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One fault of one part."""

    part: str
    fault: str
    expected: str
    shown_by: tuple[str, ...] = ()
    """Tests, each as a file below tests/ and, where it is not all of it, the name of one in it."""
    not_yet: str = ""
    """Why there is none, or what is still missing."""


BROKERS = "faults/test_brokers.py"
CONSUMERS = "faults/test_consumers.py"
STORES = "faults/test_stores.py"
NUMBERS = "faults/test_numbers.py"
CONTROL = "faults/test_control_data.py"
CLOCKS = "faults/test_clocks_and_load.py"
ARCHIVE = "faults/test_archive.py"

MATRIX = (
    Cell(
        "API",
        "killed after storing, before answering",
        "unknown to the client; a retry leaves one event",
        (
            f"{BROKERS}::test_an_api_that_dies_between_storing_and_answering_leaves_the_event_unknown_and_a_retry_settles_it",
        ),
    ),
    Cell(
        "ingest",
        "database, cache, or both away",
        "known keys work, unknown firmware is rejected, nobody gets a 5xx; the schemas are shipped with the code",
        (f"{CONTROL}::test_with_stores_away_known_keys_work_and_unknown_ones_do_not",),
    ),
    Cell(
        "ingest",
        "its process killed",
        "unknown to the client; a retry leaves one event",
        (f"{BROKERS}::test_a_killed_ingest_worker_leaves_its_request_unknown_and_a_retry_settles_it",),
    ),
    Cell(
        "producer",
        "brokers frozen",
        "429, nothing is accepted without its report, and nothing counts twice",
        (
            f"{BROKERS}::test_all_brokers_frozen_during_load_accept_nothing_and_go_on_afterwards",
            f"{BROKERS}::test_many_callers_at_once_are_all_told_to_come_again_while_the_brokers_are_frozen",
            f"{BROKERS}::test_what_was_bad_during_the_fault_is_not_called_rejected_before_its_letter_is_stored",
        ),
    ),
    Cell(
        "producer",
        "connections reset",
        "nothing is lost or doubled",
        (f"{BROKERS}::test_connections_to_the_brokers_that_are_reset_lose_nothing_and_double_nothing",),
    ),
    Cell(
        "producer",
        "fatal error",
        "the next request has a new producer",
        ("unit/edge/test_broker.py::test_a_fatal_error_makes_the_next_request_start_a_new_producer",),
    ),
    Cell(
        "producer",
        "token expired",
        "a new one is signed unseen; while there is no good one, nothing is acknowledged and nothing accepted",
        ("local/test_tokens.py",),
    ),
    Cell(
        "Kafka",
        "a broker restarts",
        "no 5xx, nothing is lost",
        (f"{BROKERS}::test_a_broker_killed_during_load_loses_nothing_and_answers_no_5xx",),
    ),
    Cell(
        "Kafka",
        "fewer replicas in sync than promised",
        "nothing is accepted",
        (f"{BROKERS}::test_with_fewer_replicas_than_promised_nothing_is_accepted",),
    ),
    Cell(
        "Kafka",
        "disks full",
        "nothing is accepted meanwhile, nothing is lost",
        (f"{BROKERS}::test_brokers_whose_disks_are_full_accept_nothing_and_lose_nothing",),
    ),
    Cell(
        "retention",
        "a consumer stopped for longer than the buffer",
        "the oldest become dead letters with their reason, the newest are processed",
        ("faults/test_salvage.py",),
    ),
    Cell(
        "consumer",
        "poison first, in the middle, last",
        "neighbours go on; the poison is in the dead letters with its bytes",
        (
            f"{ARCHIVE}::test_poison_among_good_events_becomes_dead_letters_with_its_bytes",
            "unit/functions/test_archive.py::test_poison_goes_to_the_dead_letters_and_its_neighbours_go_on",
            "unit/functions/test_aggregate.py::test_poison_goes_to_the_dead_letters_after_its_neighbours_are_stored",
        ),
    ),
    Cell(
        "consumer",
        "every record fails, as after a bad deployment",
        "it halts, and its successor catches up; the stream is not drained",
        (
            f"{CONSUMERS}::test_a_deployment_that_fails_every_record_halts_and_its_successor_catches_up",
            "unit/functions/test_archive.py::test_small_batches_that_are_all_poison_halt_the_consumer_all_the_same",
        ),
    ),
    Cell(
        "consumer",
        "killed before and after its commit",
        "effect once",
        (
            f"{CONSUMERS}::test_a_consumer_killed_before_and_after_its_commit_takes_effect_once",
            f"{NUMBERS}::test_workers_that_are_killed_at_any_moment_leave_the_numbers_right",
            "database/test_aggregate_crashes.py::test_a_connection_may_be_lost_before_any_step_and_the_batch_takes_effect_once",
        ),
    ),
    Cell(
        "consumer",
        "stands still until it times out",
        "nobody else waits; effect once",
        (f"{NUMBERS}::test_workers_that_stand_still_hold_up_nobody_else_and_leave_the_numbers_right",),
    ),
    Cell(
        "consumer",
        "a record that kills the process, or takes all memory",
        "its neighbours go on; it is in the dead letters with its bytes",
        ("faults/test_killers.py",),
    ),
    Cell(
        "consumer",
        "answers null without having done its work",
        "to Lambda that is success: the gap in the offsets is found and run again",
        ("faults/test_ledger.py",),
    ),
    Cell(
        "Firehose",
        "partial failure, and answers lost after the records were taken",
        "only what was refused is sent again; copies have one place",
        (f"{ARCHIVE}::test_ten_thousand_events_survive_partial_failures_lost_answers_and_killed_workers",),
    ),
    Cell(
        "Firehose",
        "throttle, death, and no bucket to deliver to",
        "everything is delivered in the end",
        (
            f"{CONSUMERS}::test_a_delivery_stream_that_throttles_dies_and_finds_no_bucket_delivers_everything_in_the_end",
            "faults/test_holding.py",
        ),
    ),
    Cell(
        "Firehose",
        "oversize row, wrong type",
        "the error output becomes dead letters",
        ("faults/test_salvage.py",),
    ),
    Cell(
        "Firehose",
        "missing table",
        "rows wait in Firehose for a day at most; the alarm on late delivery calls",
        not_yet="others saw delivery stand still, which AWS does not document: there is nothing to model it from",
    ),
    Cell(
        "PostgreSQL",
        "down for an hour, scaled",
        "ingestion and archive go on; numbers catch up by themselves",
        (f"{NUMBERS}::test_while_the_database_is_away_raw_goes_on_and_afterwards_the_numbers_catch_up_by_themselves",),
    ),
    Cell(
        "PostgreSQL",
        "killed during commits",
        "no double count",
        (
            f"{NUMBERS}::test_a_database_that_dies_again_and_again_leaves_the_numbers_right",
            "database/test_aggregate_crashes.py::test_an_invocation_that_was_given_up_may_still_commit_while_its_batch_is_retried",
        ),
    ),
    Cell(
        "PostgreSQL",
        "no connection left",
        "ingestion and archive go on; numbers catch up by themselves",
        (f"{STORES}::test_a_database_without_a_free_connection_holds_up_numbers_and_nothing_else",),
    ),
    Cell(
        "PostgreSQL",
        "crosswise locks",
        "no deadlock",
        (
            "database/test_aggregate.py::test_batches_of_many_processes_that_concern_the_same_fleets_do_not_hold_each_other_up_for_ever",
        ),
    ),
    Cell(
        "PostgreSQL",
        "disk full, connections reset",
        "no double count, nothing is lost",
        (f"{STORES}::test_a_database_whose_disk_is_full_and_whose_connections_are_cut_counts_everything_once",),
    ),
    Cell(
        "cache",
        "down, flushed",
        "nothing counts twice",
        (
            f"{NUMBERS}::test_a_cache_that_forgets_and_dies_lets_nothing_count_twice",
            "unit/functions/test_aggregate.py::test_a_cache_that_is_away_changes_nothing_but_the_live_counters",
        ),
    ),
    Cell(
        "cache",
        "evicting, slow",
        "no number changes",
        (f"{STORES}::test_a_cache_that_evicts_and_a_cache_that_is_slow_change_no_number",),
    ),
    Cell("SNS, webhooks", "throttle, 5xx, hang, no name", "the pipeline goes on", not_yet="there are no alerts yet"),
    Cell("replay", "twice, killed, cancelled, still poison", "the same result", not_yet="there is no replay yet"),
    Cell(
        "dead letters",
        "their store unavailable",
        "their offsets stay where they are; nobody else waits",
        (
            f"{CONSUMERS}::test_while_dead_letters_cannot_be_stored_their_offsets_stay_and_nobody_else_waits",
            "infra/test_deadletter.py",
        ),
    ),
    Cell(
        "clock",
        "minutes, 27 hours or ages wrong, and backwards",
        "stored, flagged, in the right windows",
        (f"{CLOCKS}::test_clocks_that_are_wrong_by_minutes_days_or_ages_are_stored_flagged_and_counted_right",),
    ),
    Cell(
        "config",
        "empty, corrupt, older than the code",
        "refused when it is synthesized or started; an unreadable copy is not believed",
        (
            "unit/edge/test_settings.py",
            "unit/edge/api/test_keystore.py::test_a_row_that_cannot_be_read_is_for_later_and_never_a_crash",
            "unit/edge/api/test_keystore.py::test_an_unreadable_copy_in_the_cache_is_not_believed",
        ),
        "there are no published snapshots of control data yet",
    ),
    Cell(
        "load",
        "one hot fleet",
        "429 for it; the others keep their answers",
        (
            f"{CONTROL}::test_one_fleet_flooding_is_held_back_and_the_others_keep_their_answers",
            f"{CONTROL}::test_a_flood_of_single_posts_leaves_the_others_their_answers",
        ),
    ),
    Cell(
        "load",
        "one hot device, forty times the load",
        "answered, kept and caught up with; the others keep their answers",
        (f"{CLOCKS}::test_forty_times_the_load_half_of_it_from_one_device_is_answered_kept_and_caught_up_with",),
    ),
    Cell(
        "load",
        "more than the buffer bears",
        "429 before the brokers are in danger",
        ("faults/test_pressure.py",),
    ),
    Cell(
        "migration",
        "the previous release on the new schema",
        "works",
        (
            "database/test_migrations.py::test_a_database_of_the_release_before_is_migrated_with_its_data_and_goes_on_answering",
            "database/test_migrations.py::test_the_linter_would_find_what_locks_a_table_or_breaks_the_release_before",
        ),
        "a whole stack of the release before, on the schema of this one",
    ),
)


def write_table() -> str:
    """Write the matrix as the table of the page."""
    lines = ["| part | fault | where its events must be | shown by |", "|---|---|---|---|"]
    for cell in MATRIX:
        shown = "; ".join(f"`{test}`".replace("::test_", "` `test_") for test in cell.shown_by)
        said = " — ".join(filter(None, (shown, f"not yet: {cell.not_yet}" if cell.not_yet else "")))
        lines.append(f"| {cell.part} | {cell.fault} | {cell.expected} | {said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(write_table(), end="")  # noqa: T201 - the table is the result

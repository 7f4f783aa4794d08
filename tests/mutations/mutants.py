"""Bugs that lose or double events elsewhere, seeded one at a time, and for each the fastest test that must fail."""

from dataclasses import dataclass

CORE, EDGE = "layers/sluice/python/sluice/core", "layers/sluice/python/sluice/edge"
UNIT, DATABASE = "tests/unit", "tests/database"
UNMARKED = """
    WHERE NOT EXISTS (SELECT FROM dirty AS marked WHERE (marked.shard, marked.window_start) = (minutes.shard, minute))
"""


@dataclass(frozen=True)
class Mutant:
    """One bug: texts that occur once in one file, and their replacements."""

    bug: str
    file: str
    changes: tuple[tuple[str, str], ...]
    caught_by: str

    @property
    def needs_database(self) -> bool:
        return self.caught_by.startswith(DATABASE)


MUTANTS = (
    Mutant(
        "ingest accepts an event without a delivery report",
        f"{EDGE}/kafka_client.py",
        (("[_LATE] * len(messages)", "[None] * len(messages)"),),
        f"{UNIT}/edge/test_kafka_client.py::test_a_report_that_does_not_come_in_time_is_late_and_no_other",
    ),
    Mutant(
        "ingest waits for its reports without reading them",
        f"{EDGE}/kafka_client.py",
        (("None if refused is None else _unstored(refused)", "None"),),
        f"{UNIT}/edge/test_kafka_client.py::test_each_message_has_the_report_of_its_own_batch",
    ),
    Mutant(
        "ingest takes a partition's report for another's",
        f"{EDGE}/kafka_client.py",
        (("_note(deliveries, reports[report], ", "_note(deliveries, next(iter(reports.values())), "),),
        f"{UNIT}/edge/test_kafka_client.py::test_each_message_has_the_report_of_its_own_batch",
    ),
    Mutant(
        "ingest accepts the acknowledgement of one replica",
        f"{EDGE}/kafka_client.py",
        (('acks="all"', "acks=1"),),
        f"{UNIT}/edge/test_kafka_client.py::test_a_record_is_acknowledged_by_all_replicas_in_sync_and_stored_once",
    ),
    Mutant(
        "a client that did not store a record is kept",
        f"{EDGE}/broker.py",
        (("        if unstored:", "        if unstored and False:"),),
        f"{UNIT}/edge/test_broker.py::test_a_client_that_did_not_store_a_message_is_closed_and_replaced",
    ),
    Mutant(
        "a client that is discarded still sends what it had not sent",
        f"{EDGE}/kafka_client.py",
        (("        await _cancel_tasks()\n        if self", "        if self"),),
        f"{UNIT}/edge/test_kafka_client.py::test_what_was_not_sent_is_not_sent_any_more",
    ),
    Mutant(
        "an event that is not stored is accepted",
        f"{CORE}/ingest/judge.py",
        (("    if unstored is not None:", "    if unstored is not None and isinstance(verdict, Rejected):"),),
        f"{UNIT}/functions/test_ingest.py::test_an_event_that_is_not_stored_is_never_accepted",
    ),
    Mutant(
        "an event is called rejected before its dead letter is stored",
        f"{CORE}/ingest/judge.py",
        (("    if unstored is not None:", "    if unstored is not None and isinstance(verdict, Accepted):"),),
        f"{UNIT}/functions/test_ingest.py::test_a_reject_whose_letter_is_not_stored_is_not_answered_as_a_reject",
    ),
    Mutant(
        "a body is refused for good before its dead letter is stored",
        f"{EDGE}/ingest/accepting.py",
        (("            if failure is not None:", "            if failure is not None and False:"),),
        f"{UNIT}/functions/test_ingest.py::test_a_body_whose_letter_cannot_be_stored_is_to_be_sent_again",
    ),
    Mutant(
        "an event is stored as we encode it and not as it was sent",
        f"{CORE}/ingest/judge.py",
        (("facts.device_id.encode(), slice_,", "facts.device_id.encode(), msgspec.json.encode(document),"),),
        f"{UNIT}/core/ingest/test_judge.py::test_an_accepted_event_keeps_its_bytes_its_device_and_what_we_know_of_it",
    ),
    Mutant(
        "unknown firmware is read as some version that is known",
        f"{CORE}/events/contracts.py",
        (
            (
                "        if version is None or str(version.firmware_major) != major:",
                "        version = version or self._by_firmware[1]\n        if str(version.firmware_major) == '':",
            ),
        ),
        f"{UNIT}/core/events/test_contracts.py::test_unknown_firmware_is_rejected_with_its_own_code",
    ),
    Mutant(
        "control data that was read once is used for ever",
        f"{EDGE}/published.py",
        (("return begun is not None and abs(now - begun) < period", "return begun is not None"),),
        f"{UNIT}/edge/test_published.py::test_a_change_is_seen_when_the_memory_has_run_out",
    ),
    Mutant(
        "without the cache no fleet has a quota",
        f"{EDGE}/api/quotas.py",
        (
            (
                'return None if self._bucket(fleet_id, "events", quota.events, now)',
                "return None if True or self._bucket(fleet_id, 'events', quota.events, now)",
            ),
        ),
        f"{UNIT}/edge/api/test_quotas.py::test_without_the_cache_each_process_grants_its_share_and_no_more",
    ),
    Mutant(
        "a failed offset is skipped: the last failure of a partition is named, not the first",
        f"{CORE}/records.py",
        (("first[partition] = min(origin.offset,", "first[partition] = max(origin.offset,"),),
        f"{UNIT}/core/test_records.py::test_a_failure_is_reported_as_the_first_failed_offset_of_each_partition",
    ),
    Mutant(
        "a failed offset is skipped: the one behind it is named",
        f"{CORE}/records.py",
        (('"offset": offset}}', '"offset": offset + 1}}'),),
        f"{UNIT}/core/test_records.py::test_a_failure_is_reported_as_the_first_failed_offset_of_each_partition",
    ),
    Mutant(
        "the delivery stream's count of failures is ignored",
        f"{EDGE}/archive/archiving.py",
        (('if "ErrorCode" in one', 'if "ErrorCode" in answer'),),
        f"{UNIT}/edge/archive/test_archiving.py::test_only_what_a_successful_call_refused_is_sent_again",
    ),
    Mutant(
        "an error of the delivery stream is swallowed",
        f"{EDGE}/archive/archiving.py",
        (("return [Undelivered(pack, str(error)) for pack in call]", "return []"),),
        f"{UNIT}/edge/archive/test_archiving.py::test_a_call_that_fails_whole_is_sent_again_whole",
    ),
    Mutant(
        "archive's offsets advance past rows that were not taken",
        f"{EDGE}/archive/archiving.py",
        (("failed = {origin for one in undelivered for origin in one.pack.origins}", "failed = set[Origin]()"),),
        f"{UNIT}/functions/test_archive.py::test_rows_that_are_not_taken_are_retried_from_the_first",
    ),
    Mutant(
        "a consumer's offsets advance past poison without a letter",
        f"{EDGE}/failures/intake.py",
        (("+= len(stored)\n        return unstored\n", "+= len(stored)\n        return set()\n"),),
        f"{UNIT}/functions/test_archive.py::test_poison_whose_letter_is_not_stored_is_retried",
    ),
    Mutant(
        "archive writes the letters of a retried batch at every try",
        f"{EDGE}/failures/intake.py",
        (("due = batch.before(undone).faulty", "due = batch.faulty"),),
        f"{UNIT}/functions/test_archive.py::test_poison_behind_rows_that_are_not_taken_is_left_for_the_next_try",
    ),
    Mutant(
        "a record of a newer release is poison",
        f"{CORE}/events/envelope.py",
        (('raise Ahead(f"envelope {version}")', 'raise Poison(f"envelope {version}")'),),
        f"{UNIT}/functions/test_archive.py::test_a_record_of_a_newer_release_is_held_with_all_behind_it_and_what_comes"
        "_before_it_is_archived",
    ),
    Mutant(
        "an event of a newer contract is judged by the newest that is known",
        f"{CORE}/events/contracts.py",
        (
            ("        if (contract, number) in self._versions:\n            return\n", "        return\n"),
            (
                "self._versions[contract, number]",
                "self._versions.get((contract, number)) or self._find_version(contract, document)",
            ),
        ),
        f"{UNIT}/functions/test_aggregate.py::test_a_record_of_a_newer_contract_is_held_and_then_its_letter_is_covered_and"
        "_its_windows_lack_it",
    ),
    Mutant(
        "records of a newer release count towards halting",
        f"{CORE}/failures/sorting.py",
        (("return sum(isinstance(fault, Poison) for _, fault in faulty)", "return sum(1 for _ in faulty)"),),
        f"{UNIT}/functions/test_aggregate.py::test_records_that_are_all_ahead_never_halt_the_consumer",
    ),
    Mutant(
        "what lies behind a held record is taken in before it",
        f"{EDGE}/failures/intake.py",
        (("        batch = batch.before(failed)\n", ""),),
        f"{UNIT}/functions/test_archive.py::test_a_record_of_a_newer_release_is_held_with_all_behind_it_and_what_comes"
        "_before_it_is_archived",
    ),
    Mutant(
        "a record of a newer release is given up where the length of its hold is unknown",
        f"{EDGE}/failures/holding.py",
        (("            return set()\n        pairs", "            return {*asked}\n        pairs"),),
        f"{UNIT}/functions/test_archive.py::test_without_the_cache_a_record_of_a_newer_release_stays_held",
    ),
    Mutant(
        "late and duplicate events are in the live counters",
        f"{EDGE}/samples/aggregating.py",
        (("self.counters.add(effect.counted)", "self.counters.add(effect.events)"),),
        f"{UNIT}/functions/test_aggregate.py::test_only_what_became_a_sample_is_in_the_live_counters",
    ),
    Mutant(
        "a bad deployment drains the whole stream into the dead letters",
        f"{CORE}/failures/quarantine.py",
        (("    if poison > ALWAYS + SHARE * records:", "    if poison > ALWAYS + records:"),),
        f"{UNIT}/functions/test_archive.py::test_a_batch_that_is_mostly_poison_halts_the_consumer_and_is_not_drained",
    ),
    Mutant(
        "an event is marked as seen before it is stored",
        f"{EDGE}/samples/aggregating.py",
        (
            (
                "        effect = self.samples.add(",
                "        self.seen.mark(events)\n        effect = self.samples.add(",
            ),
            ("            self.seen.mark(effect.events)\n", ""),
        ),
        f"{UNIT}/functions/test_aggregate.py::test_events_are_stored_before_anybody_remembers_or_counts_them",
    ),
    Mutant(
        "aggregate swallows that the database is away",
        f"{EDGE}/failures/intake.py",
        (("            return {record.origin for record in records}\n", "            return set()\n"),),
        f"{UNIT}/functions/test_aggregate.py::test_a_database_that_is_away_gives_every_partition_back_from_its_first"
        "_record_and_nothing_is_remembered",
    ),
    Mutant(
        "aggregate's offsets advance past dead letters that are not covered",
        f"{EDGE}/failures/intake.py",
        (("            return {record.origin for record, _ in due}\n", "            return unstored\n"),),
        f"{UNIT}/functions/test_aggregate.py::test_poison_that_cannot_be_covered_is_retried",
    ),
    Mutant(
        "aggregate writes letters of poison alone while they cannot be covered",
        f"{EDGE}/failures/intake.py",
        (("                    retry.run(self._work.ask)\n", "                    pass\n"),),
        f"{UNIT}/functions/test_aggregate.py::test_poison_alone_is_not_put_aside_while_the_database_is_away",
    ),
    Mutant(
        "aggregate writes a killer's letter while it cannot be covered",
        f"{EDGE}/failures/intake.py",
        (
            ("        self._work.ask()\n        logger", "        logger"),
            ("if self._work.has_done(record, killer, now):", "if False:"),
        ),
        f"{UNIT}/functions/test_aggregate.py::test_a_killer_gets_no_letter_while_the_database_is_away",
    ),
    Mutant(
        "a rerun shares its attempts with the delivery",
        f"{EDGE}/failures/consuming.py",
        (("self._attempts.of_rerun(event.get(RERUN))", "self._attempts"),),
        f"{UNIT}/functions/test_aggregate.py::test_a_killer_that_is_run_again_is_found_while_its_partition_is_delivered",
    ),
    Mutant(
        "deadletter swallows that the store is away",
        "functions/deadletter/handler.py",
        (
            ("import os\n", "import contextlib\nimport os\n"),
            (
                "                letters.put(",
                "                with contextlib.suppress(Exception): letters.put(",
            ),
        ),
        f"{UNIT}/functions/test_deadletter.py::test_a_store_that_is_away_fails_what_is_not_kept_and_is_asked_for_nothing"
        "_more",
    ),
    Mutant(
        "a retry writes dead letters under other names",
        f"{CORE}/failures/letterbox.py",
        (("{lines[0][0].offset:020d}.json.gz", "{lines[0][0].offset:020d}-{id(lines)}.json.gz"),),
        f"{UNIT}/core/failures/test_letters.py::test_letters_of_a_batch_are_kept_by_partition_and_day_under_names_that_a_retry"
        "_repeats",
    ),
    Mutant(
        "windows close by the fastest partition",
        f"{CORE}/rollups/watermark.py",
        (("return min(known) - slack", "return max(known) - slack"),),
        f"{UNIT}/core/rollups/test_watermark.py::test_the_slowest_partition_decides",
    ),
    Mutant(
        "a refresh after retention replaces whole windows by what is left of them",
        f"{CORE}/rollups/rolling_plan.py",
        (("claim.window_start < floor else complete", "claim.window_start > claim.window_start else complete"),),
        f"{UNIT}/core/rollups/test_rolling_plan.py::test_windows_that_begin_below_the_floor_are_left_as_they_are",
    ),
    Mutant(
        "a retried batch counts again",
        f"{EDGE}/samples/storing.py",
        (("if event.origin not in covered or event.origin in back]", "]"),),
        f"{DATABASE}/test_aggregate.py::test_a_batch_that_is_retried_whole_or_in_part_changes_nothing",
    ),
    Mutant(
        "the ledger is covered outside the transaction",
        f"{EDGE}/samples/storing.py",
        (
            (
                "            extend_coverage(\n                self.connection,",
                "        extend_coverage(\n                self.connection,",
            ),
        ),
        f"{DATABASE}/test_aggregate_crashes.py::test_a_connection_may_be_lost_before_any_step_and_the_batch_takes"
        "_effect_once",
    ),
    Mutant(
        "the cache's suspicion of a duplicate is taken for a fact",
        f"{EDGE}/samples/storing.py",
        (
            (
                "known = {(entity_key, event_key.bytes) for entity_key, event_key in rows}",
                "known = {(self._key_of(event), event.key) for event in suspects if rows is not None}",
            ),
        ),
        f"{DATABASE}/test_aggregate.py::test_a_suspicion_alone_loses_no_event_and_a_right_one_still_finds_the_duplicate",
    ),
    Mutant(
        "an id that comes again under another time counts again",
        f"{EDGE}/samples/storing.py",
        (("        WHERE by_id.had IS NULL AND settled.had IS NULL", "        WHERE settled.had IS NULL"),),
        f"{DATABASE}/test_aggregate.py::test_the_first_of_two_events_under_one_id_wins_within_a_batch_and_across",
    ),
    Mutant(
        "the retry of an event whose clock ran ahead counts again",
        f"{EDGE}/samples/storing.py",
        (("        if any(event.ahead for event in events):", "        if not events:"),),
        f"{DATABASE}/test_aggregate.py::test_a_clock_hours_ahead_is_remembered_for_longer_than_its_sample_is_looked_for",
    ),
    Mutant(
        "a marker is not added where one exists",
        f"{EDGE}/samples/storing.py",
        (("    FROM minutes JOIN shard USING (shard)\n", f"    FROM minutes JOIN shard USING (shard)\n{UNMARKED}"),),
        f"{DATABASE}/test_aggregate.py::test_a_marker_is_added_beside_one_that_is_there",
    ),
    Mutant(
        "markers are deleted after their windows are computed, also those that came meanwhile",
        f"{EDGE}/rollups/rolling.py",
        (
            (
                "            claims = [Claim(*row)",
                "            with connection.transaction(force_rollback=True): claims = [Claim(*row)",
            ),
            (
                "            connection.execute(_CLOSE, parameters)",
                "            connection.execute(_CLAIM_MINUTES, parameters); connection.execute(_CLOSE, parameters)",
            ),
        ),
        f"{DATABASE}/test_roll.py::test_a_sample_committed_while_its_window_is_rolled_is_in_that_roll_or_the_next",
    ),
    Mutant(
        "resend sends as fast as it can",
        f"{EDGE}/replay/resending.py",
        (("            if ahead > 0:", "            if ahead > 0 and False:"),),
        f"{UNIT}/edge/replay/test_resending.py::test_it_sends_no_more_a_second_than_it_may",
    ),
    Mutant(
        "a replay believes any plan that is given to it",
        f"{CORE}/replay/plan.py",
        (("    if not _has_its_hash(plan):", "    if not plan.hash:"),),
        f"{UNIT}/core/replay/test_plan.py::test_any_value_that_is_changed_by_hand_is_refused",
    ),
    Mutant(
        "a replay removes in one transaction and adds in the next",
        f"{EDGE}/replay/swapping.py",
        (
            (
                "        added = self.connection.execute(_ADD",
                (
                    '        self.connection.execute("COMMIT; BEGIN")\n'
                    "        self.connection.execute(_CHOOSE.format(whose=OF_SHARD), parameters)\n"
                    "        added = self.connection.execute(_ADD"
                ),
            ),
        ),
        f"{DATABASE}/test_replay.py::test_a_swap_that_dies_within_an_hour_of_a_shard_has_changed_nothing_of_it",
    ),
    Mutant(
        "a replay removes samples that came after it had begun",
        f"{EDGE}/replay/sql/remove.sql",
        (
            (
                (
                    "        AND was_written_before(s.xmin, "
                    "(SELECT samples_before FROM replay WHERE replay_number = %(number)s))\n"
                ),
                "",
            ),
        ),
        f"{DATABASE}/test_replay.py::test_what_comes_in_while_a_replay_runs_stays_and_is_counted_once",
    ),
    Mutant(
        "a replay counts late events that it is not to include",
        f"{EDGE}/replay/sql/choose.sql",
        (("    AND (%(include_late)s OR NOT g.late)\n", ""),),
        f"{DATABASE}/test_replay.py::test_late_events_count_in_their_own_windows_only_when_a_replay_includes_them",
    ),
    Mutant(
        "a replay swaps once recount has had some time, whatever it has read",
        f"{EDGE}/replay/steps.py",
        (
            (
                "        waits_for = self._tables.count_uncovered(RECOUNT.name, REPLAY_EVENTS, starts, ends)",
                "        waits_for = 0 if starts or ends else 1",
            ),
        ),
        f"{DATABASE}/test_replay_steps.py::test_a_replay_is_drained_when_recount_has_read_all_that_was_sent",
    ),
    Mutant(
        "match removes a sample although the first event's is not there",
        f"{EDGE}/matching/sql/remove_later.sql",
        (("AND first.effective_time = %(first)s", "OR true"),),
        f"{DATABASE}/test_match.py::test_an_event_whose_first_copy_aggregate_gave_up_keeps_its_sample",
    ),
    Mutant(
        "match settles an id before aggregate has come to it",
        f"{EDGE}/matching/match_run.py",
        (("if origins <= covered.keys()", "if origins"), ("covered[origin] for", "origin for")),
        f"{DATABASE}/test_match.py::test_nothing_is_settled_before_aggregate_has_come_to_both",
    ),
    Mutant(
        "match settles an id although an earlier event may still appear in raw",
        f"{EDGE}/matching/match_run.py",
        (("all(covered[origin] for origin in origins)", "origins"),),
        f"{DATABASE}/test_match.py::test_a_conflict_waits_for_earlier_events_to_appear_in_raw_but_not_for_ever",
    ),
    Mutant(
        "match forgets to keep a replay from bringing a sample back",
        f"{EDGE}/matching/settling.py",
        (("        return 0\n    connection.execute(_SETTLE, both)\n", "        return 0\n"),),
        f"{DATABASE}/test_match.py::test_a_replay_does_not_bring_back_what_was_removed",
    ),
    Mutant(
        "match judges an event that aggregate may still recover",
        f"{EDGE}/matching/tables.py",
        (("AND gap.given_up AND", "AND false AND"),),
        f"{DATABASE}/test_match.py::test_what_may_still_be_recovered_is_not_judged",
    ),
    Mutant(
        "match settles an id although a file that may hold an earlier event is not read",
        f"{EDGE}/matching/match_run.py",
        (("unread_from is None or family", "unread_from is unread_from or family"),),
        f"{DATABASE}/test_match.py::test_an_id_waits_for_files_that_may_hold_an_earlier_event",
    ),
    Mutant(
        "match leaves the note of a later event as it is",
        f"{EDGE}/matching/settling.py",
        (("ELSE least(settled_event.received_at, excluded.received_at)", "ELSE settled_event.received_at"),),
        f"{DATABASE}/test_match.py::test_a_replay_lets_no_later_event_in_although_its_own_clock_had_settled_it",
    ),
    Mutant(
        "match gives up what it has read when time ends",
        f"{EDGE}/matching/match_run.py",
        (("if held_up and not may_go_on()", "if not may_go_on()"),),
        f"{DATABASE}/test_match.py::test_ids_are_settled_in_turn_when_time_never_lasts_for_all",
    ),
    Mutant(
        "a fleet's recurring ids fill the memory of match",
        f"{CORE}/matching/recurring.py",
        (("chosen = turns < self._most", "chosen = turns >= 0"),),
        f"{UNIT}/core/matching/test_recurring.py::test_a_fleet_has_so_many_over_all_parts_and_takes_nobody_elses_place",
    ),
    Mutant(
        "match overlooks ids at the end of the range of hashes",
        f"{CORE}/matching/ids.py",
        (
            (
                "np.minimum(np.searchsorted(near, old), len(near) - 1)",
                "np.minimum(np.searchsorted(near, old), len(near) - 2)",
            ),
        ),
        f"{UNIT}/core/matching/test_ids.py::test_ids_with_other_bytes_in_two_batches_are_found",
    ),
    Mutant(
        "a re-drive produces an event that is in raw-events already",
        f"{CORE}/redrive/groups.py",
        (("    if standing.state in (ACCEPTED, ACCOUNTED):\n        return False\n", ""),),
        f"{DATABASE}/test_redrive.py::test_what_was_accepted_once_is_never_produced_again_on_purpose",
    ),
    Mutant(
        "a re-drive finishes a letter with another fix than the one that may have stored it",
        f"{CORE}/redrive/groups.py",
        (("return standing.redrive_number in alike", "return True"),),
        f"{DATABASE}/test_redrive.py"
        "::test_letters_that_a_cancelled_redrive_left_in_sending_are_finished_under_its_fix_alone",
    ),
    Mutant(
        "a fix makes one event of two",
        f"{CORE}/redrive/proposing.py",
        (("    if fix and after.merges:", "    if not rules:"),),
        f"{UNIT}/core/redrive/test_proposing.py::test_activities_whose_bytes_a_fix_makes_equal_are_not_merged",
    ),
    Mutant(
        "a re-drive ends when one consumer accounts for its events",
        f"{EDGE}/redrive/accounting.py",
        (("    ) = %s\n", "    ) >= least(1, %s)\n"),),
        f"{DATABASE}/test_redrive.py"
        "::test_a_group_is_redriven_counted_and_closed_and_what_is_still_bad_has_its_attempt",
    ),
    Mutant(
        "a record that a consumer gave up counts again when a run that died is finished",
        f"{CORE}/redrive/turns.py",
        (("(begun or ledger.counted_back or", "(ledger.counted_back or"),),
        f"{DATABASE}/test_redrive_consumers.py"
        "::test_a_consumer_that_dies_after_its_work_is_asked_again_and_counts_nothing_twice",
    ),
    Mutant(
        "a record that fails again leaves a gap that was not there",
        f"{EDGE}/redrive/giving.py",
        (
            (
                "                take_from_gaps(self._connection, redrive.consumer, closed)\n",
                "                del closed\n",
            ),
        ),
        f"{DATABASE}/test_redrive_consumers.py::test_what_fails_again_has_its_attempt_and_leaves_everything_as_it_was",
    ),
    Mutant(
        "a row that comes after its dead letter counts beside it",
        f"{EDGE}/ledger/counting.py",
        (("        self._count(recovered, DEAD_LETTERED, -1)\n", ""),),
        f"{DATABASE}/test_redrive_consumers.py::test_what_archive_gave_up_is_accounted_for_when_a_file_has_its_row",
    ),
    Mutant(
        "a consumer writes another dead letter at each attempt of a redrive",
        f"{EDGE}/failures/consuming.py",
        (("Rejecting() if REDRIVE in event else None", "None"),),
        f"{UNIT}/edge/failures/test_rejecting.py::test_poison_is_named_and_its_neighbours_are_processed",
    ),
    Mutant(
        "a redriven event of a recreated topic counts for the old one",
        f"{EDGE}/ledger/stored_records.py",
        (("pc.and_(credible, pc.invert(have_flag(raw, REDRIVEN)))", "credible"),),
        f"{DATABASE}/test_ledger.py::test_a_redriven_event_of_a_recreated_topic_is_not_taken_for_one_of_the_old_topic",
    ),
    Mutant(
        "a redriven event is received when it is re-driven",
        f"{CORE}/redrive/judging.py",
        (("(letter.received_at or letter.failed_at)", '("2030-01-01T00:00:00Z")'),),
        f"{UNIT}/core/redrive/test_proposing.py"
        "::test_a_redriven_event_keeps_its_reception_and_its_request_and_says_what_it_was",
    ),
    Mutant(
        "a replay leaves windows of expired hours for which there is no event",
        f"{EDGE}/replay/recomputing.py",
        (("        if not self.place.in_files:\n", "        if self.place is None:\n"),),
        f"{DATABASE}/test_replay_expired.py::test_windows_in_the_database_end_as_if_the_wrong_release_had_never_been",
    ),
    Mutant(
        "a replay changes minutes of which tier has copied a part",
        f"{EDGE}/replay/recomputing.py",
        (("        self.connection.execute(_FORGET_COPIES,", "        print("),),
        f"{DATABASE}/test_replay_expired.py"
        "::test_tier_moves_nothing_that_a_replay_is_swapping_and_copies_again_what_has_changed",
    ),
    Mutant(
        "tier moves minutes while a replay replaces them",
        f"{EDGE}/rollup_archive/database.py",
        (
            (
                "WHERE state = 'swapping' AND lower(hours) < %(until)s",
                "WHERE false AND lower(hours) < %(until)s",
            ),
        ),
        f"{DATABASE}/test_replay_expired.py"
        "::test_tier_moves_nothing_that_a_replay_is_swapping_and_copies_again_what_has_changed",
    ),
    Mutant(
        "alert takes a reading in again",
        f"{CORE}/alerts/series.py",
        (("[one for one in readings if one.position > known.position]", "readings"),),
        f"{UNIT}/core/alerts/test_series.py::test_readings_are_taken_in_once_whatever_is_delivered_again",
    ),
    Mutant(
        "an incident takes the last message of an hour for an end that may not last",
        f"{CORE}/alerts/incidents.py",
        (("if left > 1 or (", "if left > -99 or ("),),
        f"{UNIT}/core/alerts/test_board.py::test_the_last_message_of_an_hour_tells_an_end_that_lasts",
    ),
    Mutant(
        "a message of an incident overtakes one that SNS refused",
        f"{EDGE}/alerts/outbox.py",
        (("earlier.sequence < one.sequence\n", "false\n"),),
        f"{DATABASE}/test_alert.py::test_a_refused_message_holds_back_the_later_ones_of_its_incident_and_no_others",
    ),
    Mutant(
        "a name may have a private address beside a public one",
        f"{CORE}/notify/addresses.py",
        (("    for each in addresses:\n", "    for each in addresses[:1]:\n"),),
        f"{UNIT}/core/notify/test_addresses.py::test_a_name_with_a_private_address_among_public_ones_is_refused",
    ),
    Mutant(
        "a notification goes to what a name resolves to a moment later",
        f"{EDGE}/notify/posting.py",
        (("create_connection((address, place.port)", "create_connection((place.host, place.port)"),),
        f"{UNIT}/edge/notify/test_posting.py::test_the_address_that_was_checked_is_the_one_that_is_connected_to",
    ),
    Mutant(
        "a dead letter is told after the end of its incident",
        f"{EDGE}/notify/told.py",
        (("return self.sequence > delivery.message.sequence and", "return self.sequence > 99 and"),),
        f"{UNIT}/edge/notify/test_notifying.py::test_a_message_older_than_what_was_told_is_not_told",
    ),
    Mutant(
        "a delivery whose last attempt fails is forgotten",
        f"{EDGE}/notify/notifying.py",
        (("        if given_up or (", "        if False and given_up or ("),),
        f"{UNIT}/edge/notify/test_notifying.py::test_after_the_last_attempt_a_delivery_is_a_dead_letter_with_its_reason",
    ),
)

"""Bugs in replay, swap, incidents and snapshots that histories must find, beside those of `make mutants`."""

from tests.mutations.mutants import CORE, EDGE, Mutant

BY = "tests/simulation"
BREAK = """\
{indent}connection.execute("COMMIT")
{indent}connection.execute("BEGIN")
"""

_COVERS = """\
            with connection.transaction():
                covered = self._cover(connection, records)
"""
_AND_NEXT = """\
            with connection.transaction():
"""
_STORED = """\
            if not failed:
                return
"""
_PARTLY_STORED = """\
            if len(failed) < len(waiting):
                return
"""
_ASKS_SNS = """\
            with self._breaker.asking():
"""
_NOTES = """\
            places = [[each.incident_id for each in messages], [each.sequence for each in messages]]
            connection.execute(_SENT, places)
"""
_WRITES = """\
        if board.messages:
            self._connection.execute(
"""
_COMMITS_AND_WRITES = """\
        if board.messages:
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN")
            self._connection.execute(
"""
_ANY = """\
        if (origin := Origin(RAW_EVENTS, partition, offset))
"""
_NOT_COVERED = """\
        if (origin := Origin(RAW_EVENTS, partition, offset)) not in covered or origin in back
"""

SEEDED = (
    Mutant(
        "a replay begins before raw has all that was counted",
        f"{EDGE}/replay/steps.py",
        (("        if raw_lacks or unread:", "        if (raw_lacks or unread) and False:"),),
        BY,
    ),
    Mutant(
        "recount covers an event in one transaction and adds it in the next",
        f"{EDGE}/replay/recounting.py",
        ((_COVERS, _COVERS + _AND_NEXT),),
        BY,
    ),
    Mutant(
        "resend records a chunk as sent although the brokers refused some of its events",
        f"{EDGE}/replay/resending.py",
        ((_STORED, _PARTLY_STORED),),
        BY,
    ),
    Mutant(
        "a replay counts the last copy of an id and not the first",
        f"{EDGE}/replay/sql/choose.sql",
        (
            (
                "< (g.raw_partition, g.raw_offset, g.received_at)",
                "> (g.raw_partition, g.raw_offset, g.received_at)",
            ),
        ),
        BY,
    ),
    Mutant(
        "a replay counts events whose id was settled before",
        f"{EDGE}/replay/sql/choose.sql",
        (("settled.received_at < g.received_at", "settled.received_at > g.received_at"),),
        BY,
    ),
    Mutant(
        "a replay takes what came meanwhile for what was there before: its snapshot is the swap's",
        f"{EDGE}/replay/sql/remove.sql",
        (("(SELECT samples_before FROM replay WHERE replay_number = %(number)s)", "pg_current_snapshot()"),),
        BY,
    ),
    Mutant(
        "a replay counts what aggregate gave up as a killer, and the ledger goes on calling it dead-lettered",
        f"{EDGE}/replay/counting_back.py",
        (("    outcomes.subtract((group, DEAD_LETTERED) for group in noted.values())\n", ""),),
        BY,
    ),
    Mutant(
        "a replay counts events back into the ledger that aggregate has counted",
        f"{EDGE}/replay/counting_back.py",
        (
            ("            NOT c.offsets @> g.raw_offset\n", "            true\n"),
            (_NOT_COVERED, _ANY),
        ),
        BY,
    ),
    Mutant(
        "resend leaves out the first event of a chunk",
        f"{EDGE}/replay/resending.py",
        (("        return messages\n", "        return messages[1:]\n"),),
        BY,
    ),
    Mutant(
        "a replay takes each copy of an id",
        f"{EDGE}/replay/sql/choose.sql",
        (
            (
                "< (g.raw_partition, g.raw_offset, g.received_at)",
                "< (g.raw_partition, g.raw_offset - 1000, g.received_at)",
            ),
        ),
        BY,
    ),
    Mutant(
        "a message is noted as sent before SNS has it",
        f"{EDGE}/alerts/outbox.py",
        ((_ASKS_SNS, _NOTES + BREAK.format(indent=" " * 12) + _ASKS_SNS),),
        BY,
    ),
    Mutant(
        "what the topic in order does not take counts as sent",
        f"{EDGE}/alerts/topics.py",
        (("failed = in_order + self._publish", "failed = self._publish"),),
        BY,
    ),
    Mutant(
        "an incident is stored in one transaction and its messages in the next",
        f"{EDGE}/alerts/tables.py",
        ((_WRITES, _COMMITS_AND_WRITES),),
        BY,
    ),
    Mutant(
        "the newest message of an incident is sent first",
        f"{EDGE}/alerts/outbox.py",
        (("earlier.sequence < one.sequence", "earlier.sequence > one.sequence"),),
        BY,
    ),
    Mutant(
        "an incident is stored without its devices",
        f"{EDGE}/alerts/tables.py",
        (("            self._connection.execute(_KEEP_MEMBERS, columns)\n", "            del columns\n"),),
        BY,
    ),
    Mutant(
        "detect goes on without the verdicts that the brokers did not take",
        f"{EDGE}/detect/storing.py",
        (("    if unstored:", "    if unstored and False:"),),
        BY,
    ),
    Mutant(
        "a snapshot has the version of the one before",
        f"{EDGE}/control/publishing.py",
        (
            (
                "return max(before.version + 1 if before else 0, at_least + 1,",
                "return before.version if before else max(at_least + 1,",
            ),
        ),
        BY,
    ),
    Mutant(
        "a key that was revoked works until it expires",
        f"{CORE}/api/keys.py",
        (("stored.revoked_at <= now", "stored.expires_at is not None and stored.expires_at <= now"),),
        BY,
    ),
)

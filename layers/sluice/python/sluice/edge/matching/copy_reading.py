"""Reading the copies of recurring ids from raw, each file once, and only all copies of an id or none of them."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Ahead, Retryable
from sluice.core.events.contracts import Contracts
from sluice.core.limits import Limits
from sluice.core.matching.copies import Copy, Member
from sluice.core.samples.events import read_event
from sluice.edge.aws import RefusedError
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.matching.raw_ids import make_record, read_rows
from sluice.edge.replay.raw_files import UNREADABLE

logger = Logger()


class Copies(msgspec.Struct, frozen=True):
    """The copies that were read, and the members that never can be."""

    read: list[Copy]
    gone: list[Member]


class CopyReader(msgspec.Struct, frozen=True):
    """Reads rows of raw as events."""

    raw: Bucket
    contracts: Contracts
    limits: Limits
    clock: Callable[[], datetime]

    def read(self, members: Sequence[Member], may_go_on: Callable[[], bool]) -> Copies:
        """Read copies while time is left. In the order of their ids: the first ones are complete when time ends."""
        copies = Copies([], [])
        unread: set[int] = set()
        for name in dict.fromkeys(member.object for member in members):
            mine = {member.row: member for member in members if member.object == name}
            rows = self._read_rows(name, mine.keys()) if may_go_on() else None
            if rows is None:
                unread |= {member.id_hash for member in mine.values()}
                continue
            for row, member in mine.items():
                try:
                    copies.read.append(self._make_copy(member, rows[row]))
                except Ahead:
                    unread.add(member.id_hash)  # the next release can read it
                except Retryable:
                    raise
                except Exception as error:  # one odd row must not hold up all others
                    logger.exception("a copy cannot be read", extra={"object": name, "row": row, "reason": repr(error)})
                    copies.gone.append(member)
        return Copies([copy for copy in copies.read if copy.member.id_hash not in unread], copies.gone)

    def _read_rows(self, name: str, rows: Collection[int]) -> dict[int, dict[str, Any]] | None:
        """Read rows of a file; None if S3 refuses it now, and nothing if it is damaged."""
        try:
            return read_rows(StoredFile(self.raw, name), rows)
        except RefusedError as error:
            logger.warning("a raw file was refused", extra={"object": name, "reason": str(error)})
            return None
        except UNREADABLE as error:
            logger.exception("a raw file cannot be read", extra={"object": name, "reason": repr(error)})
            return {}

    def _make_copy(self, member: Member, row: dict[str, Any]) -> Copy:
        record = make_record(row)
        return Copy(member, record, read_event(record, self.contracts, self.limits, self.clock()))

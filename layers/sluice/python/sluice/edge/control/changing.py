"""Changes of control data: each is one transaction with its audit entries, or a dry run, and is published after it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.answers import Answer
from sluice.core.control.audit import differ
from sluice.core.control.requests import AdminRequest
from sluice.core.errors import Refusal, Retryable
from sluice.edge.control.answering import answer
from sluice.edge.control.publishing import Publisher
from sluice.edge.control.store import Changes, ControlStore, Kept

logger = Logger()


class Deed(msgspec.Struct, frozen=True):
    """One thing that a request changes."""

    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """What a request would do: what it changes, how it is written, and the answer."""

    deeds: Sequence[Deed]
    write: Callable[[Changes], None]
    body: dict[str, Any]
    status: int = 200
    first: dict[str, Any] = msgspec.field(default_factory=dict)
    """What only the first answer has, for example the text of a key."""
    later: dict[str, Any] = msgspec.field(default_factory=dict)
    """What a repeated request gets in its place."""
    reason: str | None = None


class Changer(msgspec.Struct, frozen=True):
    """Makes changes."""

    store: ControlStore
    publisher: Publisher

    def change(self, request: AdminRequest, kind: str, decide: Callable[[Changes], Change]) -> Answer:
        """Change something, and publish that kind of control data; a repeated request changes nothing again."""
        dry_run = request.is_dry_run()
        with self.store.changing() as changes:
            kept = changes.find_answer(request) if request.idempotency_key is not None else None
            if kept is None:
                change = decide(changes)
                if dry_run:
                    return answer(request, 200, _foretell(change))
                if change.deeds:
                    change.write(changes)
                    changes.append(
                        [
                            request.act(each.action, each.target, each.before, each.after, change.reason)
                            for each in change.deeds
                        ]
                    )
                changes.keep_answer(request, Kept(change.status, change.body | change.later))
                kept, first = Kept(change.status, change.body | change.first), change.first
            else:
                first = {}
        return answer(request, kept.status, kept.body | self._publish(request, kind, must=not first))

    def _publish(self, request: AdminRequest, kind: str, *, must: bool) -> dict[str, Any]:
        """Publish what was changed. An answer that shows a key is given in any case: it is the only one."""
        try:
            self.publisher.publish(kind, request.now)
        except Retryable as error:
            logger.warning("a change is not published yet", kind=kind, reason=str(error))
            if must:
                detail = (
                    "The change is stored, but not published yet. Repeat the request with the same idempotency-key."
                )
                raise Refusal(503, "not_published", detail) from error
            return {"published": False}
        return {}


def _foretell(change: Change) -> dict[str, Any]:
    would = [
        {"action": each.action, "target": each.target, "changes": differ(each.before, each.after)}
        for each in change.deeds
    ]
    return {"dry_run": True, "would": would}

"""An admin's request: who sends it, what it names, and the conditions under which it may change something."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from sluice.core.api.requests import read_body, read_request
from sluice.core.control.audit import Act
from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.query.parameters import Parameters

MOST_REASON = 500
LIMITS = Limits(max_body=64 * 1024, max_inflated=64 * 1024)

_IDEMPOTENCY_KEY = re.compile(r"[0-9A-Za-z._:-]{1,128}")
_TAG = re.compile(r'"(\d{1,18})"')

Body = TypeVar("Body")


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something ends that does not begin again."""

    reason: str = ""


class AdminRequest(msgspec.Struct, frozen=True):
    """What is known of a request before its body is read."""

    route: str
    principal: str
    """The ARN that signed it; the gateway verified that."""
    path: Mapping[str, str]
    query: str
    if_match: int | None
    idempotency_key: str | None
    now: datetime
    correlation_id: str
    event: Mapping[str, Any]

    def read(self, kind: type[Body]) -> Body:
        """Read the body, strictly: an unknown member is refused by name."""
        body = read_body(self.event, LIMITS)
        try:
            return msgspec.json.decode(body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise Refusal(400, "invalid_body", f"{error}.") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refusal(400, "invalid_json", f"The body is not JSON: {error}.") from error

    def reason(self) -> str:
        """Return why; whoever ends something must say it."""
        return check_reason(self.read(Reason).reason)

    def is_dry_run(self) -> bool:
        """Return whether it only asks what would change."""
        return Parameters(self.query, ["dry_run"]).choice("dry_run", ["true", "false"], "false") == "true"

    def check_version(self, current: Mapping[str, Any]) -> None:
        """Refuse a change of a version that the caller has not seen."""
        if self.if_match is None:
            raise Refusal(428, "version_required", "Send the version that you change in the if-match header.")
        if self.if_match != current["version"]:
            detail = f"It has version {current['version']} now. Look at current, and decide again."
            raise Refusal(412, "version_changed", detail, current=current)

    def act(
        self,
        action: str,
        target: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any],
        reason: str | None = None,
    ) -> Act:
        """Return what this request changes, for the audit."""
        return Act(self.now, self.principal, action, target, before, after, self.correlation_id, reason)

    def digest(self) -> str:
        """Hash what is asked: the same idempotency key must not stand for two requests."""
        asked = [self.route, dict(self.path), self.query, self.if_match, self.event.get("body", "")]
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def check_reason(given: str) -> str:
    """Return a reason for the audit, without the white space around it."""
    reason = given.strip()
    if not 0 < len(reason) <= MOST_REASON:
        raise Refusal(400, "reason_required", f"Send a reason of 1 to {MOST_REASON} characters.")
    return reason


def read_admin_request(event: Mapping[str, Any]) -> AdminRequest:
    """Read everything except the body."""
    request = read_request(event)
    headers = event.get("headers", {})
    principal = event["requestContext"].get("authorizer", {}).get("iam", {}).get("userArn")
    if not principal:
        # A route without its authorizer must not let anyone in.
        raise Refusal(403, "not_signed", "The request carries no verified signature.")
    return AdminRequest(
        route=request.route,
        principal=principal,
        path=event.get("pathParameters", {}),
        query=event.get("rawQueryString", ""),
        if_match=_read_tag(headers.get("if-match")),
        idempotency_key=_read_idempotency_key(headers.get("idempotency-key")),
        now=request.received_at,
        correlation_id=request.correlation_id,
        event=event,
    )


def _read_tag(given: str | None) -> int | None:
    if given is None:
        return None
    tag = _TAG.fullmatch(given.strip())
    if tag is None:
        raise Refusal(400, "invalid_header", 'if-match is a version in quotes, such as "3".')
    return int(tag[1])


def _read_idempotency_key(given: str | None) -> str | None:
    if given is not None and not _IDEMPOTENCY_KEY.fullmatch(given):
        raise Refusal(400, "invalid_header", "idempotency-key has 1 to 128 letters, digits and any of ._:-.")
    return given

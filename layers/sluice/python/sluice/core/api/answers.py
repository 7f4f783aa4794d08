"""Answers to callers: one status per event and one for the request. No status promises more than is durable."""

import base64
import http
from collections.abc import Sequence
from typing import Any

import msgspec

from sluice.core.errors import Refusal, Rejection

ACCEPTED, REJECTED, RETRY = "accepted", "rejected", "retry"


class Result(msgspec.Struct, frozen=True):
    """The outcome of one event of a request."""

    index: int
    event_id: str | None
    status: str
    error: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer before it is written in the gateway's form."""

    status: int
    headers: dict[str, str]
    body: bytes

    def for_gateway(self) -> dict[str, Any]:
        """Write it in the form that API Gateway takes from a function."""
        if "content-encoding" in self.headers:
            packed = base64.b64encode(self.body).decode()
            return {"statusCode": self.status, "headers": self.headers, "body": packed, "isBase64Encoded": True}
        return {"statusCode": self.status, "headers": self.headers, "body": self.body.decode()}


def reject(index: int, event_id: str | None, rejection: Rejection) -> Result:
    """Say why one event was rejected."""
    error: dict[str, Any] = {"code": rejection.code, "message": rejection.message}
    if rejection.violations:
        error["violations"] = [
            {"path": violation.path, "rule": violation.rule, "message": violation.message}
            for violation in rejection.violations
        ]
    return Result(index, event_id, REJECTED, error)


def answer_results(results: Sequence[Result], correlation_id: str, retry_after: int) -> Answer:
    """Answer a request whose events each have a status."""
    statuses = {result.status for result in results}
    if ACCEPTED in statuses:
        status = 202 if statuses == {ACCEPTED} else 207
        return _answer(status, "application/json", {"results": results}, correlation_id)
    if RETRY in statuses:
        refusal = Refusal(429, "not_stored", "The events could not be stored in time; send them again.")
    else:
        refusal = Refusal(400, "all_rejected", "No event was accepted; results says why.")
    return answer_refusal(refusal, correlation_id, retry_after, results)


def answer_refusal(
    refusal: Refusal, correlation_id: str, retry_after: int, results: Sequence[Result] | None = None
) -> Answer:
    """Answer a request that is refused as a whole."""
    body: dict[str, Any] = {
        "type": f"urn:sluice:problem:{refusal.code}",
        "title": http.HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
        "correlation_id": correlation_id,
    }
    if refusal.parameter is not None:
        body["parameter"] = refusal.parameter
    if refusal.current is not None:
        body["current"] = refusal.current
    if refusal.advice is not None:
        body["advice"] = refusal.advice
        retry_after = refusal.advice.retry_after
    if results is not None:
        body["results"] = results
    answer = _answer(refusal.status, "application/problem+json", body, correlation_id)
    if refusal.status in (http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE):
        answer.headers["retry-after"] = str(retry_after)
    return answer


def _answer(status: int, content_type: str, body: dict[str, Any], correlation_id: str) -> Answer:
    headers = {"content-type": content_type, "x-correlation-id": correlation_id}
    return Answer(status, headers, msgspec.json.encode(body))

"""What Lambda leaves in a bucket when it gives up on a batch: why, which records, and the whole event as a string."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from local.models.config import MappingConfig
from local.models.kafka_event import Record, place

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
TOO_OLD = "RecordAgeExceeded"  # seen by others in their buckets; the documentation shows only the other two
TOO_LARGE = "MaximumPayloadSizeExceeded"


@dataclass(frozen=True)
class Discard:
    """The end of a batch that was given up."""

    condition: str
    attempts: int
    request_id: str | None = None
    function_error: bool = False


def object_key(mapping: MappingConfig, now: float) -> str:
    """Unique for each object. Documented for streams only, with a shard behind the mapping: readers list by prefix."""
    moment = datetime.fromtimestamp(now, UTC)
    return f"aws/lambda/{mapping.uuid}/{moment:%Y/%m/%d}/{moment:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"


def invocation_record(
    mapping: MappingConfig, bootstrap: str, records: Sequence[Record], event: bytes, discard: Discard, now: float
) -> bytes:
    """The object's content."""
    by_place: dict[str, list[Record]] = {}
    for record in records:
        by_place.setdefault(place(record), []).append(record)
    described: dict[str, Any] = {
        "requestContext": {
            "requestId": discard.request_id or str(uuid.uuid4()),
            "functionArn": mapping.function_arn,
            "condition": discard.condition,
            "approximateInvokeCount": discard.attempts,
        },
        "responseContext": None,
        "version": "1.0",
        "timestamp": _time(now),
        "KafkaBatchInfo": {
            "batchSize": len(records),
            "eventSourceArn": mapping.cluster_arn,
            "bootstrapServers": bootstrap,
            "payloadSize": len(event),
            "recordsInfo": {
                name: {
                    "firstRecordOffset": str(each[0].offset),
                    "lastRecordOffset": str(each[-1].offset),
                    "firstRecordTimestamp": _time(each[0].timestamp / 1000),
                    "lastRecordTimestamp": _time(each[-1].timestamp / 1000),
                }
                for name, each in by_place.items()
            },
        },
        "payload": event.decode(),
    }
    if discard.condition != TOO_LARGE and discard.request_id is not None:
        described["responseContext"] = {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled" if discard.function_error else None,
        }
    return msgspec.json.encode(described)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

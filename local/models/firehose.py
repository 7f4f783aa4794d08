"""A model of Amazon Data Firehose: direct puts, buffered, converted to Parquet by a Glue table, delivered to a bucket.

Modelled: PutRecord and PutRecordBatch with their limits and errors; records that are durable before the answer; a
buffer for each stream, delivered when its interval or its size is reached; several JSON objects in a record; conversion
by the table's columns; prefixes evaluated by the arrival of a buffer's first record; object names; error output for
records that cannot be converted.

Not modelled: throughput quotas and their partial failures, a table that is gone (delivery stands still, by what others
saw), other destinations and formats, transformation, dynamic partitioning, backups, encryption, metrics, keys whose
case does not count, the 24-hour limit on retries, the older Parquet type of timestamps (ours are 64-bit microseconds).
Believed rather than documented: that a record whose second object cannot be converted goes to the error output whole,
and that none of its rows is delivered; if some were, an event would be in the table and among the dead letters.

`POST /_model/flush` (ours) delivers what is buffered now; `GET /_model/buffered` (ours) says how much that is: lines
are rows where records are JSON lines.
`POST /_model/faults` (ours) makes it refuse a share of the records of each batch, lose a share of its answers, or fail
to convert a share of the records it took.
"""

import asyncio
import contextlib
import logging
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from local.models.aws_client import aws_client
from local.models.config import FirehoseConfig, StreamConfig, read
from local.models.delivery import Delivery
from local.models.guard import guarding
from local.models.serve import main
from local.models.spool import Spool

log = logging.getLogger(__name__)

RECORDS_PER_BATCH = 500
RECORD_BYTES = 1000 * 1024
BATCH_BYTES = 4 * 1024 * 1024

_TARGET = "Firehose_20150804."
_CONTENT_TYPE = "application/x-amz-json-1.1"
_RETRY_SECONDS = 0.5


class Record(msgspec.Struct):
    """A record; base64 in JSON."""

    Data: bytes


class PutRecord(msgspec.Struct):
    """The request of PutRecord."""

    DeliveryStreamName: str
    Record: Record


_REFUSED = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}


class PutRecordBatch(msgspec.Struct):
    """The request of PutRecordBatch."""

    DeliveryStreamName: str
    Records: list[Record]


class Refused(Exception):
    """A request that gets an error of the API."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


class Stream:
    """One delivery stream: the buffer that fills, and those that are on their way."""

    def __init__(self, config: StreamConfig, directory: Path, delivery: Delivery) -> None:
        self._config = config
        self.delivery = delivery
        self._directory = directory / config.name
        self._directory.mkdir(parents=True, exist_ok=True)
        self._filling: Spool | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deliveries: dict[asyncio.Task[None], Spool] = {}

    def recover(self) -> None:
        """Delivers what a process that is gone had accepted."""
        for path in sorted(self._directory.glob("*.spool")):
            left = Spool(path)
            left.recount()
            self._deliver(left)

    def put(self, records: Sequence[bytes]) -> None:
        """Buffers records; they are on disk when this returns."""
        if self._filling is None:
            self._filling = Spool.new(self._directory)
            self._timer = asyncio.get_running_loop().call_later(self._config.interval_seconds, self.close_buffer)
        try:
            self._filling.append(records, time.time())
        except OSError as error:
            # Nothing behind a write that broke off can be read: the next request gets a new buffer.
            self.close_buffer()
            raise Refused("ServiceUnavailableException", str(error), status=503) from error
        if self._filling.bytes >= self._config.size_mb * 1024 * 1024:
            self.close_buffer()

    def close_buffer(self) -> None:
        """Sends the buffer that fills on its way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._filling is not None:
            filled, self._filling = self._filling, None
            self._deliver(filled)

    async def delivered(self) -> None:
        """Waits until all that is on its way has arrived."""
        await asyncio.gather(*self._deliveries)

    def buffered(self) -> dict[str, int]:
        """What has been accepted and is not in the bucket yet."""
        spools = [*self._deliveries.values(), *([] if self._filling is None else [self._filling])]
        return {
            "records": sum(each.records for each in spools),
            "lines": sum(each.lines for each in spools),
            "bytes": sum(each.bytes for each in spools),
        }

    def stop(self) -> None:
        """Leaves the rest to the next start."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._deliveries:
            task.cancel()

    def _deliver(self, filled: Spool) -> None:
        filled.close()
        task = asyncio.create_task(self._until_delivered(filled))
        self._deliveries[task] = filled
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        filled = self._deliveries.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Not the bucket's fault but ours: records that stay here unseen would look delivered.
            log.critical("%s: %s cannot be delivered", self._config.name, filled.path, exc_info=error)
            os._exit(1)

    async def _until_delivered(self, filled: Spool) -> None:
        while True:
            try:
                await asyncio.to_thread(self.delivery.deliver, filled.path)
                break
            except (BotoCoreError, ClientError) as error:
                log.warning("%s: not delivered yet: %s", self._config.name, error)
                await asyncio.sleep(_RETRY_SECONDS)
        filled.remove()


class Faults(msgspec.Struct):
    """How much of what comes is turned away, on a test's request; the same seed turns away the same."""

    refuse_share: float = 0.0
    """Of the records of a batch: refused one by one in an answer that says 200."""
    lose_answer_share: float = 0.0
    """Of the calls: taken whole, and then answered with an error."""
    unreadable_share: float = 0.0
    """Of the records that are delivered: they go to the error output, always the same ones."""
    seed: int = 0


class FirehoseApi:
    """Firehose's JSON protocol over all streams."""

    def __init__(self, streams: dict[str, Stream]) -> None:
        self._streams = streams
        self._faults = Faults()
        self._random = random.Random(0)  # noqa: S311 -- faults that a test can repeat

    async def handle(self, request: web.Request) -> web.Response:
        try:
            answer = self._call(request.headers.get("X-Amz-Target", ""), await request.read())
        except Refused as refused:
            return _answer({"__type": refused.kind, "message": str(refused)}, status=refused.status)
        except web.HTTPRequestEntityTooLarge:
            return _answer({"__type": "InvalidArgumentException", "message": "Request is too large"}, status=400)
        except msgspec.DecodeError as error:
            return _answer({"__type": "SerializationException", "message": str(error)}, status=400)
        return _answer(answer)

    async def flush(self, _request: web.Request) -> web.Response:
        for stream in self._streams.values():
            stream.close_buffer()
        for stream in self._streams.values():
            await stream.delivered()
        return web.json_response({name: stream.buffered() for name, stream in self._streams.items()})

    async def misbehave(self, request: web.Request) -> web.Response:
        """Misbehave from now on as the request says; an empty object ends it."""
        self._faults = msgspec.json.decode(await request.read(), type=Faults)
        self._random.seed(self._faults.seed)
        for stream in self._streams.values():
            stream.delivery.unreadable_share = self._faults.unreadable_share
        return web.json_response(msgspec.to_builtins(self._faults))

    async def buffered(self, _request: web.Request) -> web.Response:
        return web.json_response({name: stream.buffered() for name, stream in self._streams.items()})

    def _call(self, target: str, body: bytes) -> dict[str, object]:
        match target.removeprefix(_TARGET):
            case "PutRecord":
                single = msgspec.json.decode(body, type=PutRecord)
                self._put(single.DeliveryStreamName, [single.Record], [False])
                return {"RecordId": _record_id(), "Encrypted": False}
            case "PutRecordBatch":
                batch = msgspec.json.decode(body, type=PutRecordBatch)
                refused = [self._random.random() < self._faults.refuse_share for _ in batch.Records]
                self._put(batch.DeliveryStreamName, batch.Records, refused)
                if self._random.random() < self._faults.lose_answer_share:
                    raise Refused("ServiceUnavailableException", "The answer was lost on request", status=503)
                responses = [_REFUSED if no else {"RecordId": _record_id()} for no in refused]
                return {"FailedPutCount": sum(refused), "Encrypted": False, "RequestResponses": responses}
            case operation:
                raise Refused("UnknownOperationException", f"The local model has no operation {operation}")

    def _put(self, name: str, records: Sequence[Record], refused: Sequence[bool]) -> None:
        stream = self._streams.get(name)
        if stream is None:
            raise Refused("ResourceNotFoundException", f"Firehose {name} under account local not found.")
        sizes = [len(record.Data) for record in records]
        if not 1 <= len(records) <= RECORDS_PER_BATCH:
            raise Refused(
                "ValidationException",
                f"1 validation error detected: Value at 'records' failed to satisfy constraint: "
                f"Member must have length between 1 and {RECORDS_PER_BATCH}",
            )
        if max(sizes) > RECORD_BYTES:
            raise Refused(
                "ValidationException",
                f"1 validation error detected: Value at 'records.{sizes.index(max(sizes)) + 1}.member.data' failed to "
                f"satisfy constraint: Member must have length less than or equal to {RECORD_BYTES}",
            )
        if sum(sizes) > BATCH_BYTES:
            raise Refused("InvalidArgumentException", "Records size exceeds 4 MB limit")
        if taken := [record.Data for record, no in zip(records, refused, strict=True) if not no]:
            stream.put(taken)


def _record_id() -> str:
    return f"{uuid.uuid4().hex}{uuid.uuid4().hex}"


def _answer(content: dict[str, object], status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type=_CONTENT_TYPE)


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The streams of the config, starting with what an earlier process left."""
    config = read(FirehoseConfig, config_file)
    s3 = aws_client("s3", config.aws, config.region)
    streams = {
        each.name: Stream(each, Path(config.directory), Delivery(each, config.region, s3)) for each in config.streams
    }
    api = FirehoseApi(streams)
    # Base64 and the JSON around it: the limits on records are checked when it is decoded.
    application = web.Application(client_max_size=BATCH_BYTES * 2, middlewares=[guarding(config_file, "firehose")])
    application.router.add_post("/", api.handle)
    application.router.add_post("/_model/flush", api.flush)
    application.router.add_post("/_model/faults", api.misbehave)
    application.router.add_get("/_model/buffered", api.buffered)
    for stream in streams.values():
        stream.recover()
    try:
        yield application
    finally:
        for stream in streams.values():
            stream.stop()


if __name__ == "__main__":
    main(model)

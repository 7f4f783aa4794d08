"""Simulated delivery streams: they take records, and deliver them with the local stack's own conversion to Parquet."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from local.models.config import ColumnConfig, StreamConfig
from local.models.delivery import Delivery
from local.models.spool import Spool
from tests.simulation.faults import ALWAYS, PARTLY, draw_failing
from tests.simulation.object_store import ObjectStore
from tests.simulation.world import World

FIREHOSE = "delivery stream"
RETRY_SECONDS = 5.0
_CATALOG = Path(__file__).parents[2] / "infra" / "stores" / "catalog.py"


def read_columns() -> list[ColumnConfig]:
    """Read the raw table's columns from where they are declared, without loading the CDK."""
    for statement in ast.parse(_CATALOG.read_text()).body:
        if isinstance(statement, ast.Assign) and cast("ast.Name", statement.targets[0]).id == "COLUMNS":
            return [ColumnConfig(name, kind) for name, kind in ast.literal_eval(statement.value).items()]
    raise LookupError("the catalog declares no COLUMNS")


class DeliveryStream:
    """One stream: a buffer that is delivered when its time is over, and again until it arrives."""

    def __init__(self, world: World, store: ObjectStore, config: StreamConfig, directory: Path) -> None:
        self._world = world
        self._config = config
        self._directory = directory
        self._filling: list[tuple[bytes, float]] = []
        self._number = 0
        self._waiting: list[Path] = []
        self._delivery = Delivery(config, "here", _Bucket(world, store), world.timeline.seconds)

    def put(self, records: Sequence[bytes]) -> None:
        """Take records; they are durable then."""
        if not self._filling:
            self._world.timeline.spawn(f"buffer of {self._config.name}", self._close, self._config.interval_seconds)
        self._filling += [(record, self._world.timeline.seconds()) for record in records]

    @property
    def is_empty(self) -> bool:
        """Whether everything is delivered."""
        return not self._filling and not self._waiting

    def _close(self) -> None:
        self._number += 1
        path = self._directory / f"{self._config.name}-{self._number:08d}.spool"
        spool = Spool(path)
        for data, arrived in self._filling:
            spool.append([data], arrived)
        spool.close()
        self._filling = []
        self._waiting.append(path)
        while True:
            try:
                self._delivery.deliver(path)
                break
            except (BotoCoreError, ClientError):
                self._world.timeline.sleep(RETRY_SECONDS)
        self._waiting.remove(path)
        path.unlink()


class _Bucket:
    """The streams' own access to the object store."""

    def __init__(self, world: World, store: ObjectStore) -> None:
        self._world = world
        self._store = store

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        if "object store" in self._world.away:
            raise ReadTimeoutError(endpoint_url="simulated")
        self._store.write(Bucket, Key, Body)
        self._world.note(f"delivered {Key}")


class Firehose:
    """The client of all streams."""

    def __init__(self, world: World, streams: dict[str, DeliveryStream]) -> None:
        self._world = world
        self.streams = streams

    def put_record_batch(self, *, DeliveryStreamName: str, Records: Sequence[dict[str, bytes]]) -> dict[str, Any]:  # noqa: N803
        """Take records; say of each whether it was taken."""
        stream = self.streams[DeliveryStreamName]

        def put(partly: str | None) -> dict[str, Any]:
            draw = self._world.chance("partly taken")
            failing = draw_failing(draw, len(Records)) if partly else ()
            refused = [number in failing for number in range(len(Records))]
            taken = [each["Data"] for each, no in zip(Records, refused, strict=True) if not no]
            if taken:
                stream.put(taken)
                self._world.witness.note_rows(taken)
            answers = [{"ErrorCode": "ServiceUnavailableException"} if no else {"RecordId": "1"} for no in refused]
            return {"FailedPutCount": sum(refused), "RequestResponses": answers}

        return self._world.perform(FIREHOSE, "put", put, _fail, (*ALWAYS, PARTLY))


def _fail(kind: str) -> Exception:
    return ReadTimeoutError(endpoint_url=f"simulated: {kind}")

"""A model of Lambda's event source mappings for Amazon SQS.

Modelled: batches by size and window; so many invocations at a time and no more; the event as Lambda writes it; the
messages of a success are deleted, and those of a failure stay until their visibility ends, or as long as the function
says; partial failures; throttles and an absent function, which cost nothing but time; mappings that are not enabled.
The queues themselves are the emulation's: it gives a group's messages in their order and no other of the group until
these are deleted or visible again, drops repeats of five minutes, and moves what was received too often to the queue of
dead letters.

Not modelled: scaling of pollers, filters, metrics, a batch's limit of 6 MB. Believed rather than documented: how long a
throttled batch is tried again before its visibility ends.

`GET /_model/mappings` is ours: what each mapping has invoked, deleted and left since it started.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from local.models.aws_client import aws_client
from local.models.config import QueueMappingConfig, QueueSourceConfig, read
from local.models.invoke_client import InvokeClient, NotInvoked
from local.models.queue_event import Message, event, unprocessed
from local.models.serve import main

log = logging.getLogger(__name__)

#: SQS gives so many messages for one request.
_MOST_RECEIVED = 10
#: Long polling would be one request in 20 s, but the emulation spins while it waits for a group that is held up.
_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 1.0
#: A batch that could not be passed on is dropped here; its messages come again when their visibility ends.
_PATIENCE_SECONDS = 60.0
_QUEUE_SECONDS = 60


class QueuePoller(threading.Thread):
    """Serves one mapping with one invocation at a time; there are as many as the mapping may run at once."""

    def __init__(self, config: QueueSourceConfig, mapping: QueueMappingConfig, turn: threading.Lock) -> None:
        super().__init__(name=f"queue-{mapping.uuid}", daemon=True)
        self._mapping = mapping
        self._region = config.region
        self._turn = turn
        self._sqs = aws_client("sqs", config.aws, config.region)
        patience = mapping.function_timeout_seconds + _QUEUE_SECONDS
        self._lambda = InvokeClient(config.lambdas, mapping.function_arn, patience)
        self._stopping = threading.Event()
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except (BotoCoreError, ClientError) as error:
                log.warning("%s: %s", self._mapping.queue_url, error)
                self._stopping.wait(_RETRY_SECONDS)
        self._lambda.close()

    def stop(self) -> None:
        self._stopping.set()

    def step(self) -> None:
        """Handles one batch, or waits a while for one."""
        # One at a time polls: the others would ask an empty queue for nothing.
        with self._turn:
            messages = self._gather()
        if messages:
            self._pass_on(messages)

    def _gather(self) -> list[Message]:
        messages = self._receive(self._mapping.batch_size)
        if not messages:
            self._stopping.wait(_IDLE_SECONDS)
            return []
        closes = time.monotonic() + self._mapping.window_seconds
        while (missing := self._mapping.batch_size - len(messages)) and time.monotonic() < closes:
            more = self._receive(missing)
            messages += more
            if not more:
                self._stopping.wait(min(_IDLE_SECONDS, max(0.0, closes - time.monotonic())))
        return messages

    def _receive(self, count: int) -> list[Message]:
        answer = self._sqs.receive_message(
            QueueUrl=self._mapping.queue_url,
            MaxNumberOfMessages=min(count, _MOST_RECEIVED),
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        found: list[Message] = answer.get("Messages", [])
        return found

    def _pass_on(self, messages: Sequence[Message]) -> None:
        payload = event(messages, self._mapping.queue_arn, self._region)
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = self._lambda.invoke(payload)
                break
            except NotInvoked as reason:
                log.info("%s: not invoked: %s", self._mapping.function_arn, reason)
                self.counts["not_invoked"] += 1
                if time.monotonic() > until or self._stopping.wait(_RETRY_SECONDS):
                    return
        self.counts["invocations"] += 1
        left: Sequence[Message] = messages if answer.failed else ()
        if self._mapping.partial_failures and not answer.failed:
            left = unprocessed(answer.payload, messages)
        if left:
            self.counts["function_errors" if answer.failed else "partial_failures"] += 1
        kept = {each["MessageId"] for each in left}
        done = [each for each in messages if each["MessageId"] not in kept]
        for each in done:
            self._sqs.delete_message(QueueUrl=self._mapping.queue_url, ReceiptHandle=each["ReceiptHandle"])
        self.counts["deleted"] += len(done)
        self.counts["left"] += len(left)


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The pollers of all mappings that are enabled, and their status."""
    config = read(QueueSourceConfig, config_file)
    threads: dict[str, list[QueuePoller]] = {}
    for mapping in config.mappings:
        turn = threading.Lock()
        at_once = mapping.at_once if mapping.enabled else 0
        threads[mapping.uuid] = [QueuePoller(config, mapping, turn) for _ in range(at_once)]

    async def mappings(_request: web.Request) -> web.Response:
        return web.json_response([_status(each, threads[each.uuid]) for each in config.mappings])

    application = web.Application()
    application.router.add_get("/_model/mappings", mappings)
    everyone = [thread for group in threads.values() for thread in group]
    for thread in everyone:
        thread.start()
    try:
        yield application
    finally:
        for thread in everyone:
            thread.stop()
        # An invocation that still runs is not waited for: its messages come again.
        for thread in everyone:
            thread.join(timeout=2)


def _status(mapping: QueueMappingConfig, threads: Sequence[QueuePoller]) -> dict[str, Any]:
    # Copied first: the pollers go on counting.
    counts = sum((Counter(dict(thread.counts)) for thread in threads), Counter[str]())
    return {
        "uuid": mapping.uuid,
        "queue": mapping.queue_url.rpartition("/")[2],
        "function": mapping.function_arn,
        "enabled": mapping.enabled,
        **counts,
    }


if __name__ == "__main__":
    main(model)

#!/usr/bin/env python3
"""Post events to Sluice from a file or a pipe of JSON lines, and account for every one of them.

    API=https://… KEY=slc_… python3 client.py --route /v1/events --left left.jsonl events.jsonl

An event is settled by a result that says `accepted` or `rejected`. Everything else (a result `retry`, 429, 5xx, no
answer) leaves open whether it is stored, so the same bytes are sent again: the same event id is the same event.
What was not accepted is written to --left, or to stderr: one JSON line with its status, its error and its text.
Exit status: 0 all accepted; 1 all settled, some rejected; 3 some not settled, to be sent again another time.
"""

import argparse
import contextlib
import gzip
import http.client
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, TextIO
from urllib.parse import urlsplit

BATCH_EVENTS, BATCH_BYTES = 100, 1_000_000  # the most that one request may hold, a little below the limit of bytes
ATTEMPTS = 10
TIMEOUT_SECONDS = 35  # the gateway answers within 30
LONGEST_WAIT_SECONDS, LONGEST_ASKED_SECONDS = 60, 3600
ANSWER_BYTES = 8 * 1024 * 1024

Settings = dict[str, Any]
_chance = random.SystemRandom()  # a fleet that was switched on at once must not wait in step


class Client:
    """Sends batches over one connection; `counts` says what became of the events."""

    def __init__(
        self, api: str, key: str, route: str, left: TextIO, compress: bool, sleep: Callable[[float], None]
    ) -> None:
        url = urlsplit(api)
        connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(url.netloc, timeout=TIMEOUT_SECONDS)
        self._path = url.path.rstrip("/") + route
        self._headers = {"x-api-key": key, "content-type": "application/json"}
        if compress:
            self._headers["content-encoding"] = "gzip"
        self._left, self._compress, self._sleep = left, compress, sleep
        self._closed: dict[str, Any] | None = None  # why nothing more can be sent
        self.counts: Counter[str] = Counter()

    def send(self, batch: Sequence[bytes]) -> None:
        """Send a batch, then what is open of it, until all is settled or the attempts are used up."""
        error, asked = self._closed or {}, 0
        for attempt in range(0 if self._closed else ATTEMPTS):
            if attempt:
                self._sleep(asked + min(2 ** (attempt - 1), LONGEST_WAIT_SECONDS) * _chance.uniform(0.5, 1))
            status, asked, answer = self._post(batch)
            results = answer.get("results")
            error = {"code": answer.get("code", f"http_{status}"), "message": answer.get("detail", "")}
            if isinstance(results, list) and len(results) == len(batch):
                batch = self._settle(batch, results)
                if not batch:
                    return
            elif status in (400, 413):
                # One event that is no JSON spoils the whole request: halving finds it and saves its neighbours.
                if len(batch) == 1:
                    return self.give_up(batch, "rejected", error)
                middle = len(batch) // 2
                self.send(batch[:middle])
                return self.send(batch[middle:])
            elif 300 <= status < 500 and status not in (408, 429):
                self._closed = error  # the key or the address is wrong, and will be for every batch
                break
        self.give_up(batch, "unsettled", error)

    def give_up(self, events: Sequence[bytes], status: str, error: dict[str, Any]) -> None:
        """Write down what will not be sent again; bytes that are no UTF-8 come back by `surrogateescape`."""
        self.counts[status] += len(events)
        for event in events:
            line = {"status": status, "error": error, "event": event.decode(errors="surrogateescape")}
            self._left.write(json.dumps(line) + "\n")
        self._left.flush()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _settle(self, batch: Sequence[bytes], results: list[dict[str, Any]]) -> list[bytes]:
        again = []
        for event, result in zip(batch, results, strict=True):
            if result.get("status") == "accepted":
                self.counts["accepted"] += 1
            elif result.get("status") == "rejected":
                self.give_up([event], "rejected", result.get("error", {}))
            else:
                again.append(event)
        return again

    def _post(self, batch: Sequence[bytes]) -> tuple[int, int, dict[str, Any]]:
        """Return the answer's status, the seconds it asks to wait, and its document; status 0 is no answer."""
        body = b"[" + b",".join(batch) + b"]"
        if self._compress:
            body = gzip.compress(body, mtime=0)
        try:
            self._connection.request("POST", self._path, body, self._headers)
            answer = self._connection.getresponse()
            text = answer.read(ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens it again
            return 0, 0, {"code": "no_answer", "detail": repr(error)}
        asked = answer.headers.get("retry-after", "")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        seconds = min(int(asked), LONGEST_ASKED_SECONDS) if asked.isdecimal() else 0
        return answer.status, seconds, document if isinstance(document, dict) else {}


def send_lines(client: Client, source: BinaryIO, most: int) -> None:
    """Gather lines into batches; one batch is in memory at a time."""
    batch: list[bytes] = []
    size = 0
    for event, fault in read_lines(source):
        if fault:
            client.give_up([event], "rejected", {"code": "malformed_json", "message": fault})
            continue
        if batch and (len(batch) == most or size + len(event) > BATCH_BYTES):
            client.send(batch)
            batch, size = [], 0
        batch.append(event)
        size += len(event) + 1
    if batch:
        client.send(batch)


def read_lines(source: BinaryIO) -> Iterator[tuple[bytes, str]]:
    """Yield the text of each line with what is wrong with it: only whole JSON values may stand side by side."""
    cut = False
    while line := source.readline(BATCH_BYTES - 2):
        began, cut = not cut, len(line) == BATCH_BYTES - 2 and not line.endswith(b"\n")
        event, fault = line.strip(b" \t\r\n"), ""
        if cut or not began:
            fault = "The line is too long; this is a part of it."
        elif event:
            try:
                json.loads(event.decode())
            except (ValueError, RecursionError) as error:
                fault = str(error)
        if event:
            yield event, fault


def main(arguments: Sequence[str] | None = None, sleep: Callable[[float], None] = time.sleep) -> int:
    """Send what the command line names."""
    parser = argparse.ArgumentParser(description="Post JSON lines to Sluice. API and KEY come from the environment.")
    parser.add_argument("file", nargs="?", help="one event per line; stdin unless given")
    parser.add_argument("--route", default="/v1/events", help="default: /v1/events")
    parser.add_argument("--batch", type=int, default=BATCH_EVENTS, help="events in a request, 100 unless given")
    parser.add_argument("--gzip", action="store_true", help="compress what is sent")
    parser.add_argument("--left", help="append what was not accepted to this file; stderr unless given")
    given = parser.parse_args(arguments)
    api, key = os.environ.get("API"), os.environ.get("KEY")
    if not api or not key:
        parser.error("set API and KEY in the environment")
    if not 0 < given.batch <= BATCH_EVENTS:
        parser.error(f"--batch is 1 to {BATCH_EVENTS}")
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open(given.file, "rb")) if given.file else sys.stdin.buffer
        left = stack.enter_context(open(given.left, "a", encoding="ascii")) if given.left else sys.stderr
        client = stack.enter_context(contextlib.closing(Client(api, key, given.route, left, given.gzip, sleep)))
        send_lines(client, source, given.batch)
    counts = client.counts
    sys.stderr.write(", ".join(f"{counts[word]} {word}" for word in ("accepted", "rejected", "unsettled")) + "\n")
    return 3 if counts["unsettled"] else 1 if counts["rejected"] else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Post events to Sluice from a file or a pipe of JSON lines, and account for every one of them.

    API=https://… KEY=slc_… python3 client.py --route /v1/events --left left.jsonl events.jsonl

A result `accepted` or `rejected` settles an event. Anything else (a result `retry`, 429, 5xx, no answer) leaves open
whether it is stored, so the same bytes are sent again: the same event id is the same event.
Under pressure the answer advises which share of events to send; with --thin the others are left out, as a device would.
What was not accepted is written to --left, or to stderr: one JSON line with its status, its error and its text.
Exit status: 0 all accepted; 3 all settled, some rejected or left out; anything else: not all is settled, send those
again.
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
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from urllib.parse import urlsplit

BATCH_EVENTS, BATCH_BYTES = 100, 1_000_000  # of one request; a little below the limit of 1 MiB
ATTEMPTS, TIMEOUT_SECONDS = 10, 35  # the gateway answers within 30
LONGEST_WAIT_SECONDS, LONGEST_ASKED_SECONDS = 60, 3600
ANSWER_BYTES = 8 * 1024 * 1024

_chance = random.SystemRandom()  # so that a fleet that starts at one moment does not retry at one moment


class Client:
    """Sends batches over one connection; `counts` says what became of the events."""

    def __init__(
        self, api: str, key: str, route: str, left: TextIO, compress: bool, thin: bool, sleep: Callable[[float], None]
    ) -> None:
        url = urlsplit(api)
        connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(url.netloc, timeout=TIMEOUT_SECONDS)
        self._path = url.path.rstrip("/") + route
        self._headers = {"x-api-key": key, "content-type": "application/json"}
        self._headers |= {"content-encoding": "gzip"} if compress else {}
        self._left, self._compress, self._thin, self._sleep = left, compress, thin, sleep
        self._sample, self._picked = 1.0, 0.0  # which share of events is sent, and how much of the next one is due
        self._shut: dict[str, Any] | None = None  # why no batch can be sent any more
        self.counts: Counter[str] = Counter()

    def send(self, batch: Sequence[bytes]) -> None:
        """Send a batch, then what is open of it, until all is settled or the attempts are used up."""
        batch = [event for event in batch if self._pick(event)]
        if batch:
            self._send(batch)

    def _send(self, batch: Sequence[bytes]) -> None:
        error, asked = self._shut or {}, 0
        for attempt in range(0 if self._shut else ATTEMPTS):
            if attempt:
                self._sleep(asked + min(2 ** (attempt - 1), LONGEST_WAIT_SECONDS) * _chance.uniform(0.5, 1))
            status, asked, answer = self._post(batch)
            error = {"code": answer.get("code", f"http_{status}"), "message": answer.get("detail", "")}
            if "advice" in answer:
                self._sample = answer["advice"]["sample"]
            elif status in (202, 207):
                self._sample = min(1.0, 2 * self._sample)
            results = answer.get("results")
            if isinstance(results, list) and len(results) == len(batch):
                batch, error = self._settle(batch, results)
                if not batch:
                    return
            elif status in (400, 413) and len(batch) > 1:
                # One event that cannot be read spoils the whole request; halving finds it and saves its neighbours.
                self._send(batch[: len(batch) // 2])
                self._send(batch[len(batch) // 2 :])
                return
            elif status in (400, 413):
                self.give_up(batch, "rejected", error)
                return
            elif 300 <= status < 500 and status not in (408, 429):
                self._shut = error  # the key or the address is wrong, for every other batch too
                break
        self.give_up(batch, "unsettled", error)

    def _pick(self, event: bytes) -> bool:
        """Say whether an event is sent; those that are left out lie evenly between the others."""
        self._picked += self._sample if self._thin else 1
        if self._picked < 1:
            self.give_up([event], "left_out", {"code": "pressure", "message": "Left out as advised."})
            return False
        self._picked -= 1
        return True

    def give_up(self, events: Sequence[bytes], status: str, error: dict[str, Any]) -> None:
        """Write down what will not be sent again; `surrogateescape` gives back bytes that are not UTF-8."""
        self.counts[status] += len(events)
        for event in events:
            line = {"status": status, "error": error, "event": event.decode(errors="surrogateescape")}
            self._left.write(json.dumps(line) + "\n")
        self._left.flush()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _settle(self, batch: Sequence[bytes], results: list[dict[str, Any]]) -> tuple[list[bytes], dict[str, Any]]:
        """Take each event's result; return the events that are still open, and why."""
        still_open, why = [], {}
        for event, result in zip(batch, results, strict=True):
            if result["status"] == "accepted":
                self.counts["accepted"] += 1
            elif result["status"] == "rejected":
                self.give_up([event], "rejected", result["error"])
            else:
                still_open.append(event)
                why = result["error"]
        return still_open, why

    def _post(self, batch: Sequence[bytes]) -> tuple[int, int, dict[str, Any]]:
        """Return the answer's status, the seconds it asks to wait, and its document; status 0 is no answer."""
        body = b"[" + b",".join(batch) + b"]"
        try:
            content = gzip.compress(body, mtime=0) if self._compress else body
            self._connection.request("POST", self._path, content, self._headers)
            answer = self._connection.getresponse()
            text = answer.read(ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens it again
            return 0, 0, {"code": "no_answer", "detail": repr(error)}
        asked = answer.headers.get("retry-after", "")
        seconds = min(int(asked), LONGEST_ASKED_SECONDS) if asked.isdecimal() else 0
        try:
            document = json.loads(text)
        except ValueError:
            document = None  # not from Sluice: something on the way has answered
        return answer.status, seconds, document if isinstance(document, dict) else {}


def read_lines(source: BinaryIO) -> Iterator[tuple[bytes, dict[str, str] | None]]:
    """Yield the text of every line, and what is wrong with it: only whole JSON values may stand side by side."""
    most, cut = BATCH_BYTES - 2, False
    while line := source.readline(most):
        rest, cut = cut, len(line) == most and not line.endswith(b"\n")
        event, error = line.strip(b" \t\r\n"), None
        if rest or cut:
            error = {"code": "event_too_large", "message": "The line is too long; this is a part of it."}
        elif event:
            try:
                json.loads(event.decode())
            except (ValueError, RecursionError) as fault:
                error = {"code": "malformed_json", "message": str(fault)}
        if event:
            yield event, error


def send_lines(client: Client, source: BinaryIO, most: int) -> None:
    """Send lines in batches; no more than one batch is in memory."""
    batch: list[bytes] = []
    for event, error in read_lines(source):
        if error:
            client.give_up([event], "rejected", error)
            continue
        if len(batch) == most or sum(map(len, batch)) + len(batch) + len(event) + 2 > BATCH_BYTES:
            client.send(batch)
            batch = []
        batch.append(event)
    if batch:
        client.send(batch)


def main(arguments: Sequence[str] | None = None, sleep: Callable[[float], None] = time.sleep) -> int:
    """Send what the command line names."""
    parser = argparse.ArgumentParser(description="Post JSON lines to Sluice; API and KEY come from the environment.")
    parser.add_argument("file", nargs="?", type=Path, help="one event per line; stdin if none is named")
    parser.add_argument("--route", default="/v1/events")
    parser.add_argument("--batch", type=int, choices=range(1, BATCH_EVENTS + 1), default=BATCH_EVENTS, metavar="EVENTS")
    parser.add_argument("--gzip", action="store_true", help="compress what is sent")
    parser.add_argument("--thin", action="store_true", help="leave events out under pressure, as advised")
    parser.add_argument("--left", type=Path, help="append what was not accepted to this file instead of stderr")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(given.file.open("rb")) if given.file else sys.stdin.buffer
        left = stack.enter_context(given.left.open("a")) if given.left else sys.stderr
        client = Client(os.environ["API"], os.environ["KEY"], given.route, left, given.gzip, given.thin, sleep)
        stack.callback(client.close)
        send_lines(client, source, given.batch)
    counts = client.counts
    words = ("accepted", "rejected", "unsettled") + (("left_out",) if given.thin else ())
    sys.stderr.write(", ".join(f"{counts[word]} {word}" for word in words) + "\n")
    return 1 if counts["unsettled"] else 3 if counts["rejected"] or counts["left_out"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""A flood of requests without a key, and a stand-in for WAF that refuses them: both as cheap as Python can be.

Run `bench.flood`: it starts both.
`python -m bench.flood_traffic flood ...` offers requests at a rate on a few connections, answered or not.
`python -m bench.flood_traffic front ...` applies the first rule of `infra/api/web_acl.py` before the API.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from sluice.core.api.keys import ID_LENGTH, SECRET_LENGTH, compose_key

TICK_SECONDS = 0.01
MOST_WAITING = 200
"""Requests of a connection that are not answered yet. Beyond it the connection offers nothing more."""
LAST_SECONDS = 5
"""How long the flood waits for answers at its end."""
MOST_BUFFERED = 64 * 1024

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_KEY = re.compile(rb"\r\nx-api-key: *([^\r\n]*)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = json.dumps({"message": "Send the fleet's API key in the x-api-key header."}).encode()
_REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_ANSWER),
    _ANSWER,
)


class Connection(asyncio.Protocol):
    """Sends the same request again and again, before the earlier ones are answered, and counts the answers."""

    def __init__(self, request: bytes) -> None:
        self.answers: Counter[str] = Counter()
        self.offered = 0
        self.closed = 0
        self._request = request
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- what TCP makes
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio names it
        """Count a connection that the server ended."""
        self.closed += 1
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Count answers; one may come in two pieces."""
        data = self._rest + data
        self.answers.update(status.decode() for status in _STATUS.findall(data))
        self._rest = data[-11:]

    @property
    def waiting(self) -> int:
        """How many requests are not answered yet."""
        return self.offered - self.answers.total()

    def offer(self, count: int) -> None:
        """Send so many requests, as far as the connection takes them."""
        count = min(count, MOST_WAITING - self.waiting)
        if count > 0 and self._transport is not None:
            self._transport.write(self._request * count)
            self.offered += count


async def flood(target: str, rate: float, seconds: float, connections: int) -> dict[str, object]:
    """Offer requests at a rate for some seconds, and say what became of them."""
    url = urlsplit(target)
    head = (f"POST {url.path} HTTP/1.1", f"host: {url.netloc}", "content-type: application/json", "content-length: 2")
    request = "\r\n".join((*head, "", "[]"))
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(request.encode()), url.hostname or "", url.port or 80)
        for _ in range(connections)
    ]
    lines = [protocol for _, protocol in made]
    began = last = time.monotonic()
    owed = 0.0
    while (now := time.monotonic()) < began + seconds:
        owed, last = owed + (now - last) * rate, now
        each, owed = int(owed // connections), owed % connections
        for line in lines:
            line.offer(each)
        await asyncio.sleep(TICK_SECONDS)
    took, answered = time.monotonic() - began, sum(line.answers.total() for line in lines)
    while any(line.waiting for line in lines) and time.monotonic() < began + seconds + LAST_SECONDS:
        await asyncio.sleep(TICK_SECONDS)
    for transport, _ in made:
        transport.close()
    return {
        "offered_a_second": sum(line.offered for line in lines) / took,
        "answered_a_second": answered / took,
        "answers": dict(sum((line.answers for line in lines), Counter[str]())),
        "unanswered": sum(line.waiting for line in lines),
        "closed": sum(line.closed for line in lines),
    }


def has_key(stage: str) -> Callable[[bytes], bool]:
    """Say of a request's head whether it has the form of a key, as the rule does."""
    prefix = f"slc_{stage}_".encode()
    length = len(compose_key(stage, "0" * ID_LENGTH, "0" * SECRET_LENGTH))

    def check(head: bytes) -> bool:
        found = _KEY.search(head)
        return found is not None and found[1].startswith(prefix) and len(found[1]) == length

    return check


async def front(api: str, stage: str) -> None:
    """Refuse what has no form of a key, and pass on the rest; prints the address, and runs until it is ended."""
    url, admits = urlsplit(api), has_key(stage)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head, body = await read_message(reader)
                if not admits(head):
                    writer.write(_REFUSED)
                    if writer.transport.get_write_buffer_size() > MOST_BUFFERED:
                        await writer.drain()
                    continue
                behind = behind or await asyncio.open_connection(url.hostname or "", url.port or 80)
                behind[1].write(head + body)
                writer.write(b"".join(await read_message(behind[0])))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            for end in (writer, behind[1] if behind else None):
                if end is not None:
                    end.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read a request or an answer of known length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head, await reader.readexactly(int(length[1])) if length else b""


def main() -> int:
    """Run one of the two."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood_traffic", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    flooding = kinds.add_parser("flood")
    flooding.add_argument("target")
    flooding.add_argument("--rate", type=float, required=True)
    flooding.add_argument("--seconds", type=float, required=True)
    flooding.add_argument("--connections", type=int, default=8)
    fronting = kinds.add_parser("front")
    fronting.add_argument("api")
    fronting.add_argument("--stage", required=True)
    options = parser.parse_args()
    if options.kind == "front":
        asyncio.run(front(options.api, options.stage))
    else:
        json.dump(asyncio.run(flood(options.target, options.rate, options.seconds, options.connections)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A server that plays the admin API: it answers by a script, and keeps each request."""

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

REGION, ACCESS_KEY, SECRET_KEY = "eu-central-1", "AKIDEXAMPLE", "a-secret"


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters."""
        return dict(parse_qsl(self.target.partition("?")[2]))

    def is_signed(self, secret: str = SECRET_KEY) -> bool:
        """Compute the signature as AWS documents it, and compare."""
        given = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<scope>\d{8}/(?P<region>[^/]+)/execute-api/aws4_request),"
            r" SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})",
            self.headers.get("authorization", ""),
        )
        if given is None or given["region"] != REGION or "host" not in given["names"].split(";"):
            return False
        canonical = [
            self.method,
            self.path,
            "&".join(sorted(filter(None, self.target.partition("?")[2].split("&")))),
            *(f"{name}:{self.headers[name].strip()}" for name in given["names"].split(";")),
            "",
            given["names"],
            hashlib.sha256(self.body).hexdigest(),
        ]
        hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        signing = f"AWS4{secret}".encode()
        for part in given["scope"].split("/"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], given["scope"], hashed])
        return hmac.compare_digest(hmac.digest(signing, text.encode(), "sha256").hex(), given["signature"])


@dataclass(frozen=True)
class Step:
    """The answer to one request; without a status, the connection ends or, if it is silent, stays open."""

    status: int | None
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False


@dataclass
class PlayedAdmin:
    """Answers one step of its script after the other."""

    address: str
    script: list[Step] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def then(self, status: int | None, document: Any = None, *, silent: bool = False, **headers: str) -> "PlayedAdmin":
        """Add a step to the script."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.append(Step(status, document, named, silent))
        return self

    def refuse(self, status: int, code: str, detail: str, **more: Any) -> "PlayedAdmin":
        """Add a problem as the function describes it."""
        problem = {"type": f"urn:sluice:problem:{code}", "title": code, "status": status, "code": code}
        return self.then(status, problem | {"detail": detail, "correlation_id": "c-1"} | more)

    def describe(self) -> dict[str, Any]:
        """What stack.json says of it."""
        key = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        return {"api": self.address, "region": REGION, "admin": key, "roles": {"admin": key, "auditor": key}}


@contextmanager
def play_admin() -> Iterator[PlayedAdmin]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            played.requests.append(Request(self.command, self.path, headers, body))
            step = played.script.pop(0) if played.script else Step(500, {"message": "the script is over"})
            if step.status is None:
                self.close_connection = True
                if step.silent:
                    played.over.wait()
                return
            content = step.document if isinstance(step.document, bytes) else json.dumps(step.document).encode()
            self.send_response(step.status)
            for name, value in {**step.headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - as the server calls them

        def log_message(self, *_: object) -> None:
            """Log nothing: the test reads the requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        played = PlayedAdmin(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield played
        finally:
            played.over.set()
            server.shutdown()
            thread.join()

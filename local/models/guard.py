"""The permissions of functions, held where they call AWS: what a function's role does not allow is refused.

A function signs with its own name here, so that each API knows who asks. Everyone else is admitted: people, and
models that act for services of AWS. Each grant that is used, and each call that is refused, is written down once, in
a file for each process.

Modelled: identity policies with actions, resources, StringEquals and StringLike; S3's answer to the name of an object
that is not there, which depends on whether the caller may list the bucket.

Not modelled: policies of resources and endpoints, boundaries, session policies, tags. Kafka, PostgreSQL and Valkey
have permissions of their own and are not called by AWS's API.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from local.models.calls import Asked, Call, Scope, UnknownCall, calls_of, scope_of
from local.models.config import GuardConfig, StatementConfig, read
from local.models.policies import allows, deciding

MOST_REMEMBERED = 8192
"""Calls of one process that are decided without looking again."""


class Note(msgspec.Struct, frozen=True):
    """One line of what was written down: a grant that was used, or a call that was refused."""

    function: str
    action: str
    resource: str
    """As the grant says it; of a refused call, what was asked for."""
    refused: bool = False


class Refused(Exception):
    """A function may not do what it asked for; the message says so as AWS does."""


class Guard:
    """Decides on the calls of functions, once the file with their roles is there."""

    def __init__(self, file: Path, name: str) -> None:
        self._file = file
        self._name = name
        self._config: GuardConfig | None = None
        self._roles: dict[str, tuple[str, list[StatementConfig]]] = {}
        self._noted: set[Note] = set()
        self._lock = Lock()
        self._decide = lru_cache(MOST_REMEMBERED)(self._decided)

    def function(self, authorization: str) -> Scope | None:
        """Return the scope of a request that a function signed; None for anyone else's."""
        scope = scope_of(authorization)
        if scope is None or not self._read():
            return None
        return scope if scope.access_key in self._roles else None

    def admit(self, asked: Asked, scope: Scope, workgroup_of: Callable[[str], str] = str) -> None:
        """Raise Refused if the function may not have what it asks for."""
        if self._config is None:
            raise RuntimeError("no roles have been read")
        try:
            calls = calls_of(asked, scope, self._config, workgroup_of)
        except UnknownCall as error:
            calls = [Call(str(error), "*")]
        for call in calls:
            if not self._decide(scope.access_key, call):
                function = self._roles[scope.access_key][0]
                raise Refused(f"{function} is not authorized to perform: {call.action} on resource: {call.resource}")

    def may_list(self, scope: Scope, bucket: str) -> bool:
        """Whether S3 tells the function that an object of the bucket is not there."""
        return allows(self._roles[scope.access_key][1], "s3:ListBucket", f"arn:aws:s3:::{bucket}")

    def _read(self) -> bool:
        if self._config is None and self._file.exists():
            config = read(GuardConfig, self._file)
            self._roles = {each.access_key: (each.function, each.statements) for each in config.roles}
            self._config = config
        return self._config is not None

    def _decided(self, access_key: str, call: Call) -> bool:
        function, statements = self._roles[access_key]
        allowed = allows(statements, call.action, call.resource, dict(call.context))
        if allowed:
            for action, resource in deciding(statements, call.action, call.resource, dict(call.context)):
                self._note(Note(function, action, resource))
        else:
            self._note(Note(function, call.action, call.resource, refused=True))
        return allowed

    def _note(self, note: Note) -> None:
        with self._lock:
            if self._config is None or note in self._noted:
                return
            self._noted.add(note)
            directory = Path(self._config.directory)
            directory.mkdir(parents=True, exist_ok=True)
            with (directory / f"{self._name}.jsonl").open("ab") as file:
                file.write(msgspec.json.encode(note) + b"\n")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guarding(config_file: Path, name: str, workgroup_of: Callable[[str], str] = str) -> Middleware:
    """The guard of a model's application; the roles lie beside the model's own config."""
    guard = Guard(config_file.with_name("guard.json"), name)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        scope = guard.function(request.headers.get("Authorization", ""))
        if scope is not None:
            headers = {key.lower(): value for key, value in request.headers.items()}
            # Of Lambda's API the path says everything, and a body that is too large has an answer of its own.
            body = b"" if scope.service == "lambda" else await request.read()
            asked = Asked(request.method, request.raw_path.partition("?")[0], request.query_string, headers, body)
            try:
                guard.admit(asked, scope, workgroup_of)
            except Refused as refused:
                said = {"__type": "AccessDeniedException", "message": str(refused), "Message": str(refused)}
                return web.json_response(said, status=403, headers={"x-amzn-ErrorType": "AccessDeniedException"})
        return await handler(request)

    return guarded

"""The guard in front of the AWS emulation, which has no permissions that could be trusted."""

import io
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from local.models.calls import Asked, Scope, reads_body
from local.models.guard import Guard, Refused

_Start = Callable[..., Any]
_Application = Callable[[dict[str, Any], _Start], Iterable[bytes]]

_FORBIDDEN = "403 Forbidden"


class GuardedEmulation:
    """Answers a function as AWS does where its role does not allow what it asks for."""

    def __init__(self, emulated: _Application, guard: Guard) -> None:
        self._emulated = emulated
        self._guard = guard

    def __call__(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        scope = self._guard.function(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is None:
            return self._emulated(environ, start)
        asked = _asked(environ, scope.service)
        try:
            self._guard.admit(asked, scope)
        except Refused as refused:
            # What is left of the request would be read as the connection's next one.
            environ["wsgi.input"].read(_length(environ))
            return _refuse(start, asked, scope, str(refused))
        return self._answer(environ, start, asked, scope)

    def _answer(self, environ: dict[str, Any], start: _Start, asked: Asked, scope: Scope) -> Iterable[bytes]:
        bucket, _, key = asked.path.removeprefix("/").partition("/")
        if scope.service != "s3" or asked.method not in ("GET", "HEAD") or not key:
            return self._emulated(environ, start)
        started: list[Any] = []
        answer = self._emulated(environ, lambda *given: started.append(given))
        # Who may not list a bucket does not learn what is in it.
        if started[0][0].startswith("404") and not self._guard.may_list(scope, bucket):
            return _refuse(start, asked, scope, "Access Denied")
        start(*started[0])
        return answer


def _asked(environ: dict[str, Any], service: str) -> Asked:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_")
    }
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    body = b""
    if reads_body(service, method, query):
        body = environ["wsgi.input"].read(_length(environ))
        environ["wsgi.input"] = io.BytesIO(body)
    return Asked(method, environ["RAW_URI"].partition("?")[0], query, headers, body)


def _length(environ: dict[str, Any]) -> int:
    return int(environ.get("CONTENT_LENGTH") or 0)


def _refuse(start: _Start, asked: Asked, scope: Scope, said: str) -> Iterable[bytes]:
    if scope.service == "s3":
        kind, body = "application/xml", f"<Error><Code>AccessDenied</Code><Message>{escape(said)}</Message></Error>"
    elif scope.service == "sns":
        error = f"<Type>Sender</Type><Code>AuthorizationError</Code><Message>{escape(said)}</Message>"
        kind, body = "text/xml", f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
    else:
        kind = "application/x-amz-json-1.0"
        body = msgspec.json.encode({"__type": "AccessDeniedException", "message": said}).decode()
    content = b"" if asked.method == "HEAD" else body.encode()
    start(_FORBIDDEN, [("Content-Type", kind), ("Content-Length", str(len(content)))])
    return [content]

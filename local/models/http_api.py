"""A model of API Gateway's HTTP API in front of Lambda functions.

Modelled: routes with path parameters, greedy ones, ANY and $default; stage prefixes; events and answers of payload
format 2.0; the gateway's own answers (404, 413, 429, 500, 503, each with its message); a throttle for each route; the
integration's timeout, after which the function goes on unseen; IAM authorization of signed routes (signature.py,
policies.py), where whatever is wrong answers the same 403; the access log by the stage's format, to a file.

Not modelled: TLS, CORS, authorizers that are functions or read JWTs, custom domains, the account's own throttle, header
size limits, streamed answers, compression of answers. Believed rather than documented: 413 where a request fits the
gateway but not Lambda, 503 where Lambda throttles, a path that is decoded before its route is looked for and before IAM
compares it, and so reaches the function, and how bodies with a content encoding arrive. Of signed routes it is believed
that a request takes from the route's throttle, and may exceed the size of a body, before its signature is looked at;
that the function gets the header `authorization`; and that a query is accepted as it was sent or encoded anew.
"""

import asyncio
import base64
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from local.models.access_log import AccessLog
from local.models.config import HttpApiConfig, RouteConfig, read
from local.models.http_event import (
    BadAnswer,
    HttpAnswer,
    body_fields,
    joined_headers,
    message,
    query_fields,
    read_answer,
)
from local.models.iam import Forbidden, IamAuthorizer
from local.models.routes import Match, Router
from local.models.serve import main
from local.models.signature import ReceivedRequest

BODY_BYTES = 10 * 1024 * 1024


@dataclass
class Exchange:
    """One request on its way: what the event, the answer and the access log say about it."""

    request: web.Request
    began: float = field(default_factory=time.time)
    request_id: str = field(default_factory=lambda: base64.b64encode(os.urandom(11)).decode())
    route_key: str | None = None
    principal: dict[str, Any] | None = None
    """What the event says of the principal that IAM admitted."""
    authorizer_error: str | None = None
    integration_status: int | None = None
    integration_seconds: float | None = None
    integration_request_id: str | None = None
    integration_error: str | None = None

    @property
    def time(self) -> str:
        return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self.began))


class HttpApi:
    """Serves one API's stage."""

    def __init__(self, config: HttpApiConfig, session: aiohttp.ClientSession) -> None:
        self._config = config
        self._session = session
        self._router = Router(config.routes)
        self._authorizer = IamAuthorizer(config)
        self._prefix = "" if config.stage == "$default" else f"/{config.stage}"
        self._log = None if config.access_log is None else AccessLog(config.access_log)
        self._domain = f"{config.id}.execute-api.{config.region}.amazonaws.com"

    async def handle(self, request: web.Request) -> web.Response:
        exchange = Exchange(request)
        answer = await self._answer(exchange)
        response = web.Response(status=answer.status, body=answer.body)
        for name, value in answer.headers:
            response.headers.add(name, value)
        response.headers["apigw-requestid"] = exchange.request_id
        if self._log is not None:
            self._log.write(self._logged(exchange, answer))
        return response

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    async def _answer(self, exchange: Exchange) -> HttpAnswer:
        request = exchange.request
        path = request.path
        if self._prefix and not f"{path}/".startswith(f"{self._prefix}/"):
            return message(404, "Not Found")
        path = path[len(self._prefix) :]
        match = self._router.find(request.method, path)
        if match is None:
            return message(404, "Not Found")
        exchange.route_key = match.route.config.key
        if match.route.throttle is not None and not match.route.throttle.admits():
            return message(429, "Too Many Requests")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return message(413, "Request Entity Too Large")
        if match.route.config.signed:
            received = ReceivedRequest(request.method, request.raw_path, list(request.headers.items()), body)
            try:
                exchange.principal = self._authorizer.admit(received, path)
            except Forbidden as error:
                exchange.authorizer_error = str(error)
                return message(403, "Forbidden")
        return await self._integrate(exchange, match.route.config, self._event(exchange, match, body))

    async def _integrate(self, exchange: Exchange, route: RouteConfig, event: bytes) -> HttpAnswer:
        began = time.monotonic()
        url = f"{self._config.lambdas}/2015-03-31/functions/{route.function_arn}/invocations"
        try:
            async with asyncio.timeout(route.timeout_ms / 1000), self._session.post(url, data=event) as invoked:
                payload = await invoked.read()
        except TimeoutError:
            exchange.integration_error = "The integration timed out"
            return message(503, "Service Unavailable")
        except aiohttp.ClientError as error:
            exchange.integration_error = f"The integration cannot be reached: {error}"
            return message(503, "Service Unavailable")
        finally:
            exchange.integration_seconds = time.monotonic() - began
        exchange.integration_status = invoked.status
        exchange.integration_request_id = invoked.headers.get("x-amzn-RequestId")
        if invoked.status != 200:
            exchange.integration_error = payload.decode(errors="replace")
            match invoked.status:
                case 413:
                    return message(413, "Request Entity Too Large")
                case 429:
                    return message(503, "Service Unavailable")
                case _:
                    return message(500, "Internal Server Error")
        if "X-Amz-Function-Error" in invoked.headers:
            exchange.integration_error = "The function failed"
            return message(500, "Internal Server Error")
        try:
            return read_answer(payload)
        except BadAnswer as error:
            exchange.integration_error = f"The function's answer is no response: {error}"
            return message(500, "Internal Server Error")

    def _event(self, exchange: Exchange, match: Match, body: bytes) -> bytes:
        request = exchange.request
        headers, cookies = joined_headers(request.headers.items())
        source = request.remote or ""
        headers["x-amzn-trace-id"] = f"Root=1-{int(exchange.began):08x}-{uuid.uuid4().hex[:24]}"
        headers["x-forwarded-for"] = ", ".join(filter(None, (headers.get("x-forwarded-for"), source)))
        headers["x-forwarded-port"] = "443"
        headers["x-forwarded-proto"] = "https"
        raw_query = request.raw_path.partition("?")[2]
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": match.route.config.key,
            "rawPath": request.path,
            **query_fields(raw_query),
            "headers": headers,
            "requestContext": {
                "accountId": self._config.account,
                "apiId": self._config.id,
                "domainName": self._domain,
                "domainPrefix": self._config.id,
                "http": {
                    "method": request.method,
                    "path": request.path,
                    "protocol": f"HTTP/{request.version.major}.{request.version.minor}",
                    "sourceIp": source,
                    "userAgent": headers.get("user-agent", ""),
                },
                "requestId": exchange.request_id,
                "routeKey": match.route.config.key,
                "stage": self._config.stage,
                "time": exchange.time,
                "timeEpoch": int(exchange.began * 1000),
            },
            **body_fields(body, headers),
        }
        if exchange.principal is not None:
            event["requestContext"]["authorizer"] = {"iam": exchange.principal}
        if cookies:
            event["cookies"] = cookies
        if match.parameters:
            event["pathParameters"] = match.parameters
        return msgspec.json.encode(event)

    def _logged(self, exchange: Exchange, answer: HttpAnswer) -> dict[str, object]:
        request = exchange.request
        latency = None if exchange.integration_seconds is None else int(exchange.integration_seconds * 1000)
        own = exchange.integration_error is not None or exchange.integration_status is None
        return {
            "accountId": self._config.account,
            "apiId": self._config.id,
            "authorizer.error": exchange.authorizer_error,
            "domainName": self._domain,
            "error.message": msgspec.json.decode(answer.body)["message"] if own else None,
            "httpMethod": request.method,
            "identity.sourceIp": request.remote,
            "identity.userAgent": request.headers.get("user-agent"),
            "integration.error": exchange.integration_error,
            "integration.integrationStatus": exchange.integration_status,
            "integration.latency": latency,
            "integration.requestId": exchange.integration_request_id,
            "integration.status": None if own else answer.status,
            "integrationErrorMessage": exchange.integration_error,
            "integrationLatency": latency,
            "integrationStatus": exchange.integration_status,
            "path": request.path,
            "protocol": f"HTTP/{request.version.major}.{request.version.minor}",
            "requestId": exchange.request_id,
            "requestTime": exchange.time,
            "requestTimeEpoch": int(exchange.began * 1000),
            "responseLatency": int((time.time() - exchange.began) * 1000),
            "responseLength": len(answer.body),
            "routeKey": exchange.route_key,
            "stage": self._config.stage,
            "status": answer.status,
        }


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The API of the config."""
    config = read(HttpApiConfig, config_file)
    connector = aiohttp.TCPConnector(limit=0)
    # The integration's own timeout binds; the client's must not come first.
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        api = HttpApi(config, session)
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_route("*", r"/{path:[\s\S]*}", api.handle)
        try:
            yield application
        finally:
            api.close()


if __name__ == "__main__":
    main(model)

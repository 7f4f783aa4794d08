"""An HTTP API's access log: one line for each request, by the stage's format."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from local.models.config import AccessLogConfig

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9.]+)")

#: What the model can say about a request; a format that asks for more is refused at the start.
VARIABLES = frozenset(
    {
        "accountId",
        "apiId",
        "authorizer.error",
        "domainName",
        "error.message",
        "error.messageString",
        "httpMethod",
        "identity.sourceIp",
        "identity.userAgent",
        "integration.error",
        "integration.integrationStatus",
        "integration.latency",
        "integration.requestId",
        "integration.status",
        "integrationErrorMessage",
        "integrationLatency",
        "integrationStatus",
        "path",
        "protocol",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
        "responseLatency",
        "responseLength",
        "routeKey",
        "stage",
        "status",
    }
)


class AccessLog:
    """Appends lines to the log's file."""

    def __init__(self, config: AccessLogConfig) -> None:
        self._format = config.format
        unknown = {match.group(1) for match in _VARIABLE.finditer(config.format)} - VARIABLES
        if unknown:
            raise ValueError(f"the access log format asks for {sorted(unknown)}, which the model does not know")
        self._file = Path(config.file).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - until close

    def write(self, values: Mapping[str, object]) -> None:
        """Writes one request; what has no value is a dash."""

        def replaced(match: re.Match[str]) -> str:
            name = match.group(1)
            if name == "error.messageString":
                # The message in quotes of its own, so a format that adds quotes is broken here as it is on AWS.
                return json.dumps(values.get("error.message") or "-")
            value = values.get(name)
            return "-" if value is None else json.dumps(str(value))[1:-1]

        self._file.write(_VARIABLE.sub(replaced, self._format) + "\n")

    def close(self) -> None:
        self._file.close()

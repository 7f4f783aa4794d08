"""Asking the external directory over HTTP: bounded time, bounded answer, no redirects."""

import http.client
import time
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from sluice.core.detect.device_types import MOST_ON_PAGE, read_types_page
from sluice.core.errors import Retryable
from sluice.core.query.groups import GroupAnswer, GroupQuestion, read_group_answer
from sluice.edge.settings import DirectorySettings, SettingsError

MOST_BYTES = 512 * 1024
PIECE = 64 * 1024
NONE = "none"
LOOPBACK = "127.0.0.1"


class Place(NamedTuple):
    """The directory's address."""

    host: str
    port: int | None
    path: str
    encrypted: bool


class Directory:
    """The directory of groups, if one is configured."""

    def __init__(self, settings: DirectorySettings) -> None:
        self._place = None if settings.directory_url == NONE else read_address(settings.directory_url)
        self._seconds = settings.directory_seconds

    def ask(self, wanted: GroupQuestion) -> GroupAnswer:
        """Ask for a fleet's groups, for one of them, or for types of devices; a failure is part of the result."""
        if self._place is None:
            return GroupAnswer(problem="no_directory")
        try:
            status, body = self._get(self._place, wanted)
            if status == http.HTTPStatus.NOT_FOUND:
                return GroupAnswer(problem="unknown")
            if wanted.types_after is not None:
                return GroupAnswer(types=read_types_page(wanted.types_after, body))
            return read_group_answer(wanted, body)
        except Retryable as error:
            return GroupAnswer(problem="unavailable", detail=str(error))

    def _get(self, place: Place, wanted: GroupQuestion) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._seconds
        kind = http.client.HTTPSConnection if place.encrypted else http.client.HTTPConnection
        connection = kind(place.host, place.port, timeout=self._seconds)
        try:
            headers = {"accept": "application/json", "x-correlation-id": wanted.correlation_id}
            connection.request("GET", write_path(place, wanted), headers=headers)
            with connection.getresponse() as answer:
                # A redirect counts as a failure: its target is not configured as trusted.
                if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND):
                    raise Retryable(f"the directory answered {answer.status}")
                return answer.status, self._read(answer, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise Retryable(f"the directory does not answer: {error!r}") from error
        finally:
            connection.close()

    def _read(self, answer: http.client.HTTPResponse, deadline: float) -> bytes:
        """Read piece by piece: a server that sends single bytes slowly never triggers a socket timeout."""
        body = bytearray()
        while piece := answer.read1(PIECE):
            body += piece
            if len(body) > MOST_BYTES:
                raise Retryable(f"the directory's answer has more than {MOST_BYTES} bytes")
            if time.monotonic() > deadline:
                raise Retryable(f"the directory did not finish within {self._seconds:g} s")
        if answer.length:
            raise Retryable("the directory's answer was cut off")
        return bytes(body)


def read_address(url: str) -> Place:
    """Parse the directory's address; only a server on the same machine may be asked without encryption."""
    parts = urlsplit(url)
    encrypted = parts.scheme == "https"
    if not parts.hostname or not (encrypted or (parts.scheme == "http" and parts.hostname == LOOPBACK)):
        raise SettingsError(f"DIRECTORY_URL: {url!r} is not an https address")
    return Place(parts.hostname, parts.port, parts.path.rstrip("/"), encrypted)


def write_path(place: Place, wanted: GroupQuestion) -> str:
    """Write the request path. Names are escaped, so that a slash in one adds no segment."""
    fleet = f"{place.path}/fleets/{quote(wanted.fleet_id, safe='')}"
    if wanted.types_after is not None:
        return f"{fleet}/types?{urlencode({'after': wanted.types_after, 'limit': MOST_ON_PAGE})}"
    return f"{fleet}/groups" + ("" if wanted.group_id is None else f"/{quote(wanted.group_id, safe='')}")

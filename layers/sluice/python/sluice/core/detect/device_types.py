"""The types that the external directory gives to single devices, accepted only within bounds.

Rules may be for a type. A device that the directory gives none has that of its fleet.
"""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sluice.core.errors import Retryable
from sluice.core.events.names import is_name

DirectoryProblem = Literal["no_directory", "unknown", "unavailable"]
"""Why lookup has no answer."""
DeviceType = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z")]

MOST_ON_PAGE = 1000
MOST_NAME = 128
AGAIN = timedelta(minutes=5)
"""How long a fleet rests whose types could not be read."""


class TypedDevice(msgspec.Struct, frozen=True):
    """A device and its type, as the directory writes them."""

    device_id: Annotated[str, Meta(max_length=MOST_NAME)]
    device_type: Annotated[str, Meta(max_length=MOST_NAME)]


class TypesPage(msgspec.Struct, frozen=True):
    """Some of a fleet's devices that have a type of their own, in the order of their ids."""

    devices: Annotated[tuple[TypedDevice, ...], Meta(max_length=MOST_ON_PAGE)]
    more: bool = False
    """Whether others follow behind the last one."""

    @property
    def until(self) -> str | None:
        """The last device that this page settles; None: it settles all that follow."""
        return self.devices[-1].device_id if self.more else None


class TypesQuestion(msgspec.Struct, frozen=True):
    """A question from learn to lookup. An older lookup takes it for one about groups, and answers without types."""

    fleet_id: str
    types_after: str
    """The device behind which the page begins; nothing for the first page."""
    correlation_id: str
    group_id: str | None = None


class TypesAnswer(msgspec.Struct, frozen=True):
    """The answer of lookup: a page, or why there is none."""

    types: TypesPage | None = None
    problem: DirectoryProblem | None = None
    detail: str = ""


def read_types_page(after: str, body: bytes) -> TypesPage:
    """Read the directory's answer; Retryable if it cannot be what was asked for.

    A device whose id no contract allows can have no readings: it is left out, unless it is the last one.
    """
    try:
        page = msgspec.json.decode(body, type=TypesPage)
    except (msgspec.DecodeError, ValueError) as error:
        raise Retryable(f"the directory's answer cannot be read: {error}") from error
    if any(first >= second for first, second in pairwise([after, *(each.device_id for each in page.devices)])):
        raise Retryable(f"the directory's devices are not in the order of their ids behind {after!r}")
    allowed = tuple(each for each in page.devices if is_name(each.device_id, MOST_NAME))
    if not page.more:
        return TypesPage(allowed)
    if not page.devices:
        raise Retryable(f"the directory says that more devices follow, and names none behind {after!r}")
    last = page.devices[-1]
    if "\0" in last.device_id:
        raise Retryable(f"the directory's page ends with the device {last.device_id!r}, which cannot be stored")
    # The last device stays, whatever its id and its type are: the next page begins behind it.
    return TypesPage(allowed if allowed and allowed[-1] is last else (*allowed, last), more=True)


def types_of(page: TypesPage) -> dict[str, str]:
    """Return the types of a page's devices that can have readings, as far as a rule can name them."""
    return {
        each.device_id: each.device_type
        for each in page.devices
        if is_name(each.device_id, MOST_NAME) and _is_type(each.device_type)
    }


def _is_type(text: str) -> bool:
    try:
        msgspec.convert(text, DeviceType)
    except msgspec.ValidationError:
        return False
    return True

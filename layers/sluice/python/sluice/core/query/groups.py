"""Groups of devices as the external directory reports them, accepted only within bounds."""

from typing import Annotated

import msgspec

from sluice.core.detect.device_types import DirectoryProblem, TypesPage
from sluice.core.errors import Retryable
from sluice.core.events.names import is_name

MOST_GROUPS = 1000
MOST_DEVICES = 1000
MOST_NAME = 128

GroupId = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME)]
DeviceId = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME)]


class GroupName(msgspec.Struct, frozen=True):
    """A group in a list."""

    group_id: GroupId
    name: Name


class GroupNames(msgspec.Struct, frozen=True):
    """A fleet's groups."""

    groups: Annotated[tuple[GroupName, ...], msgspec.Meta(max_length=MOST_GROUPS)]


class Group(GroupName, frozen=True):
    """A group and its devices."""

    devices: Annotated[tuple[DeviceId, ...], msgspec.Meta(max_length=MOST_DEVICES)]


class GroupQuestion(msgspec.Struct, frozen=True):
    """A question to lookup: a fleet's groups, or one of them; or, from learn, a page of its devices' types."""

    fleet_id: str
    group_id: str | None
    correlation_id: str
    types_after: str | None = None
    """The device behind which the page begins, "" for the first page. None: the question is about groups."""


class GroupAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of lookup: what it found, or why it found nothing."""

    groups: GroupNames | None = None
    group: Group | None = None
    types: TypesPage | None = None
    problem: DirectoryProblem | None = None
    detail: str = ""


def read_group_answer(wanted: GroupQuestion, body: bytes) -> GroupAnswer:
    """Read the directory's answer; one that does not match the question counts as no answer."""
    try:
        if wanted.group_id is None:
            return GroupAnswer(groups=msgspec.json.decode(body, type=GroupNames))
        group = msgspec.json.decode(body, type=Group)
    except (msgspec.DecodeError, ValueError) as error:
        raise Retryable(f"the directory's answer cannot be read: {error}") from error
    if group.group_id != wanted.group_id:
        raise Retryable("the directory answered with another group than the one asked for")
    devices = tuple(dict.fromkeys(device for device in group.devices if is_name(device, MOST_NAME)))
    return GroupAnswer(group=msgspec.structs.replace(group, devices=devices))

"""What functions may ask of AWS, by the templates, and what they asked for while tests ran."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from local.models.config import GuardConfig, StatementConfig, read
from local.models.guard import Note

USED = Path(__file__).with_name("used.txt")

_STAGE = re.compile(r"\bsluice-[a-z0-9]+-")
_CATALOG = re.compile(r"\bsluice_[a-z0-9]+")
_BUCKET = re.compile(
    r"arn:aws:s3:::sluice-[a-z0-9]+-data-(?:lakebuckets)?(?P<name>[a-z]+?)(?:bucket)?[0-9a-f]{8}(?P<rest>/.*)?"
)
_ARN = re.compile(r"arn:aws:(?P<service>[a-z]+):[a-z0-9-]*:[0-9]*:(?P<name>.*)")


@dataclass(frozen=True, order=True)
class Grant:
    """One action on one resource that a function's role allows, in words that no stage changes."""

    function: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.function} {self.action} {self.resource}"


@dataclass(frozen=True)
class Roles:
    """The functions' roles of one deployment."""

    config: GuardConfig

    def statements(self) -> Mapping[str, list[StatementConfig]]:
        """Return what each function may do, by its verb."""
        return {_verb(each.function): each.statements for each in self.config.roles}

    def grants(self) -> set[Grant]:
        """Return every grant of every function."""
        return {
            Grant(verb, action, self.plain(resource))
            for verb, statements in self.statements().items()
            for statement in statements
            if statement.effect == "Allow"
            for action in statement.actions
            for resource in statement.resources
        }

    def plain(self, resource: str) -> str:
        """Return an ARN without the stage, the region and the account."""
        if bucket := _BUCKET.fullmatch(resource):
            return f"{bucket['name']}{bucket['rest'] or ''}"
        for alias, key in self.config.aliases.items():
            if key == resource:
                return f"the key of {_STAGE.sub('', alias.removeprefix('alias/'))}"
        if resource in self.config.keys.values():
            return "the key at rest"
        if found := _ARN.fullmatch(resource):
            return _CATALOG.sub("sluice", _STAGE.sub("", found["name"]))
        return resource

    def plainly(self) -> dict[str, list[StatementConfig]]:
        """Return the statements of each function, by its verb, with plain resources."""
        return {
            verb: [
                msgspec.structs.replace(each, resources=[self.plain(one) for one in each.resources])
                for each in statements
            ]
            for verb, statements in self.statements().items()
        }


@dataclass(frozen=True)
class Observed:
    """What a stack's functions asked for until now."""

    used: set[Grant]
    refused: set[Grant]


def observe(stack: Path) -> Observed:
    """Read what the local APIs of a running stack have written down."""
    state = stack / "state"
    roles = Roles(read(GuardConfig, state / "models" / "guard.json"))
    notes = [
        msgspec.json.decode(line, type=Note)
        for file in (state / "calls").glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    ]
    return Observed(_grants(roles, notes, refused=False), _grants(roles, notes, refused=True))


def read_used() -> set[Grant]:
    """Return the grants that runs of the flow and fault tests have used."""
    return {Grant(*line.split(" ", 2)) for line in USED.read_text().splitlines()}


def write_used(grants: Iterable[Grant]) -> None:
    """Replace the list of used grants."""
    USED.write_text("".join(f"{each}\n" for each in sorted(grants)))


def _grants(roles: Roles, notes: Iterable[Note], *, refused: bool) -> set[Grant]:
    return {
        Grant(_verb(each.function), each.action, roles.plain(each.resource))
        for each in notes
        if each.refused == refused
    }


def _verb(function: str) -> str:
    return _STAGE.sub("", function)

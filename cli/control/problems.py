"""What an answer that is an error means for the person who asked, and what to do next."""

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from cli.control.output import write
from cli.stages import CommandError

NEXT = {
    "unknown_fleet": "`sluice fleet list` lists the fleets.",
    "unknown_rule": "`sluice rules list FLEET` lists the fleet's rules.",
    "unknown_destination": "`sluice destinations list` lists the destinations.",
    "rule_exists": "An id is never used again, even after its rule is archived: choose another one.",
    "unknown_key": "`sluice key list FLEET` lists the fleet's keys.",
    "fleet_exists": "An id is never used again, even after its fleet is archived: choose another one.",
    "not_published": "The change is stored, but not published yet. Do not repeat the command: the change takes effect"
    " within a minute after S3 and Valkey are back.",
    "key_rotated": "Rotate the successor instead.",
}
"""What to do next, by the code of a problem. Others say it in their detail."""

WAIT_LONGER = frozenset({"test_too_soon"})
"""Problems that ask for a longer wait than a command makes, and say for how long."""


class NotThereError(CommandError):
    """The stage does not have what the command names."""


class Headers(Protocol):
    """The headers of an answer."""

    def get(self, name: str, default: str, /) -> str:
        """Return a header's value."""
        ...


@dataclass(frozen=True)
class Asked:
    """A request, before it is signed."""

    method: str
    path: Sequence[str]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    once: str = ""
    """What to do when its outcome is not known, if it must not be repeated."""

    @property
    def place(self) -> str:
        """Where it goes, encoded as it is signed."""
        path = "/".join(urllib.parse.quote(part, safe="") for part in self.path)
        query = urllib.parse.urlencode(self.query, quote_via=urllib.parse.quote)
        return f"/v1/admin/{path}" + (f"?{query}" if query else "")

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET" or "dry_run" in self.query

    @property
    def roles(self) -> str:
        """The roles that may ask it."""
        if self.method != "GET":
            return "admin"
        if self.path[0] == "audit":
            return "admin or auditor"
        return "admin, auditor, operator, schema-approver or schema-proposer"


@dataclass(frozen=True)
class Answer:
    """An answer; without a status, there was none."""

    status: int | None
    headers: Headers
    content: bytes

    @property
    def said(self) -> str:
        """What it was, in a word."""
        return "the stage did not answer" if self.status is None else f"the stage answered with {self.status}"


class Problem(msgspec.Struct):
    """An error as the function describes it; one of the gateway has no code."""

    code: str = ""
    detail: str = ""
    correlation_id: str = ""
    current: dict[str, Any] | None = None


def explain(asked: Asked, answer: Answer) -> CommandError:
    """Say what went wrong, and what to do."""
    problem = read_problem(answer)
    if problem.code == "not_published":
        return CommandError(NEXT[problem.code], 1)
    if problem.code in WAIT_LONGER:
        return CommandError(problem.detail, 1)
    if answer.status is None or answer.status == 429 or answer.status >= 500:
        return CommandError(_say_unavailable(asked, answer, problem), 1)
    if problem.current is not None:
        return CommandError(_say_outdated(problem.current), 2)
    if problem.code:
        kind = NotThereError if answer.status == 404 else CommandError
        return kind(" ".join(filter(None, (problem.detail, NEXT.get(problem.code)))), 2)
    if answer.status == 403:
        return CommandError(
            f"the gateway refused the request (403). It needs the role {asked.roles}: name it with --as, or log in with"
            " credentials of that role. The gateway refuses expired credentials and a wrong clock in the same way.",
            2,
        )
    if answer.status == 404:
        return CommandError("the stage has no admin API (404): deploy this release to it first")
    return CommandError(f"{answer.said}, which this release does not expect")


def read_problem(answer: Answer) -> Problem:
    """Read an error of the function; one of the gateway or a proxy is empty."""
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except msgspec.DecodeError:
        # The gateway, and proxies in front of it, answer in other forms.
        return Problem()


def _say_unavailable(asked: Asked, answer: Answer, problem: Problem) -> str:
    # The gateway throttles before anything happens. In the other cases the answer may have been lost on its way.
    unknown = not asked.reads and answer.status != 429
    after = (
        asked.once or "Before you repeat it, check with `sluice audit list` whether it was done."
        if unknown
        else "Try again in a few minutes."
    )
    request = problem.correlation_id or answer.headers.get("apigw-requestid", "")
    return f"{answer.said}. {after}" + (f" The logs have the request as {request}." if request else "")


def _say_outdated(current: Mapping[str, Any]) -> str:
    version = current.get("version")
    # A rule names its fleet too.
    thing = next((name for name in ("rule", "destination") if f"{name}_id" in current), "fleet")
    now = ", ".join(f"{name} {write(value)}" for name, value in current.items() if value is not None)
    return (
        f"the {thing} changed in the meantime and is now at version {version} ({now})."
        f" To make your change anyway, run the command again; in a script, add --if-version {version}."
    )

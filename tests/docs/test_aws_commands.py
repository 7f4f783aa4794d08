"""Every command of AWS on the pages is one of its APIs, with what that asks for, and prints something."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import jmespath
import pytest
from botocore import xform_name
from botocore.model import ListShape, Shape, StructureShape

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SESSION = botocore.session.get_session()

# What the AWS CLI adds to an API, or names otherwise.
OF_EVERY_COMMAND = {"query", "output", "region"}
RULE_OF_A_GROUP = {"protocol", "port", "cidr"}
OF_ONE_COMMAND = {
    "sns subscribe": {"notification-endpoint"},
    "ec2 authorize-security-group-ingress": RULE_OF_A_GROUP,
    "ec2 revoke-security-group-ingress": RULE_OF_A_GROUP,
}
OF_NO_API = {"s3 cp": set[str](), "s3 ls": set[str](), "s3 rm": set[str](), "s3 sync": set[str]()} | {
    "logs tail": {"since", "format"},
    "cloudtrail validate-logs": {"trail-arn", "start-time"},
}
BOOLEANS = ("no-enable-termination-protection", "no-deletion-protection", "no-publicly-accessible", "no-enabled")
SERVICES = {"s3api": "s3", "deploy": "codedeploy"}
QUOTED = r'"(?:\\.|[^"\\])*"|\'[^\']*\''
COMMAND = re.compile(rf"(?<![\w.-])aws ((?:{QUOTED}|[^;|<>)\"'`])+)")


def commands_of(text: str) -> Iterator[str]:
    """The commands of AWS in the code of a page."""
    blocks = [re.sub(r"\s#\s.*", "", line) for line in text.splitlines() if line.startswith("    ")]
    # In prose, code goes on behind the end of a line.
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    for code in (*blocks, *(code.replace("\n", " ") for code in re.findall(r"`(aws [^`]+)`", prose))):
        for words in COMMAND.findall(code):
            yield " ".join(shlex.quote(word) for word in shlex.split(words))


COMMANDS = sorted({command for page in PAGES for command in commands_of(page.read_text())})


def example(shape: Shape | None, within: tuple[str, ...] = ()) -> Any:
    """An answer with every member that it may have."""
    match shape:
        case StructureShape() if shape.name not in within:
            return {name: example(member, (*within, shape.name)) for name, member in shape.members.items()}
        case ListShape():
            return [example(shape.member, within)]
        case Shape():
            return {"string": "a", "integer": 1, "double": 1.0, "boolean": True}.get(shape.type_name, {})
        case None:
            return {}


def test_the_pages_have_many_commands() -> None:
    assert len(COMMANDS) > 30
    assert sum("rds " in command for command in COMMANDS) > 5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_of_an_api_with_all_that_it_needs(command: str) -> None:
    service, operation, *arguments = shlex.split(command)
    name = f"{service} {operation}"
    options = {word.removeprefix("--") for word in arguments if word.startswith("--")}
    options = {option.removeprefix("no-") if option in BOOLEANS else option for option in options}
    if name in OF_NO_API:
        assert options <= OF_NO_API[name]
        return
    service = SERVICES.get(service, service)
    model = SESSION.get_service_model(service)
    operations = {xform_name(each, "-"): each for each in model.operation_names}
    if operation == "wait":
        waiters = SESSION.get_waiter_model(service)
        ends = {xform_name(each, "-"): waiters.get_waiter(each).operation for each in waiters.waiter_names}
        operation = xform_name(ends[arguments[0]], "-")
    assert operation in operations
    found = model.operation_model(operations[operation])
    taken = {xform_name(each, "-") for each in found.input_shape.members} if found.input_shape else set()
    assert options - taken <= OF_EVERY_COMMAND | OF_ONE_COMMAND.get(name, set())
    needed = {xform_name(each, "-") for each in found.input_shape.required_members} if found.input_shape else set()
    assert needed - options <= ({"endpoint"} if "notification-endpoint" in options else set())
    if "query" in options:
        query = arguments[arguments.index("--query") + 1]
        answer = example(found.output_shape)
        # A filter may leave nothing of the example, but what it filters must be there.
        printed = jmespath.search(query.partition("[?")[0], answer)
        assert printed
        assert None not in (printed if isinstance(printed, list) else [printed])

"""Every command on the pages for people parses, and the numbers of a deployment are those of the profiles."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand

from cli.__main__ import main
from cli.account.needs import add_reservations
from cli.account.quotas import UNRESERVED
from infra.profiles import profile_named
from sluice.core.failures.letters import identify

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/quickstart.md",
    "docs/deploy.md",
    "docs/only-aws-can-tell.md",
    "docs/command-line.md",
    "docs/admin.md",
    "docs/replay.md",
    "docs/dead-letters.md",
)
QUICKSTART = (ROOT / "docs/quickstart.md").read_text()
DEPLOY = (ROOT / "docs/deploy.md").read_text()
COSTS = (ROOT / "docs/cost.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def lines_of(page: str) -> Iterator[str]:
    """The command lines of a page, without their comments."""
    for line in (ROOT / page).read_text().splitlines():
        if line.startswith("    "):
            yield re.sub(r"\s#\s.*", "", line).strip()


def commands_of(page: str) -> Iterator[str]:
    """The commands of `sluice` on a page, also those whose output a variable takes."""
    for line in lines_of(page):
        found = re.fullmatch(r"(?:export )?\w+=\$\((sluice .*)\)|(?:\w+=\S+ )?(sluice .*)", line)
        if found:
            yield found[1] or found[2]


COMMANDS = [(page, command) for page in PAGES for command in commands_of(page)]


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
def test_every_command_parses(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (basis,) = [kind for kind in TyperCommand.__mro__ if kind.__name__ == "Command"]
    monkeypatch.setattr(basis, "invoke", lambda *_: None)
    _, *arguments = shlex.split(command)
    # A key's id has a form, which its placeholder has not.
    arguments = [re.sub(r"^\$?KEY_ID$", "0" * 16, argument) for argument in arguments]
    # A plan's file must be there.
    arguments = [re.sub(r"^(replay-\w+\.json|series\.csv)$", __file__, argument) for argument in arguments]
    assert main(arguments) == 0, (page, capsys.readouterr().err)


def test_there_are_commands_on_every_page() -> None:
    assert {page for page, _ in COMMANDS} == set(PAGES)
    assert len(COMMANDS) > 60


def test_every_target_on_the_pages_is_there_with_its_variables() -> None:
    made = [
        shlex.split(line)[1:]
        for page in ("docs/quickstart.md", "docs/deploy.md")
        for line in lines_of(page)
        if line.startswith("make ")
    ]
    assert {words[0] for words in made} >= {"bootstrap", "deploy", "destroy", "synth", "up"}
    for target, *settings in made:
        assert re.search(rf"^{target}: ", MAKEFILE, re.MULTILINE), target
        for setting in settings:
            assert f"$({setting.partition('=')[0]})" in MAKEFILE, setting


def test_the_page_lists_every_variable_of_a_deployment_and_no_other() -> None:
    listed = {
        name
        for row in re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", DEPLOY, re.MULTILINE)
        for name in re.findall(r"\w+", row)
    }
    (recipes,) = re.findall(r"^CONTEXT = (.*?)\n(?=\n)", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert listed == {*re.findall(r"\$\((?:if \$\()?([A-Z_]{3,})\)", recipes), "TAGS", "FIRST", "ONLY"} - {"CONTEXT"}


def test_the_rejected_event_has_the_dead_letter_that_the_quickstart_shows() -> None:
    sent = (ROOT / "events/telemetry-invalid.json").read_bytes().strip()
    letter_id = identify("presses", json.loads(sent)["event_id"], sent)
    assert f"sluice dead-letters {letter_id[:12]} " in QUICKSTART


def test_what_a_stage_costs_without_events_is_what_the_page_of_costs_says() -> None:
    (row,) = re.findall(r"^\| the size of the deployment.*\| ([\d,]+) \|$", COSTS, re.MULTILINE)
    assert f"{row} dollars a month at `baseline`" in DEPLOY


def test_the_quotas_are_those_of_the_profiles() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) of (\d+) MiB/s \|$", DEPLOY, re.MULTILINE)
    expected = []
    for name in ("dev", "baseline", "large"):
        profile = profile_named(name)
        needed = add_reservations(profile) + UNRESERVED
        delivery = profile.delivery
        expected.append((name, str(needed), str(delivery.streams), f"{delivery.quota_mib_per_second:g}"))
    assert rows == expected
    assert f"--desired-value {expected[1][1]}" in DEPLOY

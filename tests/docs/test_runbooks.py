"""Every alarm has a runbook, every runbook is of an alarm, and what runbooks tell people to run exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand

from cli import commands
from cli.__main__ import main
from cli.root import load
from infra.profiles import PROFILES
from infra.watch.severity import OUTAGES, RUNBOOKS, heading_of, is_page
from tests.infra.templates import Templates, synthesize

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
KINDS = {"**Page**", "**Page.**", "**Ticket.**", "**Part of a page.**", "**No page.**"}


def sections() -> Iterator[tuple[str, str, str]]:
    """Each runbook: its page, the alarm that its heading names, and its text."""
    for page in PAGES:
        for part in re.split(r"^### ", page.read_text(), flags=re.MULTILINE)[1:]:
            heading, text = part.split("\n", 1)
            yield (
                f"docs/runbooks/{page.name}",
                heading.strip("`"),
                re.split(r"^## ", text, flags=re.MULTILINE)[0].strip(),
            )


SECTIONS = {f"{page}#{alarm}": text for page, alarm, text in sections()}


@pytest.fixture(scope="module", params=list(PROFILES))
def described(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The descriptions of all alarms of a profile, by their names without the stage."""
    templates: Templates = synthesize(request.param, tmp_path_factory.mktemp("cdk"))
    alarms = [*templates.alarms().values(), *templates.outages()]
    return {
        alarm.properties["AlarmName"].removeprefix("sluice-proof-"): alarm.properties["AlarmDescription"]
        for alarm in alarms
    }


def test_every_alarm_leads_to_its_runbook_and_every_runbook_is_of_an_alarm(described: dict[str, str]) -> None:
    linked = {alarm: re.findall(r"Runbook: (\S+)$", text) for alarm, text in described.items()}
    assert {alarm: found for alarm, found in linked.items() if len(found) != 1 or found[0] not in SECTIONS} == {}
    assert set(SECTIONS) == {found for (found,) in linked.values()}
    assert all(found.endswith(f"#{heading_of(alarm)}") for alarm, (found,) in linked.items())


def test_a_runbook_is_as_serious_as_its_alarm(described: dict[str, str]) -> None:
    pages = {outage.name for outage in OUTAGES if outage.pages}
    for alarm, text in described.items():
        severity, runbook = re.findall(r"Severity: (.*)\. Runbook: (\S+)$", text)[0]
        said = SECTIONS[runbook]
        if alarm in pages:
            assert (severity, said[:9]) == ("page", "**Page.**"), alarm
        elif severity == "none":
            assert said.startswith("**No page.**"), alarm
        elif is_page(alarm):
            outages = re.findall(r"`(outage-[a-z]+)`", severity)
            assert said.startswith(f"**Page**, by `{outages[0]}`."), alarm
        elif severity.startswith("ticket"):
            assert said.startswith("**Ticket.**"), alarm
            assert ("Together with" in said) == ("together with" in severity), alarm
        else:
            assert said.startswith("**Part of a page.**"), alarm


@pytest.mark.parametrize("runbook", SECTIONS)
def test_a_runbook_says_where_to_look_what_to_do_and_when_it_is_over(runbook: str) -> None:
    text = SECTIONS[runbook]
    meaning, *steps = re.split(r"\n- ", text)
    assert len(meaning.split()) > 6
    words = {word for step in steps for word in re.findall(r"look|do|over", step.partition(":")[0].lower())}
    assert words == {"look", "do", "over"}
    assert all(len(step.partition(":")[2].split()) > 1 for step in steps)


def test_no_two_runbooks_are_the_same() -> None:
    assert len(set(SECTIONS.values())) == len(SECTIONS)


# Placeholders, and what stands in their place so that a command parses.
PLACES = {
    "PARTITION": "3",
    "FROM": "100",
    "TO": "200",
    "TIME": "2026-11-20T09:00:00Z",
    "DAY": "2026-11-20",
    "REPLAY": f"replay-{'0' * 16}",
    "GROUP": "0" * 16,
    "KEY_ID": "0" * 16,
    "FLEET": "presses",
    "RULE": "hot",
    "DESTINATION": "on-call",
    "PLAN.json": __file__,
    "plan.json": __file__,
    "audit.txt": __file__,
}
COMMANDS = {
    code
    for page in FOLDER.glob("*.md")
    for code in re.findall(r"`sluice ([^`]+)`", page.read_text())
    # Others are only named: the text around them says what they do.
    if "--" in code
}


def test_runbooks_have_many_commands() -> None:
    assert len(COMMANDS) > 50


@pytest.mark.parametrize("code", sorted(COMMANDS))
def test_every_command_in_a_runbook_parses(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (basis,) = [kind for kind in TyperCommand.__mro__ if kind.__name__ == "Command"]
    monkeypatch.setattr(basis, "invoke", lambda *_: None)
    arguments = [PLACES.get(word, word) for word in shlex.split(code)]
    assert main(arguments) == 0, capsys.readouterr().err


def test_every_command_that_a_runbook_names_exists() -> None:
    for page in FOLDER.glob("*.md"):
        for code in re.findall(r"`sluice ([^`]+)`", page.read_text()):
            name, *rest = shlex.split(code)
            assert name in commands.COMMANDS, code
            below = getattr(load(name), "commands", {})
            assert not rest or not rest[0].isalpha() or not below or rest[0] in below or rest[0].isupper(), code


def test_every_page_is_listed_and_every_place_has_its_page() -> None:
    listed = re.findall(r"^- \[\w+\]\((\w+)\.md\)", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.stem for page in PAGES) == sorted(RUNBOOKS)

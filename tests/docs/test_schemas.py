"""The page of schemas has the compatibility rules and keywords of the code, and examples as the command prints them."""

import re
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from sluice.core.schemas.keywords import ANYWHERE, AT_THE_TOP
from sluice.core.schemas.parser import MOST_BYTES, MOST_DEPTH, MOST_FIELDS
from sluice.core.schemas.patterns import MOST_WAYS
from sluice.core.schemas.rules import RULES
from sluice.core.schemas.versions import MOST_NUMBER
from tests.support.schemas import fourth, write

PAGE = (Path(__file__).parents[2] / "docs" / "schemas.md").read_text()
NO_LINEAGE = {"properties__metrics__properties__processor_temperature": {"type": "number"}}


def test_the_rules_are_those_of_the_code() -> None:
    expected = [
        f"| {rule.category} | `{rule.id}` | {rule.means} | {rule.why} | {'yes' if rule.misleads else 'no'} |"
        for rule in RULES
    ]
    assert re.findall(r"^\| \w+ \| `[A-Z_]+` \|.*$", PAGE, re.MULTILINE) == expected


def test_the_keywords_and_limits_are_those_of_the_code() -> None:
    (sentence,) = re.findall(r"of draft-07 with the keywords\n(.*?)\.\n", PAGE, re.DOTALL)
    assert sorted(re.findall(r"`(.+?)`", sentence)) == sorted({*AT_THE_TOP, *ANYWHERE})
    assert f"most {MOST_WAYS} ways" in PAGE
    limits = f"{MOST_BYTES // 1024} KiB, {MOST_FIELDS} fields and {MOST_DEPTH} levels"
    assert f"{limits}; numbers from {-MOST_NUMBER:g} to {MOST_NUMBER:g}" in PAGE


@pytest.mark.parametrize(("changes", "status"), [({}, 0), (NO_LINEAGE, 1)])
def test_the_examples_are_what_the_command_prints(
    changes: dict[str, Any],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "telemetry-4.json").write_bytes(write(fourth(**changes)))
    monkeypatch.chdir(tmp_path)
    assert main(["schema", "check", "telemetry-4.json"]) == status
    printed = "".join(f"    {line}\n" for line in capsys.readouterr().out.splitlines())
    assert f"    $ sluice schema check telemetry-4.json\n{printed}" in PAGE

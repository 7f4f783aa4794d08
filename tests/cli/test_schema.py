"""`sluice schema`: a candidate is checked against its previous version, and released versions are shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.schema.lines import find_line, list_lines
from tests.support.schemas import REMOVED, Document, follow, fourth, released, write

M = "properties__metrics__properties"
THIRD = released("telemetry", 3)


def line_of(file: str, text: str) -> int:
    """The first line of a file that has a text."""
    return next(number for number, line in enumerate(Path(file).read_text().splitlines(), 1) if text in line)


def save(path: Path, document: Document) -> str:
    path.write_bytes(write(document))
    return str(path)


@pytest.fixture
def candidate(tmp_path: Path) -> str:
    """The candidate whose mapping covers each breaking change."""
    return save(tmp_path / "4.json", fourth())


def test_a_candidate_whose_mapping_covers_each_breaking_change_passes_and_says_each(
    candidate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "check", candidate]) == 0
    removed, required, unit, summary, left_out = capsys.readouterr().out.splitlines()
    line = line_of(candidate, '"processor_temperature": {')
    assert removed == (
        f"{candidate}:{line - 1}: wire FIELD_REMOVED metrics.cpu_temp: number -> not declared. Hits consumers of raw"
        " events, series cpu_temp, aggregate, detect, recount."
        " Covered by its mapping: rename cpu_temp -> processor_temperature."
    )
    assert required.startswith(f"{candidate}:{line}: wire FIELD_NEWLY_REQUIRED metrics.processor_temperature: ")
    assert unit.startswith(f"{candidate}:{line}: meaning UNIT_CHANGED metrics.processor_temperature: degC -> K. ")
    assert summary == "telemetry 4 breaks telemetry 3: 3 breaking changes. Its mapping covers each, so it passes."
    assert left_out == "Not looked at: alert rules, queries, dashboards, what devices really sent."


def test_a_candidate_that_breaks_without_a_mapping_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = save(tmp_path / "4.json", follow(THIRD, **{f"{M}__humidity": REMOVED, f"{M}__cpu_temp__x-unit": "K"}))
    assert main(["schema", "check", file]) == 1
    said = capsys.readouterr().out
    assert "wire FIELD_REMOVED metrics.humidity: number -> not declared." in said
    assert "No mapping." in said
    assert "3 breaking changes. No declared mapping covers 2 of them, so it does not pass." in said
    document = fourth(**{f"{M}__processor_temperature": {"type": "number"}})
    assert main(["schema", "check", save(tmp_path / "proposed.json", document)]) == 1
    assert "Not covered; a mapping would be: rename cpu_temp -> processor_temperature." in capsys.readouterr().out


def test_a_candidate_without_a_breaking_change_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save(tmp_path / "4.json", follow(THIRD, **{f"{M}__load": {"type": "number"}}))
    assert main(["schema", "check", file]) == 0
    assert capsys.readouterr().out.startswith("telemetry 4 does not break telemetry 3.\n")


def test_a_released_version_is_checked_against_its_previous_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "check", "schemas/telemetry/3.json"]) == 0
    assert main(["schema", "check", "schemas/activity/1.json"]) == 0
    said = capsys.readouterr().out
    assert "telemetry 3 does not break telemetry 2." in said
    assert "activity 1 is the first version of its contract." in said


def test_another_previous_version_can_be_named(
    candidate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    previous = save(tmp_path / "3.json", released("telemetry", 2))
    assert main(["schema", "check", candidate, "--against", previous]) == 0
    assert "telemetry 4 breaks telemetry 2: 3 breaking changes." in capsys.readouterr().out
    assert main(["schema", "check", candidate, "--against", "schemas/reading/1.json"]) == 2
    assert "is reading 1: a candidate is compared with its own contract" in capsys.readouterr().err
    assert main(["schema", "check", candidate, "--against", "schemas/alert/1.json"]) == 2
    assert "schemas/alert/1.json: $.x-contract: " in capsys.readouterr().err


def test_the_json_has_what_the_lines_say(candidate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "check", candidate, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["candidate"], answer["previous_version"], answer["passes"]) == ("telemetry 4", "telemetry 3", True)
    assert [change["rule"] for change in answer["breaking_changes"]] == [
        "FIELD_REMOVED",
        "FIELD_NEWLY_REQUIRED",
        "UNIT_CHANGED",
    ]
    unit = answer["breaking_changes"][2]
    del unit["line"], unit["sentence"]
    assert unit == {
        "category": "meaning",
        "rule": "UNIT_CHANGED",
        "path": "metrics.processor_temperature",
        "previous": "degC",
        "new": "K",
        "hits": ["consumers of raw events", "series cpu_temp", "aggregate", "detect", "recount"],
        "mapping": "unit degC -> K",
        "covered": True,
    }
    assert "what devices really sent" in answer["not_looked_at"]


def test_annotations_are_errors_or_warnings_on_their_lines(
    candidate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "check", candidate, "--annotations"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    line = line_of(candidate, '"processor_temperature": {') - 1
    assert first.startswith(f"::warning file={candidate},line={line},title=wire FIELD_REMOVED::metrics.cpu_temp: ")
    broken = save(tmp_path / "a,b.json", follow(THIRD, properties__diagnostics=REMOVED))
    top = line_of(broken, '"properties": {')
    assert main(["schema", "check", broken, "--annotations"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"::error file={tmp_path}/a%2Cb.json,line={top},title=wire FIELD_REMOVED::diag")
    assert main(["schema", "check", save(tmp_path / "c.json", fourth(type="array")), "--annotations"]) == 2
    assert capsys.readouterr().out.startswith(f"::error file={tmp_path}/c.json,line=")
    assert main(["schema", "check", candidate, "--annotations", "--json"]) == 2


@pytest.mark.parametrize(
    ("changes", "on", "said"),
    [
        ({"x-version": 3, "$id": "urn:sluice:telemetry:3"}, '"x-version"', "$.x-version: telemetry 3 is released"),
        (
            {f"{M}__load": {"type": "number", "maxLength": 3}},
            '"maxLength"',
            "load.maxLength: 'maxLength' is not supported",
        ),
        ({f"{M}__load": {"description": "Load."}}, '"load"', "load: type is missing"),
    ],
)
def test_what_cannot_be_a_version_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], on: str, said: str
) -> None:
    file = save(tmp_path / "4.json", fourth(**changes))
    assert main(["schema", "check", file]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith(f"{file}:{line_of(file, on)}: $.")


def test_a_file_that_is_no_text_or_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    assert main(["schema", "check", str(tmp_path / "bytes.json")]) == 2
    assert "bytes.json:1: $: it is no JSON" in capsys.readouterr().err
    assert main(["schema", "check", str(tmp_path / "missing.json")]) == 2


def test_what_a_name_holds_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\u00ad\u2066b"
    previous = save(tmp_path / "3.json", THIRD | {"properties": THIRD["properties"] | {name: {"type": "string"}}})
    assert main(["schema", "check", save(tmp_path / "4.json", follow(THIRD)), "--against", previous]) == 1
    assert "FIELD_REMOVED a\ufffd\ufffdb: " in capsys.readouterr().out


def test_show_lists_the_fields_of_released_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "show", "telemetry"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "contract,version,firmware,field,type,presence,series,unit"
    assert "telemetry,3,3.x,metrics.cpu_temp,number,required,cpu_temp,degC" in lines
    assert "telemetry,3,3.x,diagnostics,object,optional,," in lines
    assert main(["schema", "show", "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert {(item["contract"], item["version"]) for item in items} == {
        ("telemetry", 1), ("telemetry", 2), ("telemetry", 3), ("reading", 1), ("reading", 2), ("activity", 1),
    }  # fmt: skip
    assert main(["schema", "show", "alert"]) == 2
    assert "'alert' is no contract; contracts are telemetry, reading, activity" in capsys.readouterr().err


def test_lines_are_those_of_names_also_in_lists_and_texts() -> None:
    lines = list_lines('{"a": [1,\n {"b":\n 2}],\n "c": "d: {\\"",\n"e": {"f": null}}')
    assert lines == {(): 1, ("a",): 1, ("a", "", "b"): 2, ("c",): 4, ("e",): 5, ("e", "f"): 5}
    assert find_line(lines, ("e", "missing")) == 5
    assert list_lines("{") == {(): 1}

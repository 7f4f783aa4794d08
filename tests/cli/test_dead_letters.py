"""Dead letters are listed, counted and shown whole from the files that deadletter writes, by the SQL Athena gets."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import msgspec
import pytest
from pyarrow import fs

from cli import query
from cli.__main__ import main
from cli.dead_letters.search import LISTED, WHOLE
from cli.query import Found
from cli.stages import Target
from local.catalog import read_table
from local.models.athena import write_value
from sluice.core.failures.letterbox import collect
from sluice.core.failures.letters import Letter, write_letter
from sluice.core.records import KafkaRecord, Origin

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "schemas/dead_letter/1.json").read_text())
COLUMNS = (
    dict.fromkeys((*LISTED, *WHOLE), "string")
    | dict.fromkeys(("schema_version", "kafka_partition", "first_kafka_partition", "attempts"), "int")
    | dict.fromkeys(("event_size", "kafka_offset", "first_kafka_offset"), "bigint")
    | dict.fromkeys(("received_at", "failed_at"), "timestamp")
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = ("--from", "2026-03-01", "--to", "2026-03-02")


def letter(body: bytes = b"{}", failed_at: datetime = NOON, **said: Any) -> Letter:
    told: dict[str, Any] = {
        "reason": "contract_violation",
        "detail": "metrics.cpu_temp must be number",
        "consumer": "ingest",
    }
    told |= {"fleet_id": "demo", "device_id": "press-1", "contract": "telemetry"} | said
    return write_letter(body=body, failed_at=failed_at, **told)


def read_as_pandas(value: Any) -> Any:
    """A value as it arrives from a deployed stage."""
    return None if value in ("", "NaN") else value


class Lake:
    """The dead letters of a stage, in files, and what answers a statement about them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.as_texts = True
        """Whether values are texts, as the local stack has them."""
        self.asked: list[tuple[str, Sequence[str]]] = []
        self._offset = 0

    def bury(self, *letters: Letter) -> None:
        """Store dead letters as deadletter does."""
        records = []
        for each in letters:
            self._offset += 1
            records.append(KafkaRecord(Origin("dead-letter", 0, self._offset), msgspec.json.encode(each), {}))
        for name, body in collect(records, "here", NOON).items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body.data)

    def ask(self, target: Target, sql: str, parameters: Sequence[str]) -> Found:
        assert target.stage == "prod"
        self.asked.append((sql, parameters))
        storage = {
            "Location": f"s3://{self.root}/dead_letters",
            "Columns": [{"Name": name, "Type": kind} for name, kind in COLUMNS.items()],
        }
        keys = [{"Name": key, "Type": "string"} for key in ("region", "dt")]
        table = {"StorageDescriptor": storage, "PartitionKeys": keys, "Parameters": {"classification": "json"}}
        with duckdb.connect() as connection:
            connection.register("dead_letters", read_table(table, fs.LocalFileSystem(), {}, with_path=False))
            found = connection.execute(sql, list(parameters))
            columns = [column[0] for column in found.description or ()]
            rows: list[Any] = found.fetchall()
        write: Callable[[Any], Any] = write_value if self.as_texts else read_as_pandas
        return Found(columns, [tuple(write(value) for value in row) for row in rows])


@pytest.fixture(params=[True, False], ids=["local", "deployed"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    lake = Lake(tmp_path)
    lake.as_texts = request.param
    monkeypatch.setattr(query, "ask", lake.ask)
    return lake


def run(*arguments: str) -> int:
    return main(["dead-letters", "--stage", "prod", *arguments])


def read(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split(",") for line in capsys.readouterr().out.splitlines()]


def test_they_are_listed_with_their_reasons_the_newest_first(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = letter(), letter(b"[", NOON.replace(hour=13), reason="malformed_json", device_id=None, detail="no value")
    lake.bury(old, new)
    assert run(*DAY) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "failed at,id,fleet,device,contract,reason,consumer,detail",
        f"2026-03-01 13:00:00,{new.letter_id[:12]},demo,,telemetry,malformed_json,ingest,no value",
        f"2026-03-01 12:00:00,{old.letter_id[:12]},demo,press-1,telemetry,contract_violation,ingest,{old.detail}",
    ]
    assert said.err == ""


def test_one_that_was_stored_or_sent_twice_is_listed_once_and_once_for_each_consumer_that_gave_it_up(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.bury(letter(), letter(), letter(failed_at=NOON.replace(hour=13)))
    lake.bury(letter())
    lake.bury(*(letter(b"{}", reason="killer_record", consumer=consumer) for consumer in ("archive", "aggregate")))
    assert run(*DAY, "--json") == 0
    document = read(capsys)
    assert document["found"] == 3
    assert [(item["consumer"], item["failed_at"]) for item in document["items"]] == [
        ("ingest", "2026-03-01T13:00:00.000000Z"),
        ("aggregate", "2026-03-01T12:00:00.000000Z"),
        ("archive", "2026-03-01T12:00:00.000000Z"),
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--fleet", "other"),
        ("--device", "press-2"),
        ("--contract", "reading"),
        ("--reason", "poison_record"),
        ("--consumer", "archive"),
        ("--from", "2026-03-01T12:30:00Z"),
        ("--from", "2026-03-01T13:30:00+01:00"),
    ],
)
def test_each_condition_finds_what_it_names_alone(
    lake: Lake, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    meant = letter(
        b"1",
        NOON.replace(hour=13),
        fleet_id="other",
        device_id="press-2",
        contract="reading",
        reason="poison_record",
        consumer="archive",
    )
    lake.bury(letter(), meant)
    time_range = ("--to", "2026-03-02") if option == "--from" else DAY
    assert run(*time_range, option, value, "--json") == 0
    assert [item["letter_id"] for item in read(capsys)["items"]] == [meant.letter_id]


def test_values_never_become_part_of_the_statement(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake.bury(letter(), letter(b"1", device_id="' OR 1=1 --"))
    assert run(*DAY, "--device", "' OR 1=1 --", "--json") == 0
    assert read(capsys)["found"] == 1
    ((statement, values),) = lake.asked
    assert "1=1" not in statement
    assert values == [
        *("2026-03-01", "2026-03-02", "2026-03-01 00:00:00.000000", "2026-03-02 00:00:00.000000"),
        "' OR 1=1 --",
    ]


def test_without_a_range_it_is_the_last_day_and_the_end_is_not_included(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--to", "2026-03-02T12:00:00Z", "--json") == 0
    assert run("--to", "2026-03-01T12:00:00Z", "--json") == 0
    assert run("--json") == 0
    lake.bury(letter())
    starts = [values[2:] for _, values in lake.asked]
    assert starts[0] == ["2026-03-01 12:00:00.000000", "2026-03-02 12:00:00.000000"]
    first, last = map(datetime.fromisoformat, starts[2])
    assert (last - first).days == 1
    assert abs((datetime.now(UTC) - last.replace(tzinfo=UTC)).total_seconds()) < 60
    capsys.readouterr()
    assert run("--to", "2026-03-02T12:00:00Z", "--json") == 0
    assert read(capsys)["found"] == 1
    assert run("--to", "2026-03-01T12:00:00Z", "--json") == 0
    assert read(capsys)["found"] == 0


def test_more_than_the_limit_is_said_and_how_to_see_it(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake.bury(*(letter(b"%d" % number, NOON.replace(minute=number)) for number in range(5)))
    assert run(*DAY, "--limit", "2") == 0
    said = capsys.readouterr()
    assert [line[:19] for line in said.out.splitlines()[1:]] == ["2026-03-01 12:04:00", "2026-03-01 12:03:00"]
    assert "2 of 5 dead letters, the newest first; --by reason counts all of them" in said.err
    assert "from 2026-03-01T00:00:00Z to 2026-03-02T00:00:00Z" in said.err
    assert "--limit shows up to 1,000" in said.err
    assert run(*DAY, "--limit", "2", "--json") == 0
    document = read(capsys)
    assert (document["found"], len(document["items"])) == (5, 2)
    assert (document["from"], document["to"]) == ("2026-03-01T00:00:00.000000Z", "2026-03-02T00:00:00.000000Z")


def test_nothing_is_said_with_the_range_that_was_searched(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake.bury(letter())
    assert run(*DAY, "--fleet", "none") == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err == "no dead letters from 2026-03-01T00:00:00Z to 2026-03-02T00:00:00Z; --from looks further back\n"


def test_they_are_counted_by_what_is_named_the_largest_first(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake.bury(*(letter(b"%d" % number, NOON.replace(minute=number)) for number in range(3)))
    lake.bury(letter(b"0"), letter(b"[", fleet_id=None, device_id=None, reason="malformed_json"))
    assert run(*DAY, "--by", "fleet", "--by", "reason") == 0
    assert rows(capsys) == [
        ["fleet", "reason", "dead letters", "first", "last"],
        ["demo", "contract_violation", "3", "2026-03-01 12:00:00", "2026-03-01 12:02:00"],
        ["", "malformed_json", "1", "2026-03-01 12:00:00", "2026-03-01 12:00:00"],
    ]
    assert run(*DAY, "--by", "reason", "--limit", "1") == 0
    assert "1 of 2 counts, the largest first" in capsys.readouterr().err
    assert run(*DAY, "--by", "device", "--fleet", "demo", "--json") == 0
    document = read(capsys)
    assert document["items"] == [
        {
            "device_id": "press-1",
            "letters": 3,
            "first_failed_at": "2026-03-01T12:00:00.000000Z",
            "last_failed_at": "2026-03-01T12:02:00.000000Z",
        }
    ]
    assert document["found"] == 1


def test_one_is_shown_whole_with_its_bytes_by_the_start_of_its_id(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = letter(b'{"a":\n\x1b[2J"b"}', event_id="e-1", correlation_id="site-7", attempts=1)
    lake.bury(sent, letter())
    assert run(sent.letter_id[:12], *DAY) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"letter id        {sent.letter_id}" in said
    assert "reason           contract_violation" in said
    assert "correlation id   site-7" in said
    assert said[said.index("") + 1 :] == ["the event as it was sent, 14 bytes:", '{"a":', '\ufffd[2J"b"}']


def test_a_conflict_is_shown_with_the_bytes_of_both_events(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    first: dict[str, Any] = {"first_event": '{"a":1}', "first_kafka_partition": 3, "first_kafka_offset": 2**40}
    sent = letter(b'{"a":2}', reason="conflict", consumer="match", **first)
    lake.bury(sent)
    assert run(sent.letter_id, *DAY) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"first kafka offset  {2**40}" in said
    assert said[-4:] == ['{"a":2}', "", "the first event with this id, which counts:", '{"a":1}']
    assert run(sent.letter_id, *DAY, "--json") == 0
    (shown,) = read(capsys)["items"]
    assert {name: shown[name] for name in first} == first


def test_bytes_that_are_no_text_are_decoded_and_what_was_cut_is_said(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = letter(b"\xffabc", max_body=3)
    lake.bury(sent)
    assert run(sent.letter_id, *DAY) == 0
    head, body = capsys.readouterr().out.splitlines()[-2:]
    assert head == "the event as it was sent, 4 bytes, the first 3 of them kept, not UTF-8 (\\xff stands for byte ff):"
    assert body == "\\xffab"


@pytest.mark.parametrize("body", [b'{"event_id":null}', b"\xff\x00", b"", b"null", b"NaN"])
def test_in_json_one_has_the_form_of_every_dead_letter(
    lake: Lake, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = letter(body, schema_version=2, kafka_topic="raw-events", kafka_partition=3, kafka_offset=2**40)
    lake.bury(sent)
    assert run(sent.letter_id, *DAY, "--json") == 0
    (item,) = read(capsys)["items"]
    jsonschema.validate({"version": 1, **item}, SCHEMA)
    assert msgspec.convert({"version": 1, **item}, Letter) == sent


def test_in_json_a_list_has_the_same_form_without_the_bytes(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake.bury(letter(received_at="2026-03-01T11:00:00.250000Z", envelope="{}"))
    assert run(*DAY, "--json") == 0
    (item,) = read(capsys)["items"]
    form = {name: rule for name, rule in SCHEMA.items() if name != "oneOf"}
    jsonschema.validate({"version": 1, **item}, form)
    assert item["received_at"] == "2026-03-01T11:00:00.250000Z"
    assert set(item) & set(WHOLE) == set()


def test_one_that_two_consumers_gave_up_is_shown_with_both(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    given_up = [letter(reason="poison_record", consumer=consumer) for consumer in ("archive", "aggregate")]
    lake.bury(*given_up)
    assert run(given_up[0].letter_id, *DAY) == 0
    said = capsys.readouterr().out
    assert ("consumer         archive" in said, "consumer         aggregate" in said) == (True, True)
    assert said.count("the event as it was sent") == 1


def test_the_start_of_several_ids_is_refused_with_all_of_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.bury(letter(b"1"), letter(b"2"))
    # Two ids that begin alike take some millions of tries.
    monkeypatch.setattr("cli.dead_letters.listing._check_id", lambda _given: "%")
    assert run("any", *DAY) == 2
    said = capsys.readouterr().err
    assert said.startswith("2 or more ids begin with %: ")
    assert letter(b"2").letter_id in said


def test_an_id_that_is_not_there_is_refused_with_what_to_do(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    lake.bury(letter())
    assert run("0" * 64, *DAY) == 2
    said = capsys.readouterr().err
    assert "no dead letter from 2026-03-01T00:00:00.000000Z to 2026-03-02T00:00:00.000000Z" in said
    assert "look further back with --from" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["7b1f0f52-0000-4000-8000-000000000002"], "`sluice trace` finds an event by its own id"),
        (["abc"], "give 6 to 64 of its digits"),
        (["abcdef", "--by", "reason"], "leave out --by"),
        (["--from", "yesterday"], "--from 'yesterday' is no time: write it as 2026-01-31T12:00:00Z"),
        (["--to", "0001-01-01T00:00:00+02:00"], "--to '0001-01-01T00:00:00+02:00' is no time"),
        (["--to", "0001-01-01"], "is not before --to 0001-01-01T00:00:00.000000Z"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "is not before --to 2026-03-01T00:00:00.000000Z"),
        (["--by", "colour"], "'colour'"),
        (["--limit", "1001"], "less than or equal to 1000"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(
    arguments: list[str], says: str, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert says in capsys.readouterr().err
    assert lake.asked == []

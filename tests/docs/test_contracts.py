"""The contracts page says what the schemas, the limits and the code say: nothing more, and nothing less."""

import ast
import json
import math
import re
import string
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
import yaml

from functions.ingest.handler import CONTRACT_OF
from infra.profiles.baseline import BASELINE
from infra.stores.catalog import COLUMNS, DEAD_LETTER_COLUMNS
from sluice.core import times
from sluice.core.api import keys, quotas
from sluice.core.consumers import ARCHIVE
from sluice.core.correlation import is_correlation_id
from sluice.core.errors import Refusal, Rejection, Unparsable
from sluice.core.events import violations
from sluice.core.failures import salvage
from sluice.core.ingest import pressure
from sluice.core.limits import Limits
from sluice.core.query import completeness, questions
from sluice.core.rollups import resolutions
from sluice.core.trace import outcomes
from sluice.core.trace import question as trace_question
from sluice.edge.events.schemas import load_contracts
from sluice.edge.query.routes import MARGIN, ROUTES

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
PAGE = (ROOT / "docs/contracts.md").read_text()
TEXT = " ".join(PAGE.split())  # wherever its lines are broken
CODE = sorted(path for folder in ("layers/sluice/python/sluice", "functions") for path in (ROOT / folder).rglob("*.py"))
# The codes that only readers get come from these, and from no others.
READING = {
    *(
        ROOT / f"layers/sluice/python/sluice/{name}.py"
        for name in (
            "core/api/page",
            "core/query/cursors",
            "core/query/incidents",
            "core/query/letter_groups",
            "core/query/parameters",
            "core/query/questions",
            "core/trace/question",
            "edge/api/gate",
            "edge/query/entities",
            "edge/query/groups",
            "edge/query/letter_groups",
            "edge/query/rollup_archive",
            "edge/query/reading",
            "edge/trace/tracing",
        )
    ),
}
# Admins have a page of their own.
# The codes of requests about replays are on the page of replays.
REPLAY = {path for path in CODE if path.parent.name == "replay" or path.name == "replays.py"}
# Likewise those of requests about dead letters.
REDRIVE = {path for path in CODE if path.parent.name == "redrive" or path.name == "redrives.py"}
CONTROL = {path for path in CODE if path.parent.name == "control"} - REPLAY - REDRIVE
CONTRACTS = ("telemetry", "reading", "activity")

Table = list[list[str]]


def table(heading: str) -> Table:
    """The rows of the one table below a heading, without the head."""
    (section,) = re.findall(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def load(path: str) -> Any:
    return json.loads((SCHEMAS / path).read_text())


def write_rule(rule: dict[str, Any]) -> str:
    """A schema's rule for one field, in the page's words."""
    if "x-says" in rule:
        return str(rule["x-says"])
    if "const" in rule:
        return f"the number {rule['const']}"
    if "enum" in rule:
        return "one of " + ", ".join(f"`{value}`" for value in rule["enum"])
    if "propertyNames" in rule:
        return f"an object of at most {rule['maxProperties']} numbers; a name is {rule['propertyNames']['x-says']}"
    if "x-unit" in rule:
        return f"a number, in {rule['x-unit']}"
    return {"object": "an object", "number": "a number"}[rule["type"]]


def fields_of(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every field of one version, with its rule and whether it is required."""
    for name, rule in schema["properties"].items():
        presence = "required" if name in schema.get("required", ()) else "optional"
        yield prefix + name, rule, presence + (", deprecated" if rule.get("deprecated") else "")
        if "properties" in rule:
            yield from fields_of(rule, f"{prefix}{name}.")


def write_fields(contract: str) -> Table:
    """The table of a contract as its schemas make it."""
    versions = [
        list(fields_of(load(f"{contract}/{path.name}"))) for path in sorted((SCHEMAS / contract).glob("*.json"))
    ]
    rows: dict[str, Table] = {}
    for number, version in enumerate(versions):
        for name, rule, presence in version:
            rows.setdefault(name, [[], [], ["not named"] * len(versions)])
            says, means, presences = rows[name]
            if write_rule(rule) not in says:
                says.append(write_rule(rule))
            if rule.get("description", "") not in means:
                means.append(rule.get("description", ""))
            presences[number] = presence
    return [
        [f"`{name}`", "; ".join(says), " ".join(means), *presences] for name, (says, means, presences) in rows.items()
    ]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_fields_of_every_version_are_those_of_the_schemas(contract: str) -> None:
    assert table(contract.capitalize()) == write_fields(contract)


@pytest.mark.parametrize("path", [path for contract in CONTRACTS for path in sorted((SCHEMAS / contract).glob("*"))])
def test_fields_that_are_not_named_are_let_through_as_the_page_says(path: Path) -> None:
    assert json.loads(path.read_text()).get("additionalProperties", True) is not False


def test_the_series_are_the_declared_ones_with_every_unit_that_is_taken() -> None:
    book = load("series.json")
    quantities = {unit: rule["quantity"] for unit, rule in book["units"].items()}
    expected = [
        [
            f"`{name}`",
            f"`{series['unit']}`",
            ", ".join(
                f"`{unit}`"
                for unit, quantity in quantities.items()
                if quantity == quantities[series["unit"]] and unit != series["unit"]
            ),
        ]
        for name, series in book["series"].items()
    ]
    assert table("Series and units") == expected


def test_the_routes_are_those_that_ingest_answers() -> None:
    assert {route.strip("`"): contract for route, contract, *_ in table("Routes")} == CONTRACT_OF


def test_the_firmware_that_has_a_schema_is_named() -> None:
    majors = [load(f"telemetry/{path.name}")["x-firmware-major"] for path in (SCHEMAS / "telemetry").glob("*.json")]
    routes = {route.strip("`"): version for route, _, version, _ in table("Routes")}
    assert re.findall(r"(\d+)\.x", routes["POST /v1/events"]) == [str(major) for major in sorted(majors)]


LIMITS = {
    "max_body": "a request's body as sent, compressed or not",
    "max_inflated": "a gzip body once it is inflated",
    "max_event": "one event",
    "max_events": "events in one request",
    "max_depth": "nesting of an event, itself being level 1",
    "max_name": "a name anywhere in an event",
    "max_number": "a number anywhere in an event, either way from zero",
    "clock_ahead": "an event's time ahead of ours before it is flagged",
    "late": "an event's time behind ours before it is flagged",
    "max_letter": "what a dead letter keeps of an event",
}
UNITS = {"max_events": "events", "max_depth": "levels", "max_name": "characters", "max_number": ""}


def write_limit(name: str, value: float | timedelta) -> str:
    """A limit as the page writes it."""
    if isinstance(value, timedelta):
        minutes = value // timedelta(minutes=1)
        return f"{minutes} minutes"
    if name in UNITS:
        return f"{value:g} {UNITS[name]}".strip()
    return f"{value // 1024**2} MiB" if value >= 1024**2 else f"{value // 1024:g} KiB"


def test_every_limit_is_on_the_page_with_its_figure() -> None:
    limits = msgspec.structs.asdict(Limits())
    expected = {LIMITS[name]: write_limit(name, value) for name, value in limits.items()}
    (metrics,) = {
        load(f"telemetry/{path.name}")["properties"]["metrics"]["maxProperties"]
        for path in (SCHEMAS / "telemetry").glob("*.json")
    }
    expected["metrics in one event of telemetry"] = f"{metrics} numbers"
    assert {what: figure for what, figure, _ in table("Limits")} == expected


def test_a_limit_names_the_code_that_answers_it() -> None:
    codes = {code for _, code, _ in collect()}
    named = [re.findall(r"`(\w+)`", beyond) for _, _, beyond in table("Limits")]
    assert {name for names in named for name in names} <= codes | {times.CLOCK_AHEAD, times.LATE_ARRIVAL, "event_size"}
    assert all(named)


def test_flags_bursts_keys_and_counts_are_as_the_code_has_them() -> None:
    assert f"`{times.CLOCK_AHEAD}`" in PAGE
    assert f"`{times.LATE_ARRIVAL}`" in PAGE
    assert f"{quotas.BURST_SECONDS} seconds of the rate" in TEXT
    assert f"{keys.ID_LENGTH} and {keys.SECRET_LENGTH + keys.CHECKSUM_LENGTH} letters and digits" in TEXT
    assert f"(the first {violations.MOST})" in TEXT


def test_the_figures_of_pressure_are_those_of_the_code() -> None:
    longest = math.ceil(pressure.LAST_RETRY_SECONDS * 1.5)
    assert f"({pressure.FIRST_RETRY_SECONDS} or so at the beginning, up to {longest}, by chance)" in TEXT
    assert f"never less than {pressure.LEAST_SAMPLE:g}" in TEXT


def test_a_correlation_id_is_made_of_the_characters_that_are_listed() -> None:
    (listed,) = re.findall(r"1 to 64 of the characters `(.*?)`", TEXT)
    first_to_last = {"0-9": string.digits, "A-Z": string.ascii_uppercase, "a-z": string.ascii_lowercase}
    taken = {character for one in listed.split() for character in first_to_last.get(one, one)}
    assert taken == {character for character in map(chr, range(0x250)) if is_correlation_id(character)}
    assert is_correlation_id("x" * 64)
    assert not is_correlation_id("x" * 65)


def test_every_column_with_a_correlation_id_is_on_the_page_and_no_other() -> None:
    section = PAGE.partition("## Correlation ids")[2].partition("\n## ")[0]
    migrations = "\n".join(path.read_text() for path in sorted((ROOT / "functions/migrate/migrations").glob("*.sql")))
    tables = re.findall(r"^CREATE TABLE (\w+) \((.*?)^\)", migrations, re.MULTILINE | re.DOTALL)
    stored = {name for name, columns in tables if "correlation_id text" in columns}
    catalog = {"raw_events": COLUMNS, "dead_letters": DEAD_LETTER_COLUMNS}
    stored |= {name for name, columns in catalog.items() if "correlation_id" in columns}
    assert stored == set(re.findall(r"`(\w+)\.correlation_id`", section))


class Code(NamedTuple):
    """One error code of the source: who raises it, and the status of a whole answer (0 for one event)."""

    kind: str
    code: str
    status: int


CODE_AT = {"Refusal": 1, "Unparsable": 0, "Rejection": 0}


def collect(*, reading: bool = False) -> set[Code]:
    paths = [path for path in CODE if (path in READING) == reading and path not in CONTROL | REPLAY | REDRIVE]
    return {code for path in paths for code in codes_of(ast.parse(path.read_text()))}


def codes_of(tree: ast.AST) -> Iterator[Code]:
    """Every code that a module writes as a literal. A module may only pass on a code that is made elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) in CODE_AT:
            kind = name_of(node.func)
            code = literal(argument(node, CODE_AT[kind], "code"))
            status = {"Refusal": 0, "Unparsable": Unparsable("", "", b"").status, "Rejection": 0}[kind]
            if kind == "Refusal" and code:
                status = ast.literal_eval(argument(node, 0, "status"))
            yield from [Code(kind, code, status)] if code else []
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code" and (code := literal(value)):
                    yield Code("Rejection", code, 0)


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def argument(call: ast.Call, place: int, name: str) -> ast.expr:
    return next((one.value for one in call.keywords if one.arg == name), None) or call.args[place]


def literal(value: ast.expr) -> str:
    """The code, or None where another error's code is passed on."""
    if isinstance(value, ast.Attribute) and value.attr == "code":
        return ""
    assert isinstance(value, ast.Constant), f"a code must stand where it is raised: {ast.unparse(value)}"
    return str(value.value)


def test_the_codes_of_whole_requests_are_those_of_the_source_with_status_and_fate() -> None:
    expected = {
        (code, str(status), "yes" if kind == "Unparsable" else "no") for kind, code, status in collect() if status
    }
    rows = table("Codes of a whole request")
    assert {(code.strip("`"), status, letter) for code, status, letter, _, _ in rows} == expected
    assert len(rows) == len(expected)


def test_the_codes_of_a_readers_request_are_those_of_the_source_with_their_status() -> None:
    rows = table("Codes of a reader's request")
    assert [(code.strip("`"), status) for code, status, _, _ in rows] == sorted(
        ((code, str(status)) for _, code, status in collect(reading=True)), key=lambda one: (one[1], one[0])
    )


def test_the_routes_that_can_be_read_are_those_that_query_answers() -> None:
    lifetimes = {route.strip("`"): seconds for route, _, seconds in table("Asking for numbers")}
    assert lifetimes == {route: f"{seconds} s" for route, (_, seconds) in ROUTES.items()} | {"GET /health": "0 s"}


def test_what_numbers_may_be_is_what_the_openapi_document_says() -> None:
    stretch = yaml.safe_load((SCHEMAS / "openapi.yaml").read_text())["components"]["schemas"]["Stretch"]["properties"]
    rows = table("What numbers are")
    assert {state.strip("`") for state, *_ in rows} == set(stretch["state"]["enum"])
    assert {reason.strip("`") or None for _, reason, _ in rows} == set(stretch["reason"]["enum"])
    assert set(stretch["state"]["enum"]) == set(get_args(completeness.State))
    assert set(stretch["reason"]["enum"]) == {None, *get_args(completeness.Reason)}


def test_the_outcomes_of_an_event_are_those_of_the_code_and_the_openapi_document() -> None:
    schemas = yaml.safe_load((SCHEMAS / "openapi.yaml").read_text())["components"]["schemas"]
    (section,) = re.findall(r"^### Where an event is\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    verdicts, endings = (
        re.findall(r"^\| `(\w+)`", part, re.MULTILINE) for part in section.split("| outcome of a copy |")
    )
    assert set(verdicts) == set(get_args(outcomes.Verdict)) == set(schemas["Trace"]["properties"]["verdict"]["enum"])
    copies = schemas["TracedCopy"]["properties"]
    assert set(endings) == set(get_args(outcomes.Outcome)) == set(copies["outcome"]["enum"])
    most = round(BASELINE.trace.requests_per_second * quotas.BURST_SECONDS)
    assert (most, f"ask once in {quotas.BURST_SECONDS} seconds" in " ".join(section.split())) == (1, True)
    assert f"{trace_question.MOST_DAYS} days at most" in section
    described = (SCHEMAS / "openapi.yaml").read_text()
    assert f"At most {trace_question.MOST_DAYS} days are searched." in described


def test_the_figures_for_readers_are_those_of_the_code() -> None:
    query, hours = BASELINE.query, BASELINE.maintain.change_hours
    for figure in (
        f"the last {query.recent_seconds // 60} minutes",
        f"{questions.LONGEST_RANGE.days} days apart",
        f"{resolutions.MOST_WINDOWS} windows at most",
        f"{resolutions.MOST_ROWS['1m']} rows of minutes or {resolutions.MOST_ROWS['1h']} of hours",
        f"may ask {query.requests_per_second} times a second, with bursts of {quotas.BURST_SECONDS} seconds",
        f"older than {(timedelta(hours=hours) - MARGIN) // timedelta(hours=1)} hours",
    ):
        assert figure in TEXT, figure


def test_the_codes_of_single_events_are_those_of_the_source() -> None:
    rows = table("Codes of one event")
    assert {code.strip("`") for code, _, _ in rows} == {code for _, code, status in collect() if not status}
    assert len(rows) == len({code for code, _, _ in rows})


def test_every_code_is_explained_and_says_what_to_do() -> None:
    codes = ("Codes of a whole request", "Codes of one event", "Codes of a reader's request")
    for *_, meaning, remedy in (row for heading in codes for row in table(heading)):
        assert len(meaning) > 10
        assert len(remedy) > 3


def test_only_known_classes_carry_a_code() -> None:
    assert Refusal.__subclasses__() == [Unparsable]
    assert Rejection.__subclasses__() == []


def test_the_collecting_itself_sees_codes_in_every_form() -> None:
    module = """
raise Refusal(418, "teapot", "…")
raise errors.Refusal(status=409, code="named", detail="…") from error
found = Unparsable("no_words", "…", body) if body else Rejection("no_event", "…")
error = {"code": "not_kept", "message": "…"}
Refusal(refusal.status, refusal.code, "handed on")
"""
    assert set(codes_of(ast.parse(module))) == {
        Code("Refusal", "teapot", 418),
        Code("Refusal", "named", 409),
        Code("Unparsable", "no_words", 400),
        Code("Rejection", "no_event", 0),
        Code("Rejection", "not_kept", 0),
    }
    with pytest.raises(AssertionError, match="must stand where it is raised"):
        list(codes_of(ast.parse("Rejection(make_code(), '…')")))


def test_the_statuses_are_those_of_the_openapi_document() -> None:
    openapi = yaml.safe_load((SCHEMAS / "openapi.yaml").read_text())
    promised, read = (
        {status for path in openapi["paths"].values() for status in path.get(method, {}).get("responses", ())}
        for method in ("post", "get")
    )
    assert [status for status, *_ in table("Answers")] == sorted(promised)
    assert {str(code.status) for code in collect() if code.status} <= promised
    assert {str(code.status) for code in collect(reading=True)} <= read


def test_the_statuses_of_an_event_are_those_of_the_problem_schema() -> None:
    results = load("problem/1.json")["properties"]["results"]["items"]["properties"]
    assert [status.strip("`") for status, *_ in table("What became of each event")] == results["status"]["enum"]


def test_the_form_of_a_dead_letter_is_that_of_its_schema() -> None:
    schema = load("dead_letter/1.json")
    either = {name for one in schema["oneOf"] for name in one["required"]}
    expected = [
        [f"`{name}`", "always" if name in schema["required"] else "one of the two" if name in either else "if known"]
        for name in schema["properties"]
    ]
    assert [row[:2] for row in table("Dead letters")] == expected


def test_the_reasons_that_only_dead_letters_have_are_named() -> None:
    calls = [node for path in CODE for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    reasons = [one.value for call in calls for one in call.keywords if one.arg == "reason"]
    written = {one.value for one in reasons if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    own = {reason for reason in written if re.fullmatch(r"[a-z]+_[a-z_]+", reason)}
    assert own
    assert {reason for reason in own if f"`{reason}`" not in PAGE} == set()


def test_every_reason_of_what_was_given_up_is_explained_with_who_gave_up() -> None:
    explained = {row[0].strip("`"): row[1] for row in table("Reasons that only dead letters have")}
    assert {*salvage.MEANINGS, *salvage.REASONS.values()} <= set(explained)
    assert explained["delivery_failed"] == f"`{ARCHIVE.name}`"
    assert explained["unreadable_object"] == f"`{salvage.SALVAGE}`"


LINKS = sorted(set(re.findall(r"\]\(([^)#:]+)\)", PAGE)))


@pytest.mark.parametrize("link", LINKS)
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


def test_every_sample_event_is_linked() -> None:
    samples = {f"../events/{path.name}" for path in (ROOT / "events").glob("*.json")}
    assert samples <= set(LINKS)


def test_the_contracts_that_are_shipped_are_those_the_page_describes() -> None:
    load_contracts()
    folders = {path.parent.name for path in SCHEMAS.glob("*/*.json")}
    assert folders == {*CONTRACTS, "problem", "dead_letter", "alert"}

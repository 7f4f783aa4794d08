"""Every case of the corpus through ingest itself: the documented answer, and only the promised events stored."""

import base64
import json
import time
import tracemalloc
from datetime import datetime, timedelta
from typing import Any

import jsonschema
import pytest

from functions.ingest.handler import CONTRACT_OF
from sluice.core.api.answers import Answer
from sluice.core.api.keys import PublishedKey
from sluice.core.events.envelope import HEADER, read_envelope
from sluice.core.limits import Limits
from tests.corpus import compression
from tests.corpus.cases import ACCEPTED, Case, make_keys, paste, read_outcome, stored_keys, write
from tests.corpus.families import FAMILIES, corpus
from tests.support import samples
from tests.support.world import World

SCHEMAS = samples.EVENTS.parent / "schemas"
PROBLEM = jsonschema.Draft7Validator(json.loads((SCHEMAS / "problem/1.json").read_text()))
LETTER = jsonschema.Draft7Validator(json.loads((SCHEMAS / "dead_letter/1.json").read_text()))

LIMITS = Limits()
KEYS = make_keys("test")
STORED = {key.key_id: key for key in stored_keys(KEYS, "demo", samples.NOW - timedelta(days=1))}

MOST_OF_AN_ANSWER = 6 * 1024 * 1024  # Lambda's bound; beyond it the gateway answers 5xx in our place
MOST_MEMORY = 3 * LIMITS.max_inflated
FAMILY_NAMES = [family.__name__.rpartition(".")[2] for family in FAMILIES]


class Place(World):
    """A world that knows the keys of the corpus."""

    def find(self, key_id: str, _now: datetime) -> PublishedKey | None:
        return STORED.get(key_id)


def payload_of(case: Case) -> dict[str, Any]:
    """The request as the gateway hands it over."""
    payload: dict[str, Any] = samples.read("lambda/post-mixed-batch.json")
    headers = {**dict(case.headers), **case.key(KEYS)}
    return payload | {
        "routeKey": f"POST {case.route}",
        "headers": {"host": "example"} | {name.lower(): value for name, value in headers.items()},
        "body": base64.b64encode(case.body).decode(),
        "isBase64Encoded": True,
    }


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_case_gets_its_documented_answer_and_leaves_exactly_what_it_should(family: str) -> None:
    faults = []
    for case in corpus():
        if case.family == family:
            faults += [f"{case.name}: {fault}" for fault in find_faults(case)]
    assert faults == []


def find_faults(case: Case) -> list[str]:
    """List every difference from the documented case; all of a family's faults are shown at once."""
    place = Place()
    try:
        answer = place.ask(payload_of(case))
    except Exception as error:  # noqa: BLE001 -- for any error a device would have got a 5xx
        return [f"raised {error!r:.200}"]
    return [*_find_wrong_answer(case, answer), *_find_wrong_store(case, place)]


def _find_wrong_answer(case: Case, answer: Answer) -> list[str]:
    document = json.loads(answer.body)
    faults = []
    outcome = read_outcome(document)
    if (answer.status, outcome) != (case.status, case.outcome):
        faults.append(f"answered {answer.status} {outcome!s:.300}, not {case.status} {case.outcome!s:.300}")
    if answer.status >= 400:
        faults += [f"the answer breaks its schema: {error.message:.200}" for error in PROBLEM.iter_errors(document)]
    for result in document.get("results", []):
        error = result.get("error", {})
        if ("violations" in error) != (error.get("code") == "contract_violation"):
            faults.append(f"lists violations or not, unlike its code: {error!s:.200}")
    if len(json.dumps(answer.for_gateway())) > MOST_OF_AN_ANSWER:
        faults.append(f"the answer has {len(answer.body)} bytes")
    if not answer.headers["x-correlation-id"].isprintable() or len(answer.headers["x-correlation-id"]) > 64:
        faults.append(f"goes by {answer.headers['x-correlation-id']!r}")
    return faults


def _find_wrong_store(case: Case, place: Place) -> list[str]:
    stored = [message for message in place.messages if message.topic == "raw-events"]
    letters = place.letters()
    faults = []
    if [message.value for message in stored] != case.accepted:
        faults.append(f"{len(stored)} events are stored, and not the accepted {len(case.accepted)} byte for byte")
    if [shown(body) for body in case.letters] != [
        (letter.get("event"), letter.get("event_base64"), letter["event_size"]) for letter in letters
    ]:
        faults.append(f"{len(letters)} letters are stored, and not the {len(case.letters)} with the bytes as sent")
    for message in stored:
        document = json.loads(message.value)
        envelope = read_envelope(dict(message.headers)[HEADER])
        if message.key.decode() != document.get("device_id", document.get("source")):
            faults.append(f"kept in the order of {message.key!r}")
        if (envelope.fleet_id, envelope.contract) != ("demo", CONTRACT_OF[f"POST {case.route}"]):
            faults.append(f"stored as {envelope.contract} of {envelope.fleet_id}")
    codes = [case.outcome] if isinstance(case.outcome, str) else [one for one in case.outcome if one != ACCEPTED]
    for letter, code in zip(letters, codes, strict=False):  # how many there are is settled above
        faults += [f"a letter breaks its schema: {error.message:.200}" for error in LETTER.iter_errors(letter)]
        if (letter["reason"], letter["fleet_id"], letter["consumer"]) != (code, "demo", "ingest"):
            faults.append(f"a letter for {letter['reason']} of {letter['fleet_id']}, not for {code}")
    return faults


def shown(body: bytes) -> tuple[str | None, str | None, int]:
    """Bytes as a dead letter shows them: as text where they are text, cut where a character ends."""
    try:
        body.decode()
    except UnicodeDecodeError:
        pass
    else:
        return body[: LIMITS.max_letter].decode(errors="ignore"), None, len(body)
    kept = body[: LIMITS.max_letter]
    try:
        return kept.decode(), None, len(body)
    except UnicodeDecodeError:
        return None, base64.b64encode(kept).decode(), len(body)


@pytest.mark.parametrize("case", [one for one in corpus() if len(one.body) > 500_000 or "bomb" in one.name],
                         ids=lambda case: case.name)  # fmt: skip
def test_no_body_takes_more_memory_than_a_few_times_what_may_be_inflated(case: Case) -> None:
    payload, place = payload_of(case), Place()
    place.ask(payload_of(corpus()[0]))  # leaves out allocations that are made only once
    tracemalloc.start()
    try:
        place.ask(payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY + 2 * len(case.body)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_that_a_doubled_name_hides_is_turned_away_at_every_depth(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    for depth in range(900, 1010):
        inner = opening * depth + ("1" if closing == "}" else "") + closing * depth
        event = paste(f"hidden {depth}", b'{"a": ' + inner.encode() + b', "a": 1}')
        case = Case("hidden depth", event, ())
        answer = Place().ask(payload_of(case))
        assert read_outcome(json.loads(answer.body)) in (["too_deep"], ["duplicate_key"])


def test_the_dearest_events_leave_most_of_the_functions_time_unused() -> None:
    names = [f"{number:x}" for number in range(3000)]
    doubled = write(dict.fromkeys(names, 1))[:-1] + b', "%s": 1}' % names[-1].encode()
    assert len(doubled) <= LIMITS.max_event
    body = compression.zipped(b"[" + b",".join([doubled] * 10) + b"]")
    payload = payload_of(Case("doubled", body, (), headers=compression.GZIP))
    began = time.process_time()
    answer = Place().ask(payload)
    # A hundred events may come, and the function has fifteen seconds.
    assert time.process_time() - began < 0.5
    assert read_outcome(json.loads(answer.body)) == ["duplicate_key"] * 10

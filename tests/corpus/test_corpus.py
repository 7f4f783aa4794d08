"""The corpus itself: large enough, without twins, and in step with the codes that the sources raise."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sluice.edge.ingest import accepting
from tests.corpus.cases import ACCEPTED, Case, Refused
from tests.corpus.families import corpus

# No input causes these: they report the state of stores and quotas. tests/unit and tests/faults cause them.
OF_CIRCUMSTANCE = {"keys_unavailable", "quota_events", "quota_rejects", "not_stored", "pressure"}

# Of a whole answer, next to the codes of its events.
OF_THE_WHOLE = {"all_rejected"}

# Reached only where base64 or text from the gateway itself is broken, which no request can cause.
OF_THE_GATEWAY = {"unreadable_body"}

RAISERS = {"Refusal", "Rejection", "Unparsable"}
# In a process of its own, where no other module is imported.
LIST_MODULES = """
import sys
import functions.ingest.handler
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("sluice.core.")), sep="\\n")
"""
CODE = re.compile(r"[a-z]+(_[a-z0-9]+)+")


def codes_in(source: Path) -> set[str]:
    """The codes that a module gives to its refusals and rejections."""
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in RAISERS]
    return {
        argument.value
        for call in named
        for argument in call.args[:2]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and CODE.fullmatch(argument.value)
    }


def raised_codes() -> set[str]:
    """The codes of ingest and of the core modules that it uses, without the codes that only readers get."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], env=environment, capture_output=True, text=True, check=True
    )
    sources = [Path(line) for line in ran.stdout.splitlines()]
    return set().union(*(codes_in(source) for source in [*sources, Path(str(accepting.__file__))]))


def codes_of(case: Case) -> set[str]:
    if isinstance(case.expected, Refused):
        return {case.expected.code}
    return {event.outcome for event in case.expected} - {ACCEPTED}


def test_there_are_more_than_a_thousand_bad_requests_and_no_two_are_the_same() -> None:
    bad = [case for case in corpus() if case.status != 202]
    assert len({(case.route, case.headers, case.body, case.key) for case in bad}) > 1000
    assert [name for name, times in Counter((one.family, one.name) for one in corpus()).items() if times > 1] == []


def test_every_code_that_the_sources_raise_is_provoked_and_no_other_is_expected() -> None:
    expected = set().union(*(codes_of(case) for case in corpus()))
    assert expected == raised_codes() - OF_CIRCUMSTANCE - OF_THE_WHOLE - OF_THE_GATEWAY


def test_no_bytes_are_accepted_in_one_case_and_turned_away_in_another() -> None:
    accepted = {event for case in corpus() for event in case.accepted}
    assert [case.name for case in corpus() if accepted & set(case.letters)] == []


def test_the_corpus_is_made_of_the_same_bytes_every_time() -> None:
    again = corpus.__wrapped__()
    assert [(case.name, case.body) for case in again] == [(case.name, case.body) for case in corpus()]

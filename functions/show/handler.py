"""Show: serves the operators' page, its files and the API's description.

route -> name of a file -> the file, or 304 if it has not changed
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.api.page import HEADERS, PageFile, answer_file, name_file
from sluice.core.api.requests import read_correlation_id
from sluice.core.errors import Refusal
from sluice.edge.api.page import load_page


@cache
def build() -> dict[str, PageFile]:
    """Read the page, once per cold start."""
    return load_page()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request."""
    return show(event, build()).for_gateway()


def show(event: Mapping[str, Any], files: Mapping[str, PageFile]) -> Answer:
    """Return the file that the route names, or only its tag if the caller has it, or a refusal."""
    try:
        return answer_file(files, name_file(event), event.get("headers", {}))
    except Refusal as refusal:
        answer = answer_refusal(refusal, read_correlation_id(event), retry_after=1)
        answer.headers.update(HEADERS)
        return answer

"""The lines of a JSON text on which names stand."""

import json
import re
from collections.abc import Mapping

from sluice.core.schemas.versions import Place

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:]|\n')


def list_lines(text: str) -> Mapping[Place, int]:
    """List the line of each name; () is the whole text. What is no JSON has this one alone."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return {(): 1}
    lines: dict[Place, int] = {(): 1}
    line, last, within = 1, '""', []
    for found in _TOKEN.finditer(text):
        mark = found[0]
        if mark == "\n":
            line += 1
        elif mark in "{[":
            within.append("")
        elif mark in "}]":
            within.pop()
        elif mark == ":":
            within[-1] = json.loads(last)
            lines[tuple(within)] = line
        else:
            last = mark
    return lines


def find_line(lines: Mapping[Place, int], place: Place) -> int:
    """Find the line of a place, or else of what it is missing in."""
    while place not in lines:
        place = place[:-1]
    return lines[place]

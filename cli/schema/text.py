"""Breaking changes of a candidate: as lines, as annotations of a CI run, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cli.schema.lines import find_line
from cli.terminal import make_visible
from sluice.core.schemas.comparison import BreakingChange
from sluice.core.schemas.versions import FieldSchema, Place, Version

NOT_LOOKED_AT = ("alert rules", "queries", "dashboards", "what devices really sent")
_MOST_SHOWN = 60


def write_change(file: str, lines: Mapping[Place, int], change: BreakingChange) -> str:
    """Write a breaking change as a line that editors can follow."""
    line, rule = find_line(lines, change.place), change.rule
    return f"{file}:{line}: {rule.category} {rule.id} {make_visible(change.path)}: {_write_details(change)}"


def annotate(file: str, lines: Mapping[Place, int], change: BreakingChange) -> str:
    """Write a breaking change as an annotation: an error, or a warning if the candidate's mapping covers it."""
    level = "warning" if change.covered else "error"
    title = f"{change.rule.category} {change.rule.id}"
    return write_annotation(
        level, file, find_line(lines, change.place), title, f"{change.path}: {_write_details(change)}"
    )


def write_annotation(level: str, file: str, line: int, title: str, message: str) -> str:
    """Write a workflow command, as GitHub reads them."""
    file, title = (
        make_visible(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C") for text in (file, title)
    )
    return f"::{level} file={file},line={line},title={title}::{make_visible(message).replace('%', '%25')}"


def write_summary(candidate: Version, previous: Version | None, changes: Sequence[BreakingChange]) -> str:
    """Write whether a candidate passes."""
    if previous is None:
        return f"{candidate.name} is the first version of its contract."
    if not changes:
        return f"{candidate.name} does not break {previous.name}."
    plural = "" if len(changes) == 1 else "s"
    breaks = f"{candidate.name} breaks {previous.name}: {len(changes)} breaking change{plural}."
    if left := sum(not change.covered for change in changes):
        return f"{breaks} No declared mapping covers {left} of them, so it does not pass."
    return f"{breaks} Its mapping covers each, so it passes."


def describe_check(
    candidate: Version, previous: Version | None, changes: Sequence[BreakingChange], lines: Mapping[Place, int]
) -> dict[str, Any]:
    """Describe the check of a candidate for programs."""
    return {
        "candidate": candidate.name,
        "previous_version": None if previous is None else previous.name,
        "passes": all(change.covered for change in changes),
        "breaking_changes": [
            {
                "category": change.rule.category,
                "rule": change.rule.id,
                "path": change.path,
                "line": find_line(lines, change.place),
                "previous": change.previous,
                "new": change.new,
                "sentence": f"{change.rule.means}: {change.rule.why}",
                "hits": change.hits,
                "mapping": None if change.mapping is None else change.mapping.text,
                "covered": change.covered,
            }
            for change in changes
        ],
        "not_looked_at": NOT_LOOKED_AT,
    }


def describe_fields(version: Version) -> Iterator[dict[str, Any]]:
    """Describe a version's fields."""
    firmware = None if version.firmware_major is None else f"{version.firmware_major}.x"
    for name, presence, schema in _list_fields(version.schema, ""):
        yield {
            "contract": version.contract,
            "version": version.number,
            "firmware": firmware,
            "field": name,
            "type": schema.type,
            "presence": presence,
            "series": schema.series,
            "unit": schema.unit,
        }


def _list_fields(schema: FieldSchema, prefix: str) -> Iterator[tuple[str, str, FieldSchema]]:
    for name, field in schema.fields.items():
        yield prefix + name, "required" if name in schema.required else "optional", field
        yield from _list_fields(field, f"{prefix}{name}.")


def _write_details(change: BreakingChange) -> str:
    previous, new = (
        text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..." for text in (change.previous, change.new)
    )
    if change.mapping is None:
        mapping = "No mapping."
    elif change.covered:
        mapping = f"Covered by its mapping: {change.mapping.text}."
    else:
        mapping = f"Not covered; a mapping would be: {change.mapping.text}."
    return make_visible(f"{previous} -> {new}. Hits {', '.join(change.hits)}. {mapping}")

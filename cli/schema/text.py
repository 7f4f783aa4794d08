"""Breaches of a candidate: as lines, as annotations of a CI run, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cli.schema.lines import find_line
from cli.terminal import make_visible
from sluice.core.schemas.comparison import Breach
from sluice.core.schemas.versions import FieldRule, Place, Version

NOT_LOOKED_AT = ("rules of alerts", "queries", "dashboards", "what devices really sent")
_MOST_SHOWN = 60


def write_breach(file: str, lines: Mapping[Place, int], breach: Breach) -> str:
    """Write a breach as a line that editors can follow."""
    line, rule = find_line(lines, breach.place), breach.rule
    return f"{file}:{line}: {rule.category} {rule.id} {make_visible(breach.path)}: {_write_change(breach)}"


def annotate(file: str, lines: Mapping[Place, int], breach: Breach) -> str:
    """Write a breach as an annotation: an error, or a warning if the candidate's mapping mends it."""
    level = "warning" if breach.mended else "error"
    title = f"{breach.rule.category} {breach.rule.id}"
    return write_annotation(
        level, file, find_line(lines, breach.place), title, f"{breach.path}: {_write_change(breach)}"
    )


def write_annotation(level: str, file: str, line: int, title: str, message: str) -> str:
    """Write a workflow command, as GitHub reads them."""
    file, title = (
        make_visible(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C") for text in (file, title)
    )
    return f"::{level} file={file},line={line},title={title}::{make_visible(message).replace('%', '%25')}"


def write_summary(candidate: Version, before: Version | None, breaches: Sequence[Breach]) -> str:
    """Write whether a candidate passes."""
    if before is None:
        return f"{candidate.name} is the first version of its contract."
    if not breaches:
        return f"{candidate.name} does not break {before.name}."
    breaks = f"{candidate.name} breaks {before.name}: {len(breaches)} {'breach' if len(breaches) == 1 else 'breaches'}."
    if left := sum(not breach.mended for breach in breaches):
        return f"{breaks} Nothing that it declares mends {left} of them, so it does not pass."
    return f"{breaks} Its mapping mends each, so it passes."


def describe_check(
    candidate: Version, before: Version | None, breaches: Sequence[Breach], lines: Mapping[Place, int]
) -> dict[str, Any]:
    """Describe the check of a candidate for programs."""
    return {
        "candidate": candidate.name,
        "before": None if before is None else before.name,
        "passes": all(breach.mended for breach in breaches),
        "breaches": [
            {
                "category": breach.rule.category,
                "rule": breach.rule.id,
                "path": breach.path,
                "line": find_line(lines, breach.place),
                "old": breach.before,
                "new": breach.after,
                "sentence": f"{breach.rule.means}: {breach.rule.why}",
                "hits": breach.hits,
                "mapping": None if breach.mapping is None else breach.mapping.text,
                "mended": breach.mended,
            }
            for breach in breaches
        ],
        "not_looked_at": NOT_LOOKED_AT,
    }


def describe_fields(version: Version) -> Iterator[dict[str, Any]]:
    """Describe a version's fields."""
    firmware = None if version.firmware_major is None else f"{version.firmware_major}.x"
    for name, presence, rule in _list_fields(version.rule, ""):
        yield {
            "contract": version.contract,
            "version": version.number,
            "firmware": firmware,
            "field": name,
            "type": rule.type,
            "presence": presence,
            "series": rule.series,
            "unit": rule.unit,
        }


def _list_fields(rule: FieldRule, prefix: str) -> Iterator[tuple[str, str, FieldRule]]:
    for name, field in rule.fields.items():
        yield prefix + name, "required" if name in rule.required else "optional", field
        yield from _list_fields(field, f"{prefix}{name}.")


def _write_change(breach: Breach) -> str:
    old, new = (
        text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..." for text in (breach.before, breach.after)
    )
    if breach.mapping is None:
        mapping = "No mapping."
    elif breach.mended:
        mapping = f"Mended by its mapping: {breach.mapping.text}."
    else:
        mapping = f"Not mended; a mapping would be: {breach.mapping.text}."
    return make_visible(f"{old} -> {new}. Hits {', '.join(breach.hits)}. {mapping}")

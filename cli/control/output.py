"""How answers are shown: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cli.terminal import print_table


def show_list(items: Iterable[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Show things: all that is known of them as JSON, some columns in a table."""
    if as_json:
        show_json({"items": list(items)})
    else:
        # Words fit into a narrow terminal where a long name does not.
        head = [name.replace("_", " ") for name in columns]
        print_table(head, ([write(item.get(name)) for name in columns] for item in items))


def show(document: Mapping[str, Any], as_json: bool) -> None:
    """Show one thing."""
    if as_json:
        show_json(document)
    else:
        print_table(("field", "value"), ((name, write(value)) for name, value in document.items()))


def show_change(answer: Mapping[str, Any], as_json: bool) -> None:
    """Show what a change made, or what it would make."""
    if as_json or "dry_run" not in answer:
        show(answer, as_json)
        return
    rows = [
        (each["action"], each["target"], name, write(change["before"]), write(change["after"]))
        for each in answer["would"]
        for name, change in each["changes"].items()
    ]
    if rows:
        print_table(("would", "target", "field", "before", "after"), rows)
    else:
        print("Nothing would change.")


def show_json(document: Mapping[str, Any]) -> None:
    """Show a document as the one JSON text of a command."""
    print(json.dumps(document, indent=2))


def write(value: object) -> str:
    """Write a value of an answer for people."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list):
        return " ".join(map(write, value))
    return "" if value is None else str(value)

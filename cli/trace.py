"""Say what became of one event, line by line."""

import json
from typing import Annotated

import typer

from cli.functions import find_function, read_answer
from cli.stages import CommandError, Directory, Stage, choose
from cli.trace_text import write_story
from sluice.core.trace.outcomes import Trace


def run(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The event's id.")],
    fleet: Annotated[str, typer.Option(metavar="FLEET", help="Its fleet. Without: any.")] = "",
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Its device. Without: the files are searched for it.")
    ] = "",
    first: Annotated[
        str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day of arrival. Without: yesterday.")
    ] = "",
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="The last day. Without: today.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as JSON, as GET /v1/trace/{event_id} has it.")
    ] = False,
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Show what became of an event.

    Every copy of it, its offset and file, the windows that count it and its dead letters, or that it was never
    received. An id that begins with a dash stands behind --.
    """
    named = {"event_id": event_id, "fleet_id": fleet, "device_id": device, "from": first, "to": last}
    document = find_function(choose(stage, directory), "trace")({name: value for name, value in named.items() if value})
    if "verdict" not in document:
        raise CommandError(f"{document['code']}: {document['detail']}", 2)
    trace = read_answer(document, Trace)
    print(json.dumps(document) if as_json else "\n".join(write_story(trace)))

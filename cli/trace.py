"""Say what became of one event, line by line."""

from collections.abc import Sequence

from cli.functions import find_function, read_answer
from cli.stages import CommandError, begin_parser
from cli.trace_text import write_story
from sluice.core.trace.outcomes import Trace

WORDS = ("event_id", "fleet_id", "device_id", "from", "to")


def main(arguments: Sequence[str]) -> int:
    """Ask the function trace, and print the story of its answer."""
    parser = begin_parser("trace", __doc__)
    parser.add_argument("event_id", help="the event's id")
    parser.add_argument("fleet_id", nargs="?", default="", help="its fleet; nothing means any")
    parser.add_argument("device_id", nargs="?", default="", help="its device; without one, it is found in the files")
    parser.add_argument("from", nargs="?", default="", help="the first day of arrival, such as 2026-01-31 (yesterday)")
    parser.add_argument("to", nargs="?", default="", help="the last day (today)")
    options = parser.parse_args(arguments)
    question = {name: value for name in WORDS if (value := getattr(options, name))}
    document = find_function(options, "trace")(question)
    if "verdict" not in document:
        raise CommandError(f"{document['code']}: {document['detail']}", 2)
    print("\n".join(write_story(read_answer(document, Trace))))
    return 0

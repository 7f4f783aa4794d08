"""Searching the files for one event, with the named queries that analysts also use."""

from pathlib import Path

from sluice.core.correlation import write_comment
from sluice.core.trace.lake_search import EventSearch, SearchResult, read_copy, read_letters
from sluice.edge.trace.athena import Athena, Failure

# Next to the package, in the layer and in the checkout.
QUERIES = Path(__file__).parents[4] / "athena"


class Seeker:
    """Finds the copies of an event and its dead letters."""

    def __init__(self, athena: Athena) -> None:
        self._athena = athena
        self._queries = [(QUERIES / f"{name}.sql").read_text() for name in ("event_by_id", "dead_letters_by_id")]

    def seek(self, wanted: EventSearch) -> SearchResult:
        """Run both queries; a failed one does not affect the other."""
        comment = write_comment(wanted.correlation_id)
        queries = [f"{comment}{query}" for query in self._queries]
        copies, letters = self._athena.ask(queries, wanted.parameters())
        # Of two different problems, the answer names the one that needs attention.
        failures = sorted(
            (one for one in (copies, letters) if isinstance(one, Failure)), key=lambda one: one.problem != "unavailable"
        )
        return SearchResult(
            None if isinstance(copies, Failure) else tuple(map(read_copy, copies)),
            None if isinstance(letters, Failure) else read_letters(letters, wanted.event_id),
            failures[0].problem if failures else None,
            "; ".join(failure.detail for failure in failures),
        )

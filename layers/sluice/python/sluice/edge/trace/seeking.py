"""Looking for one event among the files, by the named queries that analysts have too."""

from pathlib import Path

from sluice.core.trace.seeking import Found, Wanted, read_copy, read_letters
from sluice.edge.trace.athena import Athena, Failure

# Beside the package, in the layer as in the checkout.
QUERIES = Path(__file__).parents[4] / "athena"


class Seeker:
    """Finds the copies of an event and its dead letters."""

    def __init__(self, athena: Athena) -> None:
        self._athena = athena
        self._queries = [(QUERIES / f"{name}.sql").read_text() for name in ("event_by_id", "dead_letters_by_id")]

    def seek(self, wanted: Wanted) -> Found:
        """Ask both questions; one that has no answer leaves the other as it is."""
        copies, letters = self._athena.ask(self._queries, wanted.parameters())
        # Of two different problems the one is told that somebody has to hear of.
        failures = sorted(
            (one for one in (copies, letters) if isinstance(one, Failure)), key=lambda one: one.problem != "unavailable"
        )
        return Found(
            None if isinstance(copies, Failure) else tuple(map(read_copy, copies)),
            None if isinstance(letters, Failure) else read_letters(letters, wanted.event_id),
            failures[0].problem if failures else None,
            "; ".join(failure.detail for failure in failures),
        )

"""Who is told of each effect while a history runs. This one looks at nothing; Watch does."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice.core.messages import Message
    from sluice.core.records import Origin
    from tests.simulation.processes import Invocation


class Witness:
    """Sees what the simulated parts do."""

    def note_record(self, origin: "Origin", message: "Message", writer: "Invocation | None") -> None:
        """See a record that the brokers have stored."""

    def note_rows(self, records: Sequence[bytes]) -> None:
        """See what a delivery stream has taken."""

    def note_offsets(self, group: str, topic: str, before: Mapping[int, int], after: Mapping[int, int]) -> None:
        """See a group's offsets move."""

    def note_given_up(self, group: str, places: Sequence[tuple[int, int]]) -> None:
        """See records that an event source has given up, and stored where failures go."""

    def note_statement(self, function: str, *, commits: bool) -> None:
        """See that a function has executed a statement, and whether that is in effect now."""

    def note_misuse(self, what: str) -> None:
        """See that a part is used as it must not be."""

    def note_outage(self, part: str) -> None:
        """See that a part is away from now on."""

    def note_death(self, origin: "Origin", ended: "Invocation") -> None:
        """See that a record ends the process that reads it."""

    def note_halt(self, halted: "Invocation") -> None:
        """See that a consumer takes in nothing of a batch, because too much of it or of all is bad."""

    def note_letters_allowed(self, consumer: str) -> None:
        """See that an admin has allowed a consumer more dead letters."""

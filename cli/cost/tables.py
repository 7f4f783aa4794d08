"""Tables for a terminal and for a page."""

from collections.abc import Iterator, Sequence

import msgspec


class Table(msgspec.Struct, frozen=True):
    """Rows under a head. All columns but the first `words` hold figures."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def as_text(self) -> Iterator[str]:
        """Write it in columns."""
        rows = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                cell.ljust(width) if place < self.words else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield "  ".join(cells).rstrip()

    def as_markdown(self) -> Iterator[str]:
        """Write it for a page."""
        yield _row(self.head)
        yield "|" + "|".join("---" if place < self.words else "--:" for place in range(len(self.head))) + "|"
        yield from map(_row, self.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def dollars(usd: float) -> str:
    """Write an amount: whole dollars, or cents where there are few."""
    return f"{usd:,.0f}" if abs(usd) >= 10 else f"{usd:,.2f}"

"""How much of a batch may be put aside as poison before the fault must be ours."""

# A few bad records are theirs; many at once are a bad deployment of ours, which must not drain the whole stream.
ALWAYS = 10
SHARE = 0.1


class QuarantineExceededError(Exception):
    """Too much of a batch is poison: it stays in Kafka, and somebody is called."""


def check_budget(poison: int, records: int) -> None:
    """Stop when more of a batch is poison than bad luck explains."""
    if poison > ALWAYS + SHARE * records:
        raise QuarantineExceededError(f"{poison} of {records} records cannot be read; none is put aside")

"""Archive has time to send the largest batch, and to report what must be retried."""

from infra.functions.archive import ROUND_SECONDS
from sluice.edge import aws
from sluice.edge.archive import archiving

# A batch of 6 MB is at most 4.5 MB of events; as text in a row each quotation mark of theirs takes a second byte, and
# what stands around them is less than what Lambda made of their headers.
LONGEST_BATCH = 2 * 4.5e6 + 6e6


def test_the_time_for_a_round_is_enough_for_the_largest_batch() -> None:
    assert LONGEST_BATCH <= 4 * archiving.MAX_CALL
    assert ROUND_SECONDS >= 4 * (aws.CONNECT_SECONDS + archiving.ANSWER_SECONDS)

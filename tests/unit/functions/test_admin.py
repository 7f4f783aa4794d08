"""admin answers exactly the routes that the gateway gives to it, with a random text for each key."""

from functions.admin import handler
from infra.api.roles import AUDIT, CHANGES, ON_CALL, READS
from sluice.core.api.keys import ALPHABET
from sluice.edge.control.administration import ROUTES


def test_every_route_has_an_answer() -> None:
    assert set(ROUTES) == {*READS, *AUDIT, *ON_CALL, *CHANGES}


def test_texts_are_drawn_from_the_whole_alphabet() -> None:
    drawn = handler.draw(10_000)
    assert len(drawn) == 10_000
    assert set(drawn) == set(ALPHABET)
    assert handler.draw(43) != handler.draw(43)

"""The client records every answer, and what an answer without statuses leaves open."""

from cli.simulation.client import Ledger, digest
from cli.simulation.devices import EVENTS, Sent


def test_an_answer_without_statuses_leaves_the_events_unknown_refused_or_turned_away() -> None:
    book = Ledger()
    bodies = [b'{"event_id": "%d"}' % number for number in range(5)]
    sent = [Sent(EVENTS, body, "telemetry") for body in bodies]
    assert book.write(sent[:1], 503, {"message": "Service Unavailable"})
    assert not book.write(sent[1:2], 413, {"code": "body_too_large"})
    assert book.write(sent[2:3], 429, {"code": "quota_events"})
    assert book.write(sent[3:4], 429, {"code": "not_stored"})
    assert not book.write(sent[4:], 400, {"code": "malformed_json"})
    assert set(book.unknown) == {digest(bodies[0]), digest(bodies[3])}
    assert book.no_events == {digest(bodies[4])}
    assert book.rejected == set()
    assert [attempt.answer for attempt in book.attempts] == ["unknown", "refused", "turned away", "unknown", "refused"]


def test_every_attempt_is_written_down_with_its_number() -> None:
    book = Ledger()
    event = Sent(EVENTS, b'{"event_id": "a"}', "telemetry")
    for status, said in ((429, "retry"), (202, "accepted")):
        book.write([event], status, {"results": [{"status": said}]})
    assert [(one.event_id, one.sha256, one.number, one.answer) for one in book.attempts] == [
        ("a", digest(event.body), 1, "unknown"),
        ("a", digest(event.body), 2, "accepted"),
    ]
    assert book.attempts[0].at <= book.attempts[1].at

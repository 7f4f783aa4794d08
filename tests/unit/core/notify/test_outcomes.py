"""What an answer means: delivered, later again, or no sense in trying again."""

from datetime import UTC, datetime

import pytest

from sluice.core.notify.outcomes import Answer, hide, judge, read_retry_after

NOW = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, "delivered") for status in (200, 201, 202, 204)),
        *((status, "failed") for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((status, "refused") for status in (301, 302, 307, 308, 400, 401, 403, 404, 410, 413, 422, 103, 600)),
    ],
)
def test_a_status_decides_whether_to_try_again(status: int, outcome: str) -> None:
    assert judge(Answer(status), "hooks.example", NOW).outcome == outcome


def test_an_answer_is_quoted_short_and_harmless() -> None:
    result = judge(Answer(400, "no\x1b[2J\n" + "x" * 5000), "hooks.example", NOW)

    assert result.detail.startswith("hooks.example answered 400: no [2J x")
    assert result.detail.isprintable()
    assert len(result.detail) < 300


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 5 ", 5.0),
        ("Mon, 30 Nov 2026 06:01:30 GMT", 90.0),
        ("Mon, 30 Nov 2026 05:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("٣", None),
        ("9" * 5000, 999_999_999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


def test_a_busy_destination_says_when() -> None:
    assert judge(Answer(429, "", "7"), "hooks.example", NOW).retry_after == 7.0


def test_what_an_answer_repeats_of_a_secret_is_hidden() -> None:
    assert hide("no such hook: T0/B0/abc, key k-1", ("T0/B0/abc", "k-1")) == "no such hook: (hidden), key (hidden)"

from datetime import UTC, datetime, timedelta

import msgspec

from sluice.core.rollup_archive.recall import MAX_ANSWER, ArchivedRow, RecallAnswer, answer_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(minute: int, metric: str = "cpu_temp", **more: tuple[int, ...]) -> ArchivedRow:
    return ArchivedRow(
        NOON + timedelta(minutes=minute), "press-1", metric, "C", 6, 1.5, 1.0, 2.0, 1.5, 2.0, 9.0, 0.25, **more
    )


def test_an_answer_is_in_the_order_of_time_and_survives_the_way() -> None:
    answer = answer_rows([row(2), row(0, "vibration"), row(0, bins=(-3, 4), bin_counts=(1, 5)), row(1)])
    assert [(each.window_start.minute, each.metric) for each in answer.rows] == [
        (0, "cpu_temp"),
        (0, "vibration"),
        (1, "cpu_temp"),
        (2, "cpu_temp"),
    ]
    assert msgspec.json.decode(msgspec.json.encode(answer), type=RecallAnswer) == answer


def test_an_answer_that_would_not_fit_is_refused_with_what_to_do() -> None:
    long = tuple(range(4_000_000, 4_000_000 + 10_000))
    answer = answer_rows([row(minute, bins=long, bin_counts=long) for minute in range(MAX_ANSWER // 100_000)])
    assert answer.rows == ()
    assert "shorter range" in (answer.too_much or "")

"""Times: bad formats, dates that no calendar has, and the bounds of what is accepted."""

from collections.abc import Iterator

from tests.corpus.cases import ACCEPTED, ROUTE_OF, Case, among_good, good, one, telemetry, write

NOT_WRITTEN_AS_ONE: dict[str, object] = {
    "nothing": "",
    "a word": "now",
    "a date": "2026-11-20",
    "a time of day": "09:30:00Z",
    "no seconds": "2026-11-20T09:30Z",
    "no minutes": "2026-11-20T09Z",
    "a space between": "2026-11-20 09:30:00Z",
    "an underscore between": "2026-11-20_09:30:00Z",
    "nothing between": "2026-11-2009:30:00Z",
    "a small t": "2026-11-20t09:30:00Z",
    "a small z": "2026-11-20T09:30:00z",
    "no zone": "2026-11-20T09:30:00",
    "a zone without colon": "2026-11-20T09:30:00+0100",
    "a zone of hours": "2026-11-20T09:30:00+01",
    "a zone with seconds": "2026-11-20T09:30:00+01:00:00",
    "a zone of 24 hours": "2026-11-20T09:30:00+24:00",
    "a zone of minus 24 hours": "2026-11-20T09:30:00-24:00",
    "a zone of 99 hours": "2026-11-20T09:30:00+99:00",
    "a zone of 60 minutes": "2026-11-20T09:30:00+00:60",
    "a zone of minus 60 minutes": "2026-11-20T09:30:00-00:60",
    "a zone of 99 minutes": "2026-11-20T09:30:00+01:99",
    "a zone's name": "2026-11-20T09:30:00 UTC",
    "a zone's name in brackets": "2026-11-20T09:30:00Z[Europe/Berlin]",
    "another military zone": "2026-11-20T09:30:00A",
    "two zones": "2026-11-20T09:30:00Z+01:00",
    "a zone with a typographic minus": "2026-11-20T09:30:00\u221201:00",
    "basic form": "20261120T093000Z",
    "a point without fraction": "2026-11-20T09:30:00.Z",
    "ten digits of fraction": "2026-11-20T09:30:00.1234567890Z",
    "a comma for the fraction": "2026-11-20T09:30:00,250Z",
    "a fraction of minutes": "2026-11-20T09:30.5Z",
    "a day of the year": "2026-324T09:30:00Z",
    "a day of a week": "2026-W47-5T09:30:00Z",
    "one digit for the month": "2026-1-20T09:30:00Z",
    "two digits for the year": "26-11-20T09:30:00Z",
    "five digits for the year": "12026-11-20T09:30:00Z",
    "a signed year": "+002026-11-20T09:30:00Z",
    "a year before the first": "-0001-11-20T09:30:00Z",
    "slashes": "2026/11/20T09:30:00Z",
    "the day first": "20.11.2026 09:30:00",
    "the month in letters": "2026-Nov-20T09:30:00Z",
    "a date of mail": "Fri, 20 Nov 2026 09:30:00 GMT",
    "a date of C": "Fri Nov 20 09:30:00 2026",
    "seconds since 1970": "1795167005",
    "milliseconds since 1970": "1795167005250",
    "a duration": "PT5M",
    "a span": "2026-11-20T09:30:00Z/PT5M",
    "a space before": " 2026-11-20T09:30:00Z",
    "a space after": "2026-11-20T09:30:00Z ",
    "a line feed after": "2026-11-20T09:30:00Z\n",
    "full-width digits": "\uff12\uff10\uff12\uff16-11-20T09:30:00Z",
    "Arabic digits": "\u0662\u0660\u0662\u0666-11-20T09:30:00Z",
    "a time of .NET": "/Date(1795167005250)/",
}

NOT_TEXTS: dict[str, object] = {"a number": 1_795_167_005, "a fraction": 1795167005.25}

NEVER: dict[str, object] = {
    "month 00": "2026-00-20T09:30:00Z",
    "month 13": "2026-13-20T09:30:00Z",
    "month 99": "2026-99-20T09:30:00Z",
    "day 00": "2026-11-00T09:30:00Z",
    "day 31 of November": "2026-11-31T09:30:00Z",
    "day 32": "2026-01-32T09:30:00Z",
    "the 30th of February": "2024-02-30T09:30:00Z",
    "the 29th of February in no leap year": "2026-02-29T09:30:00Z",
    "the 29th of February in 1900": "1900-02-29T09:30:00Z",
    "hour 24": "2026-11-20T24:00:00Z",
    "hour 24 and more": "2026-11-20T24:30:00Z",
    "hour 25": "2026-11-20T25:00:00Z",
    "minute 60": "2026-11-20T09:60:00Z",
    "second 60": "2026-11-20T09:30:60Z",
    "a leap second": "2016-12-31T23:59:60Z",
    "second 61": "2026-11-20T09:30:61Z",
    "all nines": "9999-99-99T99:99:99Z",
    "the year 0": "0000-01-01T00:00:00Z",
    "all zeros": "0000-00-00T00:00:00Z",
    "before the first year by its zone": "0001-01-01T00:00:00+00:01",
    "after the last year by its zone": "9999-12-31T23:59:59-00:01",
}

BELIEVED: dict[str, object] = {
    "the first moment": "0001-01-01T00:00:00Z",
    "the last moment": "9999-12-31T23:59:59.999999999Z",
    "the start of 1970": "1970-01-01T00:00:00Z",
    "before 1970": "1969-12-31T23:59:59.999Z",
    "before nanoseconds of 64 bits": "1677-09-21T00:12:43Z",
    "after nanoseconds of 64 bits": "2262-04-11T23:47:17Z",
    "after seconds of 32 bits": "2038-01-19T03:14:08Z",
    "a leap day": "2024-02-29T23:59:59Z",
    "the leap day of 2000": "2000-02-29T00:00:00Z",
    "a zone of minus zero": "2026-11-20T09:30:00-00:00",
    "the largest zone": "2026-11-20T09:30:00+23:59",
    "the smallest zone": "2026-11-20T09:30:00-23:59",
    "a zone of three quarters": "2026-11-20T15:15:00+05:45",
    "a fraction of one digit": "2026-11-20T09:30:00.2Z",
    "a fraction of nine digits": "2026-11-20T09:30:00.123456789Z",
    "a day ahead by its zone": "2026-11-20T00:00:00-14:00",
}

FIELDS = (("telemetry", 1, "timestamp"), ("reading", 2, "event_time"), ("activity", 1, "timestamp"))


def cases() -> Iterator[Case]:
    """Each time in each contract; what is believed is kept as it was written."""
    for contract, version, field in FIELDS:
        for times, outcome in (
            (NOT_WRITTEN_AS_ONE | NOT_TEXTS, "contract_violation"),
            (NEVER, "invalid_time"),
            (BELIEVED, ACCEPTED),
        ):
            for name, time in times.items():
                event = write(good(contract, version, f"time {name}") | {field: time})
                yield one(f"{contract} at {name}", event, outcome, route=ROUTE_OF[contract])
    for name, time in NEVER.items():
        event = write(telemetry(f"time in a batch {name}", timestamp=time))
        yield among_good(f"{name} in a batch", event, "invalid_time")

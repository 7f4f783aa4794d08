"""A link leads to the series of an incident, as the dashboard reads its address."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from sluice.core.alerts.incidents import join_incident, open_incident, tell
from sluice.core.alerts.links import AROUND, LONGEST, link_series
from sluice.core.alerts.series import key_of
from tests.support.alerts import MINUTE, SENDER, START, reading, verdict

SINCE = datetime(2026, 11, 30, 6, 12, 40, tzinfo=UTC)


def write(**changes: object) -> str:
    given = {"fleet_id": "demo", "device_id": "press-1", "metric": "cpu_temp", "since": SINCE, "until": SINCE}
    return link_series("https://api.example", **(given | changes))  # type: ignore[arg-type]  # as given


def read(link: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(link).fragment, strict_parsing=True)


def test_a_link_names_the_series_and_a_quarter_of_an_hour_around_its_time() -> None:
    link = write(until=SINCE + timedelta(minutes=46))
    start, end = 1796019160 - 900, 1796019160 + 2760 + 900
    assert link == f"https://api.example/#fleet=demo&device=press-1&metric=cpu_temp&from={start}&to={end}"


def test_without_one_device_or_metric_a_link_shows_the_fleet_or_all_metrics() -> None:
    assert set(read(write(device_id=None))) == {"fleet", "metric", "from", "to"}
    assert set(read(write(metric=""))) == {"fleet", "device", "from", "to"}


def test_names_are_written_so_that_the_page_reads_them_back() -> None:
    hostile = 'a&b=#<c>|"d" + % \u00fc'
    link = write(device_id=hostile)
    assert read(link)["device"] == [hostile]
    assert not set(link) & set("<>|\"' ")


def test_of_an_incident_that_is_open_for_years_a_link_shows_the_last_one() -> None:
    until = SINCE + 3 * LONGEST
    found = read(write(until=until))
    assert [datetime.fromtimestamp(int(found[name][0]), UTC) for name in ("from", "to")] == [
        until + AROUND - LONGEST,
        until + AROUND,
    ]


def test_a_message_links_to_its_one_device_and_that_of_several_to_their_fleet() -> None:
    breach = reading(0, "breach")
    given = verdict([breach])
    incident = open_incident(key_of(given), given, breach, START)

    def link(device_id: str) -> dict[str, list[str]]:
        join_incident(incident, device_id, given, breach, new=True)
        message = tell(incident, "opened", START + 5 * MINUTE, SENDER, ())
        assert message.stage == SENDER.stage
        assert message.dashboard.startswith(f"{SENDER.dashboard}/#")
        return read(message.dashboard)

    one, several = link("device-1"), link("device-2")
    assert (one["fleet"], one["device"], one["metric"]) == (["fleet-1"], ["device-1"], ["temperature"])
    assert int(one["to"][0]) - int(one["from"][0]) == 35 * 60
    assert several == {name: one[name] for name in ("fleet", "metric", "from", "to")}

import pytest

from sluice.edge.settings import BrokerSettings, SettingsError

ENVIRON = {
    "KAFKA_BOOTSTRAP": "b-1:9098",
    "KAFKA_AUTH": "iam",
    "AWS_REGION": "eu-west-1",
    "PRODUCE_DEADLINE_SECONDS": "2.5",
    "UNRELATED": "x",
}


def test_settings_are_typed_and_take_only_their_own() -> None:
    assert BrokerSettings.from_environ(ENVIRON) == BrokerSettings("b-1:9098", "iam", "eu-west-1", 2.5)


@pytest.mark.shows_fault(
    part="config",
    fault="empty, corrupt, older than the code",
    expected="refused at synthesis or at start; an unreadable copy is not used",
)
@pytest.mark.parametrize(
    ("change", "says"),
    [({"PRODUCE_DEADLINE_SECONDS": "soon"}, "produce_deadline_seconds"), ({"KAFKA_AUTH": "plain"}, "kafka_auth")],
)
def test_an_unreadable_setting_stops_the_start_and_is_named(change: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        BrokerSettings.from_environ(ENVIRON | change)


@pytest.mark.shows_fault(part="config", fault="empty, corrupt, older than the code")
def test_a_missing_setting_stops_the_start_and_is_named() -> None:
    del (environ := dict(ENVIRON))["KAFKA_BOOTSTRAP"]
    with pytest.raises(SettingsError, match="kafka_bootstrap"):
        BrokerSettings.from_environ(environ)

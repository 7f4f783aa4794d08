"""The structs that read an environment also write it. A value that does not fit stops the synthesis."""

from dataclasses import dataclass

import pytest
from aws_cdk import Token

from infra.building_blocks.environment import SettingError, environment_of
from sluice.edge.settings import Settings, SettingsError


class Reading(Settings, frozen=True):
    """What a function reads."""

    aws_region: str
    topic: str
    sweep_shards: int
    pause_seconds: float
    user: str | None = None


@dataclass(frozen=True)
class Chosen:
    """What a profile chooses for it."""

    shards: int
    pause_seconds: float
    late_seconds: int = 60


CHOSEN = Chosen(shards=4, pause_seconds=0.5)


def test_a_field_comes_from_the_facts_or_from_the_settings_with_the_functions_name_or_without() -> None:
    environment = environment_of("sweep", [Reading], settings=[CHOSEN], facts=[{"topic": "raw-events"}])
    assert environment == {"TOPIC": "raw-events", "SWEEP_SHARDS": "4", "PAUSE_SECONDS": "0.5"}


@pytest.mark.parametrize(
    ("settings", "facts", "says"),
    [
        ([CHOSEN], [], "sweep: nothing gives Reading.topic a value"),
        ([], [{"topic": "t", "pause_seconds": 1}], "sweep: nothing gives Reading.sweep_shards a value"),
        ([CHOSEN], [{"topic": "t", "bucket": "b"}], "sweep: no struct reads bucket"),
        ([CHOSEN], [{"topic": "t"}, {"topic": "u"}], "sweep: Reading.topic is given 2 different values"),
        ([CHOSEN, Chosen(5, 0.5)], [{"topic": "t"}], "sweep: Reading.sweep_shards is given 2 different values"),
    ],
)
def test_what_does_not_fit_is_named(
    settings: list[object], facts: list[dict[str, str | int | float]], says: str
) -> None:
    with pytest.raises(SettingError, match=says):
        environment_of("sweep", [Reading], settings=settings, facts=facts)


def test_a_value_that_the_function_could_not_read_is_refused() -> None:
    with pytest.raises(SettingsError, match="sweep_shards"):
        environment_of("sweep", [Reading], settings=[CHOSEN], facts=[{"topic": "t", "sweep_shards": "many"}])


def test_what_only_a_deployment_knows_is_taken_as_it_is() -> None:
    port = Token.as_string({"Ref": "Port"})
    environment = environment_of("sweep", [Reading], settings=[CHOSEN], facts=[{"topic": "t", "sweep_shards": port}])
    assert environment["SWEEP_SHARDS"] == port

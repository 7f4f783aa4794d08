"""probe may create fleets and keys of its own fleet, keeps its keys in one secret, and reaches no store."""

import re

from tests.infra.templates import Templates


def test_it_may_make_keys_of_its_own_fleet_and_of_no_other(templates: Templates) -> None:
    granted = templates.granted("probe")
    routes = re.findall(r"\$default/([\w/*-]+)", "".join(granted["execute-api:Invoke"]))
    assert sorted(routes) == ["POST/v1/admin/fleets", "POST/v1/admin/fleets/sluice-probe/keys"]
    services = {action.partition(":")[0] for action in granted}
    assert services == {"execute-api", "kms", "logs", "secretsmanager"}


def test_it_may_use_the_key_for_its_own_secret_alone(templates: Templates) -> None:
    (using,) = [each for each in templates.statements("probe") if "kms:Decrypt" in each["Action"]]
    secret = templates.only("AWS::SecretsManager::Secret")
    assert using["Condition"] == {
        "StringEquals": {
            "kms:ViaService": "secretsmanager.us-east-1.amazonaws.com",
            "kms:EncryptionContext:SecretARN": {"Ref": secret.name},
        }
    }


def test_it_asks_at_the_address_that_everyone_has(templates: Templates) -> None:
    address = templates.functions()["probe"].properties["Environment"]["Variables"]["API_ADDRESS"]
    assert re.fullmatch(r"sluice-proof-pipeline:ExportsOutputFnGetAttApi\w+ApiEndpoint\w+", address["Fn::ImportValue"])


def test_where_it_is_not_scheduled_no_alarm_misses_it(templates: Templates) -> None:
    scheduled = templates.profile.probe.scheduled
    missing = {"breaching" if scheduled else "notBreaching"}
    alarms = templates.alarms()
    assert {alarms[name].properties["TreatMissingData"] for name in ("probe-not-run", "probe-unaccepted")} == missing
    for name in ("probe-late", "probe-slow"):
        assert alarms[name].properties["TreatMissingData"] == "notBreaching"

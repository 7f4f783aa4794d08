"""Checkpoints: one function signs them, no one deletes them, and an alarm fires when one cannot be signed."""

import json
from datetime import timedelta

from infra.api.roles import ROUTES, VERIFIERS
from sluice.edge.settings import CheckpointSettings
from tests.infra.templates import Resource, Templates, listed

# What ends a lock, deletes a version or hides it, or makes any of these possible.
UNLOCKING = {
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteObjectVersion",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
}


def _bucket(templates: Templates) -> Resource:
    (bucket,) = [each for each in templates.every("AWS::S3::Bucket") if "Checkpoints" in each.name]
    return bucket


def _granted(templates: Templates) -> list[tuple[str, str, str]]:
    """Return what every role may do: the role, the action and the resource."""
    return [
        (role.name, action, json.dumps(statement["Resource"]))
        for role in templates.every("AWS::IAM::Role")
        for policy in role.properties.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    ]


def test_one_key_signs_and_only_one_function_may_use_it(templates: Templates) -> None:
    (key,) = [each for each in templates.every("AWS::KMS::Key") if each.properties.get("KeyUsage") == "SIGN_VERIFY"]
    assert key.properties["KeySpec"] == "ECC_NIST_P256"
    assert key.policies["DeletionPolicy"] == ("RetainExceptOnCreate" if templates.profile.keeps_data else "Delete")
    signing = {role for role, action, _ in _granted(templates) if action in ("kms:Sign", "kms:*")}
    assert len(signing) == 1
    assert signing.pop().startswith("CheckpointRole")
    (place,) = templates.granted("checkpoint")["kms:Sign"]
    assert "CheckpointsKey" in place
    (alias,) = templates.every("AWS::KMS::Alias")
    assert alias.properties["AliasName"] == templates.variables("checkpoint")["CHECKPOINT_KEY"]


def test_it_reaches_the_key_through_a_door_that_admits_no_other_function(templates: Templates) -> None:
    (rule,) = [
        rule.name
        for rule in templates.every("AWS::EC2::SecurityGroupIngress")
        if "KmsDoor" in json.dumps(rule.properties["GroupId"])
    ]
    assert "Checkpoint" in rule


def test_each_checkpoint_is_locked_and_data_is_not(templates: Templates) -> None:
    locked = [each.name for each in templates.every("AWS::S3::Bucket") if "ObjectLockEnabled" in each.properties]
    assert locked == [_bucket(templates).name]
    properties = _bucket(templates).properties
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    lock = properties["ObjectLockConfiguration"]
    assert lock["ObjectLockEnabled"] == "Enabled"
    assert lock["Rule"]["DefaultRetention"]["Mode"] == ("COMPLIANCE" if templates.profile.keeps_data else "GOVERNANCE")
    assert (lock["Rule"]["DefaultRetention"]["Days"] >= 365) == templates.profile.keeps_data


def test_a_locked_checkpoint_is_never_due_to_expire_and_a_new_one_comes_before(templates: Templates) -> None:
    properties = _bucket(templates).properties
    days = properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Days"]
    expiring = [rule for rule in properties["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
    assert [rule["ExpirationInDays"] for rule in expiring] == [days + 1]
    assert [rule["NoncurrentVersionExpiration"] for rule in expiring] == [{"NoncurrentDays": 1}]
    assert templates.settings("checkpoint", CheckpointSettings).checkpoint_lock_days == days


def test_no_role_deletes_a_checkpoint_or_shortens_its_lock(templates: Templates) -> None:
    assert not {(role, action) for role, action, _ in _granted(templates) if action in UNLOCKING or action == "s3:*"}
    ours = {(role, action) for role, action, place in _granted(templates) if "CheckpointsBucket" in place}
    assert {action for role, action in ours if role.startswith("CheckpointRole")} == {
        "s3:GetObjectVersion",
        "s3:ListBucketVersions",
        "s3:PutObject",
    }
    assert {action for role, action in ours if not role.startswith("CheckpointRole")} == {
        "s3:GetObjectVersion",
        "s3:ListBucketVersions",
    }


def test_who_verifies_may_download_checkpoints_and_the_public_key_and_decrypt_nothing_else(
    templates: Templates,
) -> None:
    roles = {
        role.properties["RoleName"].removeprefix("sluice-proof-"): {
            policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in role.properties["Policies"]
        }
        for role in templates.every("AWS::IAM::Role")
        if str(role.properties.get("RoleName", "")).removeprefix("sluice-proof-") in ROUTES
    }
    assert set(roles) == set(ROUTES)
    assert {name for name, policies in roles.items() if "checkpoints" in policies} == set(VERIFIERS)
    for name in VERIFIERS:
        allowed = {statement["Action"]: statement for statement in roles[name]["checkpoints"]}
        assert set(allowed) == {"kms:GetPublicKey", "s3:GetObjectVersion", "s3:ListBucketVersions", "kms:Decrypt"}
        condition = allowed["kms:Decrypt"]["Condition"]["StringEquals"]
        assert condition["kms:ViaService"] == "s3.us-east-1.amazonaws.com"
        assert "CheckpointsBucket" in json.dumps(condition["kms:EncryptionContext:aws:s3:arn"])


def test_alarms_fire_when_the_audit_is_altered_and_when_nothing_is_signed(templates: Templates) -> None:
    altered = templates.alarms()["checkpoint-altered"].properties
    assert (altered["MetricName"], altered["Period"], altered["EvaluationPeriods"]) == ("AuditAltered", 300, 1)
    unsigned = templates.alarms()["checkpoint-unsigned"].properties
    assert (unsigned["MetricName"], unsigned["TreatMissingData"]) == ("EntriesUnsigned", "breaching")
    rings = timedelta(seconds=unsigned["EvaluationPeriods"] * unsigned["Period"])
    assert "half an hour" in unsigned["AlarmDescription"]
    assert rings == timedelta(minutes=30)


def test_a_statement_ends_before_the_function_does(templates: Templates) -> None:
    settings = templates.settings("checkpoint", CheckpointSettings)
    function = templates.functions()["checkpoint"].properties
    assert 2 * settings.statement_seconds < function["Timeout"]
    assert function["ReservedConcurrentExecutions"] == 1

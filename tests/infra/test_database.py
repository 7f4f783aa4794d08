"""PostgreSQL and the cache are private, encrypted, bounded, and never asked for more connections than they have."""

import re

from sluice.edge.failures import attempts, holding, quarantine
from tests.infra.templates import Templates

SCRIPTS = (attempts._BEGIN, attempts._MARK, attempts._END, holding._NOTE, quarantine._SPEND)
CONNECTIONS_PER_ENVIRONMENT = 1


def test_functions_together_take_at_most_60_percent_of_the_connections(templates: Templates) -> None:
    opened = sum(
        function.properties["ReservedConcurrentExecutions"] * CONNECTIONS_PER_ENVIRONMENT
        for function in templates.functions().values()
        if "DATABASE_HOST" in function.properties["Environment"]["Variables"]
    )
    parameters = templates.only("AWS::RDS::DBParameterGroup").properties["Parameters"]
    assert 0 < opened <= 0.6 * int(parameters["max_connections"])


def test_the_database_is_private_encrypted_and_refuses_clear_connections(templates: Templates) -> None:
    database = templates.only("AWS::RDS::DBInstance").properties
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert "KmsKeyId" in database
    assert database["EngineVersion"] == "18", "RDS withdraws minor releases"
    assert templates.only("AWS::RDS::DBParameterGroup").properties["Parameters"]["rds.force_ssl"] == "1"


def test_database_passwords_are_generated(templates: Templates) -> None:
    database = templates.only("AWS::RDS::DBInstance").properties
    assert database["EnableIAMDatabaseAuthentication"] is True
    assert database["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in database


def test_the_database_survives_a_zone_and_can_be_restored_where_data_is_kept(templates: Templates) -> None:
    database = templates.only("AWS::RDS::DBInstance").properties
    assert database["BackupRetentionPeriod"] >= 7
    if templates.profile.keeps_data:
        assert database["MultiAZ"] is True
        assert database["BackupRetentionPeriod"] >= 14


def test_the_cache_takes_one_iam_user_for_each_function_that_uses_it(templates: Templates) -> None:
    users = {user.name: user.properties for user in templates.every("AWS::ElastiCache::User")}
    for user in users.values():
        assert user["AuthenticationMode"] == {"Type": "iam"}
        assert user["UserId"] == user["UserName"]
    used = {
        function.properties["Environment"]["Variables"]["CACHE_USER"]
        for function in templates.functions().values()
        if "CACHE_USER" in function.properties["Environment"]["Variables"]
    }
    assert {user["UserName"] for user in users.values()} == used
    group = templates.only("AWS::ElastiCache::UserGroup").properties["UserIds"]
    assert {member["Ref"] for member in group} == set(users)


def test_who_uses_the_cache_may_use_their_own_names_by_the_commands_they_send(templates: Templates) -> None:
    access = {
        user.properties["UserName"].removeprefix("sluice-proof-"): user.properties["AccessString"].split()
        for user in templates.every("AWS::ElastiCache::User")
    }
    assert access["ingest"][:5] == ["on", "~published:*", "~quota:*", "~pressure", "-@all"]
    # What the quotas' script calls is checked like any other command.
    assert {"+eval", "+evalsha", "+hmget", "+hset", "+pexpire", "+time"} <= set(access["ingest"])
    batches = ["~attempt:*", "~quarantine:*", "~extra:*", "~ahead:*"]
    assert access["archive"][:6] == ["on", *batches, "-@all"]
    assert access["aggregate"][:8] == ["on", *batches, "~seen:*", "~count:*", "-@all"]
    assert {"+smismember", "+sadd", "+hincrby", "+expire"} <= set(access["aggregate"])
    assert access["admin"][:4] == ["on", "~published:*", "~extra:*", "-@all"]
    assert access["pressure"][:3] == ["on", "~pressure", "-@all"]
    assert {"+get", "+set"} <= set(access["pressure"])
    # And what the scripts of attempts and of the quarantine call.
    for verb in ("archive", "aggregate"):
        called = {call.lower() for script in SCRIPTS for call in re.findall(r"redis\.call\('(\w+)'", script.text)}
        assert {f"+{call}" for call in called} | {"+get", "+eval", "+evalsha"} <= set(access[verb])
    assert not [verb for verb, allowed in access.items() if {"+@all", "~*", "allkeys", "allcommands"} & set(allowed)]


def test_the_cache_is_encrypted_and_has_no_other_users(templates: Templates) -> None:
    cache = templates.only("AWS::ElastiCache::ServerlessCache").properties
    assert "UserGroupId" in cache
    assert "KmsKeyId" in cache


def test_the_cache_has_a_spending_limit(templates: Templates) -> None:
    limits = templates.only("AWS::ElastiCache::ServerlessCache").properties["CacheUsageLimits"]
    assert limits["DataStorage"]["Maximum"] >= 1
    assert limits["ECPUPerSecond"]["Maximum"] >= 1000

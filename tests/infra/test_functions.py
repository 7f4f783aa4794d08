"""Every function is one of ours, runs by our one definition and has exactly the settings its code reads."""

from tests.infra.templates import Templates

CDKS_OWN = {
    # Both run at deployment only, in code and with settings that the CDK brings.
    "AWS679f53fac002430cb0da5b7982bd22872D164C4C": "asks for the brokers' addresses",
    "AWSCDKTriggerCustomResourceProviderCustomResourceProviderHandler97BECD91": "starts the migrations",
}
EVERY_FUNCTION = {"SLUICE_STAGE", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"}
DATABASE = {"DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_AUTH"}
BROKERS = {"KAFKA_BOOTSTRAP", "KAFKA_AUTH", "PRODUCE_DEADLINE_SECONDS", "DEAD_LETTER_TOPIC"}
ENVIRONMENTS = {
    "ingest": EVERY_FUNCTION
    | DATABASE
    | BROKERS
    | {"RAW_EVENTS_TOPIC", "INGEST_CONCURRENCY"}
    | {"KEY_MEMORY_SECONDS", "KEY_CACHE_SECONDS", "DATABASE_USER"}
    | {"CACHE_HOST", "CACHE_PORT", "CACHE_NAME", "CACHE_USER", "CACHE_AUTH"},
    "archive": EVERY_FUNCTION
    | BROKERS
    | {"DELIVERY_STREAM", "HOLD_SECONDS", "VERSION_HOLD_SECONDS", "ARCHIVE_CONCURRENCY"}
    | {"CACHE_HOST", "CACHE_PORT", "CACHE_NAME", "CACHE_USER", "CACHE_AUTH"},
    "aggregate": EVERY_FUNCTION
    | DATABASE
    | BROKERS
    | {"DATABASE_USER", "TRANSACTION_SECONDS", "HOLD_SECONDS", "VERSION_HOLD_SECONDS", "AGGREGATE_CONCURRENCY"}
    | {"CACHE_HOST", "CACHE_PORT", "CACHE_NAME", "CACHE_USER", "CACHE_AUTH"},
    "deadletter": EVERY_FUNCTION | {"DEAD_LETTER_BUCKET"},
    "salvage": EVERY_FUNCTION | BROKERS | {"FAILED_BATCH_BUCKET", "RAW_BUCKET", "SALVAGE_RESERVE_SECONDS"},
    "roll": EVERY_FUNCTION
    | DATABASE
    | {"KAFKA_BOOTSTRAP", "KAFKA_AUTH", "RAW_EVENTS_TOPIC", "PRODUCE_DEADLINE_SECONDS", "DATABASE_USER"}
    | {"GRACE_SECONDS", "STRAGGLER_SECONDS", "HOUR_SECONDS", "DAY_SECONDS"}
    | {"ROLL_SHARDS", "ROLL_LOOP_SECONDS", "ROLL_PAUSE_SECONDS", "ROLL_ANSWER_SECONDS"},
    "maintain": EVERY_FUNCTION
    | DATABASE
    | {"DATABASE_USER", "STATEMENT_SECONDS", "LOCK_SECONDS", "PARTITIONS_AHEAD_HOURS"}
    | {"SAMPLE_HOURS", "WAITING_SAMPLE_HOURS", "CHANGE_HOURS", "OUTCOME_DAYS", "SIGHTING_DAYS", "SUMMARY_DAYS"},
    "migrate": EVERY_FUNCTION | DATABASE | {"DATABASE_SECRET_ARN"},
    "show": EVERY_FUNCTION,
    "query": EVERY_FUNCTION
    | DATABASE
    | {"DATABASE_USER", "KEY_MEMORY_SECONDS", "KEY_CACHE_SECONDS"}
    | {"CACHE_HOST", "CACHE_PORT", "CACHE_NAME", "CACHE_USER", "CACHE_AUTH"}
    | {"QUERY_CONCURRENCY", "QUERY_REQUESTS_PER_SECOND", "QUERY_ANSWER_SECONDS", "RECENT_SECONDS", "CHANGE_HOURS"}
    | {
        "LOOKUP_FUNCTION",
        "LOOKUP_SECONDS",
        "LOOKUP_REST_SECONDS",
        "GROUP_BELIEVED_SECONDS",
        "RECALL_FUNCTION",
        "RECALL_SECONDS",
    },
    "trace": EVERY_FUNCTION
    | DATABASE
    | {"DATABASE_USER", "KEY_MEMORY_SECONDS", "KEY_CACHE_SECONDS"}
    | {"CACHE_HOST", "CACHE_PORT", "CACHE_NAME", "CACHE_USER", "CACHE_AUTH"}
    | {"TRACE_CONCURRENCY", "TRACE_REQUESTS_PER_SECOND", "TRACE_ANSWER_SECONDS", "TRACE_VISIBLE_SECONDS"}
    | {"SEEK_FUNCTION", "SEEK_SECONDS"},
    "seek": EVERY_FUNCTION | {"ATHENA_WORKGROUP", "ATHENA_DATABASE", "ATHENA_SECONDS"},
    "lookup": EVERY_FUNCTION | {"DIRECTORY_URL", "DIRECTORY_SECONDS"},
    "tier": EVERY_FUNCTION
    | DATABASE
    | {"DATABASE_USER", "ROLLUP_BUCKET", "MINUTE_DAYS", "HOUR_DAYS", "ROLLUP_DAYS"}
    | {"TIER_SLICE_WINDOWS", "TIER_RESERVE_SECONDS", "TIER_STATEMENT_SECONDS"},
    "recall": EVERY_FUNCTION | {"ROLLUP_BUCKET"},
    "pressure": EVERY_FUNCTION
    | {"KAFKA_BOOTSTRAP", "KAFKA_AUTH", "KAFKA_CLUSTER", "KAFKA_BROKERS", "RAW_EVENTS_TOPIC"}
    | {"PRODUCE_DEADLINE_SECONDS", "BUFFER_SECONDS", "SNAPSHOT_SECONDS", "HOLD_SECONDS"}
    | {"CACHE_HOST", "CACHE_PORT", "CACHE_NAME", "CACHE_USER", "CACHE_AUTH"},
    "reconcile": EVERY_FUNCTION
    | DATABASE
    | {"KAFKA_BOOTSTRAP", "KAFKA_AUTH", "KAFKA_CLUSTER_ARN", "RAW_EVENTS_TOPIC", "PRODUCE_DEADLINE_SECONDS"}
    | {"DATABASE_USER", "RAW_BUCKET", "DEAD_LETTER_BUCKET", "STATEMENT_SECONDS", "RESERVE_SECONDS", "RERUN_SECONDS"}
    | {"ARCHIVE_FUNCTION", "ARCHIVE_GRACE_SECONDS", "AGGREGATE_FUNCTION", "AGGREGATE_GRACE_SECONDS"},
}
# What asks no broker, database or cache of ours is kept away from them.
OUTSIDE = {"show", "lookup", "recall", "seek"}


def test_there_is_no_function_but_ours_and_two_of_the_cdk(templates: Templates) -> None:
    assert set(templates.functions()) == set(ENVIRONMENTS)
    others = {function.name for function in templates.every("AWS::Lambda::Function")} - {
        function.name for function in templates.functions().values()
    }
    assert others == set(CDKS_OWN)


def test_every_function_is_bounded_traced_and_where_it_belongs(templates: Templates) -> None:
    for verb, function in templates.functions().items():
        properties = function.properties
        assert 0 < properties["Timeout"] <= 900, verb
        assert properties["ReservedConcurrentExecutions"] >= 1, verb
        assert properties["MemorySize"] >= 512, verb
        assert properties["TracingConfig"] == {"Mode": "Active"}, verb
        assert len(properties.get("VpcConfig", {}).get("SubnetIds", ())) == (0 if verb in OUTSIDE else 3), verb
        assert properties["Architectures"] == ["arm64"], verb
        assert properties["Runtime"] == "python3.13", verb


def test_every_function_logs_json_into_its_own_group_that_expires(templates: Templates) -> None:
    groups = {group.name: group.properties for group in templates.every("AWS::Logs::LogGroup")}
    for verb, function in templates.functions().items():
        logging = function.properties["LoggingConfig"]
        assert logging["LogFormat"] == "JSON", verb
        group = groups[logging["LogGroup"]["Ref"]]
        assert group["LogGroupName"] == f"/aws/lambda/sluice-proof-{verb}"
        assert group["RetentionInDays"] == templates.profile.retention.log_days


def test_no_log_group_is_kept_for_ever(templates: Templates) -> None:
    for group in templates.every("AWS::Logs::LogGroup"):
        assert group.properties["RetentionInDays"] <= 30, group.name


def test_every_function_has_exactly_the_settings_its_code_reads(templates: Templates) -> None:
    for verb, function in templates.functions().items():
        variables = function.properties["Environment"]["Variables"]
        assert set(variables) == ENVIRONMENTS[verb], verb
        assert variables["POWERTOOLS_SERVICE_NAME"] == verb
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "Sluice/proof"


def test_secrets_are_named_and_never_carried_in_settings(templates: Templates) -> None:
    for function in templates.functions().values():
        for variable in function.properties["Environment"]["Variables"]:
            assert "PASSWORD" not in variable
            assert not variable.endswith("_SECRET")


def test_what_is_produced_is_settled_before_the_function_is_stopped(templates: Templates) -> None:
    for verb in ("ingest", "archive", "aggregate", "salvage"):
        function = templates.functions()[verb].properties
        assert int(function["Environment"]["Variables"]["PRODUCE_DEADLINE_SECONDS"]) < function["Timeout"], verb


def test_the_code_layer_holds_the_contracts_and_no_build_leftovers(templates: Templates) -> None:
    template = templates.template("pipeline")
    (layer,) = [body for name, body in template["Resources"].items() if name.startswith("LayersSluice")]
    asset = templates.files["pipeline"].parent / f"asset.{layer['Properties']['Content']['S3Key'].removesuffix('.zip')}"
    assert (asset / "python" / "sluice" / "__init__.py").is_file()
    assert any((asset / "schemas").rglob("*.json"))
    assert not list(asset.rglob("__pycache__"))

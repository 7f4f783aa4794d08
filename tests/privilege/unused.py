"""Grants that no call of a function's own code uses, each with who uses it instead, or why no test can."""

#: By the service, for those whose calls pass no API of AWS here.
OUTSIDE = {
    "ec2": "Lambda makes a function's network interfaces in its role's name; its own code is denied all of EC2",
    "execute-api": "probe signs for the admin routes; the local HTTP API checks it (tests/flow/test_trace.py)",
    "elasticache": "the login at Valkey, which speaks its own protocol; locally it has no users",
    "kafka": "event sources ask for the brokers' addresses in the function's name",
    "kafka-cluster": "the brokers decide, by Kafka's own protocol; locally they have no identities",
    "logs": "Lambda writes what a function prints, in its role's name",
    "rds-db": "the login at PostgreSQL, whose own grants tests/database/test_roles.py holds",
}

#: By a pattern of "function action resource".
UNUSED = {
    r"(aggregate|archive|detect) s3:(ListBucket|PutObject) failedbatches(/\*)?": (
        "an event source leaves the batches that it gives up, in the function's name"
    ),
    r"(aggregate|archive) kms:(Decrypt|GenerateDataKey) the key at rest": "and encrypts them",
    r"detect kms:GenerateDataKey the key at rest": "likewise",
    r"(attend|notify) sqs:(ChangeMessageVisibility|DeleteMessage|GetQueueAttributes|ReceiveMessage) .*": (
        "an event source reads the queue in the function's name"
    ),
    r"migrate secretsmanager:GetSecretValue secret:rds!.*": (
        "the local database has no password; tests/database/test_tls.py and tests/unit/edge drive the login"
    ),
    r"backtest (kms:Decrypt the key at rest|s3:GetObject rollups/rollups/\*)": (
        "days that only Parquet has, which no run of minutes makes; tests/database/test_backtest.py reads some"
    ),
    r"learn lambda:InvokeFunction function:lookup": (
        "asked where a fleet has rules for a type of device; tests/database/test_device_types.py has one"
    ),
    r"notify sqs:SendMessage notification-letters\.fifo": (
        "a notification that is given up after hours; tests/unit/edge/notify gives one up"
    ),
    r"replay s3:DeleteObject rollups/rollups/\*": (
        "a file of a day that a replay replaces; tests/database/test_replay_expired.py replaces one"
    ),
    r"tier (kms|s3):.*": "days that are old enough, likewise; tests/database/test_tier.py moves some",
    r"probe kms:(Decrypt|GenerateDataKey) the key at rest": "Secrets Manager encrypts its secret, in its name",
    r"seek (glue|kms|s3):.*": "Athena reads tables and files in seek's name, and writes what it found",
}

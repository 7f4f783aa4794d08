"""What only a few functions may do, or none: sensitive actions on plain resources, and the functions that may."""

PUBLISHED = "control/published/keys.json"
KEYS_READERS = "admin attend detect ingest learn migrate notify publish query trace"

#: Action and resource, and who may. Everyone else may not.
MATRIX: dict[tuple[str, str], str] = {
    # What arrived, what failed, and the proof of what was administered: nothing a function does takes it away.
    ("s3:DeleteObject", "raw/raw/region=r/dt=d/file.parquet"): "",
    ("s3:DeleteObject", "raw/errors/file"): "salvage",
    ("s3:DeleteObject", "raw/salvaged/file"): "",
    ("s3:DeleteObject", "deadletter/dead_letters/letter"): "",
    ("s3:DeleteObject", "failedbatches/aws/lambda/batch"): "salvage",
    ("s3:DeleteObject", "failedbatches/salvaged/batch"): "",
    ("s3:DeleteObject", "checkpoints/checkpoints/one"): "",
    ("s3:DeleteObjectVersion", "checkpoints/checkpoints/one"): "",
    ("s3:PutObjectRetention", "checkpoints/checkpoints/one"): "",
    ("s3:BypassGovernanceRetention", "checkpoints/checkpoints/one"): "",
    ("s3:DeleteObject", "rollups/rollups/file.parquet"): "replay",
    ("s3:DeleteObject", "rollups/manifests/day.json"): "",
    ("s3:DeleteObject", PUBLISHED): "",
    **{
        (f"s3:{action}", bucket): ""
        for action in ("DeleteBucket", "PutBucketPolicy", "PutLifecycleConfiguration", "PutBucketVersioning")
        for bucket in ("raw", "deadletter", "checkpoints", "rollups", "control", "failedbatches")
    },
    ("s3:PutObject", "raw/raw/region=r/dt=d/file.parquet"): "",
    ("s3:PutObject", "deadletter/dead_letters/letter"): "deadletter",
    ("s3:PutObject", "checkpoints/checkpoints/one"): "checkpoint",
    ("s3:PutObject", "rollups/rollups/file.parquet"): "replay tier",
    ("s3:PutObject", PUBLISHED): "admin migrate publish",
    ("s3:PutObject", "control/ids/one"): "match",
    ("s3:PutObject", "control/notified/one"): "notify",
    ("s3:PutObject", "control/replays/one"): "replay",
    ("s3:GetObject", PUBLISHED): KEYS_READERS,
    ("s3:GetObject", "raw/raw/region=r/dt=d/file.parquet"): "match reconcile replay resend seek",
    ("s3:GetObject", "deadletter/dead_letters/letter"): "reconcile redrive seek",
    ("s3:GetObjectVersion", "checkpoints/checkpoints/one"): "checkpoint",
    ("s3:GetObject", "queryresults/result.csv"): "seek",
    # Keys and secrets.
    ("kms:Sign", "the key of checkpoints"): "checkpoint",
    ("kms:ScheduleKeyDeletion", "the key at rest"): "",
    ("kms:PutKeyPolicy", "the key at rest"): "",
    ("kms:ScheduleKeyDeletion", "the key of checkpoints"): "",
    ("secretsmanager:GetSecretValue", "secret:rds!data-DatabaseInstanceAA8A5FDE"): "migrate",
    ("secretsmanager:GetSecretValue", "secret:destinations/ops-AbCdEf"): "notify",
    ("secretsmanager:PutSecretValue", "secret:destinations/ops-AbCdEf"): "",
    ("secretsmanager:GetSecretValue", "secret:probe"): "probe",
    ("secretsmanager:PutSecretValue", "secret:probe"): "probe",
    # What people are told, and who starts work.
    ("sns:Publish", "alerts"): "alert attend",
    ("sns:Publish", "alerts.fifo"): "alert attend",
    ("sns:Publish", "operations"): "",
    ("sqs:SendMessage", "attempts"): "notify",
    ("sqs:SendMessage", "notification-deliveries.fifo"): "notify",
    ("sqs:DeleteMessage", "attempts"): "attend",
    ("sqs:DeleteMessage", "notification-messages.fifo"): "notify",
    ("sqs:PurgeQueue", "notification-messages.fifo"): "",
    ("firehose:PutRecordBatch", "deliverystream/raw"): "archive",
    ("states:StartExecution", "stateMachine:replay"): "admin",
    ("states:StopExecution", "execution:replay:one"): "",
    ("athena:StartQueryExecution", "workgroup/analysts"): "seek",
    ("lambda:InvokeFunction", "function:seek"): "trace",
    ("lambda:InvokeFunction", "function:replay"): "admin",
    ("lambda:InvokeFunction", "function:notify"): "admin",
    ("lambda:InvokeFunction", "function:migrate"): "",
    ("lambda:InvokeFunction", "function:admin"): "",
    ("lambda:UpdateFunctionCode", "function:admin"): "",
    ("cloudwatch:DisableAlarmActions", "*"): "",
}

"""What the guard makes of requests, and what a function is answered when its role does not allow what it asks for."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from botocore.exceptions import ClientError

from local.models.aws_client import aws_client
from local.models.calls import MACHINE, Asked, Call, Scope, UnknownCall, calls_of, scope_of
from local.models.config import GuardConfig, RoleConfig, StatementConfig, write
from local.models.guard import guarding
from tests.local.emulation import emulation_process

FUNCTION = "sluice-x-archive"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
SIGNING = "arn:aws:kms:us-east-1:123456789012:key/2"
MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:replay"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:us-east-1:123456789012:{name}"


def config(directory: Path, *statements: StatementConfig) -> GuardConfig:
    """What a guard knows of one function and of what is encrypted."""
    return GuardConfig(
        account="123456789012",
        directory=str(directory / "calls"),
        roles=[RoleConfig(FUNCTION, FUNCTION, list(statements))],
        keys={"arn:aws:s3:::sealed": KEY, TOPIC: KEY, MACHINE_ARN: KEY},
        aliases={"alias/signing": SIGNING},
    )


def allow(actions: str, *resources: str, **conditions: dict[str, list[str]]) -> StatementConfig:
    return StatementConfig("Allow", actions.split(), list(resources), conditions)


def asked(service: str, method: str, path: str, target: str = "", body: object = "", **headers: str) -> list[Call]:
    place, _, query = path.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if target:
        named["x-amz-target"] = target
    content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    request = Asked(method, place, query, named, content)
    return calls_of(request, Scope("k", "us-east-1", service), config(Path()), {"q": "w"}.__getitem__)


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (("s3", "GET", "/b/a%20b/c"), ["s3:GetObject arn:aws:s3:::b/a b/c"]),
        (("s3", "HEAD", "/b/c"), ["s3:GetObject arn:aws:s3:::b/c"]),
        (("s3", "GET", "/b/c?versionId=1"), ["s3:GetObjectVersion arn:aws:s3:::b/c"]),
        (("s3", "PUT", "/b/c"), ["s3:PutObject arn:aws:s3:::b/c"]),
        (("s3", "DELETE", "/b/c"), ["s3:DeleteObject arn:aws:s3:::b/c"]),
        (("s3", "DELETE", "/b/c?versionId=1"), ["s3:DeleteObjectVersion arn:aws:s3:::b/c"]),
        (("s3", "HEAD", "/b"), ["s3:ListBucket arn:aws:s3:::b"]),
        (("s3", "GET", "/b?location"), ["s3:GetBucketLocation arn:aws:s3:::b"]),
        (("s3", "GET", "/sealed/c"), ["s3:GetObject arn:aws:s3:::sealed/c", f"kms:Decrypt {KEY}"]),
        (("s3", "PUT", "/sealed/c"), ["s3:PutObject arn:aws:s3:::sealed/c", f"kms:GenerateDataKey {KEY}"]),
        (
            ("lambda", "POST", "/2015-03-31/functions/seek/invocations"),
            [f"lambda:InvokeFunction {arn('lambda', 'function:seek')}"],
        ),
        (
            ("lambda", "POST", f"/2015-03-31/functions/{arn('lambda', 'function:seek')}%3Alive/invocations"),
            [f"lambda:InvokeFunction {arn('lambda', 'function:seek')}"],
        ),
        (
            ("sqs", "POST", "/", "AmazonSQS.SendMessageBatch", {"QueueUrl": "http://h/1/q.fifo"}),
            [f"sqs:SendMessage {arn('sqs', 'q.fifo')}"],
        ),
        (
            ("firehose", "POST", "/", "Firehose_20150804.PutRecordBatch", {"DeliveryStreamName": "raw"}),
            [f"firehose:PutRecordBatch {arn('firehose', 'deliverystream/raw')}"],
        ),
        (
            ("athena", "POST", "/", "AmazonAthena.StartQueryExecution", {"WorkGroup": "w"}),
            [f"athena:StartQueryExecution {arn('athena', 'workgroup/w')}"],
        ),
        (
            ("athena", "POST", "/", "AmazonAthena.GetQueryResults", {"QueryExecutionId": "q"}),
            [f"athena:GetQueryResults {arn('athena', 'workgroup/w')}"],
        ),
        (
            ("secretsmanager", "POST", "/", "secretsmanager.GetSecretValue", {"SecretId": "a/b"}),
            [f"secretsmanager:GetSecretValue {arn('secretsmanager', 'secret:a/b-AbCdEf')}"],
        ),
        (("kms", "POST", "/", "TrentService.Sign", {"KeyId": "alias/signing"}), [f"kms:Sign {SIGNING}"]),
        (("kms", "POST", "/", "TrentService.Sign", {"KeyId": KEY}), [f"kms:Sign {KEY}"]),
        (
            ("states", "POST", "/", "AWSStepFunctions.DescribeExecution", {"executionArn": "e"}),
            ["states:DescribeExecution e"],
        ),
        (("monitoring", "POST", "/service/G/operation/GetMetricData"), ["cloudwatch:GetMetricData *"]),
        (("monitoring", "POST", "/", "", "Action=GetMetricData"), ["cloudwatch:GetMetricData *"]),
    ],
)  # fmt: skip
def test_a_request_is_named_as_iam_names_it(request_: tuple[Any, ...], found: list[str]) -> None:
    assert [f"{call.action} {call.resource}" for call in asked(*request_)] == found


def test_what_conditions_look_at_is_named_too() -> None:
    assert asked("s3", "GET", "/b?list-type=2&prefix=raw%2F") == [
        Call("s3:ListBucket", "arn:aws:s3:::b", (("s3:prefix", "raw/"),))
    ]
    assert asked("s3", "GET", "/b?versions&prefix=c") == [
        Call("s3:ListBucketVersions", "arn:aws:s3:::b", (("s3:prefix", "c"),))
    ]
    started = asked("states", "POST", "/", "AWSStepFunctions.StartExecution", {"stateMachineArn": MACHINE_ARN})
    assert started[1:] == [
        Call(f"kms:{each}", KEY, ((MACHINE, MACHINE_ARN),)) for each in ("Decrypt", "GenerateDataKey")
    ]


def test_a_copy_reads_its_source_and_a_batch_deletes_each_object() -> None:
    copied = asked("s3", "PUT", "/b/to", x_amz_copy_source="sealed/from")
    assert [call.action for call in copied] == ["s3:PutObject", "s3:GetObject", "kms:Decrypt"]
    names = "".join(f"<Object><Key>{name}</Key></Object>" for name in ("a", "b/c"))
    body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{names}</Delete>'
    deleted = asked("s3", "POST", "/b?delete", "", body)
    assert [call.resource for call in deleted] == ["arn:aws:s3:::b/a", "arn:aws:s3:::b/b/c"]
    assert {call.action for call in deleted} == {"s3:DeleteObject"}


@pytest.mark.parametrize(
    "request_",
    [
        ("s3", "PUT", "/b/c?tagging"),
        ("s3", "POST", "/b/c?uploads"),
        ("s3", "PUT", "/b"),
        ("lambda", "GET", "/2015-03-31/functions/seek"),
        ("dynamodb", "POST", "/", "DynamoDB.PutItem", {}),
        ("sqs", "POST", "/", "", "nothing=1"),
    ],
)
def test_what_nothing_here_can_name_is_an_error(request_: tuple[Any, ...]) -> None:
    with pytest.raises(UnknownCall):
        asked(*request_)


def test_who_signed_is_read_from_the_scope() -> None:
    signed = "AWS4-HMAC-SHA256 Credential=sluice-x-archive/20261130/eu-west-1/s3/aws4_request, SignedHeaders=host"
    assert scope_of(signed) == Scope("sluice-x-archive", "eu-west-1", "s3")
    assert scope_of("Bearer x") is scope_of("") is None


def refusal(ask: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientError) as failed:
        ask()
    return failed.value.response["ResponseMetadata"]["HTTPStatusCode"], failed.value.response["Error"]["Code"]


def client(service: str, url: str) -> Any:
    """A client of AWS's own as the function has it."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=FUNCTION,
        aws_secret_access_key="s",
    )


def test_a_function_has_what_its_role_allows_and_is_refused_as_aws_refuses(tmp_path: Path) -> None:
    known = config(
        tmp_path,
        allow("s3:GetObject s3:PutObject", "arn:aws:s3:::open/mine/*", "arn:aws:s3:::sealed/mine/*"),
        allow("s3:GetObject s3:ListBucket", "arn:aws:s3:::listed", "arn:aws:s3:::listed/*"),
        allow("s3:ListBucket", "arn:aws:s3:::open", StringLike={"s3:prefix": ["mine/*"]}),
        allow("kms:Decrypt", KEY),
    )
    guard = write(known, tmp_path / "guard.json")
    with emulation_process("http://127.0.0.1:1", tmp_path, guard) as url:
        everyone = aws_client("s3", url, "us-east-1")
        for bucket in ("open", "sealed", "listed"):
            everyone.create_bucket(Bucket=bucket)
        queue = aws_client("sqs", url, "us-east-1").create_queue(QueueName="q")["QueueUrl"]
        topic = aws_client("sns", url, "us-east-1").create_topic(Name="alerts")["TopicArn"]
        s3, sqs, sns = (client(each, url) for each in ("s3", "sqs", "sns"))

        s3.put_object(Bucket="open", Key="mine/a", Body=b"a" * 100_000)
        assert s3.get_object(Bucket="open", Key="mine/a")["Body"].read() == b"a" * 100_000
        assert s3.list_objects_v2(Bucket="open", Prefix="mine/")["KeyCount"] == 1
        assert refusal(lambda: s3.put_object(Bucket="open", Key="other/a", Body=b"a" * 100_000)) == (
            403,
            "AccessDenied",
        )
        assert refusal(lambda: s3.delete_object(Bucket="open", Key="mine/a")) == (403, "AccessDenied")
        assert refusal(lambda: s3.list_objects_v2(Bucket="open", Prefix="")) == (403, "AccessDenied")
        # The bucket's key has to be allowed as well: this role may read with it, and not write.
        assert refusal(lambda: s3.put_object(Bucket="sealed", Key="mine/a", Body=b"")) == (403, "AccessDenied")
        # Who may not list a bucket does not learn that an object is not there.
        assert refusal(lambda: s3.get_object(Bucket="open", Key="mine/none")) == (403, "AccessDenied")
        assert refusal(lambda: s3.head_object(Bucket="open", Key="mine/none")) == (403, "403")
        assert refusal(lambda: s3.get_object(Bucket="listed", Key="none")) == (404, "NoSuchKey")
        assert refusal(lambda: sqs.send_message(QueueUrl=queue, MessageBody="m"))[1] == "AccessDeniedException"
        assert refusal(lambda: sns.publish(TopicArn=topic, Message="m")) == (403, "AuthorizationError")
        # What is refused is not done, and all others may do what they ask for.
        assert everyone.list_objects_v2(Bucket="open")["KeyCount"] == 1
        everyone.delete_object(Bucket="open", Key="mine/a")
    notes = [json.loads(line) for line in (tmp_path / "calls" / "aws.jsonl").read_text().splitlines()]
    assert len({json.dumps(note) for note in notes}) == len(notes)
    used = {f"{note['action']} {note['resource']}" for note in notes if not note["refused"]}
    assert used == {
        "s3:GetObject arn:aws:s3:::open/mine/*",
        "s3:PutObject arn:aws:s3:::open/mine/*",
        "s3:PutObject arn:aws:s3:::sealed/mine/*",
        "s3:ListBucket arn:aws:s3:::open",
        "s3:GetObject arn:aws:s3:::listed/*",
    }
    refused = {note["action"] for note in notes if note["refused"]}
    assert refused == {
        "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "kms:GenerateDataKey", "sqs:SendMessage", "sns:Publish",
    }  # fmt: skip


def test_a_model_is_guarded_by_the_roles_beside_its_config(tmp_path: Path) -> None:
    known = config(tmp_path, allow("firehose:PutRecordBatch", arn("firehose", "deliverystream/raw")))
    write(known, tmp_path / "guard.json")

    async def serve(_: web.Request) -> web.Response:
        return web.json_response({})

    async def scenario() -> None:
        application = web.Application(middlewares=[guarding(tmp_path / "firehose.json", "firehose")])
        application.router.add_post("/", serve)
        async with TestClient(TestServer(application)) as server:

            async def put(who: str, stream: str) -> int:
                credential = f"{who}/20261130/us-east-1/firehose/aws4_request"
                headers = {
                    "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host",
                    "X-Amz-Target": "Firehose_20150804.PutRecordBatch",
                }
                async with server.post("/", headers=headers, json={"DeliveryStreamName": stream}) as answer:
                    return answer.status

            assert await put(FUNCTION, "raw") == 200
            assert await put(FUNCTION, "other") == 403
            assert await put("local", "other") == 200
            async with server.post("/", json={}) as answer:
                assert answer.status == 200

    asyncio.run(scenario())

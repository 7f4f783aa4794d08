"""What a request to an AWS API asks for, in IAM's words: actions, the resources they name and the keys of conditions.

Modelled: the operations that our functions use, of the services named below; what S3, SNS and Step Functions ask of
KMS in the caller's name where a resource is encrypted with a key. What is not modelled is an error, never a guess.

Believed rather than documented: that a key of a state machine is asked for as its context says.
"""

import re
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from local.models.config import GuardConfig

_SCOPE = re.compile(r"Credential=(?P<key>[^/,\s]+)/[0-9]{8}/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request")
_FUNCTION = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations")
_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_SECRET_SUFFIX = "-AbCdEf"  # noqa: S105 - a name's end: Secrets Manager adds six characters to it

#: What a statement about a machine's key says of the machine.
MACHINE = "kms:EncryptionContext:aws:states:stateMachineArn"


class UnknownCall(Exception):
    """A request that nothing here can name; the message says which."""


@dataclass(frozen=True)
class Scope:
    """Who signed a request, and for which service."""

    access_key: str
    region: str
    service: str


@dataclass(frozen=True)
class Asked:
    """A request as it came: its path and query still encoded, the names of its headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Call:
    """One action on one resource, with what conditions may look at."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


class Said(msgspec.Struct):
    """What the body of a JSON protocol says of the resource; all else in it is skipped."""

    DeliveryStreamName: str = ""
    KeyId: str = ""
    QueryExecutionId: str = ""
    QueueUrl: str = ""
    SecretId: str = ""
    WorkGroup: str = ""
    executionArn: str = ""  # noqa: N815 - as the service names it
    stateMachineArn: str = ""  # noqa: N815


def scope_of(authorization: str) -> Scope | None:
    """Return who signed; None where nobody did."""
    found = _SCOPE.search(authorization)
    return Scope(found["key"], found["region"], found["service"]) if found else None


def reads_body(service: str, method: str, query: str) -> bool:
    """Whether the body says what is asked; objects are not read for it."""
    return service != "s3" or (method == "POST" and "delete" in urllib.parse.parse_qs(query, keep_blank_values=True))


def calls_of(asked: Asked, scope: Scope, config: GuardConfig, workgroup_of: Callable[[str], str]) -> list[Call]:
    """Return everything that a caller must be allowed for a request to be answered."""
    own = _own_calls(asked, scope, config, workgroup_of)
    return own + [more for each in own for more in _of_keys(each, config)]


def _own_calls(asked: Asked, scope: Scope, config: GuardConfig, workgroup_of: Callable[[str], str]) -> list[Call]:
    def arn(service: str, name: str) -> str:
        return f"arn:aws:{service}:{scope.region}:{config.account}:{name}"

    match scope.service:
        case "s3":
            return _s3(asked)
        case "lambda":
            found = _FUNCTION.fullmatch(asked.path)
            if found is None:
                raise UnknownCall(f"lambda: {asked.method} {asked.path}")
            name = urllib.parse.unquote(found["name"]).rpartition("function:")[2].split(":")[0]
            return [Call("lambda:InvokeFunction", arn("lambda", f"function:{name}"))]
        case "monitoring":
            return [Call(f"cloudwatch:{_operation(asked)}", "*")]
        case "sns":
            form = dict(urllib.parse.parse_qsl(asked.body.decode()))
            return [Call(f"sns:{form['Action'].removesuffix('Batch')}", form["TopicArn"])]
    operation, said = _operation(asked), msgspec.json.decode(asked.body or b"{}", type=Said)
    match scope.service:
        case "sqs":
            queue = said.QueueUrl.rpartition("/")[2]
            return [Call(f"sqs:{operation.removesuffix('Batch')}", arn("sqs", queue))]
        case "firehose":
            return [Call(f"firehose:{operation}", arn("firehose", f"deliverystream/{said.DeliveryStreamName}"))]
        case "athena":
            workgroup = said.WorkGroup or workgroup_of(said.QueryExecutionId)
            return [Call(f"athena:{operation}", arn("athena", f"workgroup/{workgroup}"))]
        case "secretsmanager":
            secret = said.SecretId
            full = secret if secret.startswith("arn:") else arn("secretsmanager", f"secret:{secret}{_SECRET_SUFFIX}")
            return [Call(f"secretsmanager:{operation}", full)]
        case "kms":
            key = said.KeyId
            return [Call(f"kms:{operation}", key if key.startswith("arn:") else config.aliases[key])]
        case "states":
            return [Call(f"states:{operation}", said.executionArn or said.stateMachineArn)]
    raise UnknownCall(f"{scope.service}: {operation}")


def _operation(asked: Asked) -> str:
    """Return the operation, as the protocols over JSON, forms and CBOR name it."""
    if target := asked.headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    if asked.path.startswith("/service/"):
        return asked.path.rpartition("/")[2]
    form = urllib.parse.parse_qs(asked.body.decode(errors="replace"))
    if "Action" not in form:
        raise UnknownCall(f"{asked.method} {asked.path} names no operation")
    return form["Action"][0]


def _s3(asked: Asked) -> list[Call]:
    bucket, _, key = urllib.parse.unquote(asked.path).removeprefix("/").partition("/")
    asks = dict(urllib.parse.parse_qsl(asked.query, keep_blank_values=True))
    everything, thing = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{key}"
    version = "Version" if "versionId" in asks else ""
    match asked.method:
        case "GET" if not key:
            if "location" in asks:
                return [Call("s3:GetBucketLocation", everything)]
            listing = "s3:ListBucketVersions" if "versions" in asks else "s3:ListBucket"
            return [Call(listing, everything, (("s3:prefix", asks.get("prefix", "")),))]
        case "HEAD" if not key:
            return [Call("s3:ListBucket", everything)]
        case "GET" | "HEAD" if not asks.keys() & {"tagging", "acl", "uploadId", "retention", "legal-hold"}:
            return [Call(f"s3:GetObject{version}", thing)]
        case "PUT" if key and not asks.keys() & {"tagging", "acl", "retention", "legal-hold"}:
            source = urllib.parse.unquote(asked.headers.get("x-amz-copy-source", "")).removeprefix("/")
            copied = [Call("s3:GetObject", f"arn:aws:s3:::{source.partition('?')[0]}")] if source else []
            return [Call("s3:PutObject", thing), *copied]
        case "DELETE" if key and "uploadId" not in asks and "tagging" not in asks:
            return [Call(f"s3:DeleteObject{version}", thing)]
        case "POST" if "delete" in asks:
            # What the body has comes from our own functions.
            names = ET.fromstring(asked.body).iter(f"{_XML}Key")  # noqa: S314
            return [Call("s3:DeleteObject", f"{everything}/{each.text}") for each in names]
    raise UnknownCall(f"s3: {asked.method} {asked.path}?{asked.query}")


def _of_keys(call: Call, config: GuardConfig) -> list[Call]:
    """Return what a service asks of KMS in the caller's name."""
    match call.action:
        case "s3:GetObject" | "s3:GetObjectVersion":
            return _uses(config, call.resource.partition("/")[0], "Decrypt")
        case "s3:PutObject":
            return _uses(config, call.resource.partition("/")[0], "GenerateDataKey")
        case "sns:Publish":
            return _uses(config, call.resource, "Decrypt", "GenerateDataKey")
        case "states:StartExecution":
            return _uses(config, call.resource, "Decrypt", "GenerateDataKey", context=((MACHINE, call.resource),))
    return []


def _uses(
    config: GuardConfig, resource: str, *operations: str, context: tuple[tuple[str, str], ...] = ()
) -> list[Call]:
    key = config.keys.get(resource)
    return [Call(f"kms:{each}", key, context) for each in operations] if key else []

"""The functions of a stage, asked as an operator asks them: with IAM credentials and without a key."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from cli.aws import open_client
from cli.stages import CommandError, Target, read_stack

Answered = TypeVar("Answered")

# Longer than any function may run; reconcile may run for ten minutes.
ANSWER_SECONDS = 900
TRIES = 5


def find_function(target: Target, verb: str) -> Callable[[dict[str, Any]], Any]:
    """Return what asks a function of the stage."""
    # Imported here: AWS's client takes longer to load than a command's help.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    patience = Config(read_timeout=ANSWER_SECONDS, retries={"mode": "standard", "max_attempts": TRIES})
    if target.stage:
        client, name = open_client(target, "lambda", patience), f"sluice-{target.stage}-{verb}"
    else:
        stack = read_stack(target.dir)
        client = boto3.client(
            "lambda",
            stack["region"],
            endpoint_url=stack["lambdas"],
            aws_access_key_id=stack["admin"]["access_key"],
            aws_secret_access_key=stack["admin"]["secret_key"],
            config=patience,
        )
        name = stack["functions"][verb]

    def ask(question: dict[str, Any]) -> Any:
        try:
            answer = client.invoke(FunctionName=name, Payload=json.dumps(question))
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"{verb} did not answer: {error}") from error
        document = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise CommandError(f"{verb} failed: {document.get('errorMessage', 'its log says why')}")
        return document

    return ask


def read_answer(document: Any, kind: type[Answered]) -> Answered:
    """Read an answer by the type that the shared package has for it."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise CommandError(f"this release cannot read the stage's answer: {error}") from error

"""`python -m cli.stack_policy STAGE [REGION]`: no update of the stage may replace or delete what holds its events.

`make deploy` runs it last. A stage that is not protected from deletion is left alone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cli.aws import describe_stack, open_client
from cli.stages import CommandError, Target, read_stage

DOCUMENT = Path(__file__).parents[1] / "infra" / "stack-policy.json"


def protect(target: Target) -> str | None:
    """Set the policy of the stack that holds the stage's data, and return its name. None: it is not protected."""
    stacks = open_client(target, "cloudformation")
    name = f"sluice-{target.stage}-data"
    stack = describe_stack(stacks, name)
    if stack is None:
        raise CommandError(f"there is no stack {name}")
    if not stack.get("EnableTerminationProtection"):
        return None
    # Setting it again changes nothing, and puts back what someone lifted for an update.
    stacks.set_stack_policy(StackName=name, StackPolicyBody=DOCUMENT.read_text())
    return name


def main(arguments: Sequence[str]) -> int:
    """Set the policy of a stage."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        name = protect(read_stage(arguments))
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except (BotoCoreError, ClientError) as error:
        print(f"the stack policy cannot be set: {error}", file=sys.stderr)
        return 1
    if name is not None:
        print(f"{name}: an update can neither replace nor delete what holds events")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

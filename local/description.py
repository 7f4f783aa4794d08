"""What tests and tools need to know of a stack, by names that do not change with the templates."""

import re
from typing import Any

import msgspec

from local.resources.configure import event_source
from local.resources.plan import Plan, function_name
from local.resources.principals import ADMIN, purpose
from local.synthesis import REGION, STAGE


def names_in(plan: Plan) -> dict[str, Any]:
    """The resources' own names, under what they are for."""
    (catalog,) = plan.all("AWS::Glue::Database")
    return {
        "stage": STAGE,
        "region": REGION,
        "buckets": {_purpose(construct): name for construct, name in plan.buckets.items()},
        "catalog": plan.name(catalog),
        "topics": [topic.name for topic in plan.topics],
        "functions": {_verb(name): name for name in plan.functions},
        "consumers": {_verb(function_name(each.function_arn)): each.group for each in event_source(plan).mappings},
        "delivery_streams": plan.delivery_streams,
        "roles": {
            purpose(each.role): msgspec.to_builtins(each.keys[0]) | {"arn": each.arn}
            for each in plan.principals
            if not each.function
        },
        "admin": msgspec.to_builtins(ADMIN),
    }


def _purpose(bucket: str) -> str:
    """A bucket's own name in its construct's: "LakeBucketsDeadLetter" is for what is a dead_letter."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", bucket.rpartition("Buckets")[2]).lower()


def _verb(function: str) -> str:
    return function.rpartition("-")[2]

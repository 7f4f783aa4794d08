"""What stays, and how long: days as the values CloudWatch Logs accepts, and what happens to data with its stack."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs

from infra.deployment import Deployment

_LOG_RETENTIONS = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
}


def kept_for(days: int) -> logs.RetentionDays:
    """Return the log retention of that many days, or refuse a number CloudWatch does not offer."""
    if days not in _LOG_RETENTIONS:
        raise ValueError(f"logs cannot be kept for {days} days: choose one of {sorted(_LOG_RETENTIONS)}")
    return _LOG_RETENTIONS[days]


def removal_from(deployment: Deployment) -> RemovalPolicy:
    """Return what happens to a store that leaves its stack.

    What a failed creation leaves behind is empty, and goes: the next try would make another one beside it.
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if deployment.keeps_data else RemovalPolicy.DESTROY

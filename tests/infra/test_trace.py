"""Trace says that an event need not be visible yet, and may read and invoke, but change nothing."""

from infra.profiles.baseline import BASELINE
from sluice.edge.settings import TraceSettings
from tests.infra.templates import Templates


def test_it_may_log_in_as_itself_read_keys_and_invoke_seek_and_nothing_else(templates: Templates) -> None:
    grants = templates.granted("trace")
    own = {action for action in grants if not action.startswith(("logs:", "ec2:"))}
    assert own == {"rds-db:connect", "elasticache:Connect", "lambda:InvokeFunction", "s3:GetObject", "kms:Decrypt"}


def test_what_is_not_visible_yet_follows_from_the_buffers_on_the_way(templates: Templates) -> None:
    told = templates.settings("trace", TraceSettings).trace_visible_seconds
    profile = templates.profile
    assert told > profile.archive.batching_window_seconds + profile.delivery.interval_seconds
    assert told > profile.deadletter.batching_window_seconds
    assert BASELINE.visible_seconds == 130

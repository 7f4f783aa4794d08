"""An event source that brings a queue's messages to a function, one at a time."""

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.building_blocks.function import Function


class QueueSource(Construct):
    """Polls a queue for a function.

    One message at a time: in a batch, those behind one that fails would be received for nothing, and a message that
    is received too often becomes a dead letter.
    """

    def __init__(self, function: Function, name: str, queue: sqs.Queue, *, at_once: int, batch_size: int = 1) -> None:
        super().__init__(function, f"{name}Source")
        lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.live.function_arn,
            event_source_arn=queue.queue_arn,
            batch_size=batch_size,
            # Without a bound, the source invokes until Lambda throttles it, and each throttle counts as a receive.
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=at_once),
            function_response_types=["ReportBatchItemFailures"],
        )

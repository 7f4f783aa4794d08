"""The queues of notify: messages about incidents, their deliveries, and the dead letters of both."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.operations import counted
from sluice.core.notify.deliveries import MOST_RECEIVES

HIDDEN_SECONDS = 180
"""How long a message is hidden that was not answered for: six of notify's timeouts, as AWS advises. It is shorter than
the five minutes in which SQS drops repeats: a message that is routed again after a crash is delivered once."""
KEPT_DAYS = 14
LATE_SECONDS = 900


class Notifications(Construct):
    """FIFO queues: an incident's messages, one behind the other, and each destination's deliveries likewise."""

    def __init__(self, scope: Construct, foundation: Foundation, topic: sns.Topic) -> None:
        super().__init__(scope, "Notifications")
        self._foundation = foundation
        self.letters = self._queue("Letters", "notification-letters")
        self.messages = self._queue("Messages", "notification-messages", MOST_RECEIVES)
        self.deliveries = self._queue("Deliveries", "notification-deliveries", MOST_RECEIVES)
        # Raw: the body is the message, and nothing of SNS's around it.
        topic.add_subscription(
            subscriptions.SqsSubscription(self.messages, raw_message_delivery=True, dead_letter_queue=self.letters)
        )
        foundation.operations.alarm(
            self,
            "letters",
            metric=_measure(self.letters, "ApproximateNumberOfMessagesVisible"),
            means="Notifications were given up: people were not notified of an incident. `sluice notifications list`"
            " says which and why, and `sluice notifications redrive` sends them again.",
        )
        for name, queue in (("messages", self.messages), ("deliveries", self.deliveries)):
            foundation.operations.alarm(
                self,
                f"{name}-late",
                metric=_measure(queue, "ApproximateAgeOfOldestMessage"),
                above=LATE_SECONDS,
                means=f"A notification has waited for more than {LATE_SECONDS // 60} minutes in the queue of {name}.",
            )
        for name, queue in (("Letters", self.letters), ("Messages", self.messages), ("Deliveries", self.deliveries)):
            CfnOutput(self, f"{name}Url", value=queue.queue_url)

    def handle(self) -> Access:
        """Let a function take from both queues, deliver, and give up. It is outside the private network."""
        taking = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        return Access(
            grants=[
                iam.PolicyStatement(actions=taking, resources=[self.messages.queue_arn, self.deliveries.queue_arn]),
                iam.PolicyStatement(
                    actions=["sqs:SendMessage"], resources=[self.deliveries.queue_arn, self.letters.queue_arn]
                ),
            ],
            facts={
                "messages_queue": self.messages.queue_url,
                "deliveries_queue": self.deliveries.queue_url,
                "letters_queue": self.letters.queue_url,
            },
        )

    def _queue(self, name: str, called: str, most_receives: int | None = None) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            queue_name=f"{self._foundation.deployment.named(called)}.fifo",
            fifo=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(KEPT_DAYS),
            visibility_timeout=Duration.seconds(HIDDEN_SECONDS),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.letters, max_receive_count=most_receives)
            if most_receives
            else None,
        )


def _measure(queue: sqs.Queue, name: str) -> cloudwatch.Metric:
    return counted("AWS/SQS", name, {"QueueName": queue.queue_name}, minutes=5, statistic="Maximum")

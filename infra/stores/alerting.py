"""Where alert messages go: to two SNS topics, the same to both; and the queue in which notify reports back."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.operations import counted

ATTEMPT_SECONDS = 360
"""How long a report of notify is hidden while attend stores it: six of its timeouts, as AWS advises."""
ATTEMPT_TRIES = 5
ATTEMPT_DAYS = 14


class Alerting(Construct):
    """The topics of alert messages, and the queue of delivery attempts.

    The FIFO topic keeps the order of an incident and delivers to SQS only: notify's queue subscribes to it. The
    standard topic serves everyone else: e-mail, functions of the fleet's owner.
    """

    def __init__(self, scope: Construct, foundation: Foundation) -> None:
        super().__init__(scope, "Alerting")
        deployment, self._key = foundation.deployment, foundation.key
        self.in_order = sns.Topic(
            self,
            "InOrder",
            topic_name=deployment.named("alerts.fifo"),
            fifo=True,
            # Each message has an id of its own: its incident and its sequence.
            content_based_deduplication=False,
            master_key=foundation.key,
            enforce_ssl=True,
        )
        self.topic = sns.Topic(
            self, "Topic", topic_name=deployment.named("alerts"), master_key=foundation.key, enforce_ssl=True
        )
        self.given_up = sqs.Queue(
            self,
            "AttemptsGivenUp",
            queue_name=deployment.named("attempts-given-up"),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(ATTEMPT_DAYS),
        )
        self.attempts = sqs.Queue(
            self,
            "Attempts",
            queue_name=deployment.named("attempts"),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(ATTEMPT_DAYS),
            visibility_timeout=Duration.seconds(ATTEMPT_SECONDS),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.given_up, max_receive_count=ATTEMPT_TRIES),
        )
        foundation.operations.alarm(
            self,
            "attempts-given-up",
            metric=counted(
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                {"QueueName": self.given_up.queue_name},
                minutes=5,
                statistic="Maximum",
            ),
            means="attend could not store reports of notify. `sluice alerts show` lacks these delivery attempts.",
        )
        CfnOutput(self, "TopicArn", value=self.topic.topic_arn)

    def publish(self, way: Reach, *, dashboard: str) -> Access:
        """Let a function publish alert messages, which link to the dashboard, on both topics."""
        return Access(
            grants=[
                iam.PolicyStatement(actions=["sns:Publish"], resources=[self.in_order.topic_arn, self.topic.topic_arn]),
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[self._key.key_arn]),
            ],
            facts={
                "alert_topic": self.topic.topic_arn,
                "alert_topic_in_order": self.in_order.topic_arn,
                "dashboard_address": dashboard,
            },
            reaches=[way],
        )

    def report(self) -> Access:
        """Let a function report delivery attempts. It is outside the private network."""
        return Access(
            grants=[iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[self.attempts.queue_arn])],
            facts={"attempts_queue": self.attempts.queue_url},
        )

    def take_attempts(self) -> Access:
        """Let an event source take delivery attempts for a function."""
        return Access(
            grants=[
                iam.PolicyStatement(
                    actions=["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
                    resources=[self.attempts.queue_arn],
                )
            ]
        )

"""Alarms and the budget, and the two topics they go to."""

import re

from aws_cdk import Annotations, ArnFormat, Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.deployment import Deployment, require
from infra.watch.severity import describe, heading_of

# What no data means. Counters are written only when there is something to count: no data means zero.
NOTHING_HAPPENED = cloudwatch.TreatMissingData.NOT_BREACHING
# Gauges pause while their source is down or idle: no data neither starts an alarm nor ends one.
UNKNOWN = cloudwatch.TreatMissingData.IGNORE
# Metrics that must be written regularly: no data raises the alarm.
TROUBLE = cloudwatch.TreatMissingData.BREACHING

NO_ONE = (
    "No one is subscribed to the alarms: deploy with ALARM_EMAIL=you@example.org, or subscribe to the topics pages and"
    " operations."
)

# Percent of the budget at which a message is sent: of what the month has cost, and of what AWS expects it to cost.
BUDGET_MESSAGES = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))


class Operations(Construct):
    """The alarms of a stage and its budget, and the topics to which people or a pager subscribe.

    Every alarm but the silent ones is a ticket, and sends to the topic `operations`. Outages
    (`infra/watch/severity.py`) send to `pages`.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        key: kms.Key,
        monthly_budget_usd: float,
        email: str | None = None,
    ) -> None:
        super().__init__(scope, name)
        self._deployment = deployment
        self.alarms: dict[str, dict[str, cloudwatch.Alarm]] = {}
        """The alarms by the heading of their runbook, and then by their whole name."""
        self.pages = self._topic("Pages", "pages", key)
        # It keeps the name it had when it was the only one: other stacks import it, and it could not be replaced.
        self.tickets = self._topic("Topic", "operations", key)
        CfnOutput(self, "PagesTopicArn", value=self.pages.topic_arn)
        CfnOutput(self, "TopicArn", value=self.tickets.topic_arn)
        # Without both, alarms change their state and no message is sent.
        key.add_to_resource_policy(self._for_alarms(["kms:Decrypt", "kms:GenerateDataKey"], "*"))
        self.tickets.add_to_resource_policy(_for_budgets(["sns:Publish"], self.tickets.topic_arn))
        key.add_to_resource_policy(_for_budgets(["kms:Decrypt", "kms:GenerateDataKey"], "*"))
        self._subscribe(email)
        self._budget(monthly_budget_usd)

    def alarm(
        self,
        scope: Construct,
        name: str,
        *,
        metric: cloudwatch.IMetric,
        above: float = 0,
        times: int = 1,
        no_data: cloudwatch.TreatMissingData = NOTHING_HAPPENED,
        silent: bool = False,
        means: str,
    ) -> cloudwatch.Alarm:
        """Add an alarm for a metric above a bound for `times` periods in a row. Its place in the tree names it.

        A silent one means something only as a part of an outage or for a release, and sends nothing itself.
        """
        called = f"{_in_words(scope.node.id)}-{name}"
        whole_name = self._deployment.named(called)
        alarm = cloudwatch.Alarm(
            scope,
            "".join(word.capitalize() for word in name.split("-")) + "Alarm",
            alarm_name=whole_name,
            alarm_description=describe(called, means, silent=silent),
            metric=metric,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold=above,
            evaluation_periods=times,
            treat_missing_data=no_data,
        )
        self.alarms.setdefault(heading_of(called), {})[whole_name] = alarm
        if silent:
            return alarm
        action = actions.SnsAction(self.tickets)
        alarm.add_alarm_action(action)
        # The end of an alarm sends a message too: no one has to check whether it is over.
        alarm.add_ok_action(action)
        return alarm

    def _topic(self, name: str, called: str, key: kms.Key) -> sns.Topic:
        topic = sns.Topic(self, name, topic_name=self._deployment.named(called), master_key=key, enforce_ssl=True)
        topic.add_to_resource_policy(self._for_alarms(["sns:Publish"], topic.topic_arn))
        return topic

    def _subscribe(self, email: str | None) -> None:
        """Send both topics to an address, or say that no one is subscribed."""
        if email:
            require("@" in email.strip("@"), f"alarm_email {email!r} is no e-mail address")
            for topic in (self.pages, self.tickets):
                topic.add_subscription(subscriptions.EmailSubscription(email))
        else:
            Annotations.of(self).add_warning_v2("sluice:no-one-listens", NO_ONE)
        CfnOutput(self, "Listener", value=email or NO_ONE)

    def _budget(self, usd: float) -> None:
        """Watch what the whole account costs: AWS finds a stage's own costs only by tags that someone activates."""
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=self.tickets.topic_arn)
        budget = budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=self._deployment.named("month"),
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind, comparison_operator="GREATER_THAN", threshold=percent
                    ),
                    subscribers=[subscriber],
                )
                for kind, percent in BUDGET_MESSAGES
            ],
        )
        # A budget whose topic does not admit it yet is refused.
        budget.node.add_dependency(self.tickets)

    def _for_alarms(self, may: list[str], resource: str) -> iam.PolicyStatement:
        """Grant the alarms of this stage a permission."""
        alarms = Stack.of(self).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=self._deployment.named("*"),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return iam.PolicyStatement(
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=may,
            resources=[resource],
            conditions={
                "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                "ArnLike": {"aws:SourceArn": alarms},
            },
        )


def _in_words(place: str) -> str:
    """Write a construct's name as names are written: `ReplayMachine` is `replay-machine`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", place).lower()


def _for_budgets(may: list[str], resource: str) -> iam.PolicyStatement:
    """Grant this account's budgets a permission."""
    return iam.PolicyStatement(
        principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
        actions=may,
        resources=[resource],
        conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
    )


def counted(
    namespace: str, name: str, dimensions: dict[str, str], *, minutes: int, statistic: str = "Sum"
) -> cloudwatch.Metric:
    """Name a metric with all its dimensions: CloudWatch finds no metric by a part of them."""
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        period=Duration.minutes(minutes),
        statistic=statistic,
    )

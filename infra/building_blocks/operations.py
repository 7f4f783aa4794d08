"""Alarms and the budget, and the one topic they go to."""

import re

from aws_cdk import ArnFormat, Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.deployment import Deployment

# What no data means. Counters are written only when there is something to count: no data means zero.
NOTHING_HAPPENED = cloudwatch.TreatMissingData.NOT_BREACHING
# Gauges pause while their source is down or idle: no data neither starts an alarm nor ends one.
UNKNOWN = cloudwatch.TreatMissingData.IGNORE
# Metrics that must be written regularly: no data raises the alarm.
TROUBLE = cloudwatch.TreatMissingData.BREACHING


# Percent of the budget at which a message is sent: of what the month has cost, and of what AWS expects it to cost.
BUDGET_MESSAGES = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))


class Operations(Construct):
    """The topic of a stage's alarms and its budget: people or a pager subscribe to it."""

    def __init__(
        self, scope: Construct, name: str, *, deployment: Deployment, key: kms.Key, monthly_budget_usd: float
    ) -> None:
        super().__init__(scope, name)
        self._deployment = deployment
        self.topic = sns.Topic(
            self, "Topic", topic_name=deployment.named("operations"), master_key=key, enforce_ssl=True
        )
        # Without both, alarms change their state and no message is sent.
        self.topic.add_to_resource_policy(self._for_alarms(["sns:Publish"], self.topic.topic_arn))
        key.add_to_resource_policy(self._for_alarms(["kms:Decrypt", "kms:GenerateDataKey"], "*"))
        self.topic.add_to_resource_policy(_for_budgets(["sns:Publish"], self.topic.topic_arn))
        key.add_to_resource_policy(_for_budgets(["kms:Decrypt", "kms:GenerateDataKey"], "*"))
        self._budget(monthly_budget_usd)
        CfnOutput(self, "TopicArn", value=self.topic.topic_arn)

    def alarm(
        self,
        scope: Construct,
        name: str,
        *,
        metric: cloudwatch.IMetric,
        above: float = 0,
        times: int = 1,
        no_data: cloudwatch.TreatMissingData = NOTHING_HAPPENED,
        means: str,
    ) -> None:
        """Add an alarm for a metric above a bound for `times` periods in a row. Its place in the tree names it."""
        alarm = cloudwatch.Alarm(
            scope,
            "".join(word.capitalize() for word in name.split("-")) + "Alarm",
            alarm_name=self._deployment.named(f"{_in_words(scope.node.id)}-{name}"),
            alarm_description=means,
            metric=metric,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold=above,
            evaluation_periods=times,
            treat_missing_data=no_data,
        )
        action = actions.SnsAction(self.topic)
        alarm.add_alarm_action(action)
        # The end of an alarm sends a message too: no one has to check whether it is over.
        alarm.add_ok_action(action)

    def _budget(self, usd: float) -> None:
        """Watch what the whole account costs: AWS finds a stage's own costs only by tags that someone activates."""
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=self.topic.topic_arn)
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
        budget.node.add_dependency(self.topic)

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

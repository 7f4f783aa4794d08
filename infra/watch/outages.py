"""What pages: an alarm for each outage, over the alarms that are its signs."""

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.building_blocks.foundation import Foundation
from infra.watch.severity import OUTAGES, Outage, Sign, runbook_of

CAUSE_SECONDS = 300
"""How long an outage waits for its cause before it pages."""
AFTER_CAUSE_SECONDS = 1800
"""For how long the cause still excuses it after its end: consumers need some minutes for what waited."""


class Outages(Construct):
    """The outages of a deployment, over alarms that were all added before."""

    def __init__(self, scope: Construct, foundation: Foundation) -> None:
        super().__init__(scope, "Outages")
        self._foundation = foundation
        self._made: dict[str, cloudwatch.CfnCompositeAlarm] = {}
        for outage in OUTAGES:
            self._made[outage.name] = self._alarm(outage)

    def _alarm(self, outage: Outage) -> cloudwatch.CfnCompositeAlarm:
        named = self._foundation.deployment.named
        topic = self._foundation.operations.pages.topic_arn
        alarm = cloudwatch.CfnCompositeAlarm(
            self,
            "".join(word.capitalize() for word in outage.name.split("-")[1:]),
            alarm_name=named(outage.name),
            alarm_description=f"{outage.means} Severity: {'page' if outage.pages else 'none'}."
            f" Runbook: {runbook_of(outage.name)}",
            alarm_rule=" OR ".join(self._write(sign) for sign in outage.signs),
            alarm_actions=[topic] if outage.pages else None,
            ok_actions=[topic] if outage.pages else None,
            # By name, as in the rule: a reference would keep the other stacks from replacing an alarm.
            actions_suppressor=named(outage.cause) if outage.cause else None,
            actions_suppressor_wait_period=CAUSE_SECONDS if outage.cause else None,
            actions_suppressor_extension_period=AFTER_CAUSE_SECONDS if outage.cause else None,
        )
        for name in (*outage.alarms, *([outage.cause] if outage.cause else [])):
            alarm.node.add_dependency(*self._named(name).values())
        return alarm

    def _write(self, sign: Sign) -> str:
        """Write a sign as a part of a rule. A name stands for each of several streams' alarms."""
        if isinstance(sign, tuple):
            return f"({' AND '.join(self._write(each) for each in sign)})"
        return " OR ".join(f'ALARM("{name}")' for name in self._named(sign))

    def _named(self, name: str) -> dict[str, cloudwatch.Alarm] | dict[str, cloudwatch.CfnCompositeAlarm]:
        if name in self._made:
            return {self._foundation.deployment.named(name): self._made[name]}
        return self._foundation.operations.alarms[name]

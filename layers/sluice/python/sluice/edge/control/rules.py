"""Admins' requests about rules."""

from typing import Any

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.control.fleets import check_active
from sluice.core.control.requests import AdminRequest
from sluice.core.control.rules import (
    NewRule,
    Rule,
    RuleChange,
    archive_rule,
    change_rule,
    check_room,
    create_rule,
    refuse_twin,
)
from sluice.core.detect.series_rules import RULES
from sluice.core.errors import Refusal
from sluice.core.events.units import SeriesBook
from sluice.core.query.parameters import Parameters
from sluice.edge.control import backtest_rows, rule_rows
from sluice.edge.control.answering import FIRST, PAGE, After, answer, answer_page, read_page
from sluice.edge.control.changing import Change, Changer, Deed
from sluice.edge.control.store import Changes, ControlStore


class Rules(msgspec.Struct, frozen=True):
    """The rules of a fleet."""

    store: ControlStore
    changer: Changer
    book: SeriesBook

    def list(self, request: AdminRequest) -> Answer:
        """List a fleet's rules."""
        question = f"{request.route} {request.path['fleet']}"
        after, most = read_page(Parameters(request.query, PAGE), question, After, FIRST)
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
            found = rule_rows.list_rules(rows, fleet.fleet_id, after.id, most + 1)
            promises = backtest_rows.find_promises(rows, fleet.fleet_id, found)
        items = [_with_promise(each, promises) for each in found]
        return answer_page(request, question, items, most, lambda item: After(item["rule_id"]))

    def get(self, request: AdminRequest) -> Answer:
        """Show a rule."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            rule = rule_rows.get_rule(rows, request.path["fleet"], request.path["rule"])
            promises = backtest_rows.find_promises(rows, rule.fleet_id, [rule])
        return answer(request, 200, _with_promise(rule, promises))

    def create(self, request: AdminRequest) -> Answer:
        """Create a rule."""
        wanted = request.read(NewRule)

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            check_active(fleet)
            rule = create_rule(fleet.fleet_id, wanted, self.book, request.now)
            if rule_rows.find_rule(rows, fleet.fleet_id, rule.rule_id) is not None:
                detail = f"Fleet {fleet.fleet_id} has, or had, a rule {rule.rule_id}: ids are used once."
                raise Refusal(409, "rule_exists", detail)
            if twin := rule_rows.find_twin(rows, rule):
                raise refuse_twin(rule, twin)
            check_room(*rule_rows.count_rules(rows, fleet.fleet_id))
            deed = _note("rule.create", None, rule)

            def write(changes: Changes) -> None:
                rule_rows.insert_rule(changes, rule)
                backtest_rows.ask_promise(changes, rule, request)

            return Change([deed], write, deed.after, 201)

        return self.changer.change(request, RULES, decide)

    def change(self, request: AdminRequest) -> Answer:
        """Change when a rule opens an incident, and how severe that is."""
        wanted = request.read(RuleChange)

        def decide(rows: Changes) -> Change:
            check_active(rows.fleet(request.path["fleet"]))
            rule = rule_rows.get_rule(rows, request.path["fleet"], request.path["rule"])
            request.check_version(rule.described())
            changed = change_rule(rule, wanted, self.book)
            deeds = [] if changed == rule else [_note("rule.change", rule, changed)]

            def write(changes: Changes) -> None:
                rule_rows.update_rule(changes, changed)
                backtest_rows.ask_promise(changes, changed, request)

            return Change(deeds, write, changed.described())

        return self.changer.change(request, RULES, decide)

    def archive(self, request: AdminRequest) -> Answer:
        """Archive a rule."""
        reason = request.reason()

        def decide(rows: Changes) -> Change:
            rule = rule_rows.get_rule(rows, request.path["fleet"], request.path["rule"])
            request.check_version(rule.described())
            archived = archive_rule(rule, request.now)
            deed = _note("rule.archive", rule, archived)

            def write(changes: Changes) -> None:
                rule_rows.update_rule(changes, archived)
                backtest_rows.end_promises(changes, archived, request, "The rule was archived before its turn.")

            return Change([deed], write, deed.after, reason=reason)

        return self.changer.change(request, RULES, decide)


def _with_promise(rule: Rule, promises: backtest_rows.Promises) -> dict[str, Any]:
    """Describe a rule with what its version promised; None of a version that an earlier release saved."""
    return rule.described() | {"promise": promises.get((rule.rule_id, rule.judging_version))}


def _note(action: str, before: Rule | None, after: Rule) -> Deed:
    target = f"rule/{after.fleet_id}/{after.rule_id}"
    return Deed(action, target, before.described() if before else None, after.described())

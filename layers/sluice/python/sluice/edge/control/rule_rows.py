"""The table of rules."""

from sluice.core.control.rules import Rule
from sluice.core.errors import Refusal
from sluice.edge.control.store import Changes, Rows

_RULES = """
    SELECT fleet_id, rule_id, kind, metric, unit, device_type, device_id, open, clear, breaches, "of", severity,
        created_at, archived_at, version
    FROM rule
"""
_TWIN = """
    SELECT rule_id FROM rule
    WHERE archived_at IS NULL AND fleet_id = %s AND kind = %s AND metric = %s
        AND coalesce(device_type, '') = coalesce(%s, '') AND coalesce(device_id, '') = coalesce(%s, '')
"""


def find_rule(rows: Rows, fleet_id: str, rule_id: str) -> Rule | None:
    """Read a rule of a fleet, if there is one."""
    return next(iter(rows.read(Rule, f"{_RULES} WHERE fleet_id = %s AND rule_id = %s", fleet_id, rule_id)), None)


def get_rule(rows: Rows, fleet_id: str, rule_id: str) -> Rule:
    """Read a rule of a fleet, or refuse an unknown one."""
    rule = find_rule(rows, fleet_id, rule_id)
    if rule is None:
        raise Refusal(404, "unknown_rule", f"Fleet {fleet_id[:64]!r} has no rule {rule_id[:64]!r}.")
    return rule


def list_rules(rows: Rows, fleet_id: str, after: str, most: int) -> list[Rule]:
    """List a fleet's rules in the order of their ids."""
    query = f"{_RULES} WHERE fleet_id = %s AND rule_id > %s ORDER BY rule_id LIMIT %s"
    return rows.read(Rule, query, fleet_id, after, most)


def count_rules(rows: Rows, fleet_id: str) -> tuple[int, int]:
    """Count the rules that judge: those of the fleet, and those of all fleets."""
    query = "SELECT count(*) FILTER (WHERE fleet_id = %s), count(*) FROM rule WHERE archived_at IS NULL"
    of_fleet, of_all = rows.connection.execute(query, (fleet_id,)).fetchone() or (0, 0)
    return of_fleet, of_all


def find_twin(rows: Rows, rule: Rule) -> str | None:
    """Find a rule of the same kind for the same series and devices; return its id."""
    wanted = (rule.fleet_id, rule.kind, rule.metric, rule.device_type, rule.device_id)
    row = rows.connection.execute(_TWIN, wanted).fetchone()
    return row[0] if row else None


def insert_rule(changes: Changes, rule: Rule) -> None:
    """Store a new rule."""
    changes.connection.execute(
        "INSERT INTO rule (fleet_id, rule_id, kind, metric, unit, device_type, device_id, open, clear, breaches,"
        ' "of", severity, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)',
        (
            rule.fleet_id,
            rule.rule_id,
            rule.kind,
            rule.metric,
            rule.unit,
            rule.device_type,
            rule.device_id,
            rule.open,
            rule.clear,
            rule.breaches,
            rule.of,
            rule.severity,
            rule.created_at,
        ),
    )


def update_rule(changes: Changes, rule: Rule) -> None:
    """Store a changed rule."""
    changes.connection.execute(
        'UPDATE rule SET open = %s, clear = %s, breaches = %s, "of" = %s, severity = %s, archived_at = %s, version = %s'
        " WHERE fleet_id = %s AND rule_id = %s",
        (
            rule.open,
            rule.clear,
            rule.breaches,
            rule.of,
            rule.severity,
            rule.archived_at,
            rule.version,
            rule.fleet_id,
            rule.rule_id,
        ),
    )

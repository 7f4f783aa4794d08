"""Ingest's report: one column for each workload, one line for each cost."""

from collections.abc import Callable
from functools import partial

from bench.costs import Cost, Costs
from bench.report import Report
from bench.workloads import WORKLOADS

_NAMES = [workload.name for workload in WORKLOADS]


def report_comparison(
    report: Report, alone: dict[str, Costs], served: dict[str, Costs], brokers: dict[str, Costs]
) -> None:
    """Report what each side costs."""
    report.table("CPU us per event, batches of", _NAMES)
    _line(report, "ours, the job alone", alone["ours"])
    for step in alone["ours"][_NAMES[0]].steps:
        _line(report, f"  {step}", alone["ours"], partial(_step, step))
    _line(report, "plain, the job alone", alone["plain"])
    _ratios(report, "  plain / ours, alone", alone)
    _line(report, "ours, behind HTTP", served["ours"])
    _line(report, "plain, behind HTTP", served["plain"])
    _ratios(report, "  plain / ours, behind HTTP", served)
    _line(report, "brokers, for ours", brokers["ours"])
    _line(report, "brokers, for plain", brokers["plain"])
    report.table("ms per request, batches of", _NAMES)
    _line(report, "ours, alone, one at a time", alone["ours"], _wall)
    _line(report, "plain, alone, one at a time", alone["plain"], _wall)
    _line(report, "ours, behind HTTP, eight at once", served["ours"], _wall)
    _line(report, "plain, behind HTTP, eight at once", served["plain"], _wall)


def report_ways(report: Report, ways: Costs) -> None:
    """Report what each way of producing costs."""
    report.table("producing batches of 100", ["CPU us per event", "of the brokers", "ms per request"])
    for name, cost in ways.items():
        report.line(name, [cost.cpu, cost.steps["brokers"], cost.wall])


def _step(name: str, cost: Cost) -> float:
    return cost.steps[name]


def _cpu(cost: Cost) -> float:
    return cost.cpu


def _wall(cost: Cost) -> float:
    return cost.wall


def _line(report: Report, label: str, costs: Costs, figure: Callable[[Cost], float] = _cpu) -> None:
    report.line(label, [figure(costs[name]) for name in _NAMES])


def _ratios(report: Report, label: str, sides: dict[str, Costs]) -> None:
    report.line(label, [sides["plain"][name].cpu / sides["ours"][name].cpu for name in _NAMES], timed=0)

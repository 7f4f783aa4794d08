"""The report: one column for each workload, one line for each cost."""

from collections.abc import Callable
from functools import partial

from bench.costs import Cost, Costs
from bench.workloads import WORKLOADS

_LABEL = 34
_WIDTHS = [max(9, len(workload.name) + 2) for workload in WORKLOADS]


def print_comparison(alone: dict[str, Costs], served: dict[str, Costs], brokers: dict[str, Costs]) -> None:
    """Print what each side costs."""
    _print_line("CPU us per event, batches of", [workload.name for workload in WORKLOADS])
    _print_costs("ours, the job alone", alone["ours"])
    for step in alone["ours"][WORKLOADS[0].name].steps:
        _print_figures(f"  {step}", alone["ours"], partial(_step, step))
    _print_costs("plain, the job alone", alone["plain"])
    _print_ratios(alone)
    _print_costs("ours, behind HTTP", served["ours"])
    _print_costs("plain, behind HTTP", served["plain"])
    _print_ratios(served)
    _print_costs("brokers, for ours", brokers["ours"])
    _print_costs("brokers, for plain", brokers["plain"])
    print()
    _print_line("ms per request, batches of", [workload.name for workload in WORKLOADS])
    _print_figures("ours, alone, one at a time", alone["ours"], lambda cost: cost.wall)
    _print_figures("plain, alone, one at a time", alone["plain"], lambda cost: cost.wall)


def print_ways(ways: Costs) -> None:
    """Print what each way of producing costs."""
    print(f"{'producing batches of 100':{_LABEL}}{'CPU us per event':>18}{'of the brokers':>18}{'ms per request':>18}")
    for name, cost in ways.items():
        print(f"{name:{_LABEL}}{cost.cpu:18.1f}{cost.steps['brokers']:18.1f}{cost.wall:18.1f}")


def _step(name: str, cost: Cost) -> float:
    return cost.steps[name]


def _print_costs(label: str, costs: Costs) -> None:
    _print_figures(label, costs, lambda cost: cost.cpu)


def _print_figures(label: str, costs: Costs, figure: Callable[[Cost], float]) -> None:
    _print_line(label, [f"{figure(costs[workload.name]):.1f}" for workload in WORKLOADS])


def _print_ratios(sides: dict[str, Costs]) -> None:
    ratios = [sides["plain"][workload.name].cpu / sides["ours"][workload.name].cpu for workload in WORKLOADS]
    _print_line("  plain / ours", [f"{ratio:.1f} x" for ratio in ratios])


def _print_line(label: str, cells: list[str]) -> None:
    print(f"{label:{_LABEL}}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)))

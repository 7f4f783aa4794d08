"""The groups of the simulated fleet: halls of presses, and what else stands around; and what has a type of its own."""

from local import seed

Groups = dict[str, dict[str, object]]
Types = dict[str, str]
"""The type of each device that has one of its own."""

GAUGES, GATES = 200, 20
HALLS, PRESSES = 5, 100  # as many devices as the simulation has unless told otherwise


def demo_groups() -> dict[str, Groups]:
    """Return the groups of each fleet."""
    halls = {
        f"hall-{hall + 1}": [f"press-{number:05d}" for number in range(hall * PRESSES, (hall + 1) * PRESSES)]
        for hall in range(HALLS)
    }
    others = {
        "gauges": [f"gauge-{number:03d}" for number in range(GAUGES)],
        "gates": [f"gate-{number:02d}" for number in range(GATES)],
    }
    return {
        seed.FLEET: {
            group_id: {"group_id": group_id, "name": group_id.replace("-", " ").capitalize(), "devices": devices}
            for group_id, devices in {**halls, **others}.items()
        }
    }


def demo_types() -> dict[str, Types]:
    """Return the types of each fleet's devices. A press has that of the fleet."""
    gauges = {f"gauge-{number:03d}": "gauge" for number in range(GAUGES)}
    return {seed.FLEET: gauges | {f"gate-{number:02d}": "gate" for number in range(GATES)}}

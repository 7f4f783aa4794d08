"""The groups of the simulated fleet: halls of presses, and what else stands around."""

from local import seed

Groups = dict[str, dict[str, object]]

HALLS, PRESSES = 5, 100  # as many devices as the simulation has unless told otherwise


def demo_groups() -> dict[str, Groups]:
    """Return the groups of each fleet."""
    halls = {
        f"hall-{hall + 1}": [f"press-{number:05d}" for number in range(hall * PRESSES, (hall + 1) * PRESSES)]
        for hall in range(HALLS)
    }
    others = {
        "gauges": [f"gauge-{number:03d}" for number in range(200)],
        "gates": [f"gate-{number:02d}" for number in range(20)],
    }
    return {
        seed.FLEET: {
            group_id: {"group_id": group_id, "name": group_id.replace("-", " ").capitalize(), "devices": devices}
            for group_id, devices in {**halls, **others}.items()
        }
    }

"""What an admin asks for of dead letters: re-drives with one fix or another, their end, and a fix that must not be."""

from typing import Any
from urllib.parse import urlencode

from tests.simulation.admins import Admin
from tests.simulation.posts import MISTYPED
from tests.simulation.timeline import BEGINS
from tests.simulation.world import World

MOST_GROUPS = 4
OTHER_FIX = [
    {"verb": "drop", "path": "metrics.cpuTemp"},
    {"verb": "set", "path": "metrics.cpu_temp", "value": 20.5},
]
"""Another fix of what devices with a certain bug send than the one that is proposed."""


class RedriveAdmin:
    """Asks for re-drives."""

    def __init__(self, admin: Admin, world: World) -> None:
        self._admin = admin
        self._world = world
        self.wrong: list[str] = []
        """What was allowed and must not be."""

    def begin(self, fix: str) -> None:
        """Re-drive the largest groups of dead letters, with the fix that is proposed or another one."""
        spanned = self._span()
        query = urlencode(spanned)
        for item in self._list_groups():
            of_group = {"group": item["group_id"]}
            proposed = self._admin.insist("GET /v1/admin/dead-letters/groups/{group}/proposal", of_group, query=query)
            verbs = proposed.body["fix"] if proposed.status == 200 else []
            if fix == "other" and verbs:
                verbs = OTHER_FIX
            wanted = {"group_id": item["group_id"], "fix": verbs, "reason": "the device was repaired", **spanned}
            self._admin.insist("POST /v1/admin/redrives", body=wanted)

    def cancel(self) -> None:
        """Cancel what is not over."""
        listed = self._admin.insist("GET /v1/admin/redrives")
        for item in listed.body["items"] if listed.status == 200 else ():
            if item["state"] in ("sending", "draining"):
                of_redrive, reason = {"redrive": item["redrive_id"]}, {"reason": "another fix is better"}
                self._admin.insist("POST /v1/admin/redrives/{redrive}/cancel", of_redrive, reason)

    def merge(self) -> None:
        """Ask for a fix that would make one event of several."""
        for item in self._list_groups(most=20):
            if item["contract"] != "activity" or item["letters"] < MISTYPED:
                continue
            fix = [{"verb": "set", "path": "type", "value": "the same"}]
            wanted = {"group_id": item["group_id"], "fix": fix, "reason": "all alike", **self._span()}
            got = self._admin.insist("POST /v1/admin/redrives", body=wanted)
            if 200 <= got.status < 300:
                self.wrong.append(f"a fix that makes one event of several is answered {got.status}")

    def _list_groups(self, most: int = MOST_GROUPS) -> list[dict[str, Any]]:
        listed = self._admin.insist("GET /v1/admin/dead-letters/groups", query=urlencode(self._span()))
        return listed.body["items"][:most] if listed.status == 200 else []

    def _span(self) -> dict[str, str]:
        return {"from": BEGINS.isoformat(), "to": self._world.timeline.now().isoformat()}

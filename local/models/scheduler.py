"""A model of EventBridge Scheduler: functions are started at a rate, and no caller waits for them.

Modelled: a first run as soon as there is a schedule, and one each period after it, however long or short the runs are;
runs beside each other as far as the function's concurrency allows; schedules that are not enabled.

Not modelled: retries and Lambda's queue of asynchronous invocations, so that a run that is throttled or fails is missed
and the next one does its work; calendars, time windows, start and end dates, inputs. AWS may start a run up to a minute
after it is due; here it starts on time. How long a schedule's minute lasts is the stack's choice.

`GET /_model/schedules` is ours: how many runs each schedule has started, and how many of them failed or were missed.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
from aiohttp import web

from local.models.config import ScheduleConfig, SchedulerConfig, read
from local.models.serve import main

log = logging.getLogger(__name__)


class Runs:
    """One schedule: its clock, and what has come of what it started."""

    def __init__(self, schedule: ScheduleConfig, endpoint: str, session: aiohttp.ClientSession) -> None:
        self.schedule = schedule
        self.counts: Counter[str] = Counter()
        path = f"/2015-03-31/functions/{quote(schedule.function_arn, safe='')}/invocations"
        self._url = f"{endpoint}{path}"
        self._session = session
        self._under_way: set[asyncio.Task[None]] = set()

    async def keep(self) -> None:
        """Start a run whenever one is due; those that fell due while this process stood still are one."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                run = asyncio.create_task(self._run())
                self._under_way.add(run)
                run.add_done_callback(self._under_way.discard)
                passed = (loop.time() - due) // self.schedule.every_seconds + 1
                due += passed * self.schedule.every_seconds
                await asyncio.sleep(due - loop.time())
        finally:
            for run in self._under_way:
                run.cancel()

    async def _run(self) -> None:
        self.counts["started"] += 1
        try:
            async with self._session.post(self._url, data=b"{}") as answer:
                said = await answer.text()
                if answer.status != 200:
                    self._missed(f"{answer.status} {said}")
                elif "X-Amz-Function-Error" in answer.headers:
                    self.counts["failed"] += 1
                    log.warning("%s failed: %s", self.schedule.name, said)
        except aiohttp.ClientError as error:
            self._missed(repr(error))

    def _missed(self, why: str) -> None:
        self.counts["missed"] += 1
        log.info("%s missed a run: %s", self.schedule.name, why)


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The clocks of all schedules that are enabled, and their status."""
    config = read(SchedulerConfig, config_file)
    # A run lasts for as long as its function's timeout allows: that is the lambdas' business.
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        asyncio.TaskGroup() as group,
    ):
        runs = [Runs(each, config.lambdas, session) for each in config.schedules if each.enabled]
        clocks = [group.create_task(each.keep()) for each in runs]

        async def schedules(_request: web.Request) -> web.Response:
            return web.json_response({each.schedule.name: {**each.counts} for each in runs})

        application = web.Application()
        application.router.add_get("/_model/schedules", schedules)
        yield application
        for clock in clocks:
            clock.cancel()


if __name__ == "__main__":
    main(model)

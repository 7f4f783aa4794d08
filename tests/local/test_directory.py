"""The fake directory of groups, and its faults on demand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from cli.simulation.devices import Fleet
from local import seed
from local.directory.__main__ import FAULTS, Directory
from local.directory.groups import demo_groups, demo_types
from sluice.core.detect.device_types import read_types_page, types_of
from sluice.core.errors import Retryable
from sluice.core.query.groups import GroupQuestion, read_group_answer
from tests.support.samples import NOW


def run(check: Callable[[Any], Awaitable[None]]) -> None:
    """Run a check against a directory of its own."""

    async def inside() -> None:
        server = TestServer(Directory(demo_groups(), demo_types()).application())
        async with TestClient(server) as client:
            await check(client)

    asyncio.run(inside())


async def read(client: Any, group_id: str | None = None, fleet: str = seed.FLEET) -> tuple[int, bytes]:
    path = f"/fleets/{fleet}/groups" + ("" if group_id is None else f"/{group_id}")
    async with client.get(path, allow_redirects=False) as answer:
        return answer.status, await answer.read()


async def read_list(client: Any) -> None:
    """Read a fleet's groups, as lookup would take them."""
    status, body = await read(client)
    if status != 200:
        raise Retryable(f"answered {status}")
    read_group_answer(GroupQuestion(seed.FLEET, None, "c"), body)


def test_it_answers_as_a_directory_has_to() -> None:
    async def check(client: Any) -> None:
        status, body = await read(client)
        listed = read_group_answer(GroupQuestion(seed.FLEET, None, "c"), body).groups
        assert listed is not None
        for name in listed.groups:
            status, body = await read(client, name.group_id)
            assert status == 200
            assert read_group_answer(GroupQuestion(seed.FLEET, name.group_id, "c"), body).group is not None
        assert (await read(client, "other"))[0] == 404

    run(check)


def test_it_answers_types_page_by_page() -> None:
    async def check(client: Any) -> None:
        found: dict[str, str] = {}
        after, more = "", True
        while more:
            async with client.get(f"/fleets/{seed.FLEET}/types", params={"after": after, "limit": "90"}) as answer:
                page = read_types_page(after, await answer.read())
            found |= types_of(page)
            after, more = page.devices[-1].device_id, page.more
        assert found == demo_types()[seed.FLEET]
        (await client.put("/fleets/other/types", json={"a": "lathe"})).release()
        async with client.get("/fleets/other/types", params={"limit": "90"}) as answer:
            assert types_of(read_types_page("", await answer.read())) == {"a": "lathe"}

    run(check)


def test_its_groups_are_of_devices_that_the_simulation_has() -> None:
    halls = [group for group_id, group in demo_groups()[seed.FLEET].items() if group_id.startswith("hall")]
    grouped = {device for group in halls for device in group["devices"]}  # type: ignore[attr-defined]
    fleet = Fleet(1, 500, lambda: NOW)
    sent = {fleet.good_event().body.split(b'"device_id":"')[1].split(b'"')[0].decode() for _ in range(2000)}
    assert sent <= grouped


def test_a_test_may_add_a_group() -> None:
    async def check(client: Any) -> None:
        async with client.put(
            "/fleets/other/groups/yard", json={"group_id": "yard", "name": "Y", "devices": ["a"]}
        ) as put:
            assert put.status == 204
        _, body = await read(client, "yard", "other")
        group = read_group_answer(GroupQuestion("other", "yard", "c"), body).group
        assert group is not None
        assert group.devices == ("a",)

    run(check)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("none", "slow")])
def test_a_fault_spoils_every_answer_until_it_is_over(fault: str) -> None:
    async def check(client: Any) -> None:
        (await client.put("/fault", json={"kind": fault})).release()
        with pytest.raises((Retryable, aiohttp.ClientError)):
            await read_list(client)
        (await client.put("/fault", json={"kind": "none"})).release()
        assert (await read(client))[0] == 200
        assert (await client.put("/fault", json={"kind": "other"})).status == 400

    run(check)

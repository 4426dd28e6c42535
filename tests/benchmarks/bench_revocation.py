"""B8: how soon a right that was taken is gone at the proxy, in a hub of 1,000 users, 2,000 projects and 500 clusters."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.utils import timezone

from hub.access.models import RoleBinding
from hub.stream.database import DatabaseThread
from hub.stream.decisions import Ask, NotLetIn, decide, read_ask
from hub.stream.rights import Rights
from kube.relay.heads import parse_request_head
from tests.benchmarks.access_world import Resident, Size, build_world
from tests.benchmarks.measure import Figure, report

TIMES = 20
LOOK_EVERY = 0.005
DEADLINE = 10.0


def ask_of(person: Resident) -> Ask:
    lines = [f"GET /k8s/clusters/{person.clusters[0]}/api HTTP/1.1", "Host: h", f"Authorization: Bearer {person.token}"]
    return read_ask(parse_request_head("\r\n".join([*lines, "", ""]).encode()))


def is_let_in(rights: Rights, ask: Ask) -> bool:
    try:
        decide(rights.snapshot, ask, timezone.now())
    except NotLetIn:
        return False
    return True


async def revoke(rights: Rights, database: DatabaseThread, person: Resident) -> float:
    """Seconds from the commit to the first refusal."""
    ask = ask_of(person)
    assert is_let_in(rights, ask)
    await database.run(RoleBinding.objects.filter(user_id=person.user.pk).delete)
    began = time.perf_counter()
    async with asyncio.timeout(DEADLINE):
        while is_let_in(rights, ask):
            await asyncio.sleep(LOOK_EVERY)
    return time.perf_counter() - began


async def measure(people: tuple[Resident, ...]) -> list[float]:
    rights, database = Rights(lambda: None), DatabaseThread("bench")
    looking = asyncio.create_task(rights.keep_fresh())
    try:
        async with asyncio.timeout(DEADLINE):
            while rights.snapshot is None:
                await asyncio.sleep(LOOK_EVERY)
        return [await revoke(rights, database, person) for person in people]
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        database.close()
        for thread in (rights._thread, database):  # their connections would keep the test database from being dropped
            thread._executor.shutdown(wait=True)


@pytest.mark.django_db(transaction=True)
def test_b8_revocation() -> None:
    world = build_world(Size(tenants=100))
    took = asyncio.run(measure(world.residents[-TIMES:]))
    figure = Figure.of([seconds * 1e3 for seconds in took])
    report("revocation", f"From the commit to the first refusal, {TIMES} times: {figure} ms.")

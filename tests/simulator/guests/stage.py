"""Guest machines without waiting times, and clients of what they serve."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from kube.aio import AsyncKubeClient
from kube.credentials import Credentials
from kube.errors import KubeError
from kube.resources import NODES
from simulator.guests.machines import BootOrder, GuestMachine, GuestMachines
from tests.simulator.guests.certificates import issue_leaf
from tests.simulator.guests.user_data import ClusterPlan
from tests.simulator.running import LOOPBACK

FAST = {"boot": 0.01, "install": 0.01, "start": 0.02, "ready": 0.02, "lost": 0.1, "retry": 0.05}
DEADLINE = 20.0


async def eventually(check: Callable[[], Any], what: str) -> Any:
    """The first truthy answer of `check`, which may be a coroutine function. Fails naming `what`."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        answer = check()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        await asyncio.sleep(0.02)
    pytest.fail(f"not within {DEADLINE} s: {what}")


class GuestClients:
    """Administrators of guest clusters, and what they see."""

    def __init__(self) -> None:
        self._clients: list[AsyncKubeClient] = []

    def client(self, plan: ClusterPlan, address: str, port: int = 6443) -> AsyncKubeClient:
        """As an administrator whose certificate the plan's client CA signed."""
        leaf = issue_leaf(plan.client_ca, "admin", ("system:masters",))
        credentials = Credentials(
            servers=(f"https://{address}:{port}",),
            ca_pem=plan.server_ca.cert_pem,
            client_cert_pem=leaf.cert_pem,
            client_key_pem=leaf.key_pem,
        )
        client = AsyncKubeClient(credentials, guard=LOOPBACK, timeout=5)
        self._clients.append(client)
        return client

    async def nodes(self, client: AsyncKubeClient) -> dict[str, str]:
        """The status of each node's condition Ready; empty while the API does not answer."""
        try:
            page = await client.list_page(NODES, limit=100)
        except KubeError:
            return {}
        return {
            node["metadata"]["name"]: next(
                (c["status"] for c in node["status"].get("conditions", []) if c["type"] == "Ready"), ""
            )
            for node in page.items
        }

    async def wait_nodes(self, client: AsyncKubeClient, wanted: dict[str, str]) -> None:
        async def reached() -> bool:
            return await self.nodes(client) == wanted

        await eventually(reached, f"nodes are {wanted}")

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


class Stage(GuestClients):
    """Machines, and short words for what tests do with them."""

    def __init__(self, guests: GuestMachines) -> None:
        super().__init__()
        self.guests = guests

    async def boot(self, order: BootOrder) -> GuestMachine:
        """Powers on and waits for the address."""
        machine = self.guests.boot(order)
        await eventually(lambda: machine.address, f"{order.name} has an address")
        return machine

    async def logged(self, name: str, text: str) -> None:
        await eventually(
            lambda: any(text in line for line in self.guests.boot_log("default", name)), f"{text!r} in {name}'s log"
        )

    async def close(self) -> None:
        await super().close()
        await self.guests.close()

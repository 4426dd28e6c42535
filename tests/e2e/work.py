"""What the end-to-end tests do with a running hub, and what they look at afterwards."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hub.quickstart.demo import MACHINE_GRANTS, MACHINE_SETTINGS
from hub.quickstart.hub_client import HubClient
from hub.quickstart.stack import Stack
from kube.names import random_suffix
from kube.resources import KEY_PAIRS, PERSISTENT_VOLUME_CLAIMS, SECRETS, VIRTUAL_MACHINES
from tests.e2e.harvester import Harvester

DEADLINE = 240.0
OWNED = (VIRTUAL_MACHINES, PERSISTENT_VOLUME_CLAIMS, SECRETS, KEY_PAIRS)


@dataclass
class Hub:
    """A running hub and a client with an administrator's token."""

    stack: Stack
    client: HubClient

    def import_harvester(self, harvester: Harvester) -> Any:
        """The cluster, Ready; a second import finds the first."""
        body = {"name": harvester.name, "kind": "harvester", "kubeconfig": harvester.kubeconfig()}
        cluster = self.client.ensure("clusters", body, name=harvester.name)
        return self.until("the import", lambda: self.when_true(f"clusters/{cluster['id']}", "Ready"), 60)

    def project(self) -> Any:
        tenant = self.client.ensure("tenants", {"name": "e2e", "display_name": "E2E"}, name="e2e")
        body = {"tenant": tenant["id"], "name": "e2e", "display_name": "E2E"}
        return self.client.ensure("projects", body, name="e2e")

    def order(self, infrastructure: Any, *, servers: int = 1, workers: int = 1, **changes: Any) -> Any:
        pools = [{"name": "servers", "role": "server", "count": servers, "settings": MACHINE_SETTINGS}]
        if workers:
            pools.append({"name": "workers", "role": "worker", "count": workers, "settings": MACHINE_SETTINGS})
        project = self.project()
        grants = {"tenant": project["tenant"], "cluster": infrastructure["id"], "grants": MACHINE_GRANTS}
        self.client.post("grants", grants)
        body = {
            "name": f"g-{random_suffix(5)}",
            "project": project["id"],
            "infrastructure": infrastructure["id"],
            "distribution": "k3s",
            "pools": pools,
            **changes,
        }
        return self.client.post("guest-clusters", body)

    def ready(self, guest: Any) -> Any:
        return self.until(f"guest {guest['name']}", lambda: self.when_true(f"guest-clusters/{guest['id']}", "Ready"))

    def delete(self, guest: Any) -> None:
        self.client.delete(f"guest-clusters/{guest['id']}")
        self.until("the deletion", lambda: self.client.find("guest-clusters", name=guest["name"]) is None)

    def when_true(self, path: str, condition: str) -> Any:
        found = self.client.get(path)
        true = any(c["type"] == condition and c["status"] == "True" for c in found["conditions"])
        return found if true else None

    def machines(self, guest: Any) -> list[Any]:
        items: list[Any] = self.client.get("machines", guest_cluster=guest["id"])["items"]
        return items

    def until(self, what: str, poll: Callable[[], Any], seconds: float = DEADLINE) -> Any:
        """What ``poll`` answers when it is truthy; children that died are started again meanwhile."""
        deadline = time.monotonic() + seconds
        while not (found := poll()):
            self.stack.processes.revive()
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:.0f} s for {what}; logs are in {self.stack.processes.logs}")
            time.sleep(0.3)
        return found

    def restart_worker(self, **environment: str) -> None:
        """A new worker process, with these variables beside the stack's own."""
        worker = next(child for child in self.stack.processes.children if child.name == "worker")
        self.stack.processes.environment.update(environment)
        assert worker.process is not None
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait(10)
        self.stack.processes.revive()


def names_of(harvester: Harvester, guest: Any) -> dict[str, set[str]]:
    """The objects on the HCI that carry the guest's name, by kind."""
    with harvester.client() as client:
        return {
            resource.kind: {
                obj["metadata"]["name"]
                for obj in client.list(resource)
                if obj["metadata"]["name"].startswith(f"{guest['name']}-")
            }
            for resource in OWNED
        }


def nothing_left(harvester: Harvester, guest: Any) -> bool:
    return not any(names_of(harvester, guest).values())

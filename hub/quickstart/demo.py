"""The main job, told as it happens: a simulated Harvester is imported, a guest cluster ordered, and kubectl shows its nodes.

It is a client of the REST API and nothing more; a second run finds what the first made and goes on from there.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .demo_people import People, PeopleFailed
from .hub_client import HubClient

SERVERS = 3
WORKERS = 2
JOB_DEADLINE = 600.0
POLL_INTERVAL = 0.4
KUBECTL_TIMEOUT = 60.0
# The image and the network that every simulated Harvester has.
MACHINE_SETTINGS = {"image": "default/ubuntu-22.04", "network": "default/vlan1", "cpu_count": 2, "memory_gib": 4}
# What a tenant is granted for such machines.
MACHINE_GRANTS = [{"kind": kind, "name": MACHINE_SETTINGS[kind]} for kind in ("image", "network")]


class DemoFailed(RuntimeError):
    """The job did not come to its end; the message says at which step and why."""


@dataclass
class Demo:
    """One run of the job. ``kubeconfigs`` are the clusters to import, by name; the guest goes onto the first."""

    hub: HubClient
    kubeconfigs: dict[str, Path]
    folder: Path
    distribution: str = "k3s"
    say: Callable[[str], None] = print
    revive: Callable[[], object] = lambda: None
    started: float = field(default_factory=time.monotonic)
    deadline: float = JOB_DEADLINE

    def run(self) -> None:
        """Does the whole job; raises DemoFailed or HubRefused."""
        clusters = [self._import(name, path) for name, path in self.kubeconfigs.items()]
        tenant = self.hub.ensure("tenants", {"name": "demo", "display_name": "Demo"}, name="demo")
        project_body = {"tenant": tenant["id"], "name": "demo", "display_name": "Demo"}
        project = self.hub.ensure("projects", project_body, name="demo", tenant=tenant["id"])
        self.hub.post("grants", {"tenant": tenant["id"], "cluster": clusters[0]["id"], "grants": MACHINE_GRANTS})
        guest = self._order(project["id"], clusters[0]["id"])
        kubeconfig = self._download_kubeconfig(guest)
        self._show_nodes(kubeconfig)
        try:
            People(self.hub, self.folder, find_kubectl(), self.say).show(tenant, project, guest)
        except PeopleFailed as error:
            raise DemoFailed(str(error)) from error
        self._tell("Everybody may do what his role says, and no more")

    def _import(self, name: str, kubeconfig: Path) -> Any:
        body = {"name": name, "kind": "harvester", "kubeconfig": kubeconfig.read_text()}
        cluster = self.hub.ensure("clusters", body, name=name)

        def ready() -> Any:
            current = self.hub.get(f"clusters/{cluster['id']}")
            failed = [check for check in current["checks"] if check["state"] == "failed"]
            self._waiting_for = "; ".join(f"{c['name']}: {c['message']} {c['fix']}" for c in failed)
            return current if _is_true(current, "Ready") else None

        imported = self._await(f"cluster {name}", ready)
        passed = sum(check["state"] == "passed" for check in imported["checks"])
        self._tell(f"Imported Harvester cluster {name}: {imported['server_version']}, {passed} checks passed")
        return imported

    def _order(self, project: str, infrastructure: str) -> Any:
        name = f"demo-{self.distribution}"
        pools = [
            {"name": "servers", "role": "server", "count": SERVERS, "settings": MACHINE_SETTINGS},
            {"name": "workers", "role": "worker", "count": WORKERS, "settings": MACHINE_SETTINGS},
        ]
        order = {"name": name, "project": project, "infrastructure": infrastructure, "distribution": self.distribution}
        guest = self.hub.find("guest-clusters", name=name, project=project)
        if guest is None:
            guest = self.hub.post("guest-clusters", {**order, "pools": pools})
            self._tell(
                f"Ordered guest cluster {name}: {SERVERS} servers, {WORKERS} workers, {guest['kubernetes_version']}"
            )
        else:
            self._tell(f"Guest cluster {name} is there from an earlier run")
        self._follow(guest)
        return self.hub.get(f"guest-clusters/{guest['id']}")

    def _follow(self, guest: Any) -> None:
        told: set[tuple[str, str]] = set()

        def ended() -> Any:
            operation = self.hub.get(f"operations/{guest['operation']}")
            for step in operation["steps"]:
                if (step["name"], step["state"]) not in told and step["state"] != "pending":
                    told.add((step["name"], step["state"]))
                    self._tell(f"  {step['name']}: {step['state']} {step['message'] or ''}".rstrip())
            if operation["state"] in {"failed", "cancelled"}:
                raise DemoFailed(f"The order {operation['state']}: {operation['error']}")
            return operation if operation["state"] == "succeeded" else None

        self._await("the guest cluster", ended)
        self._await("its Ready condition", lambda: _is_true(self.hub.get(f"guest-clusters/{guest['id']}"), "Ready"))
        self._tell("Guest cluster is Ready")

    def _download_kubeconfig(self, guest: Any) -> Path:
        answer = self.hub.post(f"clusters/{guest['member_cluster']}/kubeconfig", {"expires_in_seconds": 86400})
        path = self.folder / f"{guest['name']}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(answer["kubeconfig"])
        self._tell(f"Downloaded its kubeconfig to {path}")
        return path

    def _show_nodes(self, kubeconfig: Path) -> None:
        kubectl = find_kubectl()
        if kubectl is None:
            self._tell("There is no kubectl on this machine: asking with the Python client instead")
            nodes = _nodes_by_python(kubeconfig)
        else:
            self._tell("kubectl get nodes, through the hub:")
            command = [kubectl, "--kubeconfig", str(kubeconfig), "get", "nodes"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=KUBECTL_TIMEOUT, check=False)
            if done.returncode != 0:
                raise DemoFailed(f"kubectl get nodes failed: {done.stderr.strip()}")
            nodes = done.stdout.strip()
        self.say(nodes)
        ready = [line for line in nodes.splitlines() if line.split()[1:2] == ["Ready"]]
        if len(ready) != SERVERS + WORKERS:
            raise DemoFailed(f"{len(ready)} nodes are Ready, not {SERVERS + WORKERS}.")

    _waiting_for = ""

    def _await(self, what: str, poll: Callable[[], Any]) -> Any:
        while not (result := poll()):
            self.revive()
            if time.monotonic() - self.started > self.deadline:
                raise DemoFailed(f"Waited too long for {what}. {self._waiting_for}")
            time.sleep(POLL_INTERVAL)
        return result

    def _tell(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self.started:6.1f} s] {text}")


def find_kubectl() -> str | None:
    """kubectl from PATH, else one that the test bed built, else None."""
    cache = Path(os.environ.get("PADDOCK_CACHE", "~/.cache/paddock")).expanduser()
    built = sorted(cache.glob("bed/*/bin/kubectl"))
    return shutil.which("kubectl") or (str(built[-1]) if built else None)


def _nodes_by_python(kubeconfig: Path) -> str:
    """A table of the nodes like kubectl's, read as plain JSON because typed models refuse fields they do not know."""
    from kubernetes import config, dynamic

    client = dynamic.DynamicClient(config.new_client_from_config(str(kubeconfig)))  # type: ignore[no-untyped-call]
    nodes = client.resources.get(api_version="v1", kind="Node").get(_request_timeout=30).to_dict()["items"]
    rows = ["NAME STATUS VERSION"]
    for node in nodes:
        ready = _is_true(node["status"], "Ready")
        rows.append(
            f"{node['metadata']['name']} {'Ready' if ready else 'NotReady'} {node['status']['nodeInfo']['kubeletVersion']}"
        )
    return "\n".join(rows)


def _is_true(holder: Any, kind: str) -> bool:
    """Whether an object's list of conditions holds ``kind`` with status True."""
    return any(c["type"] == kind and c["status"] in (True, "True") for c in holder.get("conditions") or [])

"""The demo's second act: two tenants and three people, and what each of them may do with the guest cluster.

Each act is asked for by REST and by kubectl as that person; the hub explains its answers, and its trail tells what happened.
What is shown is also checked: the demo fails when somebody may do more, or less, than his role says.
"""

import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .hub_client import BasicCredentials, HubClient, HubRefused

KUBECTL_TIMEOUT = 60.0
A_DAY = 86_400
EVENTS_SHOWN = 8


class PeopleFailed(RuntimeError):
    """Somebody may do more or less than his role says; the message tells who and what."""


@dataclass(frozen=True)
class Person:
    """Somebody with a token of his own. ``role`` is in words."""

    name: str
    role: str
    hub: HubClient


@dataclass
class People:
    """``hub`` is an administrator's client; ``kubectl`` None: there is none on this machine."""

    hub: HubClient
    folder: Path
    kubectl: str | None
    say: Callable[[str], None]

    def show(self, tenant: Any, project: Any, guest: Any) -> None:
        """Raises PeopleFailed or HubRefused."""
        other = self.hub.ensure("tenants", {"name": "other", "display_name": "Another tenant"}, name="other")
        owner = self._person("olga", f"owner of tenant {tenant['name']}", "tenant-owner", {"tenant": tenant["id"]})
        viewer = self._person(
            "victor", f"viewer of its project {project['name']}", "project-viewer", {"project": project["id"]}
        )
        stranger = self._person("nina", f"owner of tenant {other['name']}", "tenant-owner", {"tenant": other["id"]})
        people = (owner, viewer, stranger)
        self.say("\nTwo tenants, three people:")
        for person in people:
            self.say(f"  {person.name:8}{person.role}")
        self._by_rest(people, guest)
        if self.kubectl is not None:
            self._by_kubectl(owner, viewer, guest)
        self._explain(viewer, project)
        self._tell_trail()

    def _person(self, name: str, words: str, role: str, scope: dict[str, str]) -> Person:
        """The user with this one role, and a token that he got by himself, with a password that nobody else knows."""
        given, own = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
        user = self.hub.find("users", username=name)
        if user is None:
            user = self.hub.post("users", {"username": name, "password": given})
        else:
            self.hub.patch(f"users/{user['id']}", {"password": given})
        self.hub.ensure(
            "role-bindings", {"user": user["id"], "role": role, **scope}, user=user["id"], role=role, **scope
        )
        self.hub.with_credentials(BasicCredentials(name, given)).post("whoami/password", {"current": given, "new": own})
        issued = self.hub.with_credentials(BasicCredentials(name, own)).post(
            "tokens", {"name": "demo", "expires_in_seconds": A_DAY}
        )
        return Person(name, words, self.hub.with_credentials(str(issued["token"])))

    def _by_rest(self, people: tuple[Person, ...], guest: Any) -> None:
        pool = self.hub.find("node-pools", guest_cluster=guest["id"], name="workers")
        assert pool is not None
        acts: tuple[tuple[str, Callable[[HubClient], object], tuple[int, ...]], ...] = (
            ("see the guest cluster", lambda hub: hub.get(f"guest-clusters/{guest['id']}"), (200, 200, 404)),
            (
                "scale its workers",
                lambda hub: hub.patch(f"node-pools/{pool['id']}", {"count": pool["count"]}),
                (200, 403, 404),
            ),
            (
                "get a kubeconfig for it",
                lambda hub: hub.post(f"clusters/{guest['member_cluster']}/kubeconfig", {"expires_in_seconds": A_DAY}),
                (200, 200, 404),
            ),
        )
        self.say(f"\n  {'by REST':28}" + "".join(f"{person.name:>10}" for person in people))
        for what, act, wanted in acts:
            statuses = tuple(_status(act, person.hub) for person in people)
            self.say(f"  {what:28}" + "".join(f"{'yes' if status == 200 else status:>10}" for status in statuses))
            if statuses != wanted:
                raise PeopleFailed(f"{what}: {statuses}, not {wanted}")

    def _by_kubectl(self, owner: Person, viewer: Person, guest: Any) -> None:
        self.say("\n  by kubectl, through the hub to the guest cluster:")
        nodes = self._kubectl(viewer, guest, "get", "nodes", "-o", "name")
        self._expect(nodes.returncode == 0, viewer, "get nodes", nodes.stdout.splitlines()[0] + " and more")
        name = nodes.stdout.split()[0]
        refused = self._kubectl(viewer, guest, "delete", name)
        self._expect(
            refused.returncode != 0 and "forbidden" in refused.stderr, viewer, f"delete {name}", refused.stderr.strip()
        )
        may = self._kubectl(owner, guest, "auth", "can-i", "delete", "nodes")
        self._expect(may.stdout.strip() == "yes", owner, "auth can-i delete nodes", may.stdout.strip())

    def _kubectl(self, person: Person, guest: Any, *arguments: str) -> "subprocess.CompletedProcess[str]":
        path = self.folder / f"{person.name}.kubeconfig"
        path.touch(mode=0o600)
        answer = person.hub.post(f"clusters/{guest['member_cluster']}/kubeconfig", {"expires_in_seconds": A_DAY})
        path.write_text(answer["kubeconfig"])
        command = [str(self.kubectl), "--kubeconfig", str(path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=KUBECTL_TIMEOUT, check=False)

    def _expect(self, fine: bool, person: Person, what: str, told: str) -> None:
        self.say(f"  {person.name}$ kubectl {what}\n    {told}")
        if not fine:
            raise PeopleFailed(f"{person.name}, kubectl {what}: {told}")

    def _explain(self, viewer: Person, project: Any) -> None:
        self.say(f"\n  why? GET /api/v1/access/explain about {viewer.name}, by himself:")
        for verb in ("get", "delete"):
            told = viewer.hub.get("access/explain", verb=verb, resource="guest-clusters", project=project["id"])
            self.say(f"    {verb:8}{'yes' if told['allowed'] else 'no '}  {told['reason']}")

    def _tell_trail(self) -> None:
        self.say("\n  the last events of the trail, GET /api/v1/audit-events:")
        for event in reversed(self.hub.get("audit-events", limit=str(EVENTS_SHOWN))["items"]):
            what = f"{event['verb']} {event['object']['kind']} {event['object']['name']}"[:50]
            sent = event["detail"].get("proxied") and "status" not in event["detail"]  # recorded before it left
            self.say(
                f"    {event['at'][11:19]}  {event['actor']['name']:8}{what:52}{'sent on' if sent else event['outcome']}"
            )


def _status(act: Callable[[HubClient], object], hub: HubClient) -> int:
    """200 for whatever worked."""
    try:
        act(hub)
    except HubRefused as refusal:
        return refusal.status
    return 200

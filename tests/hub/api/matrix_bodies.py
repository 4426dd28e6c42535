"""A good body for every route that takes one, in the place of an estate; None stands for objects that do not exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hub.core.ids import uuid7
from kube.kubeconfig import render_kubeconfig
from tests.hub.api.world import Estate
from tests.hub.builders import unique

KUBECONFIG = render_kubeconfig(name="a", server="https://harvester.example.org:6443", ca_pem=None, token="x" * 40)
RULES = [{"resources": ["projects"], "verbs": ["get"]}]

PROVIDER = {"kind": "oidc", "issuer": "https://idp.example.org", "client_id": "hub"}


def body_for(route: str, place: Estate | None) -> Any:
    """The body of a route of the table; None for routes that take none."""
    if route.startswith(("GET", "DELETE")):
        return None
    build = BODIES.get(route.replace("/api/v1/", ""))
    return build(Ids(place)) if build is not None else {}


class Ids:
    """The ids that bodies name, as text."""

    def __init__(self, place: Estate | None) -> None:
        self._place = place

    def __getattr__(self, name: str) -> str:
        return str(getattr(self._place, name).pk if self._place is not None else uuid7())


def _guest_cluster(ids: Ids) -> dict[str, Any]:
    settings = {"image": "fake/image", "network": "fake/network"}
    return {
        "name": unique("g"),
        "project": ids.project,
        "infrastructure": ids.cluster,
        "distribution": "k3s",
        "driver": "fake",
        "pools": [{"name": "servers", "role": "server", "count": 1, "settings": settings}],
    }


BODIES: Mapping[str, Callable[[Ids], dict[str, Any]]] = {
    "POST audit-forwarders": lambda ids: {"name": unique("a"), "url": "syslog+udp://10.9.9.9:514"},
    "PATCH audit-forwarders/<pk>": lambda ids: {"is_enabled": False},
    "POST cli-logins": lambda ids: {"flow": "device", "host": "a"},
    "POST cli-logins/token": lambda ids: {"device_code": "x"},
    "POST clusters": lambda ids: {"name": unique("c"), "kind": "harvester", "kubeconfig": KUBECONFIG},
    "POST clusters/<pk>/adoption-plans": lambda ids: {"project": str(uuid7()), "namespace": "web"},
    "POST clusters/<pk>/imports": lambda ids: {"kubeconfig": "{}"},
    "POST credentials": lambda ids: {
        "name": unique("c"),
        "project": ids.project,
        "kind": "token",
        "values": {"token": "t"},
    },
    "POST grants": lambda ids: {
        "tenant": ids.tenant,
        "cluster": ids.cluster,
        "grants": [{"kind": "image", "name": "a/b"}],
    },
    "POST guest-clusters": _guest_cluster,
    "POST identity-providers": lambda ids: (
        PROVIDER | {"name": unique("p"), "issuer": f"https://{unique('i')}.example.org"}
    ),
    "POST identity-providers/<pk>/search": lambda ids: {"search": "a"},
    "POST identity-providers/<pk>/groups": lambda ids: {"key": "/staff"},
    "POST provider-tests": lambda ids: PROVIDER | {"name": unique("p")},
    "POST invitations": lambda ids: {"project": ids.project, "role": "project-viewer"},
    "POST kubeconfigs": lambda ids: {"clusters": [ids.cluster]},
    "PATCH node-pools/<pk>": lambda ids: {"count": 1},
    "POST project-namespaces": lambda ids: {"project": ids.project, "cluster": ids.cluster},
    "POST project-namespaces/<pk>/move": lambda ids: {"project": str(uuid7())},
    "POST projects": lambda ids: {"name": unique("p"), "tenant": ids.tenant},
    "POST quotas": lambda ids: {"project": ids.project, "cluster": ids.cluster, "limits": {"vms": 3}},
    "POST role-bindings": lambda ids: {"user": ids.user, "role": "project-viewer", "project": ids.project},
    "POST roles": lambda ids: {"name": unique("r"), "tenant": ids.tenant, "scopes": ["tenant"], "rules": RULES},
    "POST service-accounts": lambda ids: {"name": unique("s"), "project": ids.project},
    "POST service-accounts/<pk>/tokens": lambda ids: {"name": "t"},
    "POST tenants": lambda ids: {"name": unique("t")},
    "POST tokens": lambda ids: {"name": "t"},
    "POST users": lambda ids: {"username": unique("u")},
    "POST whoami/password": lambda ids: {"current": "not the one", "new": "correct horse battery"},
}

SETTINGS = (
    "access_mode admin_client_id admin_client_secret allowed_groups ca_pem client_id client_secret display_name"
    " email_claim group_key groups_claim issuer kind name name_claim scopes username_claim"
)
# Every member that a body may have, of the routes that write rows: what is not written here must be refused (SEC-42).
OFFERED: Mapping[str, frozenset[str]] = {
    route: frozenset(members.split())
    for route, members in {
        "POST audit-forwarders": "ca_pem is_enabled name signing_secret url",
        "PATCH audit-forwarders/<pk>": "ca_pem is_enabled signing_secret url",
        "POST clusters": "kind kubeconfig labels name",
        "PATCH clusters/<pk>": "labels",
        "POST credentials": "description kind name project values",
        "PATCH credentials/<pk>": "description values",
        "POST grants": "cluster grants tenant",
        "POST guest-clusters": "distribution driver infrastructure kubernetes_version name network options pools project",
        "POST identity-providers": SETTINGS,
        "PATCH identity-providers/<pk>": f"{SETTINGS} is_enabled",
        "POST provider-tests": SETTINGS,
        "POST invitations": "expires_in_seconds note project role role_expires_in_seconds tenant",
        "POST kubeconfigs": "clusters expires_in_seconds form",
        "PATCH node-pools/<pk>": "count",
        "POST project-namespaces": "adopt cluster name plan project",
        "POST projects": "display_name name tenant",
        "PATCH projects/<pk>": "display_name name",
        "POST quotas": "cluster limits namespace_defaults project tenant",
        "PATCH quotas/<pk>": "limits namespace_defaults",
        "POST role-bindings": "cluster expires_at group project role service_account tenant user username",
        "PATCH role-bindings/<pk>": "expires_at",
        "POST roles": "description inherits is_locked kubernetes_rules name rules scopes tenant",
        "PATCH roles/<pk>": "description inherits is_locked kubernetes_rules name rules scopes",
        "POST service-accounts": "description name project",
        "PATCH service-accounts/<pk>": "description is_active",
        "POST tenants": "display_name grants invite_owner name owner quota",
        "PATCH tenants/<pk>": "display_name name",
        "POST tokens": "ends_with_session expires_in_seconds name scope",
        "POST users": "display_name password username",
        "PATCH users/<pk>": "display_name is_active password",
    }.items()
}

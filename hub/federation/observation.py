"""Looking at a member cluster: the way there step by step, what is there, and whether it is what it should be.

Only reads. The results are checks (``checks``); what follows from them is the cluster reconciler's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kube.client import KubeClient
from kube.credentials import Credentials, Server
from kube.errors import (
    AddressRefused,
    Forbidden,
    Garbled,
    KubeError,
    TlsRefused,
    Unauthorized,
    Unavailable,
)
from kube.guard import AddressGuard
from kube.handshake import WrongServerName, check_certificate, find_open_address, read_clock
from kube.resources import CONFIG_MAPS, NAMESPACES, NODES

from .checks import Check, CheckFailed
from .rights import HUB_NAMESPACE, OWNER_CONFIG_MAP, HubMark

CONNECT_SECONDS = 5.0
CLOCK_WARNING = 30.0
CLOCK_FAILURE = 300.0

REQUIRED_GROUPS: Mapping[str, tuple[str, ...]] = {
    "kubernetes": ("rbac.authorization.k8s.io",),
    "harvester": (
        "rbac.authorization.k8s.io",
        "kubevirt.io",
        "subresources.kubevirt.io",
        "harvesterhci.io",
        "k8s.cni.cncf.io",
    ),
}
"""API groups without which the hub cannot use a cluster of the kind. Probed, never concluded from a version."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Which hub has marked the cluster as its own."""

    hub_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe saw. ``groups`` maps API groups to versions; ``owner`` is None on an unmarked cluster."""

    uid: str
    version: str
    node_count: int
    owner: Owner | None = None
    groups: Mapping[str, list[str]] = field(default_factory=dict)


def examine_way(credentials: Credentials, guard: AddressGuard) -> Iterator[Check]:
    """Name, connection, certificate, login and clock, each as it passes. Raises CheckFailed at the first that does not.

    With several servers, one that answers is enough.
    """
    servers = [Server.parse(url) for url in credentials.servers]
    resolved = _resolve(servers, guard)
    yield Check("dns", "passed", f"{len(resolved)} of {len(servers)} addresses are known and allowed")
    server, address = _connect(resolved)
    yield Check("tcp", "passed", f"{server.authority} takes connections")
    _check_certificate(address, server, credentials)
    yield Check("tls", "passed", "The certificate is of the given CA and names this address")
    yield from _check_login(credentials, guard)


def observe(client: KubeClient) -> Observation:
    """Asks for what a probe wants to know. Raises KubeError."""
    nodes = client.list_page(NODES, limit=1)
    config_map = client.find(CONFIG_MAPS, OWNER_CONFIG_MAP, HUB_NAMESPACE)
    return Observation(
        uid=_text(client.get(NAMESPACES, "kube-system"), "metadata", "uid"),
        version=_text(client.version(), "gitVersion"),
        node_count=len(nodes.items) + (nodes.remaining or 0),
        owner=_owner(config_map) if config_map is not None else None,
        groups=client.api_groups(),
    )


def judge(
    observation: Observation, kind: str, mark: HubMark, *, pinned_uid: str, known_as: str | None
) -> Iterator[Check]:
    """Whether this is the cluster it was, is ours, and can do what its kind needs. Raises CheckFailed.

    ``pinned_uid`` is "" at the first time; ``known_as`` is the name of another row for the same cluster, if any.
    """
    yield Check("version", "passed", observation.version)
    _check_identity(observation.uid, pinned_uid, known_as)
    yield Check("identity", "passed", f"kube-system has the UID {observation.uid}")
    check_owner(observation.owner, mark)
    yield Check("owner", "passed", "No other hub manages this cluster")
    missing = [group for group in REQUIRED_GROUPS[kind] if group not in observation.groups]
    if missing:
        raise CheckFailed(
            "capabilities",
            f"The cluster does not serve {', '.join(missing)}",
            "Import it as kind kubernetes if it is no Harvester; else wait until all of its services run",
        )
    yield Check("capabilities", "passed", f"{len(observation.groups)} API groups, among them all that are needed")


def check_owner(owner: Owner | None, mark: HubMark) -> None:
    """Raises CheckFailed ``owner`` when another hub, or a later life of this one, has marked the cluster (FLT-40)."""
    where = f"ConfigMap {HUB_NAMESPACE}/{OWNER_CONFIG_MAP}"
    if owner is None:
        return
    if owner.hub_id != str(mark.hub_id):
        raise CheckFailed(
            "owner",
            "Another Paddock hub manages this cluster",
            f"Delete the cluster there first. If that hub is gone for good, delete {where}",
            retryable=False,
        )
    if owner.epoch > mark.epoch:
        raise CheckFailed(
            "owner",
            "A later copy of this hub manages the cluster: this one was restored from an older backup",
            "Stop one of the two hubs",
            retryable=False,
        )


def _resolve(servers: list[Server], guard: AddressGuard) -> list[tuple[Server, list[str]]]:
    resolved: list[tuple[Server, list[str]]] = []
    failure: CheckFailed | None = None
    for server in servers:
        try:
            resolved.append((server, guard.resolve(server.host, server.port)))
        except AddressRefused as error:
            fix = "Use another address, or let an operator allow this one (PADDOCK_ADDRESS_ALLOW)"
            failure = failure or CheckFailed("dns", error.message, fix)
        except Unavailable as error:
            failure = failure or CheckFailed("dns", error.message, "Correct the name, or use the IP address")
    if not resolved and failure is not None:
        raise failure
    return resolved


def _connect(resolved: list[tuple[Server, list[str]]]) -> tuple[Server, str]:
    for server, addresses in resolved:
        try:
            return server, find_open_address(addresses, server.port, timeout=CONNECT_SECONDS)
        except Unavailable:
            continue
    tried = ", ".join(server.authority for server, _ in resolved)
    fix = "Start the API server, or open this TCP port from the hub to it"
    raise CheckFailed("tcp", f"No connection to {tried}: refused, filtered or no route", fix)


def _check_certificate(address: str, server: Server, credentials: Credentials) -> None:
    try:
        check_certificate(address, server, credentials, timeout=CONNECT_SECONDS)
    except WrongServerName as error:
        names = ", ".join(error.names) or "no name at all"
        raise CheckFailed(
            "tls",
            f"{error.message}: {server.host} is not in it",
            f"Use a name that the certificate has ({names}), or add this one to it (tls-san)",
        ) from error
    except TlsRefused as error:
        fix = "Put the CA of the API server's certificate into certificate-authority-data"
        raise CheckFailed("tls", error.message, fix) from error
    except Unavailable as error:
        raise CheckFailed(
            "tls", error.message, "Check that the port is the API server's, with no proxy before it"
        ) from error


def _check_login(credentials: Credentials, guard: AddressGuard) -> Iterator[Check]:
    with KubeClient(credentials, guard=guard) as client:
        try:
            client.can_i("get", NAMESPACES)
        except (Unauthorized, Forbidden, TlsRefused) as error:
            fix = "Paste a fresh kubeconfig: its token or certificate is unknown, expired or of another cluster"
            raise CheckFailed("authentication", "The cluster refuses the credentials", fix) from error
        except KubeError as error:
            fix = "See whether the API server is healthy; this is tried again"
            raise CheckFailed("authentication", error.message, fix) from error
        yield Check("authentication", "passed", "The credentials are taken")
        try:
            told = read_clock(credentials, guard, timeout=CONNECT_SECONDS)
        except KubeError as error:
            raise CheckFailed(
                "clock", error.message, "See whether the API server is healthy; this is tried again"
            ) from error
    yield _judge_clock(told, datetime.now(UTC))


def _judge_clock(told: datetime | None, now: datetime) -> Check:
    fix = "Run NTP on the hub and on the cluster's nodes: tokens and certificates depend on it"
    if told is None:
        return Check("clock", "warning", "The API server does not tell its time", fix)
    skew = (told - now).total_seconds()
    message = f"The cluster's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the hub's"
    if abs(skew) > CLOCK_FAILURE:
        raise CheckFailed("clock", message, fix)
    return Check("clock", "warning", message, fix) if abs(skew) > CLOCK_WARNING else Check("clock", "passed", message)


def _check_identity(uid: str, pinned_uid: str, known_as: str | None) -> None:
    if pinned_uid and uid != pinned_uid:
        raise CheckFailed(
            "identity",
            "Another cluster answers at this address than the one imported: it was installed anew or replaced",
            "Bring the old cluster back, or delete this one here and import the new one",
            retryable=False,
        )
    if known_as is not None:
        raise CheckFailed(
            "identity",
            f"This cluster is imported already, as {known_as}",
            "Use that one, or delete it first",
            retryable=False,
        )


def _owner(config_map: Mapping[str, Any]) -> Owner:
    data = config_map.get("data")
    data = data if isinstance(data, dict) else {}
    epoch = str(data.get("epoch", ""))
    return Owner(str(data.get("hubId", "")), int(epoch) if epoch.isascii() and epoch.isdigit() else 0)


def _text(document: Mapping[str, Any], *path: str) -> str:
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise Garbled(f"The answer has no {'.'.join(path)}")
    return value

"""Clients of member clusters: whose credentials are used for what, and one warm client per cluster and process.

The hub's own account does all work (``client_for``) but that on machines: they have an account in each project's
namespace (``machine_client_for``). The two other identities are for ``registration`` alone: the enrolment credential that
somebody pasted, and the renewal token. A fenced cluster gives no client, so no reconciler
can write to it by mistake (FLT-25, FLT-40).
"""

import hashlib
import json
import threading
from uuid import UUID

from django.utils import timezone

from hub.core.address_guard import address_guard
from hub.core.conditions import condition, is_true
from hub.core.errors import HubError, define
from kube.aio import AsyncKubeClient
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.kubeconfig import parse_kubeconfig

from .conditions import FENCED, NO_MACHINE_ACCOUNT, NOT_REGISTERED
from .models import Cluster, ProjectNamespace
from .rights import CLUSTER_VIEWER, cluster_group

TIMEOUT = 10.0
VIEWER = "paddock:hub"
"""As whom the hub looks at what only viewers of a cluster may read."""

define("cluster.unavailable", 503, "The cluster cannot be used now")


class ClusterUnavailable(HubError):
    """There is no client for this cluster now; ``reason`` is NotRegistered, NoMachineAccount, a reason of condition Fenced,
    or what went wrong on the way there.
    """

    def __init__(self, cluster: Cluster, reason: str) -> None:
        super().__init__("cluster.unavailable", cluster=cluster.name, reason=reason)
        self.reason = reason


# Cluster, whose account (the cluster's own id, or a project namespace's), and timeout.
_Key = tuple[UUID, UUID, float]
_clients: dict[_Key, tuple[str, KubeClient]] = {}
_lock = threading.Lock()


def credentials_of(cluster: Cluster) -> Credentials:
    """The hub's account in the cluster. Raises ClusterUnavailable while there is none, HubError ``secret.unreadable``."""
    if not cluster.access_token:
        raise ClusterUnavailable(cluster, NOT_REGISTERED)
    return _credentials(cluster, token=cluster.access_token.reveal())


def renewal_credentials(cluster: Cluster) -> Credentials:
    """The account that may only ask for new tokens. Raises ClusterUnavailable while there is none."""
    if not cluster.renewal_token:
        raise ClusterUnavailable(cluster, NOT_REGISTERED)
    return _credentials(cluster, token=cluster.renewal_token.reveal())


def enrolment_credentials(cluster: Cluster) -> Credentials:
    """What somebody else made for the registration: a pasted kubeconfig, or a guest's client certificate.

    Raises ClusterUnavailable when it was dropped, InvalidKubeconfig when the address has been denied since.
    """
    if cluster.pasted_kubeconfig:
        pasted = parse_kubeconfig(cluster.pasted_kubeconfig.reveal(), guard=address_guard())
        return _credentials(cluster, token=pasted.token, cert=pasted.client_cert_pem, key=pasted.client_key_pem)
    if cluster.client_certificate:
        pair = json.loads(cluster.client_certificate.reveal())
        return _credentials(cluster, cert=pair["cert"], key=pair["key"])
    raise ClusterUnavailable(cluster, NOT_REGISTERED)


def machine_credentials(namespace: ProjectNamespace) -> Credentials:
    """The account that makes machines in this namespace. Raises ClusterUnavailable while it has no token that is good."""
    expires_at = namespace.machine_token_expires_at
    if not namespace.machine_token or expires_at is None or expires_at <= timezone.now():
        raise ClusterUnavailable(namespace.cluster, NO_MACHINE_ACCOUNT)
    return _credentials(namespace.cluster, token=namespace.machine_token.reveal())


def check_not_fenced(cluster: Cluster) -> None:
    """Raises ClusterUnavailable when the hub must not write there."""
    if is_true(cluster, FENCED):
        found = condition(cluster, FENCED)
        raise ClusterUnavailable(cluster, found.reason if found else FENCED)


def client_for(cluster: Cluster, *, timeout: float = TIMEOUT) -> KubeClient:
    """The hub's client, kept warm in this process until its token or addresses change; never closed by the caller.

    ``timeout`` is in seconds for each request. Raises ClusterUnavailable, and HubError ``secret.unreadable``.
    """
    check_not_fenced(cluster)
    return probing_client(cluster, timeout=timeout)


def probing_client(cluster: Cluster, *, timeout: float = TIMEOUT) -> KubeClient:
    """As ``client_for``, also for a fenced cluster: only to look whether it still has to be."""
    return _warm_client(cluster.pk, cluster.pk, credentials_of(cluster), timeout)


def machine_client_for(namespace: ProjectNamespace, *, timeout: float = TIMEOUT) -> KubeClient:
    """The client of the machines' account in the namespace, kept warm like the hub's own. Raises as ``client_for``."""
    check_not_fenced(namespace.cluster)
    return _warm_client(namespace.cluster_id, namespace.pk, machine_credentials(namespace), timeout)


def viewing_client(cluster: Cluster, *, timeout: float = TIMEOUT) -> KubeClient:
    """A new client that reads what a viewer of the cluster may, and no Secret; the caller closes it.

    For what the hub's own account has no right to, and needs none. Raises as ``client_for``.
    """
    check_not_fenced(cluster)
    groups = [cluster_group(cluster.pk, CLUSTER_VIEWER)]
    if not set(groups) <= set(cluster.groups):
        raise ClusterUnavailable(cluster, NOT_REGISTERED)
    return KubeClient(
        credentials_of(cluster),
        guard=address_guard(),
        timeout=timeout,
        impersonate_user=VIEWER,
        impersonate_groups=groups,
    )


def async_client_for(cluster: Cluster, *, timeout: float = TIMEOUT) -> AsyncKubeClient:
    """A new asynchronous client of the hub's account, which the caller closes. Raises as ``client_for``."""
    check_not_fenced(cluster)
    return AsyncKubeClient(credentials_of(cluster), guard=address_guard(), timeout=timeout)


def forget_clients(cluster_id: UUID) -> None:
    """Closes the warm clients of a cluster that is gone."""
    with _lock:
        keys = [key for key in _clients if key[0] == cluster_id]
        closing = [_clients.pop(key)[1] for key in keys]
    for client in closing:
        client.close()


def _warm_client(cluster_id: UUID, account_id: UUID, credentials: Credentials, timeout: float) -> KubeClient:
    key, fingerprint = (cluster_id, account_id, timeout), _fingerprint(credentials)
    with _lock:
        kept = _clients.get(key)
        if kept is not None and kept[0] == fingerprint:
            return kept[1]
    client = KubeClient(credentials, guard=address_guard(), timeout=timeout)
    with _lock:
        replaced = _clients.get(key)
        _clients[key] = (fingerprint, client)
    if replaced is not None:
        replaced[1].close()
    return client


def _credentials(
    cluster: Cluster, *, token: str | None = None, cert: str | None = None, key: str | None = None
) -> Credentials:
    return Credentials(
        servers=cluster.servers,
        ca_pem=cluster.ca_pem or None,
        token=token,
        client_cert_pem=cert,
        client_key_pem=key,
        tls_server_name=cluster.tls_server_name or None,
    )


def _fingerprint(credentials: Credentials) -> str:
    """Changes with whatever a client is made of; a digest, so that the token is not kept a second time."""
    parts = [*credentials.servers, credentials.ca_pem, credentials.tls_server_name, credentials.token]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

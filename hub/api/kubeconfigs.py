"""Kubeconfigs for people: the hub's proxy as the server of each cluster, and one user for all of them.

Two forms. ``exec`` holds no secret: kubectl asks ``paddock-login`` for a token, which logs in when it has none. ``token``
holds a token of the caller's that reaches these clusters and nothing else, neither another cluster nor the hub's own API
(SEC-17); it is listed and revoked like any token.
"""

import base64
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import yaml

from hub.core.access import Actor, TokenScope
from hub.core.environment import environment
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.identity.models import ApiToken, TokenPurpose
from hub.identity.token_scope import LIST_LIMIT
from hub.identity.tokens import TOKEN_NAME_LIMIT, issue_token

from .authentication import user_of

LOGIN_COMMAND = "paddock-login"
INSTALL_HINT = "kubectl logs in to Paddock by paddock-login: pip install paddock"

define("kubeconfig.no_cluster", 422, "There is no cluster to write into the kubeconfig")
define(
    "kubeconfig.too_many_clusters", 422, "One token cannot be for so many clusters; name fewer, or take the exec form"
)


def issue_kubeconfig(
    actor: Actor, clusters: Sequence[Cluster], lifetime: datetime.timedelta | None = None
) -> tuple[ApiToken, str]:
    """A new token of the actor's and the kubeconfig that holds it. The token is never wider than the one he came with.

    Raises HubError ``kubeconfig.*``, ``object.being_deleted`` or ``token.*``.
    """
    _check_clusters(clusters)
    if len(clusters) > LIST_LIMIT:
        raise HubError("kubeconfig.too_many_clusters", pointer="/clusters", limit=LIST_LIMIT)
    scope = dataclasses.replace(
        actor.token_scope or TokenScope(), clusters=frozenset(cluster.pk for cluster in clusters)
    )
    name = ", ".join(cluster.name for cluster in clusters)
    token, text = issue_token(
        actor,
        user_of(actor),
        name=f"kubeconfig {name}"[:TOKEN_NAME_LIMIT],
        lifetime=lifetime,
        scope=scope,
        purpose=TokenPurpose.KUBECONFIG,
    )
    return token, _render(clusters, f"{_user_name()}-{token.key_id}", {"token": text})


def render_exec_kubeconfig(clusters: Sequence[Cluster]) -> str:
    """The kubeconfig by which kubectl asks ``paddock-login``. Raises HubError ``kubeconfig.*``, ``object.being_deleted``."""
    _check_clusters(clusters)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": LOGIN_COMMAND,
        "args": ["token", "--hub", environment().url],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,  # so that it knows the hub's CA on a machine where nobody has logged in yet
        "installHint": INSTALL_HINT,
    }
    return _render(clusters, _user_name(), {"exec": plugin})


def proxy_url(cluster: Cluster) -> str:
    """Where the stream server answers for the cluster."""
    return f"{environment().url}/k8s/clusters/{cluster.pk}"


def _check_clusters(clusters: Sequence[Cluster]) -> None:
    if not clusters:
        raise HubError("kubeconfig.no_cluster", pointer="/clusters")
    leaving = next((cluster for cluster in clusters if cluster.deletion_requested_at is not None), None)
    if leaving is not None:
        raise HubError("object.being_deleted", name=leaving.name)


def _render(clusters: Sequence[Cluster], user: str, credentials: Mapping[str, Any]) -> str:
    """Clusters and contexts have the clusters' names, which are unique in a hub; the first context is the current one."""
    authority = _authority_of_hub()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": c.name, "cluster": {"server": proxy_url(c), **authority}} for c in clusters],
        "users": [{"name": user, "user": dict(credentials)}],
        "contexts": [{"name": c.name, "context": {"cluster": c.name, "user": user}} for c in clusters],
        "current-context": clusters[0].name,
    }
    # Each cluster repeats the CA; written out, or kubectl would meet YAML's anchors.
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True)


def _user_name() -> str:
    """Names of users are the whole file's that somebody merges this one into, so they tell which hub it is."""
    return f"paddock-{urlsplit(environment().url).hostname}"


def _authority_of_hub() -> dict[str, str]:
    """The CA that clients of the public port need; nothing when their own store knows it."""
    path = environment().tls_ca_file
    return {"certificate-authority-data": base64.b64encode(path.read_bytes()).decode()} if path is not None else {}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

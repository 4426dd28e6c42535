"""Kubeconfigs for people: the hub's proxy as the server, and a token of their own that reaches one cluster."""

import dataclasses
import datetime

from hub.core.access import Actor, TokenScope
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.federation.models import Cluster
from hub.identity.models import ApiToken
from hub.identity.tokens import issue_token
from kube.kubeconfig import render_kubeconfig

from .authentication import user_of


def issue_kubeconfig(actor: Actor, cluster: Cluster, lifetime: datetime.timedelta) -> tuple[ApiToken, str]:
    """A new token of the actor's and the kubeconfig that holds it. The token is never wider than the one he came with.

    Raises HubError ``object.being_deleted`` or ``token.*``.
    """
    if cluster.deletion_requested_at is not None:
        raise HubError("object.being_deleted", name=cluster.name)
    scope = dataclasses.replace(actor.token_scope or TokenScope(), clusters=frozenset({cluster.pk}))
    token, text = issue_token(actor, user_of(actor), name=f"kubeconfig {cluster.name}", lifetime=lifetime, scope=scope)
    kubeconfig = render_kubeconfig(name=cluster.name, server=proxy_url(cluster), ca_pem=_authority_of_hub(), token=text)
    return token, kubeconfig


def proxy_url(cluster: Cluster) -> str:
    """Where the stream server answers for the cluster."""
    return f"{environment().url}/k8s/clusters/{cluster.pk}"


def _authority_of_hub() -> str | None:
    """The CA that clients of the public port need; None when their own store knows it."""
    path = environment().tls_ca_file
    return path.read_text() if path is not None else None

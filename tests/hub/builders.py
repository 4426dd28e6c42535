"""Rows of identity, tenancy, federation and access for tests, made through the services where there is one."""

from django.db import transaction

from hub.access.models import RoleBinding
from hub.access.services import Scope, bind_role
from hub.allowances.grants import set_grants
from hub.allowances.models import GrantKind
from hub.allowances.querysets import ALL
from hub.core.access import SYSTEM, Actor
from hub.core.changes import record_insert
from hub.core.ids import uuid7
from hub.federation.models import Cluster, ClusterKind, ProjectNamespace
from hub.federation.namespaces import ensure_project_namespace
from hub.identity.actors import actor_of
from hub.identity.models import User
from hub.identity.services import create_user
from hub.tenancy.models import Project, Tenant
from hub.tenancy.services import create_project, create_tenant


def unique(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid7().hex[-10:]}"


def make_user(name: str = "user") -> User:
    """A user without a password."""
    return create_user(SYSTEM, unique(name))


def make_tenant(name: str = "tenant") -> Tenant:
    return create_tenant(SYSTEM, unique(name))


def make_project(tenant: Tenant | None = None, name: str = "project") -> Project:
    return create_project(SYSTEM, tenant or make_tenant(), unique(name))


def make_cluster(
    *, project: Project | None = None, kind: ClusterKind = ClusterKind.KUBERNETES, groups: list[str] | None = None
) -> Cluster:
    """A cluster row as if it were registered: shared, or of a project. Nothing answers at its address."""
    cluster = Cluster(
        name=unique("cluster"),
        kind=kind,
        project=project,
        tenant=project.tenant if project else None,
        groups=groups or [],
    )
    cluster.set_servers(["https://192.0.2.1:6443"])
    with transaction.atomic():
        record_insert(cluster)
    return cluster


def make_namespace(project: Project, cluster: Cluster) -> ProjectNamespace:
    return ensure_project_namespace(project, cluster)


def grant_everything(tenant: Tenant, cluster: Cluster) -> None:
    """The tenant may use every image, network, storage class and address pool of the cluster."""
    set_grants(SYSTEM, tenant, cluster, [(kind, ALL) for kind in GrantKind.values])


def make_actor(role: str | None = None, scope: Scope = None, *, name: str = "user") -> Actor:
    """A new user as an actor, with one role or none."""
    user = make_user(name)
    if role is not None:
        bind_role(SYSTEM, role, user, scope)
    return actor_of(user)


def user_of(actor: Actor) -> User:
    """The user that an actor made here is."""
    return User.objects.get(username=actor.name)


def bind(actor: Actor, role: str, scope: Scope = None) -> RoleBinding:
    """One more role for an actor made here."""
    return bind_role(SYSTEM, role, user_of(actor), scope)

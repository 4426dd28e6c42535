"""A hub of a given size, written straight into the tables: the same users, projects and clusters over more or fewer tenants.

Each user has a token, and one role in each of a few projects; the first of each tenant owns it besides. Clusters are
shared, and each project has a namespace in a few of them, so a cluster knows more projects than a user has rights in.
"""

import datetime
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from hub.access.models import RoleBinding
from hub.core.access import TokenScope
from hub.core.ids import uuid7
from hub.core.keys import key_ring
from hub.federation.models import Cluster, ClusterKind, ProjectNamespace
from hub.federation.rights import cluster_group, project_group
from hub.identity.models import ApiToken, User
from hub.identity.token_format import generate_token
from hub.identity.token_scope import scope_to_json
from hub.tenancy.models import Project, Tenant

ROLES = ("project-viewer", "project-member", "project-owner")
BATCH = 1000

ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each; ``spread`` is the number of clusters that a project has a namespace in."""

    tenants: int
    users: int = 1000
    projects: int = 2000
    clusters: int = 500
    spread: int = 4
    projects_of_user: int = 5


@dataclass(frozen=True, slots=True)
class Resident:
    """A user with the text of his token, his tenant's id, and the clusters that his projects lead to."""

    user: User
    token: str
    tenant_id: UUID
    clusters: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class AccessWorld:
    size: Size
    residents: tuple[Resident, ...]
    owners: tuple[Resident, ...]
    clusters: tuple[UUID, ...]


def build_world(size: Size) -> AccessWorld:
    """Fills the (empty) tables. Random choices are the same in each run; ids are not."""
    chance = random.Random(8)
    tenants = _insert([Tenant(name=f"tenant-{number}") for number in range(size.tenants)])
    projects = _insert(
        [Project(tenant=tenants[number % size.tenants], name=f"project-{number}") for number in range(size.projects)]
    )
    users = _insert([User(username=f"user-{number}") for number in range(size.users)])
    clusters = [
        Cluster(id=uuid7(), name=f"cluster-{number}", kind=ClusterKind.KUBERNETES) for number in range(size.clusters)
    ]
    places = {project.pk: chance.sample(clusters, min(size.spread, size.clusters)) for project in projects}
    for cluster in clusters:
        cluster.groups = [cluster_group(cluster.pk, role) for role in ("cluster-admin", "cluster-viewer")]
    for project in projects:
        for cluster in places[project.pk]:
            cluster.groups += [project_group(project.pk, role) for role in ROLES]
    _insert(clusters)
    _insert(
        [
            ProjectNamespace(project=project, tenant_id=project.tenant_id, cluster=cluster, name=f"ns-{project.pk.hex}")
            for project in projects
            for cluster in places[project.pk]
        ]
    )
    tokens = _issue(users)
    by_tenant: dict[UUID, list[Project]] = {}
    for project in projects:
        by_tenant.setdefault(project.tenant_id, []).append(project)
    residents, owners, bindings = [], [], []
    for number, user in enumerate(users):
        tenant = tenants[number % size.tenants]
        own = by_tenant.get(tenant.pk, [])
        if number < size.tenants:
            owners.append(_resident(user, tokens[user.pk], tenant.pk, own, places))
            bindings.append(RoleBinding(role="tenant-owner", user=user, scope_kind="tenant", tenant=tenant))
        chosen = chance.sample(own, min(size.projects_of_user, len(own)))
        residents.append(_resident(user, tokens[user.pk], tenant.pk, chosen, places))
        bindings += [
            RoleBinding(
                role=chance.choice(ROLES), user=user, scope_kind="project", tenant_id=tenant.pk, project=project
            )
            for project in chosen
        ]
    _insert(bindings)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # what autovacuum does for tables that grow as they do in life
    return AccessWorld(size, tuple(residents), tuple(owners), tuple(cluster.pk for cluster in clusters))


def _resident(
    user: User, token: str, tenant_id: UUID, projects: Sequence[Project], places: dict[UUID, list[Cluster]]
) -> Resident:
    reached = {cluster.pk for project in projects for cluster in places[project.pk]}
    return Resident(user, token, tenant_id, tuple(sorted(reached)))


def _issue(users: Sequence[User]) -> dict[UUID, str]:
    """A token for each; the texts by the users' ids."""
    pepper_id, pepper = next(iter(key_ring().peppers.items()))
    texts, rows = {}, []
    for user in users:
        text = generate_token()
        texts[user.pk] = text.render()
        rows.append(
            ApiToken(
                key_id=text.key_id,
                secret_hash=text.hash(pepper),
                pepper_id=pepper_id,
                user=user,
                name="bench",
                scope=scope_to_json(TokenScope()),
                expires_at=timezone.now() + datetime.timedelta(days=1),
            )
        )
    _insert(rows)
    return texts


def _insert(rows: list[ModelT]) -> list[ModelT]:
    type(rows[0])._base_manager.bulk_create(rows, batch_size=BATCH)
    return rows

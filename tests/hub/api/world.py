"""Two tenants with one of everything each, so that a test can ask what the one sees of the other."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from hub.access.models import RoleBinding
from hub.access.services import bind_role
from hub.audit.models import AuditEvent
from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.federation.models import Cluster, ClusterKind
from hub.identity.models import ApiToken, User
from hub.identity.tokens import issue_token
from hub.operations import services as operations
from hub.operations.models import Operation
from hub.provisioning import services
from hub.provisioning.models import GuestCluster, Machine, NodePool
from hub.tenancy.models import Project, Tenant
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant, make_user
from tests.workers.stage import build_order


@dataclass(frozen=True)
class Estate:
    """What one tenant has. ``cluster`` is shared, and seen through the project's namespace in it; ``user`` has no role yet,
    ``binding`` is somebody else's.
    """

    tenant: Tenant
    project: Project
    cluster: Cluster
    guest: GuestCluster
    pool: NodePool
    machine: Machine
    operation: Operation
    event: AuditEvent
    user: User
    token: ApiToken
    binding: RoleBinding

    def id_of(self, resource: str) -> UUID:
        """The id of its one object of a resource of the API."""
        rows: dict[str, Any] = {
            "tenants": self.tenant,
            "projects": self.project,
            "clusters": self.cluster,
            "guest-clusters": self.guest,
            "node-pools": self.pool,
            "machines": self.machine,
            "operations": self.operation,
            "audit-events": self.event,
            "tokens": self.token,
            "project-namespaces": self.guest.namespace,
            "users": self.user,
            "role-bindings": self.binding,
        }
        id: UUID = rows[resource].pk
        return id


def make_estate() -> Estate:
    """A tenant with everything; needs the fixture ``stage``, whose fake infrastructure answers the order."""
    project = make_project(make_tenant())
    cluster = make_cluster(kind=ClusterKind.HARVESTER)
    make_namespace(project, cluster)
    guest, operation = services.order_guest_cluster(SYSTEM, build_order(project=project, infrastructure=cluster))
    pool = guest.pools.get(name="workers")
    with transaction.atomic():
        machine = services.add_machine(guest, pool)
        operations.log("booting", machine_id=machine.pk, tenant_id=guest.tenant_id, step="boot")
        event = record(SYSTEM, "update", "projects", project, project_id=project.pk)
    user = make_user()
    token, _ = issue_token(SYSTEM, user, name="own")
    binding = bind_role(SYSTEM, "project-viewer", make_user(), project)
    return Estate(project.tenant, project, cluster, guest, pool, machine, operation, event, user, token, binding)

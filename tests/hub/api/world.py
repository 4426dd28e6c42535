"""Two tenants with one of everything each, so that a test can ask what the one sees of the other."""

import datetime
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from hub.access.custom_roles import RoleText, create_role
from hub.access.invitations import create_invitation
from hub.access.models import Invitation, Role, RoleBinding
from hub.access.services import bind_role
from hub.allowances.models import Grant, Quota
from hub.allowances.quotas import create_quota
from hub.audit.forwarders import create_forwarder
from hub.audit.models import AuditEvent, AuditForwarder
from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.core.changes import record_insert
from hub.federation.models import Cluster, ClusterKind
from hub.identity.models import (
    ApiToken,
    Group,
    IdentityProvider,
    ProviderDraft,
    Session,
    TokenPurpose,
    User,
)
from hub.identity.sessions import start_session
from hub.identity.tokens import issue_token
from hub.operations import services as operations
from hub.operations.models import Operation
from hub.provisioning import services
from hub.provisioning.models import GuestCluster, Machine, NodePool
from hub.tenancy.credentials import create_credential
from hub.tenancy.models import Credential, Project, ServiceAccount, Tenant
from hub.tenancy.service_accounts import create_service_account
from tests.hub.builders import make_actor, make_cluster, make_namespace, make_project, make_tenant, make_user, unique
from tests.workers.stage import build_order

ROLE = RoleText("watchers", "", ["tenant"], [{"resources": ["projects"], "verbs": ["get"]}], [], [])
TOKEN = {"token": "a-token-of-a-registry"}


@dataclass(frozen=True)
class Estate:
    """What one tenant has. ``cluster`` is shared, and seen through the project's namespace in it; ``user`` has no role, a
    login and two tokens; ``binding`` is somebody else's. ``forwarder`` and the provider with its rows belong to no tenant.
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
    session: Session
    kubeconfig: ApiToken
    grant: Grant
    quota: Quota
    account: ServiceAccount
    invitation: Invitation
    forwarder: AuditForwarder
    role: Role
    credential: Credential
    provider: IdentityProvider
    group: Group
    draft: ProviderDraft

    def id_of(self, resource: str) -> UUID:
        """The id of its one object of a resource of the API."""
        id: UUID = self.row_of(resource).pk
        return id

    def row_of(self, resource: str) -> Model:
        rows: dict[str, Model] = {
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
            "sessions": self.session,
            "kubeconfigs": self.kubeconfig,
            "grants": self.grant,
            "quotas": self.quota,
            "service-accounts": self.account,
            "invitations": self.invitation,
            "audit-forwarders": self.forwarder,
            "roles": self.role,
            "credentials": self.credential,
            "identity-providers": self.provider,
            "groups": self.group,
            "provider-tests": self.draft,
        }
        return rows[resource]


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
    provider, group, draft = make_provider()
    user = make_user()
    token, _ = issue_token(SYSTEM, user, name="own")
    return Estate(
        project.tenant,
        project,
        cluster,
        guest,
        pool,
        machine,
        operation,
        event,
        user,
        token,
        binding=bind_role(SYSTEM, "project-viewer", make_user(), project),
        session=start_session(user, peer="127.0.0.1", user_agent="browser")[0],
        kubeconfig=issue_token(SYSTEM, user, name="file", purpose=TokenPurpose.KUBECONFIG)[0],
        grant=Grant.objects.filter(tenant=project.tenant).order_by("id")[0],
        quota=create_quota(SYSTEM, project.tenant, project=project, limits={"cpu": 500}),
        account=create_service_account(SYSTEM, project, "ci"),
        invitation=create_invitation(make_actor("hub-admin"), project, "project-viewer")[0],
        forwarder=create_forwarder(SYSTEM, unique("siem"), "syslog+udp://10.9.9.9:514")[0],
        role=create_role(SYSTEM, project.tenant, ROLE),
        credential=create_credential(SYSTEM, project, "registry", "token", TOKEN),
        provider=provider,
        group=group,
        draft=draft,
    )


def make_provider() -> tuple[IdentityProvider, Group, ProviderDraft]:
    """A provider that nothing answers for, with a group, and with a test of its settings that has not begun."""
    name = unique("idp")
    provider = IdentityProvider(
        name=name, kind="oidc", issuer=f"https://{name}.example.org", client_id="hub", scopes=["openid"]
    )
    provider.client_secret = f"canary-{name}"
    group = Group(provider=provider, key=f"/{name}", name=name)
    draft = ProviderDraft(settings={}, provider=provider, expires_at=timezone.now() + datetime.timedelta(hours=1))
    with transaction.atomic():
        for row in (provider, group, draft):
            record_insert(row)
    return provider, group, draft

"""Writes of access: role bindings are given and taken, users are disabled, and the first administrator is made.

The rules that hold whoever writes are here: nobody gives away a right that he does not have (SEC-32), and the hub keeps
an administrator (SEC-37). Whether the actor may write role bindings at all is asked before, of ``hub.core.access``.
"""

from uuid import UUID

from django.db import IntegrityError, connection, transaction

from hub.audit.services import record
from hub.core.access import SYSTEM, AccessScope, Actor, can
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.work import wake
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.rights import CLUSTER_MEMBER_ROLES, cluster_group, project_group
from hub.identity.models import User
from hub.identity.passwords import generate_password
from hub.identity.services import create_user
from hub.tenancy.models import Project, Tenant

from .grants import project_member_roles
from .models import RoleBinding
from .permissions import HUB_ADMIN, ROLES, Role
from .querysets import RoleBindingQuerySet

FIRST_ADMIN = "admin"
# Any two processes that might make the first administrator, or remove the last, take this lock (pg_advisory_xact_lock).
ADMIN_LOCK = 0x7061_6464_6F63_6B01

Scope = Tenant | Project | Cluster | None

define("role.unknown", 422, "There is no such role")
define("role.scope_unfit", 422, "The role cannot be bound at this scope")
define("role_binding.exists", 409, "The user has this role there already")
define("role_binding.escalates", 403, "You cannot give a role with rights that you do not have there")
define("role_binding.last_admin", 409, "The hub needs an administrator who can log in")


def bind_role(actor: Actor, role_name: str, user: User, scope: Scope = None) -> RoleBinding:
    """Gives a user a role on the hub (None), a tenant, a project or a cluster.

    Raises HubError ``role.unknown``, ``role.scope_unfit``, ``role_binding.escalates`` or ``role_binding.exists``.
    """
    role = ROLES.get(role_name)
    if role is None:
        raise HubError("role.unknown", pointer="/role", known=sorted(ROLES))
    binding = _build_binding(role, user, scope)
    if binding.scope_kind not in role.scopes:
        raise HubError("role.scope_unfit", pointer="/role", scopes=sorted(role.scopes))
    _refuse_escalation(actor, role, binding)
    try:
        with transaction.atomic():
            record_insert(binding)
            record(actor, "create", "role-bindings", binding, object_name=str(binding.fact), detail=_detail(binding))
            _wake_members(binding)
    except IntegrityError as error:
        raise HubError("role_binding.exists", pointer="/role") from error
    return binding


def unbind_role(actor: Actor, binding: RoleBinding, *, expected_version: int | None = None) -> None:
    """Takes a role away. Raises HubError ``role_binding.escalates``, ``role_binding.last_admin``, StaleVersion."""
    role = ROLES.get(binding.role)
    if role is not None:
        _refuse_escalation(actor, role, binding)
    with transaction.atomic():
        if binding.scope_kind == "hub":
            _keep_an_admin(RoleBinding.objects.exclude(pk=binding.pk))
        record(actor, "delete", "role-bindings", binding, object_name=str(binding.fact), detail=_detail(binding))
        record_delete(binding, expected_version=expected_version)
        _wake_members(binding)


def set_user_active(actor: Actor, user: User, active: bool, *, expected_version: int | None = None) -> None:
    """Lets a user log in or not; his tokens and sessions follow. Raises HubError ``role_binding.last_admin``."""
    user.is_active = active
    with transaction.atomic():
        if not active:
            _keep_an_admin(RoleBinding.objects.exclude(user=user))
        record_update(user, ["is_active"], expected_version=expected_version)
        record(actor, "update", "users", user, object_name=user.username, detail={"is_active": active})


def ensure_first_admin() -> tuple[User, str | None]:
    """The first administrator, and his one-time password when he was made just now (SEC-12).

    Made only in a hub that has no user at all: an administrator who was removed does not come back.
    """
    with transaction.atomic():
        _lock_admins()
        first = User.objects.order_by("created_at").first()
        if first is not None:
            return first, None
        password = generate_password()
        user = create_user(SYSTEM, FIRST_ADMIN, password=password, must_change_password=True)
        bind_role(SYSTEM, HUB_ADMIN.name, user)
    return user, password


def roles_in_use(project_id: UUID, tenant_id: UUID) -> frozenset[str]:
    """The member roles ("admin", "viewer") that somebody holds on the project, by a binding on it or on its tenant."""
    bindings = RoleBinding.objects.of_tenants([tenant_id])
    return project_member_roles([binding.fact for binding in bindings], project_id, tenant_id)


def groups_wanted(cluster: Cluster) -> list[str]:
    """The groups that the hub has to be able to send to this cluster, sorted: two queries."""
    namespaces = ProjectNamespace.objects.filter(cluster=cluster).kept()
    projects = set(namespaces.values_list("project_id", "tenant_id"))
    bindings = [binding.fact for binding in RoleBinding.objects.of_tenants({tenant_id for _, tenant_id in projects})]
    return sorted(
        [cluster_group(cluster.pk, member_role) for member_role in CLUSTER_MEMBER_ROLES]
        + [
            project_group(project_id, member_role)
            for project_id, tenant_id in projects
            for member_role in project_member_roles(bindings, project_id, tenant_id)
        ]
    )


def _build_binding(role: Role, user: User, scope: Scope) -> RoleBinding:
    if isinstance(scope, Tenant):
        return RoleBinding(role=role.name, user=user, scope_kind="tenant", tenant=scope)
    if isinstance(scope, Project):
        return RoleBinding(role=role.name, user=user, scope_kind="project", tenant_id=scope.tenant_id, project=scope)
    if isinstance(scope, Cluster):
        return RoleBinding(role=role.name, user=user, scope_kind="cluster", tenant_id=scope.tenant_id, cluster=scope)
    return RoleBinding(role=role.name, user=user, scope_kind="hub")


def _refuse_escalation(actor: Actor, role: Role, binding: RoleBinding) -> None:
    """The actor must himself hold, at the binding's scope, every right of the role (SEC-32, SEC-33)."""
    scope = AccessScope(binding.tenant_id, binding.project_id, binding.cluster_id)
    for verb, resource in sorted(role.permissions()):
        if not can(actor, verb, resource, scope).allowed:
            raise HubError("role_binding.escalates", pointer="/role", verb=verb, resource=resource)


def _keep_an_admin(kept: RoleBindingQuerySet) -> None:
    """Raises HubError when no administrator is among the bindings that stay. Two removals at once wait for each other."""
    _lock_admins()
    if not kept.hub_admins().exists():
        raise HubError("role_binding.last_admin")


def _lock_admins() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADMIN_LOCK])


def _wake_members(binding: RoleBinding) -> None:
    """The namespaces and clusters in which this binding may have brought a role into use, or out of it."""
    if binding.scope_kind not in ("tenant", "project") or binding.tenant_id is None:
        return
    namespaces = ProjectNamespace.objects.filter(tenant_id=binding.tenant_id)
    if binding.project_id is not None:
        namespaces = namespaces.filter(project_id=binding.project_id)
    for namespace in namespaces.order_by("id"):
        wake(namespace)
    for cluster in Cluster.objects.filter(namespaces__in=namespaces).distinct().order_by("id"):
        wake(cluster)


def _detail(binding: RoleBinding) -> dict[str, str]:
    subject = {"user": binding.user.username} if binding.user else {"group": str(binding.group)}
    return {"role": binding.role, "scope": binding.scope_kind, **subject}

"""Writes of access: role bindings are given, prolonged and taken, users are disabled, the first administrator is made.

The rules that hold whoever writes are here: nobody gives away a right that he does not have (SEC-32; ``escalation``), a
tenant's roles and service accounts stay in the tenant (SEC-33), and the hub keeps an administrator (SEC-37). Whether the
actor may write role bindings at all is asked before, of ``hub.core.access``. Custom roles are ``custom_roles``'s.
"""

import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import SYSTEM, Actor
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.identity.models import Group, Session, User, UserKind
from hub.identity.passwords import generate_password
from hub.identity.services import create_user
from hub.identity.sessions import end_sessions
from hub.tenancy.models import Project, ServiceAccount, Tenant

from .built_in_roles import HUB_ADMIN, ROLES
from .escalation import refuse_escalation, refuse_stronger_user, scope_of_binding
from .models import Role, RoleBinding
from .querysets import RoleBindingQuerySet, find_role_id
from .role_book import BUILT_IN, ResolvedRole
from .roles_in_use import cluster_roles_in_use, groups_wanted, member_roles_in_use, project_roles_in_use
from .waking import wake_members

__all__ = [
    "bind_role",
    "cluster_roles_in_use",
    "ensure_first_admin",
    "groups_wanted",
    "member_roles_in_use",
    "plan_binding",
    "project_roles_in_use",
    "refuse_loss_of_last_admin",
    "refuse_stronger_user",
    "set_binding_end",
    "set_user_active",
    "unbind_role",
]

FIRST_ADMIN = "admin"
# Any two processes that might make the first administrator, or remove the last, take this lock (pg_advisory_xact_lock).
ADMIN_LOCK = 0x7061_6464_6F63_6B01

Scope = Tenant | Project | Cluster | None
Subject = User | Group

define("role.unknown", 422, "There is no such role")
define("role.unresolvable", 409, "The role inherits from one that there is not, or from itself")
define("role.locked", 409, "The role is locked: it takes no new bindings")
define("role.scope_unfit", 422, "The role cannot be bound at this scope")
define("role_binding.exists", 409, "The role is bound there already")
define("role_binding.foreign", 422, "The role or the service account belongs to another tenant than the scope")
define("role_binding.ended", 422, "The end lies in the past")
define("role_binding.last_admin", 409, "The hub needs an administrator who can log in")


def bind_role(
    actor: Actor, role: str, subject: Subject, scope: Scope = None, *, expires_at: datetime.datetime | None = None
) -> RoleBinding:
    """Gives a user, a service account's user or a group a role on the hub (None), a tenant, a project or a cluster.

    ``role`` is a built-in role's name or a custom one's key. Raises HubError ``role.unknown``, ``role.unresolvable``,
    ``role.locked``, ``role.scope_unfit``, ``role_binding.foreign``, ``role_binding.ended``, ``role_binding.escalates`` or
    ``role_binding.exists``.
    """
    try:
        with transaction.atomic():
            binding = plan_binding(actor, role, subject, scope, expires_at=expires_at)
            record_insert(binding)
            record(actor, "create", "role-bindings", binding, object_name=str(binding.fact), detail=_detail(binding))
            wake_members([binding])
    except IntegrityError as error:
        raise HubError("role_binding.exists", pointer="/role") from error
    return binding


def plan_binding(
    actor: Actor, role: str, subject: Subject | None, scope: Scope, *, expires_at: datetime.datetime | None = None
) -> RoleBinding:
    """The binding that ``bind_role`` inserts, having passed all that it asks; inside a transaction, which keeps a custom
    role as it is. Without a subject for who does not know yet whose it will be. Raises as ``bind_role``.
    """
    _refuse_past(expires_at)
    custom, resolved = _find_role(role)
    binding = _build_binding(role, custom, subject, scope, expires_at)
    if binding.scope_kind not in resolved.role.scopes:
        raise HubError("role.scope_unfit", pointer="/role", scopes=sorted(resolved.role.scopes))
    _refuse_foreign(binding, custom, subject)
    refuse_escalation(actor, resolved, scope_of_binding(binding), expires_at)
    return binding


def set_binding_end(
    actor: Actor, binding: RoleBinding, expires_at: datetime.datetime | None, *, expected_version: int | None = None
) -> None:
    """Sets when the binding ends; None: never. The actor must hold the role's rights for as long.

    Raises HubError ``role.locked`` for a longer life of a locked role's binding, ``role_binding.ended``,
    ``role_binding.escalates``, ``role_binding.last_admin``, StaleVersion.
    """
    _refuse_past(expires_at)
    before = binding.expires_at
    longer = before is not None and (expires_at is None or expires_at > before)
    with transaction.atomic():
        _, resolved = _find_role(binding.role, for_new=longer)
        refuse_escalation(actor, resolved, scope_of_binding(binding), expires_at)
        if binding.scope_kind == "hub" and expires_at is not None:
            _keep_an_admin(RoleBinding.objects.exclude(pk=binding.pk))
        binding.expires_at = expires_at
        record_update(binding, ["expires_at"], expected_version=expected_version)
        record(
            actor,
            "update",
            "role-bindings",
            binding,
            object_name=str(binding.fact),
            changes=diff({"expires_at": before}, {"expires_at": expires_at}),
            detail=_detail(binding),
        )
        wake_members([binding])


def unbind_role(actor: Actor, binding: RoleBinding, *, expected_version: int | None = None) -> None:
    """Takes a role away; one that cannot be resolved gives nothing, so whoever may write bindings there takes it.

    Raises HubError ``role_binding.escalates``, ``role_binding.last_admin``, StaleVersion.
    """
    resolved = Role.objects.book_for([binding.fact]).find(binding.role)
    if resolved is not None:
        refuse_escalation(actor, resolved, scope_of_binding(binding), timezone.now())
    with transaction.atomic():
        if binding.scope_kind == "hub":
            _keep_an_admin(RoleBinding.objects.exclude(pk=binding.pk))
        record(actor, "delete", "role-bindings", binding, object_name=str(binding.fact), detail=_detail(binding))
        record_delete(binding, expected_version=expected_version)
        wake_members([binding])


def set_user_active(actor: Actor, user: User, active: bool, *, expected_version: int | None = None) -> None:
    """Lets a user log in or not; his tokens follow, his sessions end.

    Raises HubError ``user.outranks``, ``role_binding.last_admin``, StaleVersion.
    """
    refuse_stronger_user(actor, user)
    before, user.is_active = user.is_active, active
    with transaction.atomic():
        if not active:
            refuse_loss_of_last_admin(user)
        record_update(user, ["is_active"], expected_version=expected_version)
        changes = diff({"is_active": before}, {"is_active": active})
        record(actor, "update", "users", user, object_name=user.username, changes=changes)
        if not active:  # else they would be back with him
            end_sessions(actor, Session.objects.filter(user=user), "user_disabled")


def refuse_loss_of_last_admin(user: User) -> None:
    """Raises HubError ``role_binding.last_admin`` when the hub would have no administrator without this user.

    Inside the transaction that locks or removes him: two at once wait for each other.
    """
    _keep_an_admin(RoleBinding.objects.exclude(user=user))


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


def _find_role(key: str, *, for_new: bool = True) -> tuple[Role | None, ResolvedRole]:
    """The role, resolved, and its row when it is a custom one: locked, so that it stays as it is until the commit."""
    if key in ROLES:
        built_in = BUILT_IN.find(key)
        assert built_in is not None
        return None, built_in
    id = find_role_id(key)
    row = Role.objects.select_for_update().filter(pk=id).first() if id is not None else None
    if row is None or row.key != key:
        raise HubError("role.unknown", pointer="/role", known=sorted(ROLES))
    if row.is_locked and for_new:
        raise HubError("role.locked", pointer="/role")
    resolved = Role.objects.usable_in(row.tenant_id).book().find(key)
    if resolved is None:
        raise HubError("role.unresolvable", pointer="/role")
    return row, resolved


def _build_binding(
    role: str, custom: Role | None, subject: Subject | None, scope: Scope, expires_at: datetime.datetime | None
) -> RoleBinding:
    places: dict[str, Any]
    if isinstance(scope, Tenant):
        places = {"scope_kind": "tenant", "tenant": scope}
    elif isinstance(scope, Project):
        places = {"scope_kind": "project", "tenant_id": scope.tenant_id, "project": scope}
    elif isinstance(scope, Cluster):
        places = {"scope_kind": "cluster", "tenant_id": scope.tenant_id, "cluster": scope}
    else:
        places = {"scope_kind": "hub"}
    holder: dict[str, Any] = {"user": subject} if isinstance(subject, User) else {"group": subject}
    return RoleBinding(role=role, custom_role=custom, expires_at=expires_at, **holder, **places)


def _refuse_foreign(binding: RoleBinding, custom: Role | None, subject: Subject | None) -> None:
    """A tenant's role is used in that tenant only, and a service account works in its own only (SEC-33)."""
    if custom is not None and custom.tenant_id not in (None, binding.tenant_id):
        raise HubError("role_binding.foreign", pointer="/role")
    if isinstance(subject, User) and subject.kind == UserKind.SERVICE_ACCOUNT:
        home = ServiceAccount.objects.filter(user=subject).values_list("tenant_id", flat=True).first()
        if home is None or home != binding.tenant_id:
            raise HubError("role_binding.foreign", pointer="/user")


def _refuse_past(expires_at: datetime.datetime | None) -> None:
    if expires_at is not None and expires_at <= timezone.now():
        raise HubError("role_binding.ended", pointer="/expires_at")


def _keep_an_admin(kept: RoleBindingQuerySet) -> None:
    """Raises HubError when no administrator is among the bindings that stay. Two removals at once wait for each other."""
    _lock_admins()
    if not kept.lasting_admins().exists():
        raise HubError("role_binding.last_admin")


def _lock_admins() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADMIN_LOCK])


def _detail(binding: RoleBinding) -> dict[str, str]:
    subject = {"user": binding.user.username} if binding.user else {"group": str(binding.group)}
    role = {"role_name": binding.custom_role.name} if binding.custom_role else {}
    ends = {"expires_at": binding.expires_at.isoformat()} if binding.expires_at else {}
    return {"role": binding.role, **role, "scope": binding.scope_kind, **subject, **ends}

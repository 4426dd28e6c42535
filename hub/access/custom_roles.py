"""Writes of custom roles: made, changed, locked and deleted, of the hub or of one tenant.

Whoever writes a role must himself hold, wherever it may be bound, all that it gives, with everything inherited, before and
after, and without an end: a role that is bound already gives its new rights at once (SEC-32, SEC-35). Whether the actor may
write roles at all is asked before, of ``hub.core.access``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from django.db import IntegrityError, connection, transaction

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import AccessScope, Actor
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define
from hub.tenancy.models import Tenant

from .built_in_roles import ROLES
from .escalation import refuse_escalation
from .models import Role, RoleBinding
from .permissions import SCOPE_KINDS
from .role_book import LONGEST_CHAIN, ResolvedRole, RoleBook
from .rule_documents import check_policy_rules, check_rules
from .waking import wake_members

# Two writes at once could else make two roles inherit from each other (pg_advisory_xact_lock).
ROLES_LOCK = 0x7061_6464_6F63_6B03
INHERITS_LIMIT = 20
TEXT_LIMIT = 200
NAME_LIMIT = 63

define("role.name_invalid", 400, "The role's name is not valid")
define("role.name_taken", 409, "There is a role of this name already")
define("role.scopes_invalid", 400, "The scopes are none that such a role can be bound at")
define("role.parent_unknown", 422, "There is no such role to inherit from")
define("role.inherits_itself", 422, "The role would inherit from itself, or over too many others")
define("role.escalates", 403, "You cannot write a role with rights that you do not have for good")
define("role.in_use", 409, "The role is bound, or others inherit from it")


@dataclass(frozen=True, slots=True)
class RoleText:
    """What a role says, as it was sent: see ``models.Role``. ``inherits`` are built-in roles' names and custom ones' keys."""

    name: str
    description: str
    scopes: Sequence[str]
    rules: Sequence[Mapping[str, Sequence[str]]]
    kubernetes_rules: Sequence[Mapping[str, Sequence[str]]]
    inherits: Sequence[str]
    is_locked: bool = False


_FIELDS = tuple(field.name for field in fields(RoleText))


def create_role(actor: Actor, tenant: Tenant | None, text: RoleText) -> Role:
    """A new role of the tenant, or of the whole hub.

    Raises HubError ``role.name_invalid``, ``role.name_taken``, ``role.scopes_invalid``, ``role.rule_invalid``,
    ``role.parent_unknown``, ``role.inherits_itself``, ``role.escalates``.
    """
    role = Role(tenant=tenant)
    with transaction.atomic():
        _lock_roles()
        _take_over(role, text)
        resolved = _resolve(role)
        _refuse_escalation(actor, role, resolved)
        _named_once(lambda: record_insert(role), role)
        record(actor, "create", "roles", role, changes=diff({}, _values(role)))
    return role


def update_role(actor: Actor, role: Role, text: RoleText, *, expected_version: int | None = None) -> None:
    """Changes what the role says; its bindings, and roles that inherit from it, follow at once.

    Raises HubError as ``create_role`` does, and StaleVersion.
    """
    with transaction.atomic():
        _lock_roles()
        role.refresh_from_db()
        before = _values(role)
        _refuse_escalation(actor, role, _book_with(role).find(role.key))
        _take_over(role, text)
        resolved = _resolve(role)
        _refuse_escalation(actor, role, resolved)
        _named_once(lambda: record_update(role, _FIELDS, expected_version=expected_version), role)
        record(actor, "update", "roles", role, changes=diff(before, _values(role)))
        affected = {role.key, *_book_with(role).heirs_of(role.key)}
        wake_members(RoleBinding.objects.filter(role__in=affected))


def delete_role(actor: Actor, role: Role, *, expected_version: int | None = None) -> None:
    """Deletes a role that is not used any more. Raises HubError ``role.in_use``, ``role.escalates``, StaleVersion."""
    with transaction.atomic():
        _lock_roles()
        book = _book_with(role)
        _refuse_escalation(actor, role, book.find(role.key))
        if RoleBinding.objects.filter(custom_role=role).exists() or book.heirs_of(role.key):
            raise HubError("role.in_use")
        record(actor, "delete", "roles", role, changes=diff(_values(role), {}))
        record_delete(role, expected_version=expected_version)


def _take_over(role: Role, text: RoleText) -> None:
    """Puts the text on the row, checked but for what other roles have to do with it."""
    name = text.name.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable() or name in ROLES:
        raise HubError("role.name_invalid", pointer="/name", limit=NAME_LIMIT)
    if len(text.description) > TEXT_LIMIT:
        raise HubError("role.name_invalid", pointer="/description", limit=TEXT_LIMIT)
    fitting = [kind for kind in SCOPE_KINDS if kind != "hub" or role.tenant_id is None]
    if not text.scopes or not set(text.scopes) <= set(fitting):
        raise HubError("role.scopes_invalid", pointer="/scopes", known=fitting)
    if len(text.inherits) > INHERITS_LIMIT:
        raise HubError("role.parent_unknown", pointer="/inherits", most=INHERITS_LIMIT)
    checked = replace(
        text,
        name=name,
        scopes=[kind for kind in SCOPE_KINDS if kind in text.scopes],
        rules=check_rules(text.rules),
        kubernetes_rules=check_policy_rules(text.kubernetes_rules),
        inherits=sorted(set(text.inherits)),
    )
    for field in _FIELDS:
        setattr(role, field, getattr(checked, field))


def _resolve(role: Role) -> ResolvedRole:
    """The role with all that it inherits. Raises HubError unless that, and every role above it, comes to an end."""
    book = _book_with(role)
    for number, key in enumerate(role.inherits):
        parent = book.find_own(key)
        if parent is None or parent.tenant_id not in (None, role.tenant_id):
            raise HubError("role.parent_unknown", pointer=f"/inherits/{number}")
    resolved = book.find(role.key)
    if resolved is None or any(book.find(heir) is None for heir in book.heirs_of(role.key)):
        raise HubError("role.inherits_itself", pointer="/inherits", most=LONGEST_CHAIN)
    return resolved


def _book_with(role: Role) -> RoleBook:
    """All roles that have to do with this one, with it as it stands in memory."""
    others = Role.objects.exclude(pk=role.pk)
    if role.tenant_id is not None:
        others = others.usable_in(role.tenant_id)
    return RoleBook([*(other.fact for other in others), role.fact])


def _refuse_escalation(actor: Actor, role: Role, resolved: ResolvedRole | None) -> None:
    if resolved is not None:  # one that cannot be resolved gives nothing
        refuse_escalation(
            actor, resolved, AccessScope(tenant_id=role.tenant_id), code="role.escalates", pointer="/rules"
        )


def _named_once(write: Any, role: Role) -> None:
    try:
        with transaction.atomic():
            write()
    except IntegrityError as error:
        raise HubError("role.name_taken", pointer="/name", name=role.name) from error


def _values(role: Role) -> dict[str, Any]:
    return {field: getattr(role, field) for field in _FIELDS}


def _lock_roles() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ROLES_LOCK])

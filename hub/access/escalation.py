"""Nobody gives, takes or rules over a right that he does not have himself (SEC-32, SEC-35, SEC-37).

The rights compared are effective ones: with everything inherited, hub verbs and Kubernetes rules, at the scope in question,
narrowed by the actor's token. What somebody has until a moment he gives away until then at most; else a right that was
lent for an hour could be made one for good.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone

from hub.core.access import AccessScope, Actor, TokenScope
from hub.core.errors import HubError, define
from hub.identity.models import GroupMembership, User

from .grants import FULL_SCOPE, PROXY, BindingFact, Holdings, holds_permission, member_rules
from .models import Role, RoleBinding
from .policy import holdings_of
from .policy_rules import missing
from .role_book import ResolvedRole

define(
    "role_binding.escalates", 403, "You cannot give a role with rights that you do not have there, or not for so long"
)
define("user.outranks", 403, "The user has rights that you do not have")


@dataclass(frozen=True, slots=True)
class Missing:
    """One right that is lacking: a verb and what it is used on, of the hub or inside members."""

    verb: str
    resource: str


def refuse_escalation(
    actor: Actor,
    role: ResolvedRole,
    scope: AccessScope,
    until: datetime.datetime | None = None,
    *,
    code: str = "role_binding.escalates",
    pointer: str = "/role",
) -> None:
    """Raises HubError with this code unless the actor holds, at the scope, all that the role gives there.

    ``until`` is when the role's holder will lose it; None: never.
    """
    lacking = _lacking(actor, _holdings(actor), role, scope, until)
    if lacking is not None:
        raise HubError(code, pointer=pointer, verb=lacking.verb, resource=lacking.resource)


def refuse_stronger_user(actor: Actor, user: User) -> None:
    """Raises HubError ``user.outranks`` unless the actor holds every right that the user has, wherever he has it.

    For every write on somebody else's account: who sets his password, ends his second factor or speaks for him has his
    rights. All of his groups count, also those that were not confirmed lately, since they may be again tomorrow.
    """
    if actor.id == user.pk and actor.token_scope in (None, FULL_SCOPE):
        return
    held = _holdings(actor)
    for fact, scope, role in _all_rights_of(user):
        lacking = _lacking(actor, held, role, scope, timezone.now())
        if lacking is not None:
            raise HubError("user.outranks", verb=lacking.verb, resource=lacking.resource, role=fact.role)


def scope_of_binding(binding: RoleBinding) -> AccessScope:
    """Where the binding holds."""
    return AccessScope(binding.tenant_id, binding.project_id, binding.cluster_id)


def _holdings(actor: Actor) -> Holdings | None:
    return None if actor.kind == "system" else holdings_of(actor)


def _lacking(
    actor: Actor, held: Holdings | None, role: ResolvedRole, scope: AccessScope, until: datetime.datetime | None
) -> Missing | None:
    """The first right of the role that the actor does not have at the scope; None when he has them all."""
    if held is None:
        return None  # the hub itself
    token = actor.token_scope or FULL_SCOPE
    for verb, resource in sorted(role.permissions):
        if not holds_permission(held, token, verb, resource, scope, until):
            return Missing(verb, resource)
    return _lacking_in_members(held, token, role, scope, until) if PROXY in role.permissions else None


def _lacking_in_members(
    held: Holdings, token: TokenScope, role: ResolvedRole, scope: AccessScope, until: datetime.datetime | None
) -> Missing | None:
    in_projects, in_clusters = member_rules(held, token, scope, until)
    wanted = [(in_clusters, role.in_clusters.rules)]
    if scope.cluster_id is None:  # a cluster's binding reaches namespaces only with the whole of the cluster
        wanted.append((in_projects, role.in_projects.rules))
    for have, rules in wanted:
        for rule in missing(have, rules):
            what = rule.resources[0] if rule.resources else rule.urls[0]
            return Missing(rule.verbs[0], f"{what}.{rule.group}" if rule.group else what)
    return None


def _all_rights_of(user: User) -> Iterable[tuple[BindingFact, AccessScope, ResolvedRole]]:
    groups = GroupMembership.objects.filter(identity__user=user).values("group_id")
    bindings = RoleBinding.objects.live(timezone.now())
    rows = [*bindings.filter(user=user), *bindings.filter(group_id__in=groups)]
    book = Role.objects.book_for(row.fact for row in rows)
    for row in rows:
        role = book.find(row.role)
        if role is not None:
            yield row.fact, scope_of_binding(row), role

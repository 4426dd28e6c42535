"""Groups of a provider: who is in which, as the provider said it last.

A group is known by its provider and key, compared exactly (SEC-50): an immutable id, or a full path, as the provider's
settings say. What is said in another form is no group. Rows are made for groups that somebody was seen in, or that are
bound to a role; what a search at the provider finds is shown without making rows.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from hub.core.changes import record_insert, record_update

from .models import ExternalIdentity, Group, GroupMembership, IdentityProvider

KEY_LIMIT = 500
GROUPS_LIMIT = 1000
"""Groups of one user. Who is in more counts as in none: half a list would be an arbitrary one."""
CONFIRM_INTERVAL = datetime.timedelta(minutes=10)
"""How often at most "still the same groups" is written: each write makes every process read access again."""
RESERVED = "system:"


def groups_in_claims(provider: IdentityProvider, claims: Mapping[str, Any]) -> frozenset[str]:
    """The keys of the groups that an ID token tells of. An absent or odd claim, or one that says "too many to list here",
    is no groups; a value in another form is left out.
    """
    if not provider.groups_claim or is_overage(provider, claims):
        return frozenset()
    found = claims.get(provider.groups_claim)
    return group_keys(provider, found) if isinstance(found, list) else frozenset()


def is_overage(provider: IdentityProvider, claims: Mapping[str, Any]) -> bool:
    """Whether the provider says where the groups are instead of telling them."""
    elsewhere = claims.get("_claim_names")
    return claims.get("hasgroups") is True or (isinstance(elsewhere, dict) and provider.groups_claim in elsewhere)


def group_keys(provider: IdentityProvider, found: Iterable[Any]) -> frozenset[str]:
    """Those of the values that can be keys of this provider's groups."""
    keys = frozenset(key for key in found if isinstance(key, str) and is_group_key(provider, key))
    return keys if len(keys) <= GROUPS_LIMIT else frozenset()


def is_group_key(provider: IdentityProvider, key: str) -> bool:
    """A short printable text without blanks at its ends; for full paths one that begins with a slash.

    Names that Kubernetes keeps for itself are none (SEC-50): they go nowhere near impersonation, and shall not look as if
    they did.
    """
    plain = 0 < len(key) <= KEY_LIMIT and key.isprintable() and key == key.strip()
    in_form = provider.group_key != "path" or (key.startswith("/") and len(key) > 1)
    return plain and in_form and not key.casefold().lstrip("/").startswith(RESERVED)


def ensure_group(provider: IdentityProvider, key: str, name: str = "") -> Group:
    """The row of a group, made when there is none; ``key`` has the form of ``is_group_key``. Inside a transaction."""
    group = Group.objects.filter(provider=provider, key=key).first()
    if group is not None:
        return group
    try:
        with transaction.atomic():
            group = Group(provider=provider, key=key, name=name or key)
            record_insert(group)
    except IntegrityError:  # somebody else has just made it
        return Group.objects.get(provider=provider, key=key)
    return group


def set_memberships(identity: ExternalIdentity, keys: frozenset[str], names: Mapping[str, str] | None = None) -> bool:
    """Makes the groups of an identity exactly these, confirmed now; whether they have changed.

    ``identity`` is locked by the caller. ``names`` are for people, by key.
    """
    now = timezone.now()
    before = dict(identity.memberships.values_list("group__key", "pk"))
    gone = [pk for key, pk in before.items() if key not in keys]
    new = sorted(keys - before.keys())
    with transaction.atomic():
        GroupMembership.objects.filter(pk__in=gone).delete()
        GroupMembership.objects.bulk_create(
            [
                GroupMembership(
                    identity=identity, group=ensure_group(identity.provider, key, (names or {}).get(key, ""))
                )
                for key in new
            ],
            ignore_conflicts=True,
        )
        confirmed = identity.groups_confirmed_at
        if new or gone or confirmed is None or confirmed < now - CONFIRM_INTERVAL:
            identity.groups_confirmed_at = now
            record_update(identity, ["groups_confirmed_at"])
    return bool(new or gone)

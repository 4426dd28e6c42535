"""Grants: which networks, images, storage classes and address pools of a cluster a tenant may use. By default none.

Every order and every later use asks ``check_granted``. Its answer depends on the grants alone, so it does not tell
whether something exists, or for whom (SEC-40).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction

from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_delete, record_insert
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.tenancy.models import Project, Tenant

from .ledger import lock_tenant
from .models import Grant, GrantKind
from .querysets import ALL

NAME_LIMIT = 320
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?")

define("grant.missing", 422, "The tenant has no grant for this")
define("grant.name_invalid", 422, "The name is neither that of an object, with its namespace if it has one, nor *")
define("grant.kind_unknown", 422, "There is no such kind of grant")


@dataclass(frozen=True, slots=True)
class Named:
    """Something that an order names: its kind, its name, and the pointer to the place in the order."""

    kind: GrantKind
    name: str
    pointer: str = ""


def set_grants(actor: Actor, tenant: Tenant, cluster: Cluster, wanted: Iterable[tuple[str, str]]) -> list[Grant]:
    """Grants each (kind, name), all or nothing; what was granted before stays as it is. In the order that was asked for.

    Raises HubError ``request.invalid`` whose causes are ``grant.kind_unknown`` and ``grant.name_invalid`` with pointers
    into ``/grants``; ``cluster.foreign`` for the cluster of another tenant (SEC-33).
    """
    pairs = list(dict.fromkeys(wanted))
    faults = [
        fault for index, (kind, name) in enumerate(pairs) for fault in grant_faults(kind, name, f"/grants/{index}")
    ]
    if faults:
        raise HubError("request.invalid", causes=faults)
    if cluster.tenant_id not in (None, tenant.pk):
        raise HubError("cluster.foreign", pointer="/cluster")
    with transaction.atomic():
        lock_tenant(tenant.pk)  # two at once agree on one row for each
        known = {(grant.kind, grant.name): grant for grant in Grant.objects.of(tenant.pk, cluster.pk)}
        return [
            known.get((kind, name)) or _insert(actor, Grant(tenant=tenant, cluster=cluster, kind=kind, name=name))
            for kind, name in pairs
        ]


def remove_grant(actor: Actor, grant: Grant, *, expected_version: int | None = None) -> None:
    """Takes a grant back. What uses it keeps running; new orders and scaling up are refused. Raises StaleVersion."""
    with transaction.atomic():
        record(actor, "delete", "grants", grant, object_name=str(grant))
        record_delete(grant, expected_version=expected_version)


def missing_grants(project: Project, cluster: Cluster, used: Sequence[Named]) -> list[HubError]:
    """One ``grant.missing`` for each thing that the project's tenant may not use there. One query."""
    if not used:
        return []
    granted = set(Grant.objects.of(project.tenant_id, cluster.pk).values_list("kind", "name"))
    return [
        HubError("grant.missing", pointer=one.pointer, kind=one.kind.value, name=one.name)
        for one in used
        if not granted & {(one.kind.value, one.name), (one.kind.value, ALL)}
    ]


def check_granted(project: Project, cluster: Cluster, kind: GrantKind, names: Iterable[str]) -> None:
    """Raises HubError ``request.invalid`` with a cause ``grant.missing`` for each name that is not granted."""
    faults = missing_grants(project, cluster, [Named(kind, name) for name in names])
    if faults:
        raise HubError("request.invalid", causes=faults)


def grant_faults(kind: str, name: str, pointer: str) -> Iterator[HubError]:
    """What is wrong with one grant that is asked for; ``pointer`` is that of the grant."""
    if kind not in GrantKind.values:
        yield HubError("grant.kind_unknown", pointer=f"{pointer}/kind", known=GrantKind.values)
    elif name != ALL and (len(name) > NAME_LIMIT or not _NAME.fullmatch(name)):
        yield HubError("grant.name_invalid", pointer=f"{pointer}/name", limit=NAME_LIMIT)


def _insert(actor: Actor, grant: Grant) -> Grant:
    record_insert(grant)
    record(actor, "create", "grants", grant, object_name=str(grant), detail={"kind": grant.kind, "name": grant.name})
    return grant

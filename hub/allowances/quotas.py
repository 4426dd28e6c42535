"""Quotas: how much a tenant may take of all clusters or of one, a project's share of that, and each namespace's limits.

Who may set which quota is decided in ``hub.api``; that no share exceeds the tenant's budget is decided here. A limit may
be lowered below what is taken: nothing is stopped, and nothing more is ordered until it fits again.
"""

from collections.abc import Mapping

from django.db import IntegrityError, transaction

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.work import wake
from hub.federation.models import Cluster, ProjectNamespace
from hub.tenancy.models import Project, Tenant

from .amounts import Amounts, add, overrun, read_amount
from .ledger import lock_tenant, usage
from .models import Quota

define("quota.amount_invalid", 422, "The amount is not one of this resource")
define("quota.exists", 409, "There is a quota for this tenant or project and cluster already")
define("quota.share_too_large", 422, "The share is larger than the tenant's budget")
define("quota.defaults_without_project", 422, "Limits of namespaces belong to a project's quota")

Limits = Mapping[str, object]
"""Limits as people write them: see ``amounts.read_amount``."""


def create_quota(
    actor: Actor,
    tenant: Tenant,
    *,
    project: Project | None = None,
    cluster: Cluster | None = None,
    limits: Limits,
    namespace_defaults: Limits | None = None,
    pointer: str = "/limits",
) -> Quota:
    """Limits a tenant, or one of its projects, over all clusters or in one. ``pointer`` is where the limits came from.

    Raises HubError ``quota.exists``, ``quota.share_too_large``, ``quota.defaults_without_project``, ``cluster.foreign``, or
    ``request.invalid`` whose causes are ``quota.amount_invalid``.
    """
    assert project is None or project.tenant_id == tenant.pk
    if cluster is not None and cluster.tenant_id not in (None, tenant.pk):
        raise HubError("cluster.foreign", pointer="/cluster")
    quota = Quota(tenant=tenant, project=project, cluster=cluster)
    _take(quota, limits, namespace_defaults or {}, pointer)
    try:
        with transaction.atomic():
            lock_tenant(tenant.pk)
            _check_share(quota)
            record_insert(quota)
            record(actor, "create", "quotas", quota, object_name=str(quota), changes=diff({}, _shown(quota)))
            _wake_namespaces(quota)
    except IntegrityError as error:
        raise HubError("quota.exists") from error
    return quota


def update_quota(
    actor: Actor,
    quota: Quota,
    *,
    limits: Limits,
    namespace_defaults: Limits,
    expected_version: int | None = None,
) -> Quota:
    """Replaces the limits. Raises as ``create_quota``, and StaleVersion."""
    before = _shown(quota)
    _take(quota, limits, namespace_defaults)
    with transaction.atomic():
        lock_tenant(quota.tenant_id)
        _check_share(quota)
        record_update(quota, ["limits", "namespace_defaults"], expected_version=expected_version)
        record(actor, "update", "quotas", quota, object_name=str(quota), changes=diff(before, _shown(quota)))
        _wake_namespaces(quota)
    return quota


def delete_quota(actor: Actor, quota: Quota, *, expected_version: int | None = None) -> None:
    """Takes the limits away; those of the tenant still hold for its projects. Raises StaleVersion."""
    with transaction.atomic():
        lock_tenant(quota.tenant_id)
        record(actor, "delete", "quotas", quota, object_name=str(quota), changes=diff(_shown(quota), {}))
        record_delete(quota, expected_version=expected_version)
        _wake_namespaces(quota)


def exceeded_by_use(quota: Quota) -> dict[str, int]:
    """By how much more is taken than the quota allows; empty while it holds."""
    taken = usage(quota.tenant_id).of(project_id=quota.project_id, cluster_id=quota.cluster_id)
    return overrun(taken, quota.limits)


def promised_beyond_budget(quota: Quota) -> dict[str, int]:
    """By how much the shares of all projects together exceed the budget that this quota is, or is a part of.

    That is allowed, since not everybody takes his share at once; but the last one to order may find nothing left.
    """
    same_place = [one for one in Quota.objects.filter(tenant_id=quota.tenant_id) if one.cluster_id == quota.cluster_id]
    promised = add(share.limits for share in same_place if share.project_id is not None)
    return next((overrun(promised, budget.limits) for budget in same_place if budget.project_id is None), {})


def _take(quota: Quota, limits: Limits, namespace_defaults: Limits, pointer: str = "/limits") -> None:
    if namespace_defaults and quota.project_id is None:
        raise HubError("quota.defaults_without_project", pointer="/namespace_defaults")
    faults: list[HubError] = []
    quota.limits = _read(limits, pointer, faults)
    quota.namespace_defaults = _read(namespace_defaults, "/namespace_defaults", faults)
    if faults:
        raise HubError("request.invalid", causes=faults)


def _read(given: Limits, pointer: str, faults: list[HubError]) -> dict[str, int]:
    amounts = {}
    for resource, value in given.items():
        try:
            amounts[resource] = read_amount(resource, value)
        except ValueError as error:
            part = resource.replace("~", "~0").replace("/", "~1")  # RFC 6901
            faults.append(HubError("quota.amount_invalid", pointer=f"{pointer}/{part}", rule=str(error)))
    return amounts


def _check_share(quota: Quota) -> None:
    """A project's share, and the limits of its namespaces, stay within each budget of the tenant that holds there."""
    if quota.project_id is None:
        return
    budgets = Quota.objects.filter(tenant_id=quota.tenant_id, project=None)
    for budget in budgets:
        # One cluster's budget also bounds a share of that cluster alone; the budget over all bounds every share.
        if budget.cluster_id in (None, quota.cluster_id):
            _refuse_larger(quota.limits, budget, "/limits")
            _refuse_larger(quota.namespace_defaults, budget, "/namespace_defaults")


def _refuse_larger(wanted: Amounts, budget: Quota, pointer: str) -> None:
    for resource, amount in wanted.items():
        if resource in budget.limits and amount > budget.limits[resource]:
            raise HubError(
                "quota.share_too_large",
                pointer=f"{pointer}/{resource}",
                resource=resource,
                asked=amount,
                budget=budget.limits[resource],
            )


def _wake_namespaces(quota: Quota) -> None:
    """The limits of these namespaces in their clusters may be others now."""
    namespaces = ProjectNamespace.objects.filter(tenant_id=quota.tenant_id).kept()
    if quota.project_id is not None:
        namespaces = namespaces.filter(project_id=quota.project_id)
    if quota.cluster_id is not None:
        namespaces = namespaces.filter(cluster_id=quota.cluster_id)
    for namespace in namespaces:
        wake(namespace)


def _shown(quota: Quota) -> dict[str, object]:
    return {"limits": quota.limits, "namespace_defaults": quota.namespace_defaults}

"""The ledger: what is reserved never exceeds a limit, is told when it would, and is given back when a thing is gone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from hub.allowances.ledger import QuotaExceeded, lower, release, reserve, usage
from hub.allowances.models import QuotaUse
from hub.allowances.quotas import create_quota, update_quota
from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.core.ids import uuid7
from hub.federation.models import Cluster, ClusterKind
from hub.operations.models import Operation
from hub.provisioning import services
from hub.provisioning.models import GuestCluster
from hub.tenancy.models import Project
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant
from tests.workers.stage import Stage, build_order, pool

VM = {"cpu": 2, "memory": 4096, "vms": 1}


def take(project: Project, cluster: Cluster, count: int = 1, **amounts: int) -> Any:
    """Reserves for a new object; its id."""
    id = uuid7()
    with transaction.atomic():
        reserve(project, cluster, "thing", id, amounts or {name: count * amount for name, amount in VM.items()})
    return id


def refused(call: Callable[[], object]) -> list[dict[str, Any]]:
    """What the refusal says of each limit."""
    with pytest.raises(QuotaExceeded) as caught:
        call()
    told: list[dict[str, Any]] = caught.value.params["exceeded"]
    return told


def test_without_a_quota_nothing_is_limited_and_all_is_counted(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    take(project, cluster, 100)
    take(project, cluster, 1)
    assert usage(project.tenant_id).of()["vms"] == 101
    assert usage(project.tenant_id).of()["claims"] == 0


def test_a_refusal_lists_all_that_is_exceeded_with_used_limit_asked_and_free(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    create_quota(SYSTEM, project.tenant, limits={"cpu": 10, "memory": 9000, "vms": 5})
    create_quota(SYSTEM, project.tenant, project=project, cluster=cluster, limits={"vms": 3})
    take(project, cluster, 2)
    told = refused(lambda: take(project, cluster, 4))
    common = {"scope": "tenant", "cluster": None}
    assert sorted(told, key=lambda one: (one["scope"], one["resource"])) == [
        {
            "resource": "vms",
            "scope": "project",
            "cluster": str(cluster.pk),
            "used": 2,
            "limit": 3,
            "asked": 4,
            "free": 1,
        },
        {"resource": "cpu", **common, "used": 4, "limit": 10, "asked": 8, "free": 6},
        {"resource": "memory", **common, "used": 8192, "limit": 9000, "asked": 16384, "free": 808},
        {"resource": "vms", **common, "used": 2, "limit": 5, "asked": 4, "free": 3},
    ]
    assert usage(project.tenant_id).of()["vms"] == 2


def test_a_budget_counts_all_projects_and_clusters_and_a_part_only_its_own(db: None) -> None:
    tenant, here, there = make_tenant(), make_cluster(), make_cluster()
    one, other = make_project(tenant), make_project(tenant)
    create_quota(SYSTEM, tenant, limits={"vms": 5})
    create_quota(SYSTEM, tenant, cluster=here, limits={"vms": 3})
    create_quota(SYSTEM, tenant, project=one, limits={"vms": 3})
    take(one, here, 2)
    take(other, here, 1)
    assert {(e["scope"], e["cluster"]) for e in refused(lambda: take(other, here))} == {("tenant", str(here.pk))}
    take(one, there, 1)
    assert {(e["scope"], e["cluster"]) for e in refused(lambda: take(one, there))} == {("project", None)}
    take(other, there, 1)
    assert {(e["scope"], e["cluster"]) for e in refused(lambda: take(other, there))} == {("tenant", None)}
    assert usage(tenant.pk).of(cluster_id=here.pk)["vms"] == 3
    assert usage(tenant.pk).of(project_id=one.pk)["vms"] == 3
    take(make_project(), here, 50)  # another tenant's


def test_the_limit_of_each_namespace_holds_in_its_cluster(db: None) -> None:
    project, here, there = make_project(), make_cluster(), make_cluster()
    create_quota(SYSTEM, project.tenant, project=project, limits={"vms": 4}, namespace_defaults={"vms": 2})
    create_quota(SYSTEM, project.tenant, project=project, cluster=there, limits={}, namespace_defaults={"vms": 1})
    take(project, here, 2)
    assert [e["scope"] for e in refused(lambda: take(project, here))] == ["namespace"]
    take(project, there, 1)
    assert [(e["scope"], e["limit"]) for e in refused(lambda: take(project, there))] == [("namespace", 1)]


def test_what_shrinks_is_never_refused_and_only_growth_is_checked(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    quota = create_quota(SYSTEM, project.tenant, limits={"vms": 10, "cpu": 100})
    id = take(project, cluster, vms=10, cpu=10)
    update_quota(SYSTEM, quota, limits={"vms": 5, "cpu": 100}, namespace_defaults={})
    with transaction.atomic():
        reserve(project, cluster, "thing", id, {"vms": 9, "cpu": 20})
    assert usage(project.tenant_id).of()["vms"] == 9
    assert [e["asked"] for e in refused(lambda: take(project, cluster, vms=1))] == [1]


def test_lowering_never_raises_and_releasing_twice_changes_nothing(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    id = take(project, cluster, vms=3, cpu=6)
    with transaction.atomic():
        lower("thing", id, lambda: {"vms": 1, "cpu": 8})
    assert QuotaUse.objects.get().amounts == {"vms": 1, "cpu": 6}
    with transaction.atomic():
        lower("thing", uuid7(), lambda: {"vms": 1})
    release("thing", id)
    release("thing", id)
    assert not QuotaUse.objects.exists()


def test_an_order_that_does_not_fit_leaves_nothing_behind(stage: Stage) -> None:
    order = build_order(pool("servers", "server", 1), pool("workers", "worker", 4))
    create_quota(SYSTEM, order.project.tenant, limits={"vms": 4})
    with pytest.raises(HubError) as caught:
        services.order_guest_cluster(SYSTEM, order)
    assert (caught.value.code, caught.value.status, caught.value.pointer) == ("quota.exceeded", 422, "/pools")
    assert [(e["used"], e["limit"], e["asked"], e["free"]) for e in caught.value.params["exceeded"]] == [(0, 4, 5, 4)]
    assert not GuestCluster.objects.exists()
    assert not Operation.objects.exists()
    assert not QuotaUse.objects.exists()


def test_scaling_up_that_does_not_fit_says_how_many_would(stage: Stage) -> None:
    order = build_order(pool("servers", "server", 1), pool("workers", "worker", 2))
    create_quota(SYSTEM, order.project.tenant, limits={"cpu": 13, "vms": 100})
    guest, _ = services.order_guest_cluster(SYSTEM, order)
    workers = guest.pools.get(name="workers")
    with pytest.raises(QuotaExceeded) as caught:
        services.scale_pool(SYSTEM, workers, 9)
    assert (caught.value.pointer, caught.value.params["would_fit"]) == ("/count", 5)
    assert guest.pools.get(name="workers").count == 2
    services.scale_pool(SYSTEM, workers, 5)
    assert usage(guest.tenant_id).of()["cpu"] == 12


@pytest.mark.timeout(300)
def test_flt15_of_200_orders_at_once_at_a_limit_of_50_exactly_50_are_taken(
    transactional_db: None, stage: Stage
) -> None:
    tenant, infrastructure = make_tenant(), make_cluster(kind=ClusterKind.HARVESTER)
    projects = [make_project(tenant) for _ in range(4)]
    create_quota(SYSTEM, tenant, limits={"vms": 50})
    servers = pool("servers", "server", 1)
    orders = [
        build_order(servers, project=projects[number % 4], infrastructure=infrastructure, name=f"g-{number}")
        for number in range(200)
    ]
    for project in projects:
        make_namespace(project, infrastructure)

    def order(number: int) -> str:
        try:
            services.order_guest_cluster(SYSTEM, orders[number])
            return "taken"
        except HubError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(order, range(200)))
    assert {answer: answers.count(answer) for answer in set(answers)} == {"taken": 50, "quota.exceeded": 150}
    assert GuestCluster.objects.count() == 50
    assert usage(tenant.pk).of()["vms"] == 50

"""Quotas: budgets, shares within them, limits of namespaces, and what a change tells."""

import pytest

from hub.allowances.ledger import reserve
from hub.allowances.models import Quota
from hub.allowances.quotas import (
    create_quota,
    delete_quota,
    exceeded_by_use,
    promised_beyond_budget,
    update_quota,
)
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.core.ids import uuid7
from hub.federation.models import Cluster, ProjectNamespace
from hub.tenancy.models import Project
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant


def test_limits_are_kept_in_their_units_and_recorded(db: None) -> None:
    tenant = make_tenant()
    quota = create_quota(SYSTEM, tenant, limits={"cpu": 8, "memory": "32Gi", "storage": "1Ti"})
    assert Quota.objects.get().limits == {"cpu": 8, "memory": 32768, "storage": 1024}
    update_quota(SYSTEM, quota, limits={"cpu": 4}, namespace_defaults={})
    assert Quota.objects.get().limits == {"cpu": 4}
    delete_quota(SYSTEM, quota)
    verbs = AuditEvent.objects.filter(resource="quotas", tenant_id=tenant.pk).values_list("verb", "changes")
    assert dict(verbs)["update"]["limits"] == [{"cpu": 8, "memory": 32768, "storage": 1024}, {"cpu": 4}]
    assert [verb for verb, _ in verbs.order_by("at")] == ["create", "update", "delete"]


def test_every_amount_that_makes_no_sense_is_told_with_its_place(db: None) -> None:
    project = make_project()
    with pytest.raises(HubError) as caught:
        create_quota(
            SYSTEM,
            project.tenant,
            project=project,
            limits={"cpu": -1, "vms": 1, "a/b": 2},
            namespace_defaults={"memory": "much"},
        )
    assert {cause.pointer: cause.code for cause in caught.value.causes} == {
        "/limits/cpu": "quota.amount_invalid",
        "/limits/a~1b": "quota.amount_invalid",
        "/namespace_defaults/memory": "quota.amount_invalid",
    }


def test_one_quota_for_each_owner_and_place(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    for where in ({}, {"cluster": cluster}, {"project": project}, {"project": project, "cluster": cluster}):
        create_quota(SYSTEM, project.tenant, limits={"vms": 1}, **where)
        with pytest.raises(HubError, match=r"quota\.exists"):
            create_quota(SYSTEM, project.tenant, limits={"vms": 1}, **where)
    assert Quota.objects.count() == 4


@pytest.mark.parametrize("in_cluster", [False, True])
def test_a_share_above_the_budget_is_refused_and_up_to_it_taken(db: None, in_cluster: bool) -> None:
    project, cluster = make_project(), make_cluster()
    place = cluster if in_cluster else None
    create_quota(SYSTEM, project.tenant, cluster=place, limits={"cpu": 10})
    with pytest.raises(HubError) as caught:
        create_quota(SYSTEM, project.tenant, project=project, cluster=cluster, limits={"cpu": 11, "vms": 99})
    assert (caught.value.code, caught.value.pointer) == ("quota.share_too_large", "/limits/cpu")
    share = create_quota(SYSTEM, project.tenant, project=project, cluster=cluster, limits={"cpu": 10})
    with pytest.raises(HubError) as caught:
        update_quota(SYSTEM, share, limits={"cpu": 10}, namespace_defaults={"cpu": 12})
    assert caught.value.pointer == "/namespace_defaults/cpu"
    create_quota(SYSTEM, project.tenant, project=project, limits={"vms": 5})


def test_a_budget_of_one_cluster_does_not_bound_the_share_over_all(db: None) -> None:
    project = make_project()
    create_quota(SYSTEM, project.tenant, cluster=make_cluster(), limits={"cpu": 2})
    create_quota(SYSTEM, project.tenant, project=project, limits={"cpu": 50})


def test_limits_of_namespaces_belong_to_projects(db: None) -> None:
    with pytest.raises(HubError, match=r"quota\.defaults_without_project"):
        create_quota(SYSTEM, make_tenant(), limits={}, namespace_defaults={"cpu": 1})


def test_lowering_below_what_is_taken_is_allowed_and_says_by_how_much(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    quota = create_quota(SYSTEM, project.tenant, limits={"vms": 10, "cpu": 20})
    reserve(project, cluster, "thing", uuid7(), {"vms": 8, "cpu": 8})
    assert exceeded_by_use(quota) == {}
    assert exceeded_by_use(update_quota(SYSTEM, quota, limits={"vms": 5, "cpu": 8}, namespace_defaults={})) == {
        "vms": 3
    }


def test_shares_that_together_promise_more_than_the_budget_are_told(db: None) -> None:
    tenant = make_tenant()
    budget = create_quota(SYSTEM, tenant, limits={"vms": 10, "cpu": 10})
    shares = [create_quota(SYSTEM, tenant, project=make_project(tenant), limits={"vms": 6, "cpu": 5}) for _ in range(2)]
    assert promised_beyond_budget(budget) == promised_beyond_budget(shares[0]) == {"vms": 2}
    elsewhere = create_quota(SYSTEM, tenant, project=make_project(tenant), cluster=make_cluster(), limits={"vms": 10})
    assert promised_beyond_budget(elsewhere) == {}


def test_sec33_no_quota_in_another_tenant_s_own_cluster(db: None) -> None:
    with pytest.raises(HubError, match=r"cluster\.foreign"):
        create_quota(SYSTEM, make_tenant(), cluster=make_cluster(project=make_project()), limits={"vms": 1})


def test_a_quota_that_was_changed_meanwhile_is_not_overwritten(db: None) -> None:
    quota = create_quota(SYSTEM, make_tenant(), limits={"vms": 1})
    update_quota(SYSTEM, quota, limits={"vms": 2}, namespace_defaults={}, expected_version=1)
    with pytest.raises(StaleVersion):
        update_quota(SYSTEM, quota, limits={"vms": 3}, namespace_defaults={}, expected_version=1)
    with pytest.raises(StaleVersion):
        delete_quota(SYSTEM, quota, expected_version=1)
    assert Quota.objects.get().limits == {"vms": 2}


def test_the_namespaces_that_a_change_concerns_are_woken_and_no_others(db: None) -> None:
    tenant, here, there = make_tenant(), make_cluster(), make_cluster()
    one, other, foreign = make_project(tenant), make_project(tenant), make_project()
    rows = {
        (project, cluster): make_namespace(project, cluster).pk
        for project in (one, other, foreign)
        for cluster in (here, there)
    }

    def woken() -> set[tuple[Project, Cluster]]:
        due = ProjectNamespace.objects.filter(next_run_at__isnull=False)
        found = {key for key, pk in rows.items() if pk in set(due.values_list("pk", flat=True))}
        ProjectNamespace.objects.update(next_run_at=None)
        return found

    woken()
    budget = create_quota(SYSTEM, tenant, limits={"vms": 9})
    assert woken() == {(one, here), (one, there), (other, here), (other, there)}
    create_quota(SYSTEM, tenant, project=one, limits={"vms": 5})
    assert woken() == {(one, here), (one, there)}
    share = create_quota(SYSTEM, tenant, project=other, cluster=here, limits={"vms": 5})
    assert woken() == {(other, here)}
    delete_quota(SYSTEM, share)
    assert woken() == {(other, here)}
    update_quota(SYSTEM, budget, limits={}, namespace_defaults={})
    assert len(woken()) == 4

"""Quotas over REST: budgets are the hub's, shares the owner's; usage is shown to whom the numbers belong."""

from typing import Any

import pytest

from hub.allowances.ledger import reserve
from hub.allowances.quotas import create_quota
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.federation.models import Cluster
from hub.tenancy.models import Project, Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.api.orders import Place, order, pool
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant
from tests.workers.stage import Stage


@pytest.fixture
def project(tenant: Tenant) -> Project:
    return make_project(tenant)


@pytest.fixture
def cluster(project: Project) -> Cluster:
    cluster = make_cluster()
    make_namespace(project, cluster)
    return cluster


def test_a_budget_is_set_read_changed_and_taken_away_by_the_hub(admin: Caller, owner: Caller, tenant: Tenant) -> None:
    made = admin.post("quotas", {"tenant": str(tenant.pk), "limits": {"cpu": 16, "memory": "64Gi"}})
    assert made.status == 201
    assert made.body["limits"] == {"cpu": 16, "memory": 65536}
    assert (made.body["exceeded"], made.body["promised"]) == ({}, {})
    path = f"quotas/{made.body['id']}"
    assert owner.get(path).body["can"] == ["get", "list"]
    assert set(admin.get(path).body["can"]) >= {"update", "delete"}
    changed = admin.patch(path, {"limits": {"cpu": None, "vms": 5}}, etag=made.etag)
    assert changed.body["limits"] == {"memory": 65536, "vms": 5}
    assert admin.patch(path, {"limits": {}}, etag=made.etag).status == 412
    assert admin.delete(path).status == 204
    assert owner.items("quotas") == []


def test_nobody_widens_the_budget_of_his_own_tenant(owner: Caller, tenant: Tenant) -> None:
    assert owner.post("quotas", {"tenant": str(tenant.pk), "limits": {"cpu": 999}}).code == "request.denied"
    budget = create_quota(SYSTEM, tenant, limits={"cpu": 8})
    assert owner.patch(f"quotas/{budget.pk}", {"limits": {"cpu": 999}}).code == "request.denied"
    assert owner.delete(f"quotas/{budget.pk}").code == "request.denied"
    budget.refresh_from_db()
    assert budget.limits == {"cpu": 8}


def test_an_owner_divides_his_budget_among_his_projects(owner: Caller, tenant: Tenant, project: Project) -> None:
    create_quota(SYSTEM, tenant, limits={"cpu": 8})
    body = {"project": str(project.pk), "limits": {"cpu": 9}, "namespace_defaults": {"vms": 2}}
    refused = owner.post("quotas", body)
    assert (refused.status, refused.code) == (422, "quota.share_too_large")
    assert refused.body["params"] == {"resource": "cpu", "asked": 9, "budget": 8}
    share = owner.post("quotas", {**body, "limits": {"cpu": 8}})
    assert share.status == 201
    assert (share.body["tenant"], share.body["namespace_defaults"]) == (str(tenant.pk), {"vms": 2})
    assert owner.patch(f"quotas/{share.body['id']}", {"limits": {"cpu": 4}}).body["limits"] == {"cpu": 4}
    other = owner.post("quotas", {"project": str(make_project(tenant).pk), "limits": {"cpu": 6}})
    assert other.body["promised"] == {"cpu": 2}
    assert owner.delete(f"quotas/{other.body['id']}").status == 204


def test_sec33_shares_of_another_tenant_s_projects_and_clusters_are_out_of_reach(
    owner: Caller, project: Project
) -> None:
    foreign = make_project()
    assert owner.post("quotas", {"project": str(foreign.pk), "limits": {}}).faults == {
        "/project": "reference.not_found"
    }
    body = {"project": str(project.pk), "cluster": str(make_cluster(project=foreign).pk), "limits": {}}
    assert owner.post("quotas", body).faults == {"/cluster": "reference.not_found"}


def test_viewers_read_the_share_of_their_project_and_no_more(tenant: Tenant, project: Project) -> None:
    share = create_quota(SYSTEM, tenant, project=project, limits={"cpu": 1})
    create_quota(SYSTEM, tenant, limits={"cpu": 8})
    create_quota(SYSTEM, tenant, project=make_project(tenant), limits={"cpu": 1})
    viewer = make_caller("project-viewer", project)
    assert viewer.ids("quotas") == {str(share.pk)}
    assert viewer.patch(f"quotas/{share.pk}", {"limits": {"cpu": 5}}).code == "request.denied"
    assert viewer.post("quotas", {"project": str(project.pk), "limits": {}}).code == "request.denied"


def test_lowering_below_use_is_allowed_and_says_so(
    admin: Caller, tenant: Tenant, project: Project, cluster: Cluster
) -> None:
    budget = create_quota(SYSTEM, tenant, limits={"vms": 9})
    reserve(project, cluster, "thing", uuid7(), {"vms": 7})
    assert admin.patch(f"quotas/{budget.pk}", {"limits": {"vms": 4}}).body["exceeded"] == {"vms": 3}


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (
            {"limits": {"cpu": "lots", "pods": 1}},
            dict.fromkeys(("/limits/cpu", "/limits/pods"), "quota.amount_invalid"),
        ),
        ({"limits": {"vms": 1.5, "cpu": True}}, {"/limits/vms": "field.format", "/limits/cpu": "field.format"}),
        ({"limits": [1]}, {"/limits": "field.type"}),
        ({"version": 9}, {"/version": "field.unknown"}),
        ({"id": "x", "created_at": 1}, {"/id": "field.unknown", "/created_at": "field.unknown"}),
        ({"tenant": str(uuid7())}, {"/tenant": "reference.not_found"}),
    ],
)
def test_sec42_only_what_a_quota_has_is_taken(
    admin: Caller, tenant: Tenant, change: dict[str, Any], faults: dict[str, str]
) -> None:
    answer = admin.post("quotas", {"tenant": str(tenant.pk), "limits": {}, **change})
    assert answer.status == 400
    assert answer.faults == faults


def test_a_quota_is_of_a_tenant_or_of_a_project(admin: Caller, tenant: Tenant, project: Project) -> None:
    both = {"tenant": str(tenant.pk), "project": str(project.pk), "limits": {}}
    assert admin.post("quotas", both).code == "quota.whose"
    assert admin.post("quotas", {"limits": {}}).code == "quota.whose"
    twice = {"tenant": str(tenant.pk), "limits": {}}
    assert [admin.post("quotas", twice).status for _ in range(2)] == [201, 409]


def test_an_order_that_does_not_fit_is_told_what_is_used_and_what_would_fit(
    stage: Stage, owner: Caller, place: Place
) -> None:
    create_quota(SYSTEM, place.project.tenant, limits={"vms": 4, "cpu": 100})
    answer = owner.post("guest-clusters", order(place))
    assert (answer.status, answer.code) == (422, "quota.exceeded")
    assert answer.body["params"]["exceeded"] == [
        {"resource": "vms", "scope": "tenant", "cluster": None, "used": 0, "limit": 4, "asked": 5, "free": 4}
    ]
    fits = order(place, pools=[pool("servers", "server", 1), pool("workers", "worker", 2)])
    guest = owner.post("guest-clusters", fits).body
    workers = next(one for one in guest["pools"] if one["role"] == "worker")
    refused = owner.patch(f"node-pools/{workers['id']}", {"count": 9})
    assert refused.code == "quota.exceeded"
    assert refused.body["params"]["would_fit"] == 3
    assert owner.patch(f"node-pools/{workers['id']}", {"count": 3}).status == 202


def test_usage_shows_used_limit_and_free_by_cluster(
    owner: Caller, tenant: Tenant, project: Project, cluster: Cluster
) -> None:
    create_quota(SYSTEM, tenant, limits={"vms": 10, "cpu": 20})
    create_quota(SYSTEM, tenant, project=project, cluster=cluster, limits={"vms": 4})
    reserve(project, cluster, "thing", uuid7(), {"vms": 3, "cpu": 6})
    reserve(make_project(tenant), cluster, "thing", uuid7(), {"vms": 5})
    whole = owner.get(f"tenants/{tenant.pk}/usage").body
    assert (whole["used"]["vms"], whole["limits"], whole["free"]) == (8, {"vms": 10, "cpu": 20}, {"vms": 2, "cpu": 14})
    (place,) = whole["clusters"]
    assert (place["cluster"], place["used"]["vms"], place["limits"], place["free"]["vms"]) == (
        str(cluster.pk),
        8,
        {},
        2,
    )
    part = owner.get(f"projects/{project.pk}/usage").body
    assert (part["used"]["vms"], part["limits"], part["free"]["vms"]) == (3, {}, 2)
    (place,) = part["clusters"]
    assert (place["used"]["vms"], place["limits"], place["free"]) == (3, {"vms": 4}, {"vms": 1, "cpu": 14})


def test_sec41_the_numbers_of_a_tenant_are_not_shown_to_who_sees_one_project(tenant: Tenant, project: Project) -> None:
    viewer = make_caller("project-viewer", project)
    assert viewer.get(f"tenants/{tenant.pk}").status == 200
    hidden, missing = viewer.get(f"tenants/{tenant.pk}/usage"), viewer.get(f"tenants/{uuid7()}/usage")
    assert hidden.status == 404
    assert hidden.problem == missing.problem
    assert viewer.get(f"projects/{project.pk}/usage").status == 200
    assert viewer.get(f"projects/{make_project(tenant).pk}/usage").status == 404


def test_sec40_usage_of_another_tenant_is_as_good_as_missing(
    foreigner: Caller, tenant: Tenant, project: Project
) -> None:
    for kind, row in (("tenants", tenant), ("projects", project)):
        hidden, missing = foreigner.get(f"{kind}/{row.pk}/usage"), foreigner.get(f"{kind}/{uuid7()}/usage")
        assert hidden.status == 404
        assert hidden.problem == missing.problem


def test_quotas_are_found_by_whose_and_where(admin: Caller, tenant: Tenant, project: Project, cluster: Cluster) -> None:
    budget = create_quota(SYSTEM, tenant, limits={})
    share = create_quota(SYSTEM, tenant, project=project, cluster=cluster, limits={})
    create_quota(SYSTEM, make_tenant(), limits={})
    assert admin.ids(f"quotas?tenant={tenant.pk}") == {str(budget.pk), str(share.pk)}
    assert admin.ids(f"quotas?project={project.pk}") == admin.ids(f"quotas?cluster={cluster.pk}") == {str(share.pk)}

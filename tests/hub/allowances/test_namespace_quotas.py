"""What a namespace may take, in the words of Kubernetes."""

import pytest

from hub.allowances.namespace_quotas import (
    CONTAINER_LIMITS,
    CONTAINER_REQUESTS,
    is_stretched,
    namespace_quota,
    render_namespace_quota,
)
from hub.allowances.quotas import create_quota
from hub.core.access import SYSTEM
from hub.federation.models import ClusterKind
from kube.quantity import parse_quantity
from tests.hub.builders import make_cluster, make_namespace, make_project


def test_without_a_quota_there_is_none_to_write(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    create_quota(SYSTEM, make_project().tenant, limits={"cpu": 1})  # another tenant's
    create_quota(SYSTEM, project.tenant, project=make_project(project.tenant), limits={"cpu": 1})
    create_quota(SYSTEM, project.tenant, cluster=make_cluster(), limits={"cpu": 1})
    assert namespace_quota(make_namespace(project, cluster)) is None


def test_the_narrowest_of_budget_and_share_counts_for_each_resource(db: None) -> None:
    project, cluster = make_project(), make_cluster(kind=ClusterKind.HARVESTER)
    create_quota(SYSTEM, project.tenant, limits={"cpu": 8, "memory": "32Gi", "vms": 4, "load_balancers": 1})
    create_quota(SYSTEM, project.tenant, cluster=cluster, limits={"cpu": 6, "storage": "100Gi"})
    create_quota(SYSTEM, project.tenant, project=project, limits={"memory": "16Gi", "claims": 7})
    quota = namespace_quota(make_namespace(project, cluster))
    assert quota is not None
    assert quota.hard == {
        "limits.cpu": "6",
        "limits.memory": "16384Mi",
        "requests.storage": "100Gi",
        "persistentvolumeclaims": "7",
        "count/virtualmachines.kubevirt.io": "4",
        "count/loadbalancers.loadbalancer.harvesterhci.io": "1",
    }
    assert all(parse_quantity(amount) > 0 for amount in quota.hard.values())
    assert (quota.container_limits, quota.container_requests) == (CONTAINER_LIMITS, CONTAINER_REQUESTS)


def test_the_project_s_own_word_on_its_namespaces_counts_before_its_share(db: None) -> None:
    project, here, there = make_project(), make_cluster(), make_cluster()
    create_quota(SYSTEM, project.tenant, project=project, limits={"cpu": 8}, namespace_defaults={"cpu": 2, "claims": 3})
    create_quota(SYSTEM, project.tenant, project=project, cluster=there, limits={}, namespace_defaults={"cpu": 4})
    found = [namespace_quota(make_namespace(project, cluster)) for cluster in (here, there)]
    assert [quota and quota.hard for quota in found] == [
        {"limits.cpu": "2", "persistentvolumeclaims": "3"},
        {"limits.cpu": "4", "persistentvolumeclaims": "3"},
    ]


def test_in_a_tenant_s_own_cluster_only_what_is_set_for_it_counts(db: None) -> None:
    project = make_project()
    cluster = make_cluster(project=project)
    create_quota(SYSTEM, project.tenant, limits={"cpu": 8})
    assert namespace_quota(make_namespace(project, cluster)) is None
    create_quota(SYSTEM, project.tenant, project=project, cluster=cluster, limits={"cpu": 3, "vms": 1})
    quota = namespace_quota(make_namespace(project, cluster))
    assert quota is not None
    assert quota.hard == {"limits.cpu": "3"}


@pytest.mark.parametrize("resource", ["storage", "claims", "vms", "load_balancers"])
def test_containers_need_defaults_only_where_their_limits_are_counted(resource: str) -> None:
    quota = render_namespace_quota({resource: 0}, on_harvester=True)
    assert quota is not None
    assert next(iter(quota.hard.values())).startswith("0")
    assert quota.container_limits is None


@pytest.mark.parametrize(
    ("annotations", "stretched"),
    [
        ({}, False),
        ({"harvesterhci.io/migratingUID-3f0c": '{"limits.cpu":"2"}'}, True),
        ({"harvesterhci.io/migrating-web": '{"limits.cpu":"2"}'}, True),
        ({"harvesterhci.io/migratingCompensation": '{"limits.memory":"1Gi"}'}, True),
        ({"harvesterhci.io/migratingCompensation": ""}, False),
        ({"harvesterhci.io/migratingScalingResyncNeeded": "false"}, False),
        ({"harvesterhci.io/skipResourceQuotaAutoScaling": "true"}, False),
    ],
)
def test_ten9_a_quota_that_harvester_has_raised_for_a_migration_is_known(
    annotations: dict[str, str], stretched: bool
) -> None:
    assert is_stretched(annotations) is stretched

"""Grants over REST: given on a cluster, read by those they are for, seen by nobody else; and what they offer."""

from typing import Any

import pytest

from hub.allowances import offers
from hub.allowances.grants import set_grants
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.federation.clients import ClusterUnavailable
from hub.federation.models import Cluster, ClusterKind
from hub.tenancy.models import Tenant
from kube.errors import Unavailable
from kube.resources import (
    NETWORK_ATTACHMENT_DEFINITIONS,
    STORAGE_CLASSES,
    VIRTUAL_MACHINE_IMAGES,
    Object,
    Resource,
)
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant

IMAGE = {"kind": "image", "name": "default/ubuntu"}
NETWORK = {"kind": "network", "name": "default/vlan1"}
POOL = {"kind": "ip_pool", "name": "public"}


@pytest.fixture
def cluster(tenant: Tenant) -> Cluster:
    """A shared cluster in which ``tenant`` has a namespace."""
    cluster = make_cluster(kind=ClusterKind.HARVESTER)
    make_namespace(make_project(tenant), cluster)
    return cluster


def body(tenant: Tenant, cluster: Cluster, *grants: dict[str, Any]) -> dict[str, Any]:
    return {"tenant": str(tenant.pk), "cluster": str(cluster.pk), "grants": list(grants)}


def names(caller: Caller, query: str = "") -> list[str]:
    return sorted(item["name"] for item in caller.items(f"grants{query}"))


def test_many_are_granted_at_once_read_by_their_tenant_and_taken_back_one_by_one(
    admin: Caller, owner: Caller, tenant: Tenant, cluster: Cluster
) -> None:
    answer = admin.post("grants", body(tenant, cluster, IMAGE, NETWORK))
    assert answer.status == 201
    assert [(item["kind"], item["name"]) for item in answer.body["items"]] == [
        tuple(IMAGE.values()),
        tuple(NETWORK.values()),
    ]
    assert admin.post("grants", body(tenant, cluster, IMAGE)).body["items"][0]["id"] == answer.body["items"][0]["id"]
    assert names(owner) == ["default/ubuntu", "default/vlan1"]
    assert names(owner, "?kind=network") == names(owner, "?name=default/vlan1") == ["default/vlan1"]
    assert names(owner, f"?cluster={uuid7()}") == names(owner, f"?tenant={uuid7()}") == []
    one = answer.body["items"][0]
    assert owner.get(f"grants/{one['id']}").body["can"] == ["get", "list"]
    assert owner.delete(f"grants/{one['id']}").status == 403
    assert admin.delete(f"grants/{one['id']}").status == 204
    assert names(owner) == ["default/vlan1"]


def test_tenants_do_not_grant_themselves_anything(
    owner: Caller, nobody: Caller, tenant: Tenant, cluster: Cluster
) -> None:
    assert owner.post("grants", body(tenant, cluster, IMAGE)).code == "request.denied"
    assert nobody.post("grants", body(tenant, cluster, IMAGE)).status == 400
    assert names(owner) == []


def test_who_administers_a_cluster_grants_what_is_in_it_and_nothing_elsewhere(tenant: Tenant, cluster: Cluster) -> None:
    caller = make_caller("cluster-admin", cluster)
    assert caller.post("grants", body(tenant, cluster, IMAGE)).status == 201
    assert names(caller) == ["default/ubuntu"]
    assert caller.post("grants", body(tenant, make_cluster(), IMAGE)).faults == {"/cluster": "reference.not_found"}


def test_sec40_the_grants_of_others_are_as_good_as_missing(
    foreigner: Caller, owner: Caller, tenant: Tenant, cluster: Cluster
) -> None:
    other = make_tenant()
    mine, theirs = (set_grants(SYSTEM, one, cluster, [("image", "default/x")])[0] for one in (tenant, other))
    assert names(foreigner) == []
    assert owner.ids("grants") == {str(mine.pk)}
    missing = owner.get(f"grants/{uuid7()}")
    assert owner.get(f"grants/{theirs.pk}").problem == missing.problem
    assert owner.delete(f"grants/{theirs.pk}").status == 404


def test_sec40_a_tenant_that_is_not_seen_and_one_that_is_not_there_are_one_answer(cluster: Cluster) -> None:
    caller = make_caller("cluster-admin", cluster)
    hidden = caller.post("grants", body(make_tenant(), cluster, IMAGE))
    missing = caller.post("grants", {**body(make_tenant(), cluster, IMAGE), "tenant": str(uuid7())})
    assert hidden.faults == missing.faults == {"/tenant": "reference.not_found"}
    assert hidden.problem == missing.problem


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"grants": []}, "/grants"),
        ({"grants": [{"kind": "colour", "name": "red"}]}, "/grants/0/kind"),
        ({"grants": [IMAGE, {"kind": "image", "name": "A/B"}]}, "/grants/1/name"),
        ({"grants": [{**IMAGE, "version": 7}]}, "/grants/0/version"),
        ({"id": "x"}, "/id"),
        ({"version": 1}, "/version"),
        ({"created_at": "2020-01-01"}, "/created_at"),
    ],
)
def test_sec42_only_what_a_grant_has_is_taken(
    admin: Caller, tenant: Tenant, cluster: Cluster, change: dict[str, Any], pointer: str
) -> None:
    answer = admin.post("grants", {**body(tenant, cluster, IMAGE), **change})
    assert answer.status == 400
    assert set(answer.faults) == {pointer}


class Member:
    """What a cluster answers to the hub's look-ups; ``asked`` are the kinds that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    def list(self, resource: Resource) -> list[Object]:
        self.asked.append(resource.plural)
        if self.broken:
            raise Unavailable("no answer")
        found: dict[Resource, list[Object]] = {
            VIRTUAL_MACHINE_IMAGES: [
                {
                    "metadata": {"namespace": "default", "name": name},
                    "spec": {"displayName": title},
                    "status": {"progress": progress},
                }
                for name, title, progress in (
                    ("ubuntu", "Ubuntu 24.04", 100),
                    ("suse", "Leap", 40),
                    ("own", "Own", 100),
                )
            ],
            NETWORK_ATTACHMENT_DEFINITIONS: [
                {
                    "metadata": {
                        "namespace": "default",
                        "name": "vlan1",
                        "labels": {"network.harvesterhci.io/vlan-id": "1"},
                        "annotations": {"field.cattle.io/description": "Office"},
                    }
                }
            ],
            STORAGE_CLASSES: [
                {
                    "metadata": {
                        "name": "fast",
                        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                    }
                }
            ],
        }
        return found[resource]


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Member:
    member = Member()
    monkeypatch.setattr(offers, "client_for", lambda cluster: member)
    return member


def test_offers_show_what_is_granted_by_readable_names_and_nothing_else(
    owner: Caller, tenant: Tenant, cluster: Cluster, member: Member
) -> None:
    wanted = [("image", "default/ubuntu"), ("image", "default/gone"), ("network", "*"), ("ip_pool", "public")]
    set_grants(SYSTEM, tenant, cluster, wanted)
    set_grants(SYSTEM, make_tenant(), cluster, [("image", "*"), ("storage_class", "*")])
    assert owner.items(f"clusters/{cluster.pk}/offers") == [
        {"kind": "image", "name": "default/gone", "title": "default/gone", "exists": False, "details": {}},
        {
            "kind": "image",
            "name": "default/ubuntu",
            "title": "Ubuntu 24.04",
            "exists": True,
            "details": {"progress": "100"},
        },
        {"kind": "ip_pool", "name": "public", "title": "public", "exists": None, "details": {}},
        {
            "kind": "network",
            "name": "default/vlan1",
            "title": "default/vlan1",
            "exists": True,
            "details": {"description": "Office", "vlan": "1"},
        },
    ]
    assert sorted(member.asked) == ["network-attachment-definitions", "virtualmachineimages"]


def test_everything_of_a_kind_is_written_out_beside_what_is_named(
    owner: Caller, tenant: Tenant, cluster: Cluster, member: Member
) -> None:
    set_grants(SYSTEM, tenant, cluster, [("image", "*"), ("image", "default/gone"), ("storage_class", "fast")])
    offered = {item["name"]: item["exists"] for item in owner.items(f"clusters/{cluster.pk}/offers")}
    assert offered == {
        "default/gone": False,
        "default/own": True,
        "default/suse": True,
        "default/ubuntu": True,
        "fast": True,
    }


@pytest.mark.parametrize("away", [True, False])
def test_a_cluster_that_does_not_answer_hides_no_grant(
    owner: Caller, tenant: Tenant, cluster: Cluster, member: Member, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    member.broken = True
    if away:

        def unavailable(cluster: Cluster) -> None:
            raise ClusterUnavailable(cluster, "NotRegistered")

        monkeypatch.setattr(offers, "client_for", unavailable)
    set_grants(SYSTEM, tenant, cluster, [("image", "*"), ("network", "default/vlan1")])
    offered = [(item["name"], item["exists"]) for item in owner.items(f"clusters/{cluster.pk}/offers")]
    assert offered == [("*", None), ("default/vlan1", None)]


def test_without_grants_the_cluster_is_not_asked(owner: Caller, cluster: Cluster, member: Member) -> None:
    assert owner.items(f"clusters/{cluster.pk}/offers") == []
    assert member.asked == []


def test_sec40_offers_of_a_foreign_and_a_missing_cluster_are_one_answer(foreigner: Caller, cluster: Cluster) -> None:
    foreign, missing = foreigner.get(f"clusters/{cluster.pk}/offers"), foreigner.get(f"clusters/{uuid7()}/offers")
    assert foreign.status == 404
    assert foreign.problem == missing.problem


def test_offers_are_narrowed_to_one_tenant_by_who_sees_several(
    admin: Caller, tenant: Tenant, cluster: Cluster, member: Member
) -> None:
    set_grants(SYSTEM, tenant, cluster, [("image", "default/own")])
    set_grants(SYSTEM, make_tenant(), cluster, [("image", "default/suse")])
    assert len(admin.items(f"clusters/{cluster.pk}/offers")) == 2
    (offer,) = admin.items(f"clusters/{cluster.pk}/offers?tenant={tenant.pk}")
    assert offer["name"] == "default/own"
    assert admin.get(f"clusters/{cluster.pk}/offers?tenant=x").code == "query.invalid"
    assert admin.get(f"clusters/{cluster.pk}/offers?colour=red").code == "query.unknown"


def test_people_of_a_project_see_what_its_tenant_may_use(tenant: Tenant, cluster: Cluster, member: Member) -> None:
    project = tenant.projects.get()
    set_grants(SYSTEM, tenant, cluster, [("image", "default/ubuntu")])
    make_project(tenant)  # a second project does not show a grant twice
    caller = make_caller("project-operator", project)
    assert names(caller) == ["default/ubuntu"]
    assert len(caller.items(f"clusters/{cluster.pk}/offers")) == 1

"""/api/v1/guest-clusters: orders and deletions. What makes an order bad is in ``test_bad_orders``."""

from typing import Any

import pytest

from hub.core.ids import uuid7
from hub.federation.models import ClusterKind
from hub.operations.models import Operation
from hub.provisioning.models import GuestCluster, Machine
from hub.provisioning.services import add_machine
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, denials, make_caller
from tests.hub.api.orders import Place, order
from tests.hub.builders import make_cluster, make_namespace, make_project
from tests.workers.stage import Stage


def test_an_order_answers_202_with_the_operation_to_watch(stage: Stage, owner: Caller, place: Place) -> None:
    answer = owner.post("guest-clusters", order(place))
    assert answer.status == 202, answer.body
    assert answer.location == f"/api/v1/operations/{answer.body['operation']}"
    assert answer.body["name"] == "web"
    assert answer.body["project"] == str(place.project.pk)
    assert answer.body["tenant"] == str(place.project.tenant_id)
    assert answer.body["infrastructure"] == str(place.cluster.pk)
    assert answer.body["namespace"] == place.namespace.name
    assert (answer.body["distribution"], answer.body["driver"]) == ("k3s", "fake")
    assert answer.body["kubernetes_version"].startswith("v1.")
    assert answer.body["member_cluster"] is None
    assert answer.body["version"] == 1
    assert [(pool["name"], pool["role"], pool["count"], pool["ready"]) for pool in answer.body["pools"]] == [
        ("servers", "server", 3, 0),
        ("workers", "worker", 2, 0),
    ]
    read = owner.get(f"guest-clusters/{answer.body['id']}")
    assert (read.body, read.etag) == (answer.body, answer.etag)

    operation = owner.get(answer.location).body
    assert (operation["kind"], operation["state"]) == ("guest_cluster.create", "pending")
    assert operation["target"] == {"kind": "guestcluster", "id": answer.body["id"], "name": "web"}
    assert operation["actor"] == {"kind": "user", "id": str(owner.user_id), "name": owner.user.name}
    assert [step["state"] for step in operation["steps"]] == ["pending"] * 5


def test_everything_that_can_be_ordered_is_kept(stage: Stage, owner: Caller, place: Place) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9p0gxv3ZtCHrZJy1kGkT5pS5y1kRr8jI6Yq9vTqk7W me"
    releases = [r["version"] for r in owner.items("releases") if r["distribution"] == "rke2"]
    body = order(
        place,
        distribution="rke2",
        kubernetes_version=releases[-1],
        network={"cluster_cidrs": ["10.80.0.0/16"], "service_cidrs": ["10.81.0.0/16"], "cluster_dns": "10.81.0.53"},
        options={
            "tls_sans": ["web.example.org"],
            "ssh_authorized_keys": [key],
            "distribution_options": {"debug": True},
            "component_args": {"kubelet": ["max-pods=200"]},
        },
    )
    body["pools"][1] |= {
        "count": 1,
        "labels": {"tier": "edge"},
        "taints": [{"key": "gpu", "effect": "NoSchedule"}],
        "static_addresses": [
            {"addresses": ["192.168.7.5/24"], "gateways": ["192.168.7.1"], "nameservers": ["192.168.7.1"]}
        ],
    }
    answer = owner.post("guest-clusters", body)
    assert answer.status == 202, answer.body
    guest = GuestCluster.objects.get(pk=answer.body["id"])
    assert guest.kubernetes_version == releases[-1]
    assert guest.network == body["network"] == answer.body["network"]
    assert guest.options == body["options"]
    pool = owner.items(f"node-pools?guest_cluster={guest.pk}&name=workers")[0]
    assert (pool["labels"], pool["taints"]) == ({"tier": "edge"}, [{"key": "gpu", "effect": "NoSchedule", "value": ""}])
    assert pool["static_addresses"][0]["addresses"] == ["192.168.7.5/24"]


def test_sec01_certificate_authorities_and_join_tokens_are_in_no_answer(
    stage: Stage, owner: Caller, place: Place
) -> None:
    made = owner.post("guest-clusters", order(place))
    guest = GuestCluster.objects.get(pk=made.body["id"])
    secrets = [guest.server_token.reveal(), guest.agent_token.reveal(), "PRIVATE KEY"]
    for answer in (
        made,
        owner.get(f"guest-clusters/{guest.pk}"),
        owner.get("guest-clusters"),
        owner.get(made.location),
    ):
        content = answer.response.content.decode()
        assert not [secret for secret in secrets if secret in content]


def test_the_same_order_again_gets_the_same_answer_and_one_cluster(stage: Stage, owner: Caller, place: Place) -> None:
    first, again = (owner.post("guest-clusters", order(place), key="k") for _ in range(2))
    assert (first.status, first.body, first.location) == (again.status, again.body, again.location)
    assert GuestCluster.objects.count() == Operation.objects.count() == 1


def test_a_name_is_taken_once_in_a_project(stage: Stage, owner: Caller, place: Place) -> None:
    assert owner.post("guest-clusters", order(place)).status == 202
    answer = owner.post("guest-clusters", order(place))
    assert (answer.status, answer.faults) == (409, {"/name": "guest_cluster.name_taken"})
    assert GuestCluster.objects.count() == 1


def test_sec33_another_tenants_project_and_cluster_are_as_good_as_none(
    stage: Stage, owner: Caller, place: Place
) -> None:
    foreign = make_project()
    cluster = make_cluster(kind=ClusterKind.HARVESTER)
    make_namespace(foreign, cluster)
    for project, infrastructure in ((foreign.pk, cluster.pk), (uuid7(), uuid7())):
        answer = owner.post("guest-clusters", order(place, project=str(project), infrastructure=str(infrastructure)))
        assert answer.status == 400
        assert answer.faults == {"/project": "reference.not_found", "/infrastructure": "reference.not_found"}
    assert not GuestCluster.objects.exists()


def test_a_cluster_that_may_be_seen_and_not_used_is_refused(stage: Stage, owner: Caller, place: Place) -> None:
    hidden = make_cluster(kind=ClusterKind.HARVESTER)
    answer = owner.post("guest-clusters", order(place, infrastructure=str(hidden.pk)))
    assert answer.faults == {"/infrastructure": "reference.not_found"}


def test_a_viewer_orders_nothing_and_the_attempt_is_recorded(stage: Stage, place: Place) -> None:
    viewer = make_caller("project-viewer", place.project)
    assert viewer.post("guest-clusters", order(place)).code == "request.denied"
    assert denials(viewer) == [("create", "guest-clusters", None)]
    assert not GuestCluster.objects.exists()


def test_a_cluster_that_is_not_registered_yet_is_a_503(owner: Caller, place: Place) -> None:
    """Without the stage: the hub has no credentials for it."""
    answer = owner.post("guest-clusters", order(place, driver="harvester"))
    assert (answer.status, answer.code) == (503, "cluster.unavailable")
    assert answer.response["Retry-After"]
    assert not GuestCluster.objects.exists()


def test_lists_are_filtered(stage: Stage, owner: Caller, place: Place, tenant: Tenant) -> None:
    made = owner.post("guest-clusters", order(place)).body["id"]
    for query in (f"name=web&project={place.project.pk}", f"tenant={tenant.pk}", f"infrastructure={place.cluster.pk}"):
        assert owner.ids(f"guest-clusters?{query}") == {made}
    assert owner.ids(f"guest-clusters?project={make_project(tenant).pk}") == set()


def test_ready_machines_are_counted(stage: Stage, owner: Caller, place: Place) -> None:
    made = owner.post("guest-clusters", order(place)).body
    guest = GuestCluster.objects.get(pk=made["id"])
    for _ in range(2):
        machine = add_machine(guest, guest.pools.get(name="workers"))
    Machine.objects.filter(pk=machine.pk).update(ready_at=guest.created_at)
    pools = {pool["name"]: pool["ready"] for pool in owner.get(f"guest-clusters/{guest.pk}").body["pools"]}
    assert pools == {"servers": 0, "workers": 1}


def test_a_list_asks_the_database_as_often_for_many_as_for_one(
    stage: Stage, owner: Caller, place: Place, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        owner.post("guest-clusters", order(place, name=f"web-{number}"))
    owner.get("whoami")
    with django_assert_max_num_queries(6):
        assert len(owner.items("guest-clusters")) == 3
    with django_assert_max_num_queries(5):
        assert len(owner.items("node-pools")) == 6


def test_a_deletion_answers_202_with_the_operation_and_again_the_same(
    stage: Stage, owner: Caller, place: Place
) -> None:
    made = owner.post("guest-clusters", order(place))
    path = f"guest-clusters/{made.body['id']}"
    answer = owner.delete(path, etag=made.etag)
    assert answer.status == 202
    assert answer.location == f"/api/v1/operations/{answer.body['id']}"
    assert (answer.body["kind"], answer.body["state"]) == ("guest_cluster.delete", "pending")
    assert owner.get(path).body["operation"] == answer.body["id"]
    assert owner.delete(path).location == answer.location
    assert owner.get(made.location).body["state"] == "cancelled"


def test_a_deletion_needs_the_version_that_was_read(stage: Stage, owner: Caller, place: Place) -> None:
    path = f"guest-clusters/{owner.post('guest-clusters', order(place)).body['id']}"
    assert owner.delete(path, etag=None).status == 428
    assert owner.delete(path, etag='"7"').status == 412
    assert GuestCluster.objects.get().deletion_requested_at is None


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_an_ordered_cluster_is_not_changed_in_place(stage: Stage, owner: Caller, place: Place, method: str) -> None:
    path = f"guest-clusters/{owner.post('guest-clusters', order(place)).body['id']}"
    assert owner.call(method, path, {}).status == 405

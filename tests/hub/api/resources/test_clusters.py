"""/api/v1/clusters and the kubeconfigs below them."""

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone

from hub.api import kubeconfigs
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.core.ids import uuid7
from hub.federation.models import Cluster
from hub.federation.services import request_cluster_deletion
from hub.identity.models import ApiToken
from hub.operations.models import Operation
from hub.quickstart.certificates import ensure_server_certificate
from hub.tenancy.models import Tenant
from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.kubeconfig import parse_kubeconfig, render_kubeconfig
from tests.hub.api.callers import Answer, Caller, make_caller
from tests.hub.builders import make_cluster, make_namespace, make_project

SECRET = "harvester-admin-token-0123456789"
KUBECONFIG = render_kubeconfig(name="local", server="https://harvester.example.org:6443", ca_pem=None, token=SECRET)


def order(**changes: Any) -> dict[str, Any]:
    return {"name": "berlin", "kind": "harvester", "kubeconfig": KUBECONFIG, **changes}


def test_an_import_answers_202_with_the_operation_to_watch(admin: Caller) -> None:
    answer = admin.post("clusters", order(labels={"site": "berlin"}))
    assert answer.status == 202
    assert answer.location == f"/api/v1/operations/{answer.body['operation']}"
    assert (answer.body["name"], answer.body["kind"], answer.body["phase"]) == ("berlin", "harvester", "Importing")
    assert answer.body["labels"] == {"site": "berlin"}
    assert answer.body["tenant"] is None
    assert {check["state"] for check in answer.body["checks"]} == {"pending"}
    assert answer.body["endpoints"] == [{"url": "https://harvester.example.org:6443", "kind": "direct"}]

    operation = admin.get(answer.location).body
    assert (operation["kind"], operation["state"]) == ("cluster.import", "pending")
    assert operation["target"] == {"kind": "cluster", "id": answer.body["id"], "name": "berlin"}
    assert admin.get(f"clusters/{answer.body['id']}").etag == answer.etag


def test_sec01_the_pasted_kubeconfig_is_never_shown_again(admin: Caller) -> None:
    made = admin.post("clusters", order())
    cluster = Cluster.objects.get(pk=made.body["id"])
    assert SECRET in cluster.pasted_kubeconfig.reveal()
    for answer in (made, admin.get(f"clusters/{cluster.pk}"), admin.get("clusters"), admin.get("audit-events")):
        assert SECRET not in answer.response.content.decode()


@pytest.mark.parametrize(
    ("changes", "status", "faults"),
    [
        ({"name": "Berlin"}, 400, {"/name": "cluster.name_invalid"}),
        ({"name": "x" * 64}, 400, {"/name": "cluster.name_invalid"}),
        ({"name": None}, 400, {"/name": "field.type"}),
        ({"kind": "openstack"}, 400, {"/kind": "field.choice"}),
        ({"kubeconfig": "no: config"}, 422, {"/kubeconfig": "cluster.kubeconfig_refused"}),
        ({"kubeconfig": "{" * 1000}, 422, {"/kubeconfig": "cluster.kubeconfig_refused"}),
        ({"kubeconfig": ""}, 400, {"/kubeconfig": "field.length"}),
        ({"kubeconfig": {"apiVersion": "v1"}}, 400, {"/kubeconfig": "field.type"}),
        ({"labels": {"a b": "c"}}, 400, {"/labels/a b": "cluster.labels_invalid"}),
        ({"labels": {"paddock.io/hub-id": "c"}}, 400, {"/labels/paddock.io~1hub-id": "cluster.labels_invalid"}),
        ({"labels": {"a": None}}, 400, {"/labels/a": "field.type"}),
        ({"tenant": str(uuid7())}, 400, {"/tenant": "field.unknown"}),
        ({"access_token": "x"}, 400, {"/access_token": "field.unknown"}),
    ],
)
def test_an_import_that_cannot_be_is_refused_with_its_place(
    admin: Caller, changes: dict[str, Any], status: int, faults: dict[str, str]
) -> None:
    answer = admin.post("clusters", order(**changes))
    assert (answer.status, answer.faults) == (status, faults)
    assert not Cluster.objects.exists()
    assert not Operation.objects.exists()


def test_sec61_a_kubeconfig_with_exec_is_refused_with_what_to_do(admin: Caller) -> None:
    document = yaml.safe_load(KUBECONFIG)
    document["users"][0]["user"] = {"exec": {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1"}}
    answer = admin.post("clusters", order(kubeconfig=yaml.safe_dump(document)))
    assert answer.faults == {"/kubeconfig": "cluster.kubeconfig_refused"}
    assert answer.body["params"]["fix"]


@pytest.mark.parametrize(
    "server", ["https://127.0.0.1:6443", "https://169.254.169.254", "https://[::1]:6443", "https://localhost"]
)
def test_sec57_an_address_that_the_hub_may_not_contact_is_refused(admin: Caller, server: str) -> None:
    kubeconfig = render_kubeconfig(name="a", server=server, ca_pem=None, token=SECRET)
    assert admin.post("clusters", order(kubeconfig=kubeconfig)).faults == {"/kubeconfig": "cluster.kubeconfig_refused"}


def test_a_name_is_taken_once(admin: Caller) -> None:
    assert [admin.post("clusters", order()).status for _ in range(2)] == [202, 409]


def test_only_administrators_import(owner: Caller) -> None:
    assert owner.post("clusters", order()).code == "request.denied"
    assert not Cluster.objects.exists()


def test_a_patch_changes_labels_one_by_one(admin: Caller) -> None:
    path = f"clusters/{make_cluster().pk}"
    assert admin.patch(path, {"labels": {"a": "1", "b": "2"}}).body["labels"] == {"a": "1", "b": "2"}
    assert admin.patch(path, {"labels": {"a": None, "c": "3"}}).body["labels"] == {"b": "2", "c": "3"}
    assert admin.patch(path, {"labels": None}).body["labels"] == {}
    assert admin.patch(path, {"labels": {"a": 1}}).faults == {"/labels/a": "field.type"}
    assert admin.patch(path, {"name": "other"}).faults == {"/name": "field.unknown"}


def test_a_deletion_answers_202_with_the_operation_and_again_the_same(admin: Caller) -> None:
    cluster = make_cluster()
    first = admin.delete(f"clusters/{cluster.pk}", etag=admin.get(f"clusters/{cluster.pk}").etag)
    assert first.status == 202
    assert first.location == f"/api/v1/operations/{first.body['id']}"
    assert first.body["kind"] == "cluster.delete"
    assert admin.delete(f"clusters/{cluster.pk}").location == first.location
    assert admin.get(f"clusters/{cluster.pk}").body["deletion_requested_at"] is not None


def test_a_cluster_in_use_stays(admin: Caller) -> None:
    cluster = make_cluster()
    make_namespace(make_project(), cluster)
    assert admin.delete(f"clusters/{cluster.pk}").code == "object.in_use"


def test_a_guests_cluster_is_not_deleted_here(admin: Caller) -> None:
    cluster = make_cluster(project=make_project())
    assert admin.delete(f"clusters/{cluster.pk}").code == "cluster.is_guest"


def test_a_tenant_sees_shared_clusters_that_his_projects_use_and_his_own(owner: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    used, unused = make_cluster(), make_cluster()
    own, foreign = make_cluster(project=project), make_cluster(project=make_project())
    make_namespace(project, used)
    assert owner.ids("clusters") == {str(used.pk), str(own.pk)}
    assert [owner.get(f"clusters/{c.pk}").status for c in (unused, foreign)] == [404, 404]


def parse(answer: Answer) -> Credentials:
    """What kubectl would take from the downloaded kubeconfig."""
    return parse_kubeconfig(answer.body["kubeconfig"], guard=AddressGuard(["127.0.0.0/8"]), proxied=True)


def test_a_kubeconfig_leads_through_the_hub_with_a_token_for_this_cluster_alone(owner: Caller, tenant: Tenant) -> None:
    cluster = make_cluster(project=make_project(tenant))
    answer = owner.post(f"clusters/{cluster.pk}/kubeconfig", {"expires_in_seconds": 60})
    assert answer.status == 201
    document = yaml.safe_load(answer.body["kubeconfig"])
    assert document["current-context"] == document["contexts"][0]["name"] == cluster.name
    credentials = parse(answer)
    assert credentials.servers == (f"{environment().url}/k8s/clusters/{cluster.pk}",)

    token = ApiToken.objects.get(pk=answer.body["token_id"])
    assert answer.location == f"/api/v1/kubeconfigs/{token.pk}"
    assert token.user_id == owner.user_id
    assert token.scope == {"read_only": False, "verbs": None, "projects": None, "clusters": [str(cluster.pk)]}
    assert token.expires_at - timezone.now() <= datetime.timedelta(seconds=60)
    assert Caller(token=credentials.token).get("clusters").status == 401  # SEC-17: it opens the cluster alone


def test_the_hubs_authority_is_in_it_when_it_has_one(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = ensure_server_certificate(tmp_path, {"localhost"}).ca_file
    with_authority = environment().model_copy(update={"tls_ca_file": authority})
    monkeypatch.setattr(kubeconfigs, "environment", lambda: with_authority)
    answer = admin.post(f"clusters/{make_cluster().pk}/kubeconfig", {})
    ca_pem = parse(answer).ca_pem
    assert ca_pem is not None
    assert ca_pem.strip() in authority.read_text()


def test_sec03_a_download_is_recorded_without_the_token(admin: Caller) -> None:
    answer = admin.post(f"clusters/{make_cluster().pk}/kubeconfig", {})
    event = AuditEvent.objects.get(object_id=answer.body["token_id"])
    secret = str(parse(answer).token).rpartition("_")[2]
    assert (event.verb, event.resource) == ("create", "tokens")
    assert secret not in str(vars(event))


def test_sec32_a_kubeconfig_is_no_wider_than_the_token_it_was_asked_with(admin: Caller) -> None:
    cluster = make_cluster()
    reader = admin.narrowed(read_only=True)
    answer = reader.post(f"clusters/{cluster.pk}/kubeconfig", {})
    assert ApiToken.objects.get(pk=answer.body["token_id"]).scope["read_only"] is True
    elsewhere = admin.narrowed(clusters=frozenset({make_cluster().pk}))
    assert elsewhere.post(f"clusters/{cluster.pk}/kubeconfig", {}).status == 404
    no_proxy = admin.narrowed(verbs=frozenset({"get", "create"}))
    assert no_proxy.post(f"clusters/{cluster.pk}/kubeconfig", {}).code == "request.denied"


def test_a_viewer_gets_one_for_what_he_may_look_into(tenant: Tenant) -> None:
    project = make_project(tenant)
    cluster = make_cluster(project=project)
    assert make_caller("project-viewer", project).post(f"clusters/{cluster.pk}/kubeconfig", {}).status == 201


def test_there_is_none_for_a_cluster_that_is_being_deleted(admin: Caller) -> None:
    cluster = make_cluster()
    request_cluster_deletion(SYSTEM, cluster)
    assert admin.post(f"clusters/{cluster.pk}/kubeconfig", {}).code == "object.being_deleted"


@pytest.mark.parametrize("body", [{"expires_in_seconds": 0}, {"expires_in_seconds": 10**12}, {"name": "x"}, []])
def test_an_order_for_one_that_is_wrong_is_refused(admin: Caller, body: Any) -> None:
    before = ApiToken.objects.count()
    assert admin.post(f"clusters/{make_cluster().pk}/kubeconfig", body).status == 400
    assert ApiToken.objects.count() == before


def test_the_same_order_again_gets_the_same_kubeconfig(admin: Caller) -> None:
    cluster = make_cluster()
    first, again = (admin.post(f"clusters/{cluster.pk}/kubeconfig", {}, key="k") for _ in range(2))
    assert first.body == again.body


def test_a_kubeconfig_cannot_be_read_or_deleted(admin: Caller) -> None:
    path = f"clusters/{make_cluster().pk}/kubeconfig"
    assert [admin.get(path).status, admin.delete(path).status] == [405, 405]


def test_a_cluster_is_imported_again_with_a_fresh_kubeconfig(admin: Caller) -> None:
    cluster = make_cluster()
    again = admin.post(f"clusters/{cluster.pk}/imports", {"kubeconfig": KUBECONFIG})
    operation = Operation.objects.get(target_id=cluster.pk)
    assert (again.status, again.location) == (201, f"/api/v1/operations/{operation.pk}")
    assert again.body["kind"] == "cluster.import"
    stored = Cluster.objects.get(pk=cluster.pk)
    assert stored.servers == ("https://harvester.example.org:6443",)
    assert SECRET in stored.pasted_kubeconfig.reveal()
    assert SECRET not in str(again.body) + str(list(AuditEvent.objects.values()))
    refused = admin.post(f"clusters/{cluster.pk}/imports", {"kubeconfig": "{}"})
    assert (refused.status, refused.faults) == (422, {"/kubeconfig": "cluster.kubeconfig_refused"})


def test_a_tenant_imports_no_shared_cluster_again(owner: Caller, tenant: Tenant) -> None:
    cluster = make_cluster()
    make_namespace(make_project(tenant), cluster)
    assert owner.post(f"clusters/{cluster.pk}/imports", {"kubeconfig": KUBECONFIG}).code == "request.denied"
    assert not Cluster.objects.get(pk=cluster.pk).pasted_kubeconfig

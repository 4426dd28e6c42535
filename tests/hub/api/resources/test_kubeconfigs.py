"""/api/v1/kubeconfigs: one file for one or many clusters."""

from typing import Any

import pytest
import yaml
from django.utils import timezone

from hub.api import kubeconfigs
from hub.audit.models import AuditEvent
from hub.core.environment import environment
from hub.core.ids import uuid7
from hub.federation.models import Cluster
from hub.identity.models import ApiToken
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Answer, Caller
from tests.hub.builders import make_cluster, make_project


@pytest.fixture
def clusters(tenant: Tenant) -> list[Cluster]:
    project = make_project(tenant)
    return sorted((make_cluster(project=project) for _ in range(2)), key=lambda cluster: cluster.name)


def ask(caller: Caller, clusters: Any, **body: Any) -> Answer:
    named = clusters if clusters == "all" else [str(getattr(cluster, "pk", cluster)) for cluster in clusters]
    return caller.post("kubeconfigs", {"clusters": named, **body})


def document_of(answer: Answer) -> Any:
    assert answer.status == 201, answer.body
    return yaml.safe_load(answer.body["kubeconfig"])


def leave(cluster: Cluster) -> None:
    Cluster.objects.filter(pk=cluster.pk).update(deletion_requested_at=timezone.now())


def test_the_exec_form_holds_no_secret_and_makes_no_token(owner: Caller, clusters: list[Cluster]) -> None:
    tokens = ApiToken.objects.count()
    answer = ask(owner, clusters)
    document = document_of(answer)
    assert [entry["name"] for entry in document["contexts"]] == [cluster.name for cluster in clusters]
    assert document["current-context"] == clusters[0].name
    servers = [entry["cluster"]["server"] for entry in document["clusters"]]
    assert servers == [f"{environment().url}/k8s/clusters/{cluster.pk}" for cluster in clusters]
    (user,) = document["users"]
    assert user["user"].keys() == {"exec"}
    plugin = user["user"]["exec"]
    assert (plugin["command"], plugin["args"]) == ("paddock-login", ["token", "--hub", environment().url])
    assert {entry["context"]["user"] for entry in document["contexts"]} == {user["name"]}
    assert (answer.body["expires_at"], answer.body["token_id"]) == (None, None)
    assert ApiToken.objects.count() == tokens


def test_sec17_the_token_form_reaches_the_named_clusters_alone(owner: Caller, clusters: list[Cluster]) -> None:
    answer = ask(owner, clusters[:1], form="token", expires_in_seconds=600)
    text = document_of(answer)["users"][0]["user"]["token"]
    token = ApiToken.objects.get(pk=answer.body["token_id"])
    assert token.scope["clusters"] == [str(clusters[0].pk)]
    assert (token.purpose, token.user_id) == ("kubeconfig", owner.user_id)
    assert Caller(token=text).get("whoami").status == 401


def test_many_clusters_share_one_token(owner: Caller, clusters: list[Cluster]) -> None:
    document = document_of(ask(owner, clusters, form="token"))
    assert len(document["users"]) == 1
    assert {entry["context"]["user"] for entry in document["contexts"]} == {document["users"][0]["name"]}
    token = ApiToken.objects.get(purpose="kubeconfig")
    assert set(token.scope["clusters"]) == {str(cluster.pk) for cluster in clusters}


def test_all_are_those_that_the_caller_may_reach_now(owner: Caller, foreigner: Caller, clusters: list[Cluster]) -> None:
    make_cluster(project=make_project())
    leave(clusters[1])
    assert [entry["name"] for entry in document_of(ask(owner, "all"))["contexts"]] == [clusters[0].name]
    assert ask(foreigner, "all").code == "kubeconfig.no_cluster"


def test_a_kubeconfig_is_an_object_that_is_listed_and_ended(owner: Caller, clusters: list[Cluster]) -> None:
    answer = ask(owner, clusters, form="token")
    (shown,) = owner.items("kubeconfigs")
    assert shown["id"] == answer.body["token_id"]
    assert set(shown["clusters"]) == {str(cluster.pk) for cluster in clusters}
    assert shown["revoked_at"] is None
    assert answer.location == f"/api/v1/kubeconfigs/{shown['id']}"
    assert owner.ids(f"kubeconfigs?cluster={clusters[0].pk}&state=live") == {shown["id"]}
    assert owner.delete(answer.location).status == 204
    assert owner.ids("kubeconfigs?state=live") == set()
    assert owner.get(answer.location).body["revoked_at"] is not None


def test_other_tokens_are_no_kubeconfigs(owner: Caller) -> None:
    token = ApiToken.objects.get(user_id=owner.user_id)
    assert owner.items("kubeconfigs") == []
    assert owner.get(f"kubeconfigs/{token.pk}").status == 404
    assert owner.delete(f"kubeconfigs/{token.pk}").status == 404
    assert owner.get("whoami").status == 200


def test_sec40_a_foreign_kubeconfig_is_as_good_as_missing(
    owner: Caller, foreigner: Caller, admin: Caller, clusters: list[Cluster]
) -> None:
    path = f"kubeconfigs/{ask(owner, clusters, form='token').body['token_id']}"
    assert foreigner.get(path).problem == foreigner.get(f"kubeconfigs/{uuid7()}").problem
    assert foreigner.delete(path).status == 404
    assert admin.delete(path).status == 204


def test_sec40_a_foreign_cluster_and_a_missing_one_are_one_answer(foreigner: Caller, clusters: list[Cluster]) -> None:
    foreign, missing = (ask(foreigner, [id]) for id in (clusters[0].pk, uuid7()))
    assert foreign.problem == missing.problem
    assert foreign.faults == {"/clusters/0": "reference.not_found"}


def test_one_wrong_cluster_spoils_the_file(owner: Caller, clusters: list[Cluster]) -> None:
    answer = ask(owner, [clusters[0].pk, uuid7()], form="token")
    assert answer.faults == {"/clusters/1": "reference.not_found"}
    assert not ApiToken.objects.filter(purpose="kubeconfig").exists()


def test_a_cluster_that_is_named_twice_is_written_once(owner: Caller, clusters: list[Cluster]) -> None:
    assert len(document_of(ask(owner, [clusters[0], clusters[0]]))["clusters"]) == 1


def test_a_cluster_that_is_leaving_is_refused(owner: Caller, clusters: list[Cluster]) -> None:
    leave(clusters[0])
    assert ask(owner, clusters).code == "object.being_deleted"


def test_sec32_the_token_is_no_wider_than_the_one_it_is_asked_with(owner: Caller, clusters: list[Cluster]) -> None:
    narrow = owner.narrowed(read_only=True, clusters=frozenset({clusters[0].pk}))
    ask(narrow, clusters[:1], form="token")
    assert ApiToken.objects.get(purpose="kubeconfig").scope["read_only"] is True
    assert ask(narrow, clusters[1:]).faults == {"/clusters/0": "reference.not_found"}


def test_more_clusters_than_a_scope_takes_need_the_exec_form(
    owner: Caller, clusters: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfigs, "LIST_LIMIT", 1)
    assert ask(owner, clusters, form="token").code == "kubeconfig.too_many_clusters"
    assert ask(owner, clusters, form="exec").status == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"clusters": []},
        {"clusters": "some"},
        {"clusters": ["x"]},
        {"clusters": None},
        {"clusters": "all", "form": "basic"},
        {"clusters": "all", "expires_in_seconds": 0},
        {"clusters": "all", "token": "x"},
    ],
)
def test_an_order_that_is_wrong_is_refused(owner: Caller, body: dict[str, Any]) -> None:
    answer = owner.post("kubeconfigs", body)
    assert (answer.status, answer.code) == (400, "request.invalid")


def test_a_life_beyond_the_hubs_cap_is_refused(owner: Caller, clusters: list[Cluster]) -> None:
    longest = environment().kubeconfig_max_days * 86400
    assert ask(owner, clusters, form="token", expires_in_seconds=longest).status == 201
    refused = ask(owner, clusters, form="token", expires_in_seconds=longest + 1)
    assert refused.faults == {"/expires_in_seconds": "token.lifetime_invalid"}


def test_sec03_a_download_is_recorded_without_its_token(owner: Caller, clusters: list[Cluster]) -> None:
    answer = ask(owner, clusters, form="token")
    text = document_of(answer)["users"][0]["user"]["token"]
    event = AuditEvent.objects.get(object_id=answer.body["token_id"])
    assert (event.verb, event.detail["purpose"]) == ("create", "kubeconfig")
    assert text.rpartition("_")[2] not in str(list(AuditEvent.objects.values()))
    assert text.rpartition("_")[2] not in owner.get("kubeconfigs").response.content.decode()


def test_repeating_with_a_key_gives_the_same_file(owner: Caller, clusters: list[Cluster]) -> None:
    body = {"clusters": [str(clusters[0].pk)], "form": "token"}
    first, again = (owner.post("kubeconfigs", body, key="once") for _ in range(2))
    assert first.body == again.body
    assert ApiToken.objects.filter(purpose="kubeconfig").count() == 1

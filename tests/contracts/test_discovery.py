"""What is served, in which forms, and what is said to requests that fit nothing."""

import pytest

from tests.contracts.cluster import Cluster


def test_the_core_api_has_version_1(cluster: Cluster) -> None:
    body = cluster.call("GET", "/api").ok()
    assert (body["kind"], body["versions"]) == ("APIVersions", ["v1"])


@pytest.mark.parametrize(
    ("group", "version"),
    [
        ("apps", "v1"),
        ("rbac.authorization.k8s.io", "v1"),
        ("kubevirt.io", "v1"),
        ("harvesterhci.io", "v1beta1"),
        ("k8s.cni.cncf.io", "v1"),
        ("loadbalancer.harvesterhci.io", "v1beta1"),
    ],
)
def test_groups_are_listed_with_their_versions(cluster: Cluster, group: str, version: str) -> None:
    body = cluster.call("GET", "/apis").ok()
    assert body["kind"] == "APIGroupList"
    found = next(item for item in body["groups"] if item["name"] == group)
    assert {"groupVersion": f"{group}/{version}", "version": version} in found["versions"]
    alone = cluster.call("GET", f"/apis/{group}").ok()
    assert (alone["kind"], alone["name"]) == ("APIGroup", group)


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        (
            "/api/v1",
            "configmaps",
            {"singularName": "configmap", "namespaced": True, "kind": "ConfigMap", "shortNames": ["cm"]},
        ),
        ("/api/v1", "namespaces/status", {"singularName": "", "namespaced": False, "kind": "Namespace"}),
        (
            "/api/v1",
            "serviceaccounts/token",
            {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest", "verbs": ["create"]},
        ),
        (
            "/apis/kubevirt.io/v1",
            "virtualmachines",
            {
                "singularName": "virtualmachine",
                "kind": "VirtualMachine",
                "categories": ["all"],
                "shortNames": ["vm", "vms"],
            },
        ),
        ("/apis/kubevirt.io/v1", "virtualmachines/status", {"kind": "VirtualMachine", "namespaced": True}),
        ("/apis/harvesterhci.io/v1beta1", "settings", {"namespaced": False, "kind": "Setting"}),
        (
            "/apis/authorization.k8s.io/v1",
            "selfsubjectaccessreviews",
            {"namespaced": False, "kind": "SelfSubjectAccessReview", "verbs": ["create"]},
        ),
    ],
)
def test_resources_tell_what_they_are(cluster: Cluster, path: str, name: str, expected: dict[str, object]) -> None:
    body = cluster.call("GET", path).ok()
    assert body["kind"] == "APIResourceList"
    entry = next(item for item in body["resources"] if item["name"] == name)
    assert {key: entry.get(key) for key in expected} == expected


def test_kinds_can_be_created_watched_and_patched(cluster: Cluster) -> None:
    for path, name in (("/api/v1", "secrets"), ("/apis/kubevirt.io/v1", "virtualmachines")):
        resources = cluster.call("GET", path).ok()["resources"]
        entry = next(item for item in resources if item["name"] == name)
        expected = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
        assert set(entry["verbs"]) == expected


def test_instances_have_no_status_subresource(cluster: Cluster) -> None:
    names = {item["name"] for item in cluster.call("GET", "/apis/kubevirt.io/v1").ok()["resources"]}
    assert "virtualmachineinstances" in names
    assert "virtualmachineinstances/status" not in names


def test_the_version_is_that_of_kubernetes_1_34(cluster: Cluster) -> None:
    body = cluster.call("GET", "/version").ok()
    assert (body["major"], body["minor"].rstrip("+")) == ("1", "34")
    assert body["gitVersion"].startswith("v1.34.")


def test_definitions_of_the_custom_kinds_are_there(cluster: Cluster) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualmachines.kubevirt.io"
    body = cluster.call("GET", path).ok()
    assert body["spec"]["names"]["kind"] == "VirtualMachine"
    conditions = {item["type"]: item["status"] for item in body["status"]["conditions"]}
    assert conditions["Established"] == "True"


def test_openapi_describes_each_group(cluster: Cluster) -> None:
    paths = cluster.call("GET", "/openapi/v3").ok()["paths"]
    assert {"api/v1", "apis/kubevirt.io/v1"} <= set(paths)
    assert paths["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")


def test_openapi_tells_that_fields_are_validated(cluster: Cluster) -> None:
    document = cluster.call("GET", "/openapi/v3/apis/kubevirt.io/v1").ok()
    operation = document["paths"]["/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines/{name}"]["patch"]
    assert operation["x-kubernetes-group-version-kind"] == {
        "group": "kubevirt.io",
        "version": "v1",
        "kind": "VirtualMachine",
    }
    assert "fieldValidation" in {parameter["name"] for parameter in operation["parameters"]}


@pytest.mark.parametrize("path", ["/nowhere", "/apis/nowhere.example.com/v1/things", "/api/v1/things"])
def test_what_nobody_serves_is_a_404(cluster: Cluster, path: str) -> None:
    answer = cluster.call("GET", path)
    assert answer.code == 404
    assert not isinstance(answer.body, dict) or answer.body["reason"] == "NotFound"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v1/namespaces/default/configmaps"),
        ("POST", "/api/v1/namespaces/default/configmaps/a"),
        ("DELETE", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ],
)
def test_a_method_that_does_not_fit_is_not_allowed(cluster: Cluster, method: str, path: str) -> None:
    cluster.call(method, path, {}).refused(405, "MethodNotAllowed")


def test_a_body_that_is_no_json_is_refused(cluster: Cluster) -> None:
    cluster.call("POST", "/api/v1/namespaces/default/configmaps", b"{not json").refused(400, "BadRequest")


def test_a_body_that_is_no_object_is_refused(cluster: Cluster) -> None:
    cluster.call("POST", "/api/v1/namespaces/default/configmaps", b"[]").refused(400, "BadRequest")


def test_a_body_in_an_unknown_form_is_refused(cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    cluster.call("POST", path, b"<a/>", content_type="text/xml").refused(415, "UnsupportedMediaType")


def test_a_body_beyond_three_mebibytes_is_too_large(cluster: Cluster) -> None:
    body = b'{"metadata":{"name":"big"},"data":{"k":"' + b"x" * (3 * 1024 * 1024) + b'"}}'
    answer = cluster.call("POST", "/api/v1/namespaces/default/configmaps", body)
    answer.refused(413, "RequestEntityTooLarge")


def test_an_answer_in_an_unknown_form_is_not_to_be_had(cluster: Cluster) -> None:
    answer = cluster.call("GET", "/api/v1/namespaces/default/configmaps", accept="text/xml")
    assert answer.code == 406


def test_who_prefers_protobuf_but_takes_json_can_ask(cluster: Cluster) -> None:
    answer = cluster.call(
        "GET", "/api/v1/namespaces/default/configmaps", accept="application/json;q=0.9,application/unknown"
    )
    assert answer.ok()["kind"] == "ConfigMapList"


def test_a_dry_run_of_another_word_is_refused(cluster: Cluster) -> None:
    answer = cluster.call(
        "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}}, query={"dryRun": "Some"}
    )
    answer.refused(422, "Invalid", ("FieldValueNotSupported", "dryRun"))

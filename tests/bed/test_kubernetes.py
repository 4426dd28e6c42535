"""The bed hands out what it promises: real clusters, apart from each other, that behave like clusters."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bed.api_client import ApiClient, ApiRefused, Object
from tests.bed.binaries import KUBERNETES_VERSION
from tests.bed.kubernetes import ApiServer, Bed
from tests.bed.waiting import wait_for

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


@pytest.fixture
def namespace(kube_apiserver: ApiServer) -> Iterator[str]:
    name = f"bed-{uuid.uuid4().hex[:8]}"
    kube_apiserver.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    kube_apiserver.client.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="module")
def server_without_controllers(bed: Bed) -> Iterator[ApiServer]:
    server = bed.start_api_server("without-controllers")
    yield server
    server.stop()


def config_map(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}


def claim(name: str) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def crd(plural: str, group: str = "bed.example.test") -> Object:
    kind = plural.capitalize()
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "listKind": f"{kind}List", "singular": kind.lower()},
            "versions": [version],
        },
    }


def run_kubectl(kubectl: Path, folder: Path, kubeconfig: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = folder / "kubeconfig"
    config.touch(mode=0o600)
    config.write_text(kubeconfig)
    command = [str(kubectl), f"--kubeconfig={config}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_server_and_kubectl_tell_the_version_that_the_bed_is_built_for(
    kube_apiserver: ApiServer, kubectl: Path, tmp_path: Path
) -> None:
    done = run_kubectl(kubectl, tmp_path, kube_apiserver.admin_kubeconfig, "version", "-o", "json")
    assert done.returncode == 0, done.stderr
    versions = json.loads(done.stdout)
    assert versions["clientVersion"]["gitVersion"] == KUBERNETES_VERSION
    assert versions["serverVersion"]["gitVersion"] == KUBERNETES_VERSION


def test_a_second_server_over_the_same_etcd_is_another_cluster(
    kube_apiserver: ApiServer, server_without_controllers: ApiServer
) -> None:
    mine, other = kube_apiserver.client, server_without_controllers.client
    path = CONFIG_MAPS.format("default")
    mine.create(path, config_map("only-in-the-first"))
    assert mine.find(f"{path}/only-in-the-first") is not None
    assert other.find(f"{path}/only-in-the-first") is None
    systems = [client.get("/api/v1/namespaces/kube-system")["metadata"]["uid"] for client in (mine, other)]
    assert systems[0] != systems[1]
    assert kube_apiserver.ca_pem != server_without_controllers.ca_pem


def test_a_name_is_given_once(bed: Bed, kube_apiserver: ApiServer) -> None:
    with pytest.raises(ValueError, match=kube_apiserver.name):
        bed.start_api_server(kube_apiserver.name)


def test_a_server_keeps_its_address_and_objects_over_a_restart(server_without_controllers: ApiServer) -> None:
    server = server_without_controllers
    url = server.url
    server.client.create(CONFIG_MAPS.format("default"), config_map("kept"))
    server.stop()
    with pytest.raises(OSError):
        server.client.get("/version")
    server.start()
    assert server.url == url
    assert server.client.get(CONFIG_MAPS.format("default") + "/kept")["data"] == {"a": "1"}


def test_a_cluster_with_known_crds_is_there_within_ten_seconds(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path))
    crds = [crd("boxes"), crd("lids")]
    first = bed.start_api_server("installs-crds", crds)
    first.stop()
    assert list(tmp_path.glob("bed/crds/*.json"))
    started = time.monotonic()
    second = bed.start_api_server("restores-crds", crds)
    elapsed = time.monotonic() - started
    try:
        path = "/apis/bed.example.test/v1/namespaces/default/boxes"
        box = {"apiVersion": "bed.example.test/v1", "kind": "Boxes", "metadata": {"name": "a"}, "spec": {"size": 1}}
        assert second.client.create(path, box)["spec"] == {"size": 1}
        with pytest.raises(ApiRefused) as refused:
            second.client.create(path, {**box, "metadata": {"name": "b"}, "spec": {"size": "big"}})
        assert refused.value.status == 422
        assert elapsed < 10
    finally:
        second.stop()


def test_an_impersonated_user_may_what_rbac_grants_him_and_no_more(kube_apiserver: ApiServer, namespace: str) -> None:
    admin = kube_apiserver.client
    path = CONFIG_MAPS.format(namespace)
    member = admin.impersonating("jane", "paddock:project:one:member")
    with pytest.raises(ApiRefused) as refused:
        member.create(path, config_map("early"))
    assert (refused.value.status, refused.value.body["reason"]) == (403, "Forbidden")
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    group = {"kind": "Group", "name": "paddock:project:one:member", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"}
    admin.create(rbac, {"metadata": {"name": "members"}, "subjects": [group], "roleRef": role})
    wait_for(
        "the binding to reach the authorizer",
        lambda: member.request("POST", path, config_map("later"))[0] == 201,
        seconds=10,
    )
    assert admin.impersonating("jane").request("GET", path)[0] == 403
    assert admin.impersonating("jane", "other", "paddock:project:one:member").request("GET", path)[0] == 200


def test_a_kubeconfig_for_a_user_carries_his_name_and_groups(
    kube_apiserver: ApiServer, kubectl: Path, tmp_path: Path
) -> None:
    kubeconfig = kube_apiserver.kubeconfig_for("jane", ["blue", "green"])
    done = run_kubectl(kubectl, tmp_path, kubeconfig, "auth", "whoami", "-o", "json")
    assert done.returncode == 0, done.stderr
    user = json.loads(done.stdout)["status"]["userInfo"]
    assert user["username"] == "jane"
    assert {"blue", "green"} <= set(user["groups"])
    assert "system:masters" not in user["groups"]


def test_the_controller_manager_empties_and_ends_a_namespace(kube_apiserver: ApiServer) -> None:
    admin = kube_apiserver.client
    admin.create("/api/v1/namespaces", {"metadata": {"name": "to-be-ended"}})
    claims = "/api/v1/namespaces/to-be-ended/persistentvolumeclaims"
    created = admin.create(claims, claim("disk"))
    assert created["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    admin.delete("/api/v1/namespaces/to-be-ended")
    wait_for("the namespace to go", lambda: admin.find("/api/v1/namespaces/to-be-ended") is None, seconds=60)
    assert admin.find(f"{claims}/disk") is None


def test_without_controllers_a_claim_goes_when_it_is_deleted(server_without_controllers: ApiServer) -> None:
    admin = server_without_controllers.client
    claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    admin.create(claims, claim("disk"))
    admin.delete(f"{claims}/disk")
    assert admin.find(f"{claims}/disk") is None


def test_a_client_without_a_certificate_is_anonymous_and_refused(kube_apiserver: ApiServer) -> None:
    unknown = ApiClient(kube_apiserver.url, ssl.create_default_context(cadata=kube_apiserver.ca_pem))
    status, answer = unknown.request("GET", CONFIG_MAPS.format("default"))
    assert status == 403
    assert "system:anonymous" in answer["message"]

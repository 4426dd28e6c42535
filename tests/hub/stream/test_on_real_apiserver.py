"""kubectl through the hub to a real kube-apiserver: who it sees, what he may, and that it all works."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hub.core.access import SYSTEM, TokenScope
from hub.core.ids import uuid7
from hub.federation.models import Cluster
from hub.federation.rights import cluster_group, project_group, reconciled_rules
from hub.identity.tokens import revoke_token
from kube.kubeconfig import render_kubeconfig
from tests.bed.kubernetes import ApiServer
from tests.hub.builders import make_actor, make_namespace, make_project, user_of
from tests.hub.stream.conftest import Served, token_of

pytestmark = pytest.mark.usefixtures("transactional_db")

RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Member:
    """A real cluster with the hub's account in it, made by hand under names of this test's own."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.name = f"stream-{uuid7().hex[-10:]}"
        self.server.client.create("/api/v1/namespaces", {"metadata": {"name": self.name}})
        self.server.client.create(f"/api/v1/namespaces/{self.name}/serviceaccounts", {"metadata": {"name": "hub"}})

    def token(self) -> str:
        path = f"/api/v1/namespaces/{self.name}/serviceaccounts/hub/token"
        answer = self.server.client.create(path, {"spec": {"expirationSeconds": 600}})
        return str(answer["status"]["token"])

    def grant(self, groups: list[str], cluster_admins: str, namespace_viewers: str) -> None:
        """What registration gives: the hub may impersonate these groups, and two of them have rights."""
        rules = [rule.render() for rule in reconciled_rules(groups)]
        hub = {"kind": "ServiceAccount", "name": "hub", "namespace": self.name}
        self.server.client.create(f"{RBAC}/clusterroles", {"metadata": {"name": self.name}, "rules": rules})
        self._bind(f"{RBAC}/clusterrolebindings", self.name, self.name, hub)
        self._bind(f"{RBAC}/clusterrolebindings", f"{self.name}-admins", "cluster-admin", group(cluster_admins))
        self._bind(f"{RBAC}/namespaces/{self.name}/rolebindings", "viewers", "view", group(namespace_viewers))

    def _bind(self, path: str, name: str, role: str, subject: dict[str, str]) -> None:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        self.server.client.create(path, {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})

    def remove(self) -> None:
        for path in (
            f"{RBAC}/clusterrolebindings/{self.name}",
            f"{RBAC}/clusterrolebindings/{self.name}-admins",
            f"{RBAC}/clusterroles/{self.name}",
            f"/api/v1/namespaces/{self.name}",
        ):
            self.server.client.delete(path)


def group(name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}


@pytest.fixture
def member(kube_apiserver: ApiServer) -> Iterator[Member]:
    made = Member(kube_apiserver)
    yield made
    made.remove()


class Kubectl:
    """The real kubectl with a kubeconfig of the hub."""

    def __init__(
        self, binary: Path, folder: Path, served: Served, cluster: Cluster, token: str, namespace: str
    ) -> None:
        server = f"https://127.0.0.1:{served.port}/k8s/clusters/{cluster.pk}"
        ca_pem = served.authority.certificate_pem
        self._kubeconfig = folder / f"{uuid7()}.kubeconfig"
        self._kubeconfig.write_text(
            render_kubeconfig(name="hub", server=server, ca_pem=ca_pem, token=token, namespace=namespace)
        )
        self._command = [str(binary), f"--kubeconfig={self._kubeconfig}", f"--cache-dir={folder}"]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [*self._command, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*self._command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "colours"}, "data": {"sky": "blue"}}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}


def test_kubectl_works_through_the_hub_as_its_user_and_ends_with_his_token(
    served: Served, member: Member, kubectl: Path, tmp_path: Path
) -> None:
    admin, project = make_actor("hub-admin"), make_project()
    viewer = make_actor("project-viewer", project)
    url, ca_pem = member.server.url, member.server.ca_pem
    cluster = served.cluster(url=url, ca_pem=ca_pem, token=member.token(), groups=["later"])
    admins, viewers = cluster_group(cluster.pk, "cluster-admin"), project_group(project.pk, "project-viewer")
    cluster.groups = [admins, viewers, cluster_group(cluster.pk, "cluster-viewer")]
    cluster.save(update_fields=["groups"])
    make_namespace(project, cluster)
    member.grant(cluster.groups, admins, viewers)
    token, text = token_of(admin)
    as_admin = Kubectl(kubectl, tmp_path, served, cluster, text, member.name)
    as_viewer = Kubectl(kubectl, tmp_path, served, cluster, token_of(viewer)[1], member.name)

    # SEC-14: one user and his derived groups, as the member itself tells it.
    me = yaml.safe_load(as_admin("auth", "whoami", "-o", "yaml"))["status"]["userInfo"]
    assert (me["username"], set(me["groups"])) == (
        f"paddock:user:{user_of(admin).username}",
        {admins, "system:authenticated"},
    )
    me = yaml.safe_load(as_viewer("auth", "whoami", "-o", "yaml"))["status"]["userInfo"]
    assert set(me["groups"]) == {viewers, "system:authenticated"}

    # Every day's work.
    as_admin("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(CONFIG_MAP))
    as_admin("patch", "configmap", "colours", "-p", '{"data":{"grass":"green"}}')
    found = yaml.safe_load(as_viewer("get", "configmap", "colours", "-o", "yaml", "--show-managed-fields"))
    assert found["data"] == {"sky": "blue", "grass": "green"}
    assert found["metadata"]["managedFields"][0]["manager"] == "kubectl"
    refused = as_viewer.run("delete", "configmap", "colours")
    assert f'User "paddock:user:{user_of(viewer).username}" cannot delete' in refused.stderr
    refused = as_viewer.run("get", "secrets")
    assert "cannot list resource" in refused.stderr

    # The hub's own answers are told as any API server's.
    refused = as_admin.run("get", "pods", "--as=root")
    assert "leave out --as" in refused.stderr
    reader = Kubectl(kubectl, tmp_path, served, cluster, token_of(admin, TokenScope(read_only=True))[1], member.name)
    assert "This token only reads" in reader.run("delete", "configmap", "colours").stderr

    # SEC-19: exec asks for an upgrade, twice; the member's no comes through.
    as_admin("apply", "-f", "-", stdin=yaml.safe_dump(POD))
    refused = as_admin.run("exec", "p", "--", "sh")
    assert "does not have a host assigned" in refused.stderr

    # SEC-23: a watch sees what happens, and ends with the token.
    with as_admin.start("get", "configmap", "colours", "--watch", "-o", "name") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "configmap/colours\n"
        as_admin("annotate", "configmap", "colours", "a=b")
        assert watching.stdout.readline() == "configmap/colours\n"
        revoke_token(SYSTEM, token)
        watching.wait(10)
    refused = as_admin.run("get", "configmaps")
    assert refused.returncode != 0
    assert "logged in" in refused.stderr or "Unauthorized" in refused.stderr

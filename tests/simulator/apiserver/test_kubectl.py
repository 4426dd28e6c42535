"""kubectl's everyday verbs against the simulated API."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kube.kubeconfig import render_kubeconfig
from simulator.apiserver import ApiServer, Authority
from simulator.kinds import HARVESTER_KINDS
from tests.bed.waiting import wait_for
from tests.simulator.running import RunningServer

Kubectl = Callable[..., str]

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: work}
data: {a: "1", b: "2"}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: vm, namespace: work}
spec:
  runStrategy: Halted
  template: {spec: {domain: {devices: {}}}}
"""


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with RunningServer(lambda: ApiServer(HARVESTER_KINDS, Authority.generate("kubectl"))) as running:
        admin = running.admin
        path = tmp_path_factory.mktemp("kubectl") / "config"
        path.write_text(
            render_kubeconfig(
                name="simulated",
                server=admin.servers[0],
                ca_pem=admin.ca_pem or "",
                client_cert_pem=admin.client_cert_pem,
                client_key_pem=admin.client_key_pem,
            )
        )
        yield path


@pytest.fixture
def run(kubectl: Path, kubeconfig: Path) -> Kubectl:
    """Runs kubectl and returns what it prints; fails with what it complains of unless ``code`` is expected."""
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "KUBECACHEDIR": str(kubeconfig.parent / "cache"),
        "PATH": os.environ["PATH"],
    }

    def run(*arguments: str, stdin: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [str(kubectl), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return run


@pytest.fixture
def work(run: Kubectl) -> Iterator[None]:
    """The namespace ``work`` with the manifest's objects."""
    run("create", "namespace", "work")
    run("apply", "--server-side", "-f", "-", stdin=MANIFEST)
    yield
    run("delete", "namespace", "work", "--timeout=30s")


@pytest.mark.usefixtures("work")
def test_get_shows_columns_of_each_kind(run: Kubectl) -> None:
    table = run("get", "vm,cm", "-n", "work")
    assert "virtualmachine.kubevirt.io/vm" in table
    assert "STATUS" in table
    assert "configmap/web" in table
    assert run("get", "cm", "web", "-n", "work", "-o", "jsonpath={.data.a}") == "1"
    assert run("get", "vms", "-A", "-o", "name") == "virtualmachine.kubevirt.io/vm\n"


@pytest.mark.usefixtures("work")
def test_get_watches(run: Kubectl, kubectl: Path, kubeconfig: Path) -> None:
    arguments = [str(kubectl), "get", "cm", "web", "-n", "work", "-w", "-o", "json"]
    environment = {"KUBECONFIG": str(kubeconfig), "PATH": os.environ["PATH"], "HOME": str(kubeconfig.parent)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        try:
            assert watching.stdout.readline()
            run("patch", "cm", "web", "-n", "work", "--type=merge", "-p", '{"data":{"seen":"yes"}}')
            assert any('"seen": "yes"' in line for line in watching.stdout)
        finally:
            watching.kill()


@pytest.mark.usefixtures("work")
def test_apply_changes_and_takes_back(run: Kubectl) -> None:
    changed = MANIFEST.replace('{a: "1", b: "2"}', '{a: "3"}')
    assert "serverside-applied" in run("apply", "--server-side", "-f", "-", stdin=changed)
    assert json.loads(run("get", "cm", "web", "-n", "work", "-o", "json"))["data"] == {"a": "3"}


@pytest.mark.usefixtures("work")
def test_apply_tells_conflicts(run: Kubectl) -> None:
    other = MANIFEST.replace('a: "1"', 'a: "9"')
    told = run("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=other, code=1)
    assert "conflict with" in told
    assert ".data.a" in told
    run("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=other)


@pytest.mark.usefixtures("work")
def test_apply_from_the_client_side_works_as_well(run: Kubectl) -> None:
    manifest = MANIFEST.replace("name: web", "name: client")
    assert "created" in run("apply", "-f", "-", stdin=manifest)
    assert "unchanged" in run("apply", "-f", "-", stdin=manifest)
    assert "configured" in run("apply", "-f", "-", stdin=manifest.replace('a: "1"', 'a: "2"'))


@pytest.mark.usefixtures("work")
def test_apply_names_an_unknown_field(run: Kubectl) -> None:
    wrong = MANIFEST.replace("runStrategy: Halted", "runStrategie: Halted")
    assert 'unknown field "spec.runStrategie"' in run("apply", "--server-side", "-f", "-", stdin=wrong, code=1)


@pytest.mark.usefixtures("work")
def test_describe_tells_of_an_object_and_its_events(run: Kubectl) -> None:
    event = """
apiVersion: v1
kind: Event
metadata: {name: vm.1, namespace: work}
involvedObject: {apiVersion: kubevirt.io/v1, kind: VirtualMachine, name: vm, namespace: work}
reason: Started
message: the machine has been started
type: Normal
"""
    uid = run("get", "vm", "vm", "-n", "work", "-o", "jsonpath={.metadata.uid}")
    run("create", "-f", "-", stdin=event.replace("name: vm,", f"name: vm, uid: {uid},"))
    told = run("describe", "vm", "vm", "-n", "work")
    assert "Run Strategy:  Halted" in told
    assert "the machine has been started" in told
    assert "No events" not in run("get", "events", "-n", "work")


@pytest.mark.usefixtures("work")
def test_patch_of_each_type(run: Kubectl) -> None:
    run("patch", "cm", "web", "-n", "work", "-p", '{"data":{"c":"3"}}')
    run("patch", "cm", "web", "-n", "work", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]')
    run("patch", "vm", "vm", "-n", "work", "--type=merge", "-p", '{"spec":{"runStrategy":"Always"}}')
    run("patch", "vm", "vm", "-n", "work", "--type=merge", "--subresource=status", "-p", '{"status":{"ready":true}}')
    assert json.loads(run("get", "cm", "web", "-n", "work", "-o", "json"))["data"] == {"b": "2", "c": "3"}
    machine = json.loads(run("get", "vm", "vm", "-n", "work", "-o", "json"))
    assert (machine["spec"]["runStrategy"], machine["status"]["ready"]) == ("Always", True)


@pytest.mark.usefixtures("work")
def test_label_annotate_and_select(run: Kubectl) -> None:
    run("label", "cm", "web", "-n", "work", "tier=front")
    run("annotate", "cm", "web", "-n", "work", "note=x")
    assert run("get", "cm", "-n", "work", "-l", "tier in (front)", "-o", "name") == "configmap/web\n"
    assert "No resources" in run("get", "cm", "-n", "work", "-l", "tier=back")


@pytest.mark.usefixtures("work")
def test_wait_sees_a_condition_and_a_deletion(run: Kubectl) -> None:
    run("wait", "--for=jsonpath={.data.a}=1", "cm/web", "-n", "work", "--timeout=20s")
    condition = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    run("patch", "vm", "vm", "-n", "work", "--type=merge", "--subresource=status", "-p", condition)
    run("wait", "--for=condition=Ready", "vm/vm", "-n", "work", "--timeout=20s")
    run("delete", "cm", "web", "-n", "work", "--wait=false")
    run("wait", "--for=delete", "cm/web", "-n", "work", "--timeout=20s")


@pytest.mark.usefixtures("work")
def test_delete_waits_and_minds_cascades(run: Kubectl) -> None:
    assert "deleted" in run("delete", "vm", "vm", "-n", "work", "--cascade=foreground", "--timeout=20s")
    assert "deleted" in run("delete", "cm", "-n", "work", "--all", "--timeout=20s")
    assert "NotFound" in run("get", "vm", "vm", "-n", "work", code=1)


def test_create_token_and_ask_what_it_may(run: Kubectl) -> None:
    wait_for("the account", lambda: "default" in run("get", "sa", "-n", "default", "-o", "name"), seconds=10)
    token = run("create", "token", "default", "--duration=10m").strip()
    assert token.count(".") == 2
    assert run("auth", "can-i", "list", "pods") == "yes\n"
    assert run("auth", "can-i", "list", "pods", "--as=ann", code=1) == "no\n"
    assert "*.*" in run("auth", "can-i", "--list")
    assert "simulator:admin" in run("auth", "whoami")


def test_roles_made_by_kubectl_grant(run: Kubectl) -> None:
    run("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    run("create", "rolebinding", "reader", "--role=reader", "--user=ann", "--serviceaccount=default:default")
    assert run("auth", "can-i", "list", "cm", "--as=ann") == "yes\n"
    assert run("auth", "can-i", "delete", "cm", "--as=ann", code=1) == "no\n"
    run("delete", "role,rolebinding", "reader")


def test_plain_creates_of_kubectls_own_kinds(run: Kubectl) -> None:
    run("create", "configmap", "made", "--from-literal=k=v")
    run("create", "secret", "generic", "made", "--from-literal=k=v")
    run("create", "serviceaccount", "made")
    assert run("get", "secret", "made", "-o", "jsonpath={.data.k}") == "dg=="
    run("delete", "cm/made", "secret/made", "sa/made")


def test_what_is_served_is_listed(run: Kubectl) -> None:
    listed = run("api-resources", "-o", "name").splitlines()
    assert {"configmaps", "virtualmachines.kubevirt.io", "settings.harvesterhci.io"} <= set(listed)
    assert "kubevirt.io/v1" in run("api-versions")
    assert "Server Version: v1.34" in run("version")


def test_a_kind_that_kubectl_sends_in_an_unknown_form_is_named(run: Kubectl) -> None:
    assert "Deployment in protobuf" in run("create", "deployment", "d", "--image=x", code=1)

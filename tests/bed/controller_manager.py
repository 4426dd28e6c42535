"""A real kube-controller-manager, with the controllers that a cluster without nodes needs and no other."""

from __future__ import annotations

from pathlib import Path

from tests.bed.apiserver import ApiServer
from tests.bed.kubeconfigs import render_kubeconfig
from tests.bed.processes import Child

START_DEADLINE = 60.0

CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "resourcequota-controller",
    "clusterrole-aggregation-controller",
    # Take the protection finalizers off again. The binder is left out: it would call every claim that the
    # simulator binds without a volume Lost.
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
)


class ControllerManager:
    """Runs beside one API server and restarts its watches when that is away."""

    def __init__(self, binary: Path, server: ApiServer) -> None:
        """Start it and wait until it does its work. Raises ProcessFailed when it does not."""
        identity = server.client_certificate("system:kube-controller-manager")
        kubeconfig = server.files.folder / "controller-manager.kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(render_kubeconfig(server.name, server.url, server.ca_pem, identity))
        command = [
            str(binary),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--use-service-account-credentials=true",  # each controller with its own RBAC role, as in life
            f"--service-account-private-key-file={server.files.service_account_key}",
            f"--root-ca-file={server.files.ca}",
            "--leader-elect=false",
            "--secure-port=0",  # nobody asks it anything
        ]
        name = f"kube-controller-manager {server.name}"
        self._child = Child(name, command, server.folder / "kube-controller-manager.log")
        # Its first visible deed, and the one that a test would miss first.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._child.wait_until_serving(lambda: server.client.find(account) is not None, seconds=START_DEADLINE)

    def stop(self) -> None:
        """End it; nothing when it has ended already."""
        self._child.stop()

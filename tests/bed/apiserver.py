"""A real kube-apiserver: RBAC on, an authority of its own, aggregation ready, one prefix of the session's etcd."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from kube.credentials import Credentials
from tests.bed.api_client import ApiClient
from tests.bed.kubeconfigs import render_kubeconfig
from tests.bed.pki import Authority, KeyPair, generate_key_pem, public_key_pem
from tests.bed.processes import PORT_ATTEMPTS, Child, PortTaken, free_port

START_DEADLINE = 90.0
"""Seconds until /readyz; 4 on an idle machine, many more beside a build."""

SERVICE_CIDR = "10.43.0.0/16"
SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"
_SERVER_NAMES = (
    "127.0.0.1",
    "localhost",
    "10.43.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


class ServerFiles:
    """The certificates and keys of one server, as PEM files below ``folder`` for the programs to read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        self.authority = Authority("kubernetes")
        front_proxy = Authority("front-proxy")
        service_account_key = generate_key_pem()
        self.ca = self._write("ca.crt", self.authority.certificate_pem)
        self.front_proxy_ca = self._write("front-proxy-ca.crt", front_proxy.certificate_pem)
        self.service_account_key = self._write("service-account.key", service_account_key)
        self.service_account_public = self._write("service-account.pub", public_key_pem(service_account_key))
        self.serving = self._write_pair("serving", self.authority.issue_server("kube-apiserver", _SERVER_NAMES))
        self.front_proxy = self._write_pair("front-proxy", front_proxy.issue_client("front-proxy-client"))
        self.admin_pair = self.authority.issue_client("kubernetes-admin", ["system:masters"])
        self.admin = self._write_pair("admin", self.admin_pair)

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def _write_pair(self, name: str, pair: KeyPair) -> tuple[Path, Path]:
        return self._write(f"{name}.crt", pair.certificate_pem), self._write(f"{name}.key", pair.key_pem)


class ApiServer:
    """One API server on 127.0.0.1. It keeps its port and its objects over ``stop`` and ``start``."""

    def __init__(self, name: str, binary: Path, folder: Path, etcd_url: str, *, controllers: bool) -> None:
        """``controllers`` says that a controller manager will run beside it; nothing is started yet."""
        self.name = name
        self.etcd_prefix = f"/{name}"
        self.folder = folder
        self.files = ServerFiles(folder / "pki")
        self._binary = binary
        self._etcd_url = etcd_url
        self._controllers = controllers
        self._port = 0
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """``https://127.0.0.1:PORT``; known once it was started."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def ca_pem(self) -> str:
        return self.files.authority.certificate_pem

    @property
    def admin_client_cert_pem(self) -> str:
        return self.files.admin_pair.certificate_pem

    @property
    def admin_client_key_pem(self) -> str:
        return self.files.admin_pair.key_pem

    @property
    def admin_credentials(self) -> Credentials:
        """What the project's own clients take, of a user in system:masters."""
        return Credentials(
            servers=(self.url,),
            ca_pem=self.ca_pem,
            client_cert_pem=self.admin_client_cert_pem,
            client_key_pem=self.admin_client_key_pem,
        )

    @cached_property
    def admin_kubeconfig(self) -> str:
        """Kubeconfig text of a user in system:masters."""
        return render_kubeconfig(self.name, self.url, self.ca_pem, self.files.admin_pair)

    @cached_property
    def client(self) -> ApiClient:
        """A small client with the administrator's certificate, for arranging a test."""
        return ApiClient.with_certificate(self.url, self.files.ca, *self.files.admin)

    def client_certificate(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A certificate by which the server knows its holder as ``user`` in ``groups``; RBAC decides what he may."""
        return self.files.authority.issue_client(user, groups)

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> str:
        """Kubeconfig text of ``user`` in ``groups``."""
        return render_kubeconfig(self.name, self.url, self.ca_pem, self.client_certificate(user, groups))

    def start(self) -> None:
        """Start it and wait for /readyz; nothing when it runs. Raises ProcessFailed with the tail of its log."""
        if self._child is not None:
            return
        if self._port:  # started before: clients hold this port
            self._start_once()
            return
        for _ in range(PORT_ATTEMPTS - 1):
            self._port = free_port()
            try:
                self._start_once()
                return
            except PortTaken:
                continue
        self._port = free_port()
        self._start_once()

    def _start_once(self) -> None:
        child = Child(f"kube-apiserver {self.name}", self._command(), self.folder / "kube-apiserver.log")
        client = ApiClient.with_certificate(self.url, self.files.ca, *self.files.admin)
        child.wait_until_serving(lambda: _is_ready(client), seconds=START_DEADLINE)
        self._child = child

    def stop(self) -> None:
        """End it; nothing when it has ended already."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _command(self) -> list[str]:
        files = self.files
        return [
            str(self._binary),
            f"--etcd-servers={self._etcd_url}",
            f"--etcd-prefix={self.etcd_prefix}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={files.serving[0]}",
            f"--tls-private-key-file={files.serving[1]}",
            f"--client-ca-file={files.ca}",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-key-file={files.service_account_public}",
            f"--service-account-signing-key-file={files.service_account_key}",
            # An aggregated API server learns the caller from these headers. --enable-aggregator-routing stays off:
            # only then does an APIService reach a Service of type ExternalName.
            f"--requestheader-client-ca-file={files.front_proxy_ca}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={files.front_proxy[0]}",
            f"--proxy-client-key-file={files.front_proxy[1]}",
            # A loopback address may not stand in Endpoints, so nobody keeps those of the kubernetes Service.
            "--endpoint-reconciler-type=none",
            *self._admission(),
        ]

    def _admission(self) -> list[str]:
        """Without controllers nobody makes a namespace's default account, nor takes the finalizer off a claim."""
        return [] if self._controllers else ["--disable-admission-plugins=ServiceAccount,StorageObjectInUseProtection"]


def _is_ready(client: ApiClient) -> bool:
    try:
        status, _ = client.request("GET", "/readyz")
    except OSError:
        return False
    return status == 200

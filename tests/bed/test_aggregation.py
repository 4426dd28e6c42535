"""A server of our own on localhost becomes part of the real one's API through an APIService."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.bed.kubernetes import ApiServer
from tests.bed.pki import Authority
from tests.bed.waiting import wait_for

GROUP = "subresources.bed.example.test"
NAMESPACE = "default"
SERVICE = "aggregated"


class DiscoveryAndEcho(BaseHTTPRequestHandler):
    """Serves the discovery of one version, and tells on PUT who the front proxy says is calling."""

    def do_GET(self) -> None:
        resources = [{"name": "machines/start", "namespaced": True, "kind": "Machine", "verbs": ["update"]}]
        document = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/v1"}
        self._answer({**document, "resources": resources})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(
            {"user": self.headers["X-Remote-User"], "groups": self.headers.get_all("X-Remote-Group"), "path": self.path}
        )

    def _answer(self, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test run's output is for tests."""


@pytest.fixture
def aggregated(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The port of a running TLS server and the authority that its certificate comes from."""
    authority = Authority("aggregated")
    pair = authority.issue_server(SERVICE, [f"{SERVICE}.{NAMESPACE}.svc"])
    file = tmp_path / "serving.pem"
    file.touch(mode=0o600)
    file.write_text(pair.certificate_pem + pair.key_pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), DiscoveryAndEcho)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_address[1], authority.certificate_pem
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_api_service_on_localhost_becomes_available_and_learns_the_caller(
    kube_apiserver: ApiServer, aggregated: tuple[int, str]
) -> None:
    port, ca_pem = aggregated
    admin = kube_apiserver.client
    service_path = f"/api/v1/namespaces/{NAMESPACE}/services"
    api_services = "/apis/apiregistration.k8s.io/v1/apiservices"
    name = f"v1.{GROUP}"
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    spec = {
        "group": GROUP,
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "caBundle": base64.b64encode(ca_pem.encode()).decode(),
        "service": {"namespace": NAMESPACE, "name": SERVICE, "port": port},
    }
    try:
        admin.create(service_path, {"metadata": {"name": SERVICE}, "spec": service})
        admin.create(api_services, {"metadata": {"name": name}, "spec": spec})
        wait_for("the APIService to be Available", lambda: is_available(kube_apiserver, name), seconds=30)
        caller = admin.impersonating("jane", "blue")
        path = f"/apis/{GROUP}/v1/namespaces/default/machines/one/start"
        assert caller.request("PUT", path)[0] == 403  # RBAC is asked before the request is handed on
        answer = admin.call("PUT", path)
        assert answer["user"] == "kubernetes-admin"
        assert "system:masters" in answer["groups"]
        assert answer["path"] == path
    finally:
        admin.delete(f"{api_services}/{name}")  # an unreachable one would hold up the end of every namespace
        admin.delete(f"{service_path}/{SERVICE}")


def is_available(server: ApiServer, name: str) -> bool:
    status = server.client.get(f"/apis/apiregistration.k8s.io/v1/apiservices/{name}").get("status", {})
    return any(
        condition["type"] == "Available" and condition["status"] == "True" for condition in status.get("conditions", [])
    )

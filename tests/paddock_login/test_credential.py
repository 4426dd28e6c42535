"""What kubectl tells a plugin and is told back."""

import base64
import json
from typing import Any

import pytest

from paddock_login.credential import ExecInfo, read_exec_info, render_credential
from paddock_login.hub_client import LoginError
from paddock_login.store import Store, Token

pytestmark = pytest.mark.usefixtures("store")


def tell(monkeypatch: pytest.MonkeyPatch, **spec: Any) -> ExecInfo:
    document = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": spec}
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", json.dumps(document))
    return read_exec_info()


def test_the_hub_and_its_ca_are_those_of_the_cluster_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {
        "server": "https://hub.example:8443/k8s/clusters/0b1c",
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
    }
    info = tell(monkeypatch, interactive=True, cluster=cluster)
    assert info == ExecInfo("https://hub.example:8443", "PEM", True)


def test_a_cluster_that_is_not_a_hubs_names_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tell(monkeypatch, interactive=False, cluster={"server": "https://192.0.2.1:6443"}) == ExecInfo()
    assert tell(monkeypatch, interactive=False, cluster=None) == ExecInfo()
    assert tell(monkeypatch) == ExecInfo()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "{}",
        '{"spec": 5}',
        '{"spec": {"cluster": 5}}',
        '{"spec": {"cluster": {"certificate-authority-data": "%"}}}',
    ],
)
def test_what_kubectl_would_not_say_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", text)
    with pytest.raises(LoginError, match="KUBERNETES_EXEC_INFO"):
        read_exec_info()


def test_started_by_hand_it_looks_at_the_terminal(store: Store) -> None:
    assert read_exec_info() == ExecInfo()  # the tests have none


def test_the_credential_is_kubernetes_and_ends_with_the_token() -> None:
    token = Token("https://hub.example", "pdk_secret", "anna", "2026-11-25T08:00:00.123456Z")
    assert json.loads(render_credential(token)) == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "pdk_secret", "expirationTimestamp": "2026-11-25T08:00:00Z"},
    }

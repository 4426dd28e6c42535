"""The layer on a real kube-apiserver: that the stage's answers and ours are those of the real thing.

What every Kubernetes API must do is in ``tests/contracts``; here is what this layer reads out of it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kube import errors
from kube.aio import AsyncKubeClient
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.kubeconfig import parse_kubeconfig
from kube.reflector import reflect
from kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Resource
from tests.bed.apiserver import ApiServer

GUARD = AddressGuard(allow=["127.0.0.0/8"])


@pytest.fixture
def admin(kube_apiserver: ApiServer) -> Credentials:
    return parse_kubeconfig(kube_apiserver.admin_kubeconfig, guard=GUARD)


@pytest.fixture
def real(admin: Credentials) -> Iterator[KubeClient]:
    with KubeClient(admin, guard=GUARD) as client:
        yield client


@pytest.fixture
def namespace(real: KubeClient) -> str:
    name = f"kube-{uuid.uuid4().hex[:12]}"
    real.create(NAMESPACES, {"metadata": {"name": name}})
    return name


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def test_an_object_lives_and_dies(real: KubeClient, namespace: str) -> None:
    made = real.create(CONFIG_MAPS, config_map(namespace, "a", x="1"))
    with pytest.raises(errors.AlreadyExists):
        real.create(CONFIG_MAPS, config_map(namespace, "a"))
    real.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, namespace)
    with pytest.raises(errors.Conflict):
        real.replace(CONFIG_MAPS, made)
    operations = [{"op": "replace", "path": "/data/x", "value": "3"}]
    assert real.patch(CONFIG_MAPS, "a", operations, namespace, kind="json")["data"] == {"x": "3"}
    with pytest.raises(errors.Conflict):
        real.delete(CONFIG_MAPS, "a", namespace, uid=str(uuid.uuid4()))
    assert real.delete(CONFIG_MAPS, "a", namespace, uid=made["metadata"]["uid"])
    assert not real.delete(CONFIG_MAPS, "a", namespace)
    assert real.find(CONFIG_MAPS, "a", namespace) is None


def test_fields_that_are_applied_have_an_owner(real: KubeClient, admin: Credentials, namespace: str) -> None:
    real.apply(CONFIG_MAPS, config_map(namespace, "a", x="1"))
    with KubeClient(admin, guard=GUARD, field_manager="other") as other:
        with pytest.raises(errors.Conflict) as caught:
            other.apply(CONFIG_MAPS, config_map(namespace, "a", x="2"), force=False)
        assert caught.value.causes[0].field == ".data.x"
        other.apply(CONFIG_MAPS, config_map(namespace, "a", x="2"))
    dry = real.apply(CONFIG_MAPS, config_map(namespace, "a", x="9"), dry_run=True)
    assert dry["data"] == {"x": "9"}
    assert real.get(CONFIG_MAPS, "a", namespace)["data"] == {"x": "2"}


def test_a_path_that_is_not_served_is_no_absent_object(real: KubeClient, namespace: str) -> None:
    nowhere = Resource("nowhere.example", "v1", "things", "Thing")
    with pytest.raises(errors.NotServed):
        real.find(nowhere, "a", namespace)
    with pytest.raises(errors.NotServed):
        real.delete(Resource("", "v1", "things", "Thing"), "a", namespace)


def test_an_invalid_object_names_its_fields(real: KubeClient, namespace: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        real.create(CONFIG_MAPS, config_map(namespace, "Not_A_Name"))
    assert caught.value.causes[0].field == "metadata.name"


def test_a_long_list_is_read_whole(real: KubeClient, namespace: str) -> None:
    for number in range(5):
        real.create(CONFIG_MAPS, config_map(namespace, f"c{number}"))
    page = real.list_page(CONFIG_MAPS, namespace, limit=2)
    assert len(page.items) == 2
    assert page.continue_token
    assert page.items[0]["kind"] == "ConfigMap"
    with pytest.raises(errors.BadRequest):
        real.list_page(CONFIG_MAPS, namespace, limit=2, continue_token="nonsense")
    names = {item["metadata"]["name"] for item in real.list(CONFIG_MAPS, namespace)}
    assert names >= {f"c{number}" for number in range(5)}


def test_rights_and_impersonation(real: KubeClient, admin: Credentials, namespace: str) -> None:
    assert real.can_i("delete", SECRETS, namespace)
    with KubeClient(admin, guard=GUARD, impersonate_user="nobody", impersonate_groups=["nothing"]) as nobody:
        assert not nobody.can_i("get", SECRETS, namespace)
        with pytest.raises(errors.Forbidden, match='User "nobody"'):
            nobody.list(SECRETS, namespace)


def test_a_service_account_token_is_an_identity(real: KubeClient, admin: Credentials, namespace: str) -> None:
    real.create(SERVICE_ACCOUNTS, {"metadata": {"name": "hub", "namespace": namespace}})
    token, expires = real.request_token(namespace, "hub", 3600)
    assert abs(expires - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=5)
    with KubeClient(Credentials(admin.servers, admin.ca_pem, token=token), guard=GUARD) as account:
        assert account.version()["gitVersion"].startswith("v1.")
        with pytest.raises(errors.Forbidden):
            account.list(SECRETS, namespace)
    wrong = Credentials(admin.servers, admin.ca_pem, token="wrong")
    with KubeClient(wrong, guard=GUARD) as stranger, pytest.raises(errors.Unauthorized):
        stranger.list(SECRETS, namespace)


def test_groups_and_health(real: KubeClient) -> None:
    groups = real.api_groups()
    assert groups[""] == ["v1"]
    assert groups["apps"] == ["v1"]
    assert real.call("GET", "/readyz", accept="text/plain") == "ok"


async def test_flt19_an_old_version_is_expired(real: KubeClient, admin: Credentials, namespace: str) -> None:
    async with AsyncKubeClient(admin, guard=GUARD) as client:
        with pytest.raises(errors.Expired):
            await anext(client.watch(CONFIG_MAPS, namespace, resource_version="1"))


async def test_a_reflection_follows_what_happens(real: KubeClient, admin: Credentials, namespace: str) -> None:
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def on_event(kind: str, obj: dict[str, Any]) -> None:
        if obj["metadata"]["name"] != "kube-root-ca.crt":
            await told.put((kind, obj["metadata"]["name"]))

    async def on_sync() -> None:
        await told.put(("SYNCED", ""))

    real.create(CONFIG_MAPS, config_map(namespace, "a"))
    async with AsyncKubeClient(admin, guard=GUARD) as client:
        task = asyncio.create_task(
            reflect(client, CONFIG_MAPS, namespace=namespace, on_event=on_event, on_sync=on_sync, watch_seconds=1)
        )
        try:
            async with asyncio.timeout(30):
                assert [await told.get() for _ in range(2)] == [("ADDED", "a"), ("SYNCED", "")]
                for change in range(3):  # over several watches, for each ends after a second
                    await asyncio.sleep(0.7)
                    await client.patch(CONFIG_MAPS, "a", {"data": {"x": str(change)}}, namespace)
                    assert await told.get() == ("MODIFIED", "a")
                await client.delete(CONFIG_MAPS, "a", namespace)
                assert await told.get() == ("DELETED", "a")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert told.empty()

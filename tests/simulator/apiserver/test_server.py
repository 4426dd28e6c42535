"""The server as a whole: identities, aggregated APIs, restarts, addresses, and what it says it does not do."""

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web

from kube.client import KubeClient
from kube.credentials import Credentials
from kube.errors import BadRequest, Forbidden, KubeError, NotFound, ServerError, TlsRefused, Unavailable
from kube.resources import (
    API_SERVICES,
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
)
from kube.tls import client_context
from simulator.apiserver import ApiServer, Authority, Store
from simulator.apiserver.journal import Journal
from simulator.kinds import GUEST_KINDS, HARVESTER_KINDS
from tests.bed.waiting import wait_for
from tests.simulator.running import LOOPBACK, RunningServer

POWER = ("subresources.kubevirt.io", "v1")
SERVED = [
    {
        "name": "virtualmachines/start",
        "singularName": "",
        "namespaced": True,
        "kind": "VirtualMachine",
        "verbs": ["update"],
    }
]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def as_user(running: RunningServer, user: str, *groups: str) -> Credentials:
    pair = running.server.authority.issue_client(user, groups)
    return Credentials(
        servers=running.admin.servers,
        ca_pem=running.admin.ca_pem,
        client_cert_pem=pair.certificate,
        client_key_pem=pair.key,
    )


def test_common_name_and_organizations_of_a_certificate_are_user_and_groups(shared: RunningServer) -> None:
    with shared.client(as_user(shared, "ann", "one", "two")) as client:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        told = client.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
    assert told["status"]["userInfo"] == {"username": "ann", "groups": ["one", "two", "system:authenticated"]}


def test_a_certificate_of_another_authority_is_not_taken(shared: RunningServer) -> None:
    stranger = Authority.generate("stranger").issue_client("simulator:admin", ("system:masters",))
    credentials = Credentials(
        servers=shared.admin.servers,
        ca_pem=shared.admin.ca_pem,
        client_cert_pem=stranger.certificate,
        client_key_pem=stranger.key,
    )
    with shared.client(credentials) as client, pytest.raises((TlsRefused, Unavailable)):
        client.get(NAMESPACES, "default")


def test_the_servers_certificate_is_checked_by_clients(shared: RunningServer) -> None:
    credentials = Credentials(servers=shared.admin.servers, ca_pem=Authority.generate("other").server_ca.certificate)
    with shared.client(credentials) as client, pytest.raises(TlsRefused):
        client.version()


def test_the_server_is_reachable_under_names_of_its_own(authority: Authority) -> None:
    def build() -> ApiServer:
        return ApiServer(HARVESTER_KINDS, authority, names=["site-a.example.com"])

    with RunningServer(build) as running:
        context = ssl.create_default_context(cadata=running.admin.ca_pem)
        port = int(running.server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            context.wrap_socket(plain, server_hostname="site-a.example.com").close()


def test_a_taken_port_is_named(authority: Authority, shared: RunningServer) -> None:
    port = int(shared.server.url.rpartition(":")[2])

    async def start() -> None:
        await ApiServer(GUEST_KINDS, authority, port=port).start()

    with pytest.raises(OSError, match="in use"):
        asyncio.run(start())


def test_keys_in_a_folder_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = Authority.ensure(folder, "site")
    assert Authority.ensure(folder, "site") == made
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_restart_brings_the_same_cluster_back(authority: Authority, tmp_path: Path) -> None:
    def build() -> ApiServer:
        return ApiServer(HARVESTER_KINDS, authority, store=Store(Journal(tmp_path / "objects.journal")))

    with RunningServer(build) as running, running.client() as client:
        client.create(NAMESPACES, {"metadata": {"name": "one"}})
        made = client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "one"}, "data": {"k": "v"}})
        wait_for("the account", lambda: client.find(SERVICE_ACCOUNTS, "default", "one"), seconds=5)
        token, _ = client.request_token("one", "default", 600)
        namespace = client.get(NAMESPACES, "kube-system")
    with RunningServer(build) as running, running.client() as client:
        assert client.get(CONFIG_MAPS, "a", "one") == made
        assert client.get(NAMESPACES, "kube-system") == namespace
        changed = client.patch(CONFIG_MAPS, "a", {"data": {"k": "w"}}, "one")
        assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        with_token = Credentials(servers=running.admin.servers, ca_pem=running.admin.ca_pem, token=token)
        with running.client(with_token) as robot, pytest.raises(Forbidden):
            robot.get(CONFIG_MAPS, "a", "one")


def test_a_deletion_that_was_under_way_goes_on_after_a_restart(authority: Authority, tmp_path: Path) -> None:
    def build() -> ApiServer:
        return ApiServer(HARVESTER_KINDS, authority, store=Store(Journal(tmp_path / "objects.journal")))

    held = {"metadata": {"name": "held", "namespace": "one", "finalizers": ["paddock.io/held"]}}
    with RunningServer(build) as running, running.client() as client:
        client.create(NAMESPACES, {"metadata": {"name": "one"}})
        client.create(CONFIG_MAPS, held)
        client.delete(NAMESPACES, "one")
        wait_for(
            "the content to be marked",
            lambda: "deletionTimestamp" in client.get(CONFIG_MAPS, "held", "one")["metadata"],
            seconds=5,
        )
    with RunningServer(build) as running, running.client() as client:
        client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "one")
        wait_for("the namespace to be gone", lambda: client.find(NAMESPACES, "one") is None, seconds=5)


def test_two_servers_in_one_process_know_nothing_of_each_other(authority: Authority, shared: RunningServer) -> None:
    with RunningServer(lambda: ApiServer(GUEST_KINDS, Authority.generate("guest"), version="v1.34.4+k3s1")) as guest:
        with guest.client() as client:
            assert client.version()["gitVersion"] == "v1.34.4+k3s1"
            client.create(NAMESPACES, {"metadata": {"name": "guests-own"}})
            assert "kubevirt.io" not in client.api_groups()
        with shared.client() as client:
            assert client.find(NAMESPACES, "guests-own") is None
            assert "kubevirt.io" in client.api_groups()


def test_a_server_listens_on_more_addresses_and_gives_one_up(running: RunningServer) -> None:
    url = running.run(running.server.listen("127.0.0.2"))
    port = int(url.rpartition(":")[2])
    credentials = Credentials(
        servers=(url,),
        ca_pem=running.admin.ca_pem,
        client_cert_pem=running.admin.client_cert_pem,
        client_key_pem=running.admin.client_key_pem,
    )
    with running.client(credentials) as second, running.client() as first:
        assert second.get(NAMESPACES, "default") == first.get(NAMESPACES, "default")
        running.run(running.server.unlisten("127.0.0.2", port))
        with pytest.raises(Unavailable):
            second.get(NAMESPACES, "default")
        assert first.get(NAMESPACES, "default")
    running.run(running.server.unlisten("127.0.0.2", port))


def mount(running: RunningServer, handler: Handler) -> None:
    async def aggregate() -> None:
        running.server.aggregate(*POWER, handler, SERVED)

    running.run(aggregate())


async def tell_caller(request: web.BaseRequest) -> web.StreamResponse:
    identity = {
        "method": request.method,
        "path": request.path,
        "user": request.headers.get("X-Remote-User"),
        "groups": request.headers.getall("X-Remote-Group", []),
        "credentials": [name for name in request.headers if name.lower().startswith(("authorization", "impersonate"))],
        "body": (await request.read()).decode(),
    }
    return web.json_response(identity, status=202)


def test_an_aggregated_api_learns_who_calls_and_gets_the_body(running: RunningServer) -> None:
    mount(running, tell_caller)
    path = "/apis/subresources.kubevirt.io/v1/namespaces/one/virtualmachines/vm/start"
    with KubeClient(
        running.admin, guard=LOOPBACK, impersonate_user="ann", impersonate_groups=["system:masters"]
    ) as client:
        told = client.call("PUT", path, body={"paused": True})
    assert told["user"] == "ann"
    assert told["groups"] == ["system:masters", "system:authenticated"]
    assert told["credentials"] == []
    assert (told["method"], told["path"], told["body"]) == ("PUT", path, '{"paused":true}')


def test_nobody_tells_an_aggregated_api_that_he_is_somebody_else(running: RunningServer) -> None:
    mount(running, tell_caller)
    path = "/apis/subresources.kubevirt.io/v1/namespaces/one/virtualmachines/vm/start"

    context = client_context(as_user(running, "ann", "system:masters"))
    connection = http.client.HTTPSConnection(running.server.url.removeprefix("https://"), timeout=10, context=context)
    connection.request("PUT", path, headers={"X-Remote-User": "root", "X-Remote-Group": "gods"})
    told = json.loads(connection.getresponse().read())
    connection.close()
    assert told["user"] == "ann"
    assert told["groups"] == ["system:masters", "system:authenticated"]


def test_an_aggregated_api_is_behind_the_same_rights(running: RunningServer) -> None:
    mount(running, tell_caller)
    path = "/apis/subresources.kubevirt.io/v1/namespaces/one/virtualmachines/vm/start"
    with running.client(as_user(running, "ann")) as client, pytest.raises(Forbidden) as refused:
        client.call("PUT", path)
    assert "virtualmachines/start" in refused.value.message


def test_an_aggregated_api_is_discovered(running: RunningServer) -> None:
    mount(running, tell_caller)
    with running.client() as client:
        assert client.api_groups()[POWER[0]] == [POWER[1]]
        listed = client.call("GET", "/apis/subresources.kubevirt.io/v1")
        assert [item["name"] for item in listed["resources"]] == ["virtualmachines/start"]
        conditions = client.get(API_SERVICES, "v1.subresources.kubevirt.io")["status"]["conditions"]
    assert conditions[0]["status"] == "True"


def test_an_aggregated_api_that_fails_is_an_internal_error(running: RunningServer) -> None:
    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("broken")

    mount(running, fail)
    with running.client() as client, pytest.raises(ServerError):
        client.call("GET", "/apis/subresources.kubevirt.io/v1/namespaces/one/virtualmachines/vm")
    with running.client() as client:
        assert client.get(NAMESPACES, "default"), "the server lives on"


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", PODS.path("default", "p", "log"), "pods/log"),
        ("POST", PODS.path("default", "p", "exec"), "pods/exec"),
        ("GET", DEPLOYMENTS.path("default", "d", "scale"), "deployments/scale"),
        ("POST", CUSTOM_RESOURCE_DEFINITIONS.path(), "custom resource definitions"),
        ("POST", API_SERVICES.path(), "aggregated APIs"),
    ],
)
def test_what_is_not_simulated_says_so(shared: RunningServer, method: str, path: str, named: str) -> None:
    with shared.client() as client, pytest.raises(KubeError) as refused:
        client.call(method, path, body={} if method == "POST" else None)
    assert refused.value.code == 501
    assert named in refused.value.message


def test_a_token_bound_to_an_object_is_not_simulated(shared: RunningServer) -> None:
    request = {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}}
    with shared.client() as client, pytest.raises(KubeError) as refused:
        client.call("POST", SERVICE_ACCOUNTS.path("default", "default", "token"), body=request)
    assert refused.value.code == 501


def test_an_object_too_large_for_the_wire_is_refused_early(shared: RunningServer) -> None:
    obj = {"metadata": {"name": "big", "namespace": "default"}, "data": {"k": "x" * (4 << 20)}}
    with shared.client() as client, pytest.raises(BadRequest) as refused:
        client.create(CONFIG_MAPS, obj)
    assert refused.value.code == 413


def test_a_seed_is_planted_once(running: RunningServer) -> None:
    seed = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "vip", "namespace": "default"},
        "data": {"ip": "1"},
    }

    async def plant() -> None:
        running.server.seed([seed])
        running.server.seed([seed | {"data": {"ip": "2"}}])

    running.run(plant())
    with running.client() as client:
        assert client.get(CONFIG_MAPS, "vip", "default")["data"] == {"ip": "1"}


def test_a_seed_of_an_unknown_kind_is_named(running: RunningServer) -> None:
    async def plant() -> None:
        running.server.seed([{"apiVersion": "v9", "kind": "Thing", "metadata": {"name": "a"}}])

    with pytest.raises(ValueError, match="v9 Thing is not served"):
        running.run(plant())


def test_a_hundred_writers_at_once_are_all_served(running: RunningServer) -> None:
    def write(number: int) -> str:
        with running.client(timeout=30) as client:
            made = client.create(CONFIG_MAPS, {"metadata": {"generateName": "w-", "namespace": "default"}})
            return str(made["metadata"]["resourceVersion"])

    with ThreadPoolExecutor(10) as pool:
        versions = list(pool.map(write, range(100)))
    assert len(set(versions)) == 100


def test_of_many_that_change_one_object_from_the_same_version_one_wins(running: RunningServer) -> None:
    with running.client() as client:
        made = client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "0"}})

    def replace(number: int) -> int:
        with running.client(timeout=30) as client:
            try:
                client.replace(CONFIG_MAPS, made | {"data": {"k": str(number + 1)}})
            except KubeError as error:
                return error.code or 0
            return 200

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(replace, range(8)))
    assert codes == [200, *[409] * 7]


def test_stopping_ends_watches_at_once(authority: Authority) -> None:
    with RunningServer(lambda: ApiServer(HARVESTER_KINDS, authority)) as running:
        context = ssl.create_default_context(cadata=running.admin.ca_pem)
        port = int(running.server.url.rpartition(":")[2])
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        secure = context.wrap_socket(plain, server_hostname="127.0.0.1")
        secure.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in secure.recv(64)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    secure.close()


def test_no_object_of_the_name_is_told_as_absent(shared: RunningServer) -> None:
    with shared.client() as client, pytest.raises(NotFound):
        client.get(CONFIG_MAPS, "absent", "default")

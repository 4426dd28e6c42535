"""Start, stop and restart over the aggregated API, mounted and behind an APIService, with the contract's codes."""

from typing import Any

import aiohttp
import pytest

from kube.aio import AsyncKubeClient
from kube.credentials import Credentials
from kube.errors import KubeError, Unauthorized
from kube.resources import SECRETS, VIRTUAL_MACHINE_INSTANCES, VIRTUAL_MACHINES, Object
from kube.tls import client_context
from simulator.controllers.aggregated import GROUP, VERSION
from simulator.controllers.aggregated_server import AggregatedServer, FrontProxyTrust
from tests.bed.pki import Authority as BedAuthority
from tests.bed.pki import KeyPair
from tests.simulator.controllers.conftest import Cluster
from tests.simulator.controllers.objects import cloud_init, machine
from tests.simulator.running import LOOPBACK


async def refused(cluster: Cluster, name: str, action: str, body: Any = None) -> KubeError:
    with pytest.raises(KubeError) as refusal:
        await cluster.act(name, action, body)
    return refusal.value


async def prepare(cluster: Cluster, strategy: str) -> None:
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, strategy=strategy))


async def test_a_machine_that_reruns_on_failure_stops_starts_and_restarts_on_request(cluster: Cluster) -> None:
    before = await cluster.start_machine("web")

    await cluster.act("web", "stop")
    await cluster.until_gone(VIRTUAL_MACHINE_INSTANCES, "web")
    vm = await cluster.wait_status("web", "Stopped")
    assert vm["spec"]["runStrategy"] == "RerunOnFailure"
    assert (await refused(cluster, "web", "stop")).code == 409
    assert (await refused(cluster, "web", "restart")).code == 409

    await cluster.act("web", "start", {})
    started = await cluster.wait_running("web")
    assert started["metadata"]["uid"] != before["metadata"]["uid"]
    assert (await refused(cluster, "web", "start")).code == 409

    await cluster.act("web", "restart", {"gracePeriodSeconds": 0})

    def is_another(instance: Object) -> bool:
        return bool(instance["metadata"]["uid"] != started["metadata"]["uid"])

    await cluster.until(VIRTUAL_MACHINE_INSTANCES, "web", is_another)
    await cluster.wait_running("web")
    vm = await cluster.until(VIRTUAL_MACHINES, "web", lambda vm: not vm["status"].get("stateChangeRequests"))
    assert vm["spec"]["runStrategy"] == "RerunOnFailure"


async def test_stopping_what_always_runs_halts_it_and_starting_brings_the_strategy_back(cluster: Cluster) -> None:
    await cluster.start_machine("web", strategy="Always")
    assert (await refused(cluster, "web", "start")).code == 409

    await cluster.act("web", "stop", {"gracePeriod": 0})
    await cluster.wait_status("web", "Stopped")
    assert (await cluster.vm("web"))["spec"]["runStrategy"] == "Halted"
    refusal = await refused(cluster, "web", "stop", {"gracePeriod": 0})
    assert (refusal.code, refusal.reason) == (409, "Conflict")
    assert refusal.message == "Halted does not support manual stop requests"
    assert (await refused(cluster, "web", "restart")).code == 409

    await cluster.act("web", "start")
    await cluster.wait_running("web")
    assert (await cluster.vm("web"))["spec"]["runStrategy"] == "Always"


async def test_a_machine_created_halted_starts_as_rerun_on_failure(cluster: Cluster) -> None:
    await prepare(cluster, "Halted")
    await cluster.wait_status("web", "Stopped")

    await cluster.act("web", "start")

    await cluster.wait_running("web")
    assert (await cluster.vm("web"))["spec"]["runStrategy"] == "RerunOnFailure"


async def test_a_restart_with_another_grace_period_than_zero_is_a_bad_request(cluster: Cluster) -> None:
    await cluster.start_machine("web")

    refusal = await refused(cluster, "web", "restart", {"gracePeriodSeconds": 30})

    assert (refusal.code, refusal.reason) == (400, "BadRequest")


async def test_a_machine_that_does_not_exist_is_not_found(cluster: Cluster) -> None:
    for action in ("start", "stop", "restart"):
        refusal = await refused(cluster, "nobody", action)
        assert (refusal.code, refusal.reason) == (404, "NotFound")


async def test_what_is_not_simulated_is_said_so(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, strategy="Halted"))

    refusal = await refused(cluster, "web", "migrate")

    assert refusal.code == 501
    assert "virtualmachines/migrate" in refusal.message


@pytest.mark.parametrize("body", [["gracePeriod"], "text"])
async def test_a_body_that_is_no_object_is_a_bad_request(cluster: Cluster, body: Any) -> None:
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, strategy="Halted"))

    assert (await refused(cluster, "web", "start", body)).code == 400


async def test_discovery_tells_of_the_actions(cluster: Cluster) -> None:
    await cluster.serve_power()

    document = await cluster.client.call("GET", f"/apis/{GROUP}/{VERSION}")

    assert {resource["name"] for resource in document["resources"]} == {
        "virtualmachines/start",
        "virtualmachines/stop",
        "virtualmachines/restart",
    }


async def test_a_user_without_the_right_is_forbidden_before_the_action(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, strategy="Halted"))
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{cluster.namespace}/virtualmachines/web/start"

    await cluster.serve_power()
    async with cluster.client_of("somebody") as client:
        with pytest.raises(KubeError) as refusal:
            await client.call("PUT", path)

    assert refusal.value.code == 403
    assert (await cluster.vm("web"))["spec"]["runStrategy"] == "Halted"


@pytest.mark.parametrize(
    ("shown", "code"), [("front-proxy-client", 404), ("another-name", 401), ("of-another-authority", None), (None, 401)]
)
async def test_only_the_front_proxys_word_on_the_sender_counts(shown: str | None, code: int | None) -> None:
    front_proxy, stranger = BedAuthority("front-proxy"), BedAuthority("stranger")
    nowhere = Credentials(("https://127.0.0.1:1",), None, token="none")
    async with AsyncKubeClient(nowhere, guard=LOOPBACK) as unused:
        server = AggregatedServer(unused)
        ca_pem = await server.listen(FrontProxyTrust(front_proxy.certificate_pem, ("front-proxy-client",)))
        try:
            issuer = stranger if shown == "of-another-authority" else front_proxy
            pair = issuer.issue_client(shown) if shown else None
            assert await status_of(server.url, ca_pem, pair) == code
        finally:
            await server.close()


async def status_of(url: str, ca_pem: str, pair: KeyPair | None) -> int | None:
    """The status of a PUT on a path that is not served, as a user whom only headers name; None when TLS fails."""
    context = client_context(
        Credentials((url,), ca_pem, None, pair.certificate_pem if pair else None, pair.key_pem if pair else None)
    )
    headers = {"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters"}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.put(f"{url}/apis/{GROUP}/{VERSION}/x", headers=headers, ssl=context) as response:
                return response.status
        except aiohttp.ClientError:
            return None


async def test_a_front_proxy_that_names_no_user_is_unauthorized() -> None:
    front_proxy = BedAuthority("front-proxy")
    pair = front_proxy.issue_client("front-proxy-client")
    nowhere = Credentials(("https://127.0.0.1:1",), None, token="none")
    async with AsyncKubeClient(nowhere, guard=LOOPBACK) as unused:
        server = AggregatedServer(unused)
        ca_pem = await server.listen(FrontProxyTrust(front_proxy.certificate_pem, ()))
        credentials = Credentials((server.url,), ca_pem, None, pair.certificate_pem, pair.key_pem)
        try:
            async with AsyncKubeClient(credentials, guard=LOOPBACK) as client:
                with pytest.raises(Unauthorized):
                    await client.call("GET", f"/apis/{GROUP}/{VERSION}")
        finally:
            await server.close()

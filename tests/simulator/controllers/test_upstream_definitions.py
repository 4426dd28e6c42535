"""What the controllers write is accepted by the definitions that the upstream projects ship."""

import pytest

from kube.resources import KEY_PAIRS, VIRTUAL_MACHINE_IMAGES, VIRTUAL_MACHINES, Object
from simulator.conditions import condition_status
from tests.simulator.controllers.conftest import UPSTREAM, Cluster
from tests.simulator.controllers.test_images_and_keys import PUBLIC_KEY, image


@pytest.mark.parametrize("cluster", [UPSTREAM], indirect=True)
async def test_a_machine_an_image_and_a_key_live_under_the_upstream_definitions(cluster: Cluster) -> None:
    pair = {"metadata": {"name": "mine", "namespace": cluster.namespace}, "spec": {"publicKey": PUBLIC_KEY}}
    await cluster.client.create(KEY_PAIRS, pair)
    await cluster.client.create(VIRTUAL_MACHINE_IMAGES, image(cluster.namespace))

    await cluster.start_machine("web")
    vm = await cluster.wait_status("web", "Running")
    assert vm["status"]["ready"]
    await cluster.act("web", "restart")
    await cluster.until(VIRTUAL_MACHINES, "web", lambda seen: not seen["status"].get("stateChangeRequests"))
    await cluster.wait_running("web")
    await cluster.until(VIRTUAL_MACHINE_IMAGES, "jammy", lambda seen: has(seen, "Imported"))
    await cluster.until(KEY_PAIRS, "mine", lambda seen: has(seen, "validated"))
    await cluster.client.delete(VIRTUAL_MACHINES, "web", cluster.namespace)
    await cluster.until_gone(VIRTUAL_MACHINES, "web")


def has(obj: Object, condition: str) -> bool:
    return condition_status((obj.get("status") or {}).get("conditions") or [], condition) == "True"

"""Images, key pairs and volumes on a simulated and on a real API server."""

from typing import Any

import pytest

from kube.resources import KEY_PAIRS, PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES, VIRTUAL_MACHINE_IMAGES, Object
from simulator.conditions import condition_status
from simulator.controllers.key_pairs import fingerprint
from tests.simulator.controllers.conftest import Cluster
from tests.simulator.controllers.objects import claim

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq8n4wIZk7SgJ0rX0d3W1i2m3n4o5p6q7r8s9t0u1v2 tester"


def image(namespace: str, **spec: Any) -> Object:
    base = {"displayName": "jammy.img", "sourceType": "download", "url": "https://images.example/jammy.img", "retry": 0}
    return {"metadata": {"name": "jammy", "namespace": namespace}, "spec": {**base, **spec}}


def condition(obj: Object, kind: str) -> str | None:
    return condition_status((obj.get("status") or {}).get("conditions") or [], kind)


async def test_an_image_is_imported_and_its_class_makes_volumes(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINE_IMAGES, image(cluster.namespace))

    done = await cluster.until(VIRTUAL_MACHINE_IMAGES, "jammy", lambda i: condition(i, "Imported") == "True")

    name = done["status"]["storageClassName"]
    assert name == f"lh-{done['metadata']['uid']}"
    assert done["status"]["progress"] == 100
    assert condition(done, "Initialized") == "True"
    storage_class = await cluster.client.get(STORAGE_CLASSES, name)
    assert storage_class["provisioner"] == "driver.longhorn.io"
    assert storage_class["parameters"]["backingImage"] == f"vmi-{done['metadata']['uid']}"
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("disk", cluster.namespace, name))
    await cluster.until(PERSISTENT_VOLUME_CLAIMS, "disk", lambda c: c["status"].get("phase") == "Bound")


async def test_the_class_of_a_deleted_image_goes_with_it(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINE_IMAGES, image(cluster.namespace))
    done = await cluster.until(VIRTUAL_MACHINE_IMAGES, "jammy", lambda i: condition(i, "Imported") == "True")

    await cluster.client.delete(VIRTUAL_MACHINE_IMAGES, "jammy", cluster.namespace)

    await cluster.until_gone(VIRTUAL_MACHINE_IMAGES, "jammy")
    await cluster.until_gone(STORAGE_CLASSES, done["status"]["storageClassName"])


async def test_the_fault_image_fail_ends_in_the_retry_limit(cluster: Cluster) -> None:
    cluster.settings.faults.image_fail = True
    await cluster.client.create(VIRTUAL_MACHINE_IMAGES, image(cluster.namespace, retry=1))

    failed = await cluster.until(
        VIRTUAL_MACHINE_IMAGES, "jammy", lambda i: condition(i, "RetryLimitExceeded") == "True"
    )

    assert condition(failed, "Imported") == "False"
    assert failed["status"]["failed"] == 2
    assert failed["status"]["lastFailedTime"]
    assert "connection refused" in str(failed["status"]["conditions"])


async def test_a_url_of_no_known_scheme_fails_with_its_name(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINE_IMAGES, image(cluster.namespace, url="ftp://images.example/x"))

    failed = await cluster.until(VIRTUAL_MACHINE_IMAGES, "jammy", lambda i: condition(i, "Imported") == "False")

    assert 'unsupported protocol scheme "ftp"' in str(failed["status"]["conditions"])


async def test_an_upload_waits_for_its_bytes(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINE_IMAGES, image(cluster.namespace, sourceType="upload", url=""))

    waiting = await cluster.until(VIRTUAL_MACHINE_IMAGES, "jammy", lambda i: condition(i, "Imported") is not None)

    assert condition(waiting, "Imported") == "Unknown"
    assert waiting["status"]["progress"] == 0


async def test_a_claim_waits_for_its_class_and_takes_the_default_when_it_names_none(cluster: Cluster) -> None:
    late = f"late-{cluster.namespace}"
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim("waits", cluster.namespace, late))
    plain = claim("plain", cluster.namespace)
    del plain["spec"]["storageClassName"]
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, plain)

    bound = await cluster.until(PERSISTENT_VOLUME_CLAIMS, "plain", lambda c: c["status"].get("phase") == "Bound")
    assert bound["spec"]["storageClassName"] == "harvester-longhorn"
    waiting = await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "waits", cluster.namespace)
    assert waiting["status"].get("phase") != "Bound"

    await cluster.client.create(STORAGE_CLASSES, {"metadata": {"name": late}, "provisioner": "driver.longhorn.io"})
    await cluster.until(PERSISTENT_VOLUME_CLAIMS, "waits", lambda c: c["status"].get("phase") == "Bound")


async def test_a_key_pair_is_validated_and_fingerprinted(cluster: Cluster) -> None:
    pair = {"metadata": {"name": "mine", "namespace": cluster.namespace}, "spec": {"publicKey": PUBLIC_KEY}}
    await cluster.client.create(KEY_PAIRS, pair)

    valid = await cluster.until(KEY_PAIRS, "mine", lambda p: condition(p, "validated") == "True")
    assert valid["status"]["fingerPrint"] == fingerprint(PUBLIC_KEY)

    await cluster.client.patch(KEY_PAIRS, "mine", {"spec": {"publicKey": "nonsense"}}, cluster.namespace)
    broken = await cluster.until(KEY_PAIRS, "mine", lambda p: condition(p, "validated") == "False")
    assert broken["status"]["fingerPrint"] == ""


def test_a_fingerprint_is_sixteen_pairs_and_ignores_the_comment() -> None:
    told = fingerprint(PUBLIC_KEY)

    assert len(told.split(":")) == 16
    assert told == fingerprint(PUBLIC_KEY.rsplit(" ", 1)[0])


@pytest.mark.parametrize("text", ["", "ssh-rsa", "ssh-rsa %%%", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "ssh-rsa AAAA"])
def test_what_is_no_public_key_has_no_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match="ssh:"):
        fingerprint(text)

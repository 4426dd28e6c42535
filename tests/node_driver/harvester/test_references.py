"""What settings name on the cluster, and what is said when it is not usable."""

from __future__ import annotations

from typing import Any

import pytest

from kube.resources import STORAGE_CLASSES, VIRTUAL_MACHINE_IMAGES
from node_driver.errors import DriverError, ImageMissing, InfrastructureUnavailable, NetworkMissing, Rejected
from node_driver.harvester.references import References, read_image
from node_driver.harvester.settings import SETTINGS
from tests.node_driver.harvester.bench import IMAGE, NETWORK, build_image, seed
from tests.node_driver.harvester.recording_api import RecordingApi


@pytest.fixture
def api() -> RecordingApi:
    api = RecordingApi()
    seed(api)
    return api


def references(api: RecordingApi, **changes: Any) -> References:
    return References(api, SETTINGS.validate({"image": IMAGE, "network": NETWORK, **changes}))


def change_image(api: RecordingApi, **status: Any) -> None:
    namespace, name = IMAGE.split("/")
    api.peek(VIRTUAL_MACHINE_IMAGES, name, namespace)["status"].update(status)


def test_a_ready_image_is_resolved_to_its_storage_class(api: RecordingApi) -> None:
    image = references(api).resolve()
    assert (image.name, image.storage_class, image.filled_by_harvester) == (IMAGE, "lh-image-jammy", False)
    assert references(api).problems() == []


def test_an_image_of_the_cdi_backend_is_filled_by_harvester() -> None:
    obj = build_image()
    obj["spec"]["backend"] = "cdi"
    assert read_image(obj).filled_by_harvester


@pytest.mark.parametrize("status", [None, {}])
def test_an_image_without_status_is_not_ready_yet(status: Any) -> None:
    image = read_image({**build_image(), "status": status})
    assert not image.ready
    assert image.failure is None


@pytest.mark.parametrize(
    ("status", "code", "error", "word"),
    [
        ({"progress": 40}, "image_not_ready", InfrastructureUnavailable, "40 %"),
        ({"storageClassName": ""}, "image_not_ready", InfrastructureUnavailable, "being imported"),
        (
            {"conditions": [{"type": "Imported", "status": "False", "message": "404 from the image's server"}]},
            "image_failed",
            ImageMissing,
            "404 from the image's server",
        ),
        (
            {"progress": 10, "conditions": [{"type": "RetryLimitExceeded", "status": "True", "reason": "TooMany"}]},
            "image_failed",
            ImageMissing,
            "TooMany",
        ),
        ({"virtualSize": 41 * 1024**3 + 1}, "disk_too_small", Rejected, "42 GiB"),
    ],
    ids=["importing", "no-class", "failed", "gave-up", "too-big"],
)
def test_flt26_an_image_that_cannot_be_used_is_told_with_harvesters_words(
    api: RecordingApi, status: dict[str, Any], code: str, error: type[DriverError], word: str
) -> None:
    change_image(api, **status)
    [problem] = references(api).problems()
    assert problem.code == code
    assert word in problem.message
    with pytest.raises(error, match=word) as refused:
        references(api).resolve()
    assert refused.value.reason == code


def test_every_missing_thing_is_a_problem_with_its_own_place(api: RecordingApi) -> None:
    api.put(STORAGE_CLASSES, {"metadata": {"name": "there"}})
    changes = {
        "image": "default/none",
        "network": "default/none",
        "extra_networks": [NETWORK, "other/none"],
        "storage_class": "none",
        "extra_disks": [
            {"size_gib": 1},
            {"size_gib": 1, "storage_class": "there"},
            {"size_gib": 1, "storage_class": "no"},
        ],
    }
    found = {problem.field: problem.code for problem in references(api, **changes).problems()}
    assert found == {
        "/image": "image_missing",
        "/network": "network_missing",
        "/extra_networks/1": "network_missing",
        "/storage_class": "storage_class_missing",
        "/extra_disks/2/storage_class": "storage_class_missing",
    }


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"image": "default/none"}, ImageMissing),
        ({"network": "default/none"}, NetworkMissing),
        ({"extra_networks": ["default/none"]}, NetworkMissing),
        ({"storage_class": "none"}, Rejected),
    ],
)
def test_resolving_raises_for_what_is_missing(
    api: RecordingApi, changes: dict[str, Any], error: type[DriverError]
) -> None:
    with pytest.raises(error, match="none does not exist"):
        references(api, **changes).resolve()


def test_looking_up_changes_nothing(api: RecordingApi) -> None:
    references(api, storage_class="none").problems()
    assert {method for method, _ in api.requests[2:]} == {"GET"}

"""The probe tells what a cluster lacks."""

from __future__ import annotations

import pytest

from kube.errors import Forbidden, Unauthorized, Unavailable
from kube.resources import SETTINGS
from node_driver.harvester.probe import probe
from tests.node_driver.harvester import recording_api
from tests.node_driver.harvester.recording_api import RecordingApi


@pytest.fixture
def api() -> RecordingApi:
    return RecordingApi()


def test_a_healthy_cluster_lacks_nothing_and_tells_its_version(api: RecordingApi) -> None:
    api.put(SETTINGS, {"metadata": {"name": "server-version"}, "value": "v1.8.2"})
    found = probe(api)
    assert (found.reachable, found.version, found.missing, found.message) == (True, "v1.8.2", (), None)


@pytest.mark.parametrize("setting", [None, {"value": "", "default": ""}, {}])
def test_a_cluster_that_tells_no_version_is_reachable_all_the_same(
    api: RecordingApi, setting: dict[str, str] | None
) -> None:
    if setting is not None:
        api.put(SETTINGS, {"metadata": {"name": "server-version"}, **setting})
    found = probe(api)
    assert found.reachable
    assert not found.version


def test_missing_apis_are_named(api: RecordingApi, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {name: version for name, version in recording_api.GROUPS.items() if "kubevirt" not in name}
    monkeypatch.setattr(recording_api, "GROUPS", {**groups, "harvesterhci.io": "v1alpha1"})
    assert probe(api).missing == (
        "the API harvesterhci.io/v1beta1 is not served",
        "the API kubevirt.io/v1 is not served",
        "the API subresources.kubevirt.io/v1 is not served",
    )


def test_missing_rights_are_named(api: RecordingApi) -> None:
    api.denied = {("get", "virtualmachineimages")}
    assert probe(api).missing == ("the right to get virtualmachineimages in all namespaces",)


@pytest.mark.parametrize("error", [Unavailable("refused"), Unauthorized("expired"), Forbidden("no")])
def test_a_cluster_that_does_not_answer_is_told_and_not_raised(api: RecordingApi, error: Exception) -> None:
    assert isinstance(error, Unavailable | Unauthorized | Forbidden)
    with api.disturb(error=error):
        found = probe(api)
    assert not found.reachable
    assert found.message == str(error)

"""/api/v1/releases and /api/v1/node-drivers"""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hub.api.resources import catalogues
from hub.core.environment import environment
from tests.hub.api.callers import Caller


def test_releases_are_listed_the_newest_first_of_each_distribution(nobody: Caller) -> None:
    answer = nobody.get("releases")
    assert answer.body["continue"] is None
    for distribution in ("k3s", "rke2"):
        found = [item for item in answer.body["items"] if item["distribution"] == distribution]
        assert found
        minors = [tuple(map(int, item["kubernetes_minor"].split("."))) for item in found]
        assert minors == sorted(minors, reverse=True)
        assert any("stable" in item["channels"] for item in found)
        assert all("amd64" in item["architectures"] for item in found)


def test_a_release_table_that_cannot_be_read_is_a_500_that_says_nothing_of_the_file(
    nobody: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "releases.yaml"
    file.write_text("releases: [{distribution: secret-fork}]")
    broken = environment().model_copy(update={"releases_file": file})
    monkeypatch.setattr(catalogues, "environment", lambda: broken)
    answer = nobody.get("releases")
    assert (answer.status, answer.code) == (500, "hub.internal_error")
    assert b"secret-fork" not in answer.response.content


def test_node_drivers_are_those_that_an_order_may_name_with_the_schema_of_their_settings(nobody: Caller) -> None:
    (harvester,) = nobody.items("node-drivers")
    assert (harvester["name"], harvester["cluster_kind"], harvester["capabilities"]) == (
        "harvester",
        "harvester",
        ["power"],
    )
    Draft202012Validator.check_schema(harvester["settings"])
    assert {"image", "network"} <= set(harvester["settings"]["required"])


@pytest.mark.parametrize("path", ["releases", "node-drivers"])
def test_catalogues_are_read_only_and_closed_to_strangers(admin: Caller, stranger: Caller, path: str) -> None:
    assert [admin.call(method, path, {}).status for method in ("POST", "PATCH", "DELETE", "PUT")] == [405] * 4
    assert stranger.get(path).status == 401
    assert admin.get(f"{path}/x").status == 404


def test_a_token_without_the_right_to_list_sees_no_catalogue(admin: Caller) -> None:
    assert admin.narrowed(verbs=frozenset({"get"})).get("releases").code == "request.denied"

"""The description of the API: complete, typed, in step with the code, and true."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from hub.api.documents import Body, Shown, read_body
from hub.api.openapi import build_openapi
from hub.api.resources.guest_clusters import GuestClusterBody
from tests.hub.api.callers import Caller

ROOT = Path(settings.BASE_DIR)
FILE = ROOT / "docs" / "openapi.json"
METHODS = {"get", "post", "patch", "delete"}
# Open to who is nobody yet; and what needs no key, because it has no second effect when it is sent again.
OPEN_PATHS = {"/api/v1/cli-logins", "/api/v1/cli-logins/token"}
REPEATABLE_PATHS = {*OPEN_PATHS, "/api/v1/cli-logins/logout", "/api/v1/whoami/password"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]


def test_the_committed_file_is_what_the_code_says(document: dict[str, Any]) -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(document)), "run tools/openapi.py"


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target


def test_every_operation_has_a_fixed_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert {"listClusters", "createGuestCluster", "updateNodePool", "createClusterKubeconfig", "getWhoami"} <= set(
        names
    )


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        assert ("401" in operation["responses"]) is (path not in OPEN_PATHS)
        assert (operation["security"] == [{}]) is (path in OPEN_PATHS)
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer == {"$ref": f"#/components/responses/Problem{status}"}
    for answer in document["components"]["responses"].values():
        assert list(answer["content"]) == ["application/problem+json"]


def test_lists_are_typed_envelopes(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["ClusterList"]
    assert schema["properties"]["items"]["items"] == {"$ref": "#/components/schemas/Cluster"}
    assert schema["required"] == ["items", "continue"]


def test_changes_ask_for_if_match_and_creations_offer_an_idempotency_key(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        headers = {p["name"]: p.get("required", False) for p in operation.get("parameters", []) if p["in"] == "header"}
        key = {} if path in REPEATABLE_PATHS else {"Idempotency-Key": False}
        wanted = {"post": key, "get": {}}.get(method, {"If-Match": True})
        assert headers == wanted, (path, method)


def test_a_patch_takes_any_member_away_or_leaves_it_out(document: dict[str, Any]) -> None:
    patch = document["components"]["schemas"]["ProjectPatch"]
    assert "required" not in patch
    assert all({"type": "null"} in member["anyOf"] for member in patch["properties"].values())


def test_sec01_no_answer_is_described_to_hold_a_secret_but_those_that_are_shown_once(
    document: dict[str, Any],
) -> None:
    holders = {
        name
        for name, schema in document["components"]["schemas"].items()
        if set(schema.get("properties", {})) & {"token", "kubeconfig", "secret_hash", "pki", "server_token", "password"}
    }
    taken = {"ClusterBody", "ImportBody", "UserBody", "UserPatch"}
    ids = {"AuditEvent", "Whoami"}
    assert holders == {*taken, *ids, "IssuedToken", "IssuedKubeconfig", "LoginToken"}
    for name in ids:
        assert document["components"]["schemas"][name]["properties"]["token"]["anyOf"][0]["format"] == "uuid"


def test_the_example_of_an_order_is_one_that_is_understood(document: dict[str, Any]) -> None:
    (example,) = document["components"]["schemas"]["GuestClusterBody"]["examples"]
    assert read_body(GuestClusterBody, example).pools[0].count == 3


def test_the_hub_serves_it_to_everybody(stranger: Caller, document: dict[str, Any]) -> None:
    assert stranger.get("/api/v1/openapi.json").body == json.loads(json.dumps(document))


def run_tool(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(cwd / "tools" / "openapi.py"), *arguments]
    environment = {"PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_the_tool_needs_no_database_and_says_what_to_run_when_the_file_is_stale(tmp_path: Path) -> None:
    for name in ("hub", "kube", "node_driver", "workers"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "openapi.py").write_text((ROOT / "tools" / "openapi.py").read_text())
    stale = run_tool("--check", cwd=tmp_path)
    assert stale.returncode == 1
    assert "python tools/openapi.py" in stale.stdout
    assert run_tool(cwd=tmp_path).returncode == 0
    assert (tmp_path / "docs" / "openapi.json").read_text() == FILE.read_text()
    assert run_tool("--check", cwd=tmp_path).returncode == 0


def test_no_two_documents_have_one_name() -> None:
    """The file knows a document by its class's name: of two of one name it would describe one, and call it both."""
    names = [kind.__name__ for base in (Shown, Body) for kind in _below(base) if kind.__module__.startswith("hub.")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def _below(kind: type) -> Iterator[type]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _below(inner)

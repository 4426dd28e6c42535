"""Joining the hub's clusters and whatever is in the user's kubeconfig already."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paddock_login import kubeconfig
from paddock_login.hub_client import LoginError
from paddock_login.kubeconfig import default_file, edited, merge, to_yaml
from paddock_login.store import Store

HUB = "https://hub.example:8443"
CLUSTERS = [("1", "berlin"), ("2", "paris")]
OTHERS = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {},
    "clusters": [{"name": "home", "cluster": {"server": "https://192.0.2.1:6443"}}],
    "users": [{"name": "home", "user": {"token": "of-home"}}],
    "contexts": [{"name": "home", "context": {"cluster": "home", "user": "home", "namespace": "x"}}],
    "current-context": "home",
}

pytestmark = pytest.mark.usefixtures("store")


def others(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps({**OTHERS, **changes}))
    return document


def named(document: dict[str, Any], plural: str) -> dict[str, Any]:
    return {entry["name"]: entry[plural.removesuffix("s")] for entry in document[plural]}


def test_an_empty_file_gets_everything_and_a_current_context() -> None:
    document: dict[str, Any] = {}
    assert merge(document, HUB, "PEM", CLUSTERS) == ["berlin", "paris"]
    assert named(document, "clusters")["berlin"] == {
        "server": f"{HUB}/k8s/clusters/1",
        "certificate-authority-data": "UEVN",
    }
    assert named(document, "contexts")["paris"] == {"cluster": "paris", "user": "paddock-hub.example"}
    plugin = named(document, "users")["paddock-hub.example"]["exec"]
    assert plugin["args"][-3:] == ["token", "--hub", HUB]
    assert plugin["apiVersion"] == "client.authentication.k8s.io/v1"
    assert document["current-context"] == "berlin"


def test_what_belongs_to_others_stays_as_it_is() -> None:
    document = others()
    merge(document, HUB, None, CLUSTERS)
    for plural in ("clusters", "users", "contexts"):
        assert named(document, plural)["home"] == named(OTHERS, plural)["home"]
    assert document["current-context"] == "home"
    assert document["preferences"] == {}


def test_writing_again_renews_its_own_entries_and_keeps_the_namespace_that_was_set() -> None:
    document = others()
    merge(document, HUB, None, CLUSTERS)
    named(document, "contexts")["berlin"]["namespace"] = "mine"
    merge(document, HUB, "PEM", [("1", "berlin")])
    assert len(document["clusters"]) == len(document["contexts"]) == 3
    assert len(document["users"]) == 2
    assert named(document, "clusters")["berlin"]["certificate-authority-data"] == "UEVN"
    assert named(document, "contexts")["berlin"]["namespace"] == "mine"


def test_a_name_that_is_taken_is_not_taken_over() -> None:
    document = others()
    assert merge(document, HUB, None, [("3", "home")]) == ["home@hub.example"]
    assert named(document, "clusters")["home"] == named(OTHERS, "clusters")["home"]
    assert merge(document, HUB, None, [("3", "home")]) == ["home@hub.example"]
    assert len(document["clusters"]) == 2


def test_a_context_of_the_name_is_reason_enough() -> None:
    document = others(clusters=[])
    assert merge(document, HUB, None, [("3", "home")]) == ["home@hub.example"]


@pytest.mark.parametrize("entries", [None, {}, "x"])
def test_an_odd_file_gets_proper_lists(entries: Any) -> None:
    document: dict[str, Any] = {"clusters": entries, "contexts": entries, "users": entries}
    merge(document, HUB, None, CLUSTERS)
    assert list(named(document, "clusters")) == ["berlin", "paris"]


def test_a_new_file_is_its_owners_and_can_be_written_again_without_kubectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    path = tmp_path / "new" / "config"
    for clusters in (CLUSTERS, [("3", "rome")]):
        with edited(path) as document:
            merge(document, HUB, None, clusters)
    assert list(named(yaml.safe_load(path.read_text()), "clusters")) == ["berlin", "paris", "rome"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config"]


def test_a_yaml_file_needs_kubectl_and_says_what_else_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(OTHERS))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LoginError, match="--file"), edited(path):
        pass
    assert yaml.safe_load(path.read_text()) == OTHERS


def test_a_yaml_file_is_read_by_the_real_kubectl_and_stays_yaml(
    tmp_path: Path, kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "config"
    path.write_text("# mine\n" + yaml.safe_dump(OTHERS))
    with edited(path) as document:
        merge(document, HUB, None, CLUSTERS)
    assert not path.read_text().startswith("{")
    written = yaml.safe_load(path.read_text())
    assert list(named(written, "clusters")) == ["home", "berlin", "paris"]
    assert named(written, "users")["home"] == {"token": "of-home"}
    path.write_text("clusters: [")
    with pytest.raises(LoginError, match="kubectl cannot read"), edited(path):
        pass


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with edited(link) as document:
        merge(document, HUB, None, CLUSTERS)
    assert link.is_symlink()
    assert target.exists()


def spoil(path: Path) -> None:
    with edited(path) as document:
        document.clear()
        raise RuntimeError


def test_a_failure_meanwhile_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(OTHERS))
    with pytest.raises(RuntimeError):
        spoil(path)
    assert json.loads(path.read_text()) == OTHERS
    assert not (tmp_path / "config.lock").exists()


def test_a_file_that_kubectl_is_writing_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "LOCK_SECONDS", 0)
    lock = tmp_path / "config.lock"
    lock.touch()
    with pytest.raises(LoginError, match=r"config\.lock"), edited(tmp_path / "config"):
        pass
    assert lock.exists()


@pytest.mark.parametrize("content", ["[]", '"x"', "5"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(LoginError, match="not a kubeconfig"), edited(path):
        pass


def test_kubectls_own_file_is_meant_unless_another_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_file() == Path.home() / ".kube" / "config"
    monkeypatch.setenv("KUBECONFIG", f"{os.pathsep}/tmp/one{os.pathsep}/tmp/two")
    assert default_file() == Path("/tmp/one")


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(TEXTS, DOCUMENTS, max_size=4))
def test_the_yaml_that_is_written_says_the_same(document: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(document)) == document

"""CRDs as their projects ship them, read for a bare server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.bed.crds import read_crds, real_crds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for group, conversion in (("a.test", {"strategy": "Webhook", "webhook": {}}), ("b.test", {"strategy": "None"})):
        crd = {"metadata": {"name": f"things.{group}"}, "spec": {"group": group, "conversion": conversion}}
        file = tmp_path / "project" / f"{group}_things.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(crd))
    return tmp_path


def test_a_conversion_webhook_that_nobody_serves_is_left_out(folder: Path) -> None:
    assert [crd["spec"]["conversion"] for crd in read_crds(folder)] == [{"strategy": "None"}, {"strategy": "None"}]


def test_groups_pick_their_files(folder: Path) -> None:
    assert [crd["metadata"]["name"] for crd in read_crds(folder, {"b.test"})] == ["things.b.test"]


def test_a_folder_without_crds_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        read_crds(tmp_path)


def test_real_crds_come_from_the_folder_that_the_environment_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDOCK_CRDS", str(folder))
    assert len(real_crds() or []) == 2
    monkeypatch.delenv("PADDOCK_CRDS")
    assert real_crds() is None

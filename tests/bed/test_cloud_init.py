"""cloud-init's judge says yes and no in the right places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bed import cloud_init

Judge = Callable[[str], list[str]]


def test_good_user_data_is_accepted(cloud_init_schema: Judge) -> None:
    assert cloud_init_schema("#cloud-config\nhostname: one\npackages: [nginx]\nruncmd: [[sh, -c, 'true']]\n") == []


def test_each_wrong_place_is_named(cloud_init_schema: Judge) -> None:
    complaints = cloud_init_schema("#cloud-config\npackages: [nginx, 1.2]\nwrite_files: [{content: x}]\n")
    assert [complaint.partition(":")[0] for complaint in complaints] == ["packages.1", "write_files.0"]


@pytest.mark.parametrize("text", ["hostname: one\n", "#cloud-config\nhostname: [one\n", "#cloud-config\n- one\n", ""])
def test_what_is_no_cloud_config_is_refused(cloud_init_schema: Judge, text: str) -> None:
    assert len(cloud_init_schema(text)) == 1


def test_without_the_packages_the_judge_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path))
    assert cloud_init.locate() is None
    with pytest.raises(cloud_init.CloudInitMissing, match=r"python -m tests\.bed\.build"):
        cloud_init.validate("#cloud-config\n")


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(cloud_init.CloudInitMissing, match="no apt-get"):
        cloud_init.ensure()

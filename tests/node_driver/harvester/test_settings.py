"""Settings of the harvester driver and their contradictions."""

from __future__ import annotations

from typing import Any

import pytest

from node_driver.errors import InvalidSettings
from node_driver.harvester.settings import SETTINGS, contradictions

REQUIRED = {"image": "default/image-jammy", "network": "default/vlan100"}


def test_defaults_are_a_small_machine_with_nothing_special() -> None:
    assert SETTINGS.validate(REQUIRED) == {
        **REQUIRED,
        "cpu_count": 2,
        "cpu_model": "",
        "cpu_pinning": False,
        "isolate_emulator_thread": False,
        "memory_gib": 4,
        "disk_gib": 40,
        "disk_bus": "virtio",
        "network_model": "virtio",
        "firmware": "bios",
        "tpm": False,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", "image-jammy"),
        ("image", "a/b/c"),
        ("image", "default/../kube-system"),
        ("image", "default/"),
        ("image", "default/a\n"),
        ("image", "a" * 400 + "/b"),
        ("network", "Default/vlan"),
        ("cpu_count", 0),
        ("cpu_count", 1.5),
        ("cpu_model", "Haswell; rm"),
        ("memory_gib", 0),
        ("memory_gib", "4"),
        ("disk_gib", -1),
        ("disk_gib", 10_000_000),
        ("disk_bus", "ide"),
        ("extra_disks", [{"bus": "virtio"}]),
        ("extra_disks", [{"size_gib": 1}] * 17),
        ("extra_networks", ["vlan100"]),
        ("host_devices", ["nvidia"]),
        ("storage_class", "Fast"),
        ("affinity", []),
        ("ssh_user", "root; id"),
        ("firmware", "uefi"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(name: str, value: Any) -> None:
    with pytest.raises(InvalidSettings) as refused:
        SETTINGS.validate({**REQUIRED, name: value})
    assert all(problem.field.startswith(f"/{name}") for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"isolate_emulator_thread": True}, "/isolate_emulator_thread"),
        ({"memory_gib": 1, "reserved_memory_mib": 1015}, "/reserved_memory_mib"),
        ({"memory_gib": 1, "reserved_memory_mib": 4096}, "/reserved_memory_mib"),
    ],
)
def test_contradictions_are_found(settings: dict[str, Any], field: str) -> None:
    assert [problem.field for problem in contradictions(SETTINGS.validate({**REQUIRED, **settings}))] == [field]


@pytest.mark.parametrize(
    "settings",
    [{}, {"isolate_emulator_thread": True, "cpu_pinning": True}, {"memory_gib": 1, "reserved_memory_mib": 1014}],
)
def test_settings_that_fit_each_other_have_no_contradictions(settings: dict[str, Any]) -> None:
    assert contradictions(SETTINGS.validate({**REQUIRED, **settings})) == []

"""Orders that cannot be built are refused before the first call."""

from __future__ import annotations

from typing import Any

import pytest

from node_driver.errors import InvalidSettings, Rejected
from node_driver.harvester.orders import SECRET_LIMIT_BYTES, refuse_unusable
from node_driver.types import MachineRef
from tests.node_driver.battery import SSH_KEY
from tests.node_driver.harvester.orders import OWNER, build_order


def test_a_plain_order_is_usable() -> None:
    refuse_unusable(build_order(static_addresses=("10.0.0.1", "fd00::1"), labels={"example.org/a": "b", "c": ""}))


@pytest.mark.parametrize("location", ["A", "a.b", "a/b", "..", "a" * 64, "a\n"])
def test_a_location_that_is_no_namespace_is_refused(location: str) -> None:
    with pytest.raises(Rejected):
        refuse_unusable(build_order(ref=MachineRef(location, "m", OWNER)))


@pytest.mark.parametrize(
    "labels", [{"": "a"}, {"a b": "c"}, {"a": "b c"}, {"a": "b\n"}, {"a": "x" * 64}, {"/a": "b"}, {"A_/b": "c"}]
)
def test_labels_that_kubernetes_refuses_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(Rejected):
        refuse_unusable(build_order(labels=labels))


@pytest.mark.parametrize("address", ["10.0.0.1/24", "host", "", "10.0.0.256", "10.0.0.1\n"])
def test_a_static_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Rejected):
        refuse_unusable(build_order(static_addresses=(address,)))


def test_documents_beyond_a_secrets_size_are_refused() -> None:
    half = "é" * (SECRET_LIMIT_BYTES // 4)
    refuse_unusable(build_order(user_data=half, network_data=half))
    with pytest.raises(Rejected, match=str(SECRET_LIMIT_BYTES + 1)):
        refuse_unusable(build_order(user_data=half, network_data=half + "x"))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 not-base64!",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 AAAAA",
        SSH_KEY.replace("ssh-ed25519", "ssh-rsa"),
        f"{SSH_KEY}\n{SSH_KEY}",
        f'command="id" {SSH_KEY}',
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_sec66_what_is_not_one_public_key_is_refused(key: str) -> None:
    with pytest.raises(Rejected, match="SSH key"):
        refuse_unusable(build_order(ssh_public_key=key))


@pytest.mark.parametrize("key", [SSH_KEY, f"{SSH_KEY}\n", SSH_KEY.rsplit(" ", 1)[0]])
def test_a_public_key_is_taken_with_or_without_comment_and_newline(key: str) -> None:
    refuse_unusable(build_order(ssh_public_key=key))


def test_contradicting_settings_are_refused_with_their_place() -> None:
    settings: dict[str, Any] = {"isolate_emulator_thread": True}
    with pytest.raises(InvalidSettings, match="/isolate_emulator_thread"):
        refuse_unusable(build_order(settings=settings))

"""Addresses that stay with their machines, and disks that are kept whole."""

import ipaddress
import json
from pathlib import Path

import pytest

from simulator.guests.boot_log import MAX_LINES, BootLog
from simulator.guests.cluster import GuestCluster
from simulator.guests.disk import DiskShelf, Unit
from simulator.guests.network import AddressTaken, ConnectionFailed, MachineNetwork, random_block

BLOCK = ipaddress.IPv4Network("127.80.0.0/20")


def test_a_disk_keeps_its_address_and_others_get_another() -> None:
    network = MachineNetwork(BLOCK)
    first, second = network.lease("one"), network.lease("two")

    assert first != second
    assert network.lease("one") == first
    assert ipaddress.ip_address(first) in ipaddress.ip_network("127.80.8.0/21")
    network.forget("one")
    assert network.lease("three") == first


def test_addresses_known_from_disks_are_not_handed_out_again() -> None:
    taken = MachineNetwork(BLOCK).lease("one")

    assert MachineNetwork(BLOCK, {"one": taken}).lease("two") != taken
    assert MachineNetwork(BLOCK, {"one": taken}).lease("one") == taken


def test_a_network_without_free_addresses_says_so() -> None:
    network = MachineNetwork(ipaddress.IPv4Network("127.80.0.0/29"))
    for number in range(4):
        network.lease(str(number))

    with pytest.raises(AddressTaken, match="no free address"):
        network.lease("one more")


def test_a_static_address_that_another_machine_uses_is_refused() -> None:
    network = MachineNetwork(BLOCK)
    network.claim("127.80.0.9", "one")
    network.set_up("127.80.0.9")

    with pytest.raises(AddressTaken, match="in use"):
        network.claim("127.80.0.9", "two")
    network.claim("127.80.0.9", "one")
    network.set_down("127.80.0.9")
    network.claim("127.80.0.9", "two")


def test_dialling_fails_the_way_it_does_in_life() -> None:
    network = MachineNetwork(BLOCK)

    with pytest.raises(ConnectionFailed, match="no such host"):
        network.connect("api.example", 6443)
    with pytest.raises(ConnectionFailed, match="no route to host"):
        network.connect("127.80.0.9", 6443)
    network.set_up("127.80.0.9")
    with pytest.raises(ConnectionFailed, match="connection refused"):
        network.connect("127.80.0.9", 6443)
    cluster = GuestCluster.__new__(GuestCluster)
    network.listen("127.80.0.9", 6443, cluster)
    assert network.connect("127.80.0.9", 6443) is cluster
    network.unlisten("127.80.0.9")
    with pytest.raises(ConnectionFailed, match="connection refused"):
        network.connect("127.80.0.9", 6443)


def test_a_random_block_is_on_loopback_and_away_from_other_programs() -> None:
    block = random_block()

    assert block.is_loopback
    assert not block.overlaps(ipaddress.IPv4Network("127.0.0.0/16"))


def test_a_disk_is_the_same_after_a_restart_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "disks"
    shelf = DiskShelf(folder)
    disk = shelf.open("disk-1")
    disk.files["/etc/key"] = b"\x00\xff"
    disk.units["k3s"] = Unit("v1.35.1+k3s1", ["--debug"], {"K3S_TOKEN": "t"})
    disk.address = "127.80.8.1"
    shelf.save("disk-1")

    again = DiskShelf(folder)

    assert again.open("disk-1") == disk
    assert again.addresses() == {"disk-1": "127.80.8.1"}
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    again.delete("disk-1")
    assert list(folder.iterdir()) == []
    assert again.open("disk-1").files == {}


def test_a_disk_file_that_is_not_json_is_an_error_and_not_a_blank_disk(tmp_path: Path) -> None:
    (tmp_path / "disk-1.json").write_text("{")

    with pytest.raises(json.JSONDecodeError):
        DiskShelf(tmp_path).open("disk-1")


def test_a_line_that_repeats_is_counted_and_the_log_is_bounded(tmp_path: Path) -> None:
    log = BootLog(tmp_path / "logs" / "web.log")
    for _ in range(3):
        log.write("k3s", "connection refused")
    log.write("k3s", "up")

    assert [line.split(" ", 1)[1] for line in log.lines()] == ["k3s: connection refused", "k3s: up"]
    assert (tmp_path / "logs" / "web.log").read_text().count("\n") == 2
    for number in range(MAX_LINES + 5):
        log.write("k3s", str(number))
    assert len(log.lines()) == MAX_LINES

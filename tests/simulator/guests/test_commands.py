"""What commands of user data change on a machine, and which units they start."""

import pytest

from simulator.guests.boot_log import BootLog
from simulator.guests.cloud_init import Command
from simulator.guests.commands import INSTALL_PARAMETERS, CommandRunner, parse_environment
from simulator.guests.disk import Disk
from simulator.guests.shell import ShellRefused, SimpleCommand, split_command

INSTALLER = "/usr/local/lib/paddock/install.sh"


class Machine:
    """A disk with a runner, and the units that were started."""

    def __init__(self, files: dict[str, str] | None = None) -> None:
        self.disk = Disk(files={path: text.encode() for path, text in (files or {}).items()})
        self.log = BootLog()
        self.started: list[str] = []
        self.runner = CommandRunner(self.disk, self.log, self.started.append)

    def run(self, *commands: Command) -> "Machine":
        self.runner.run_all(commands)
        return self


def paddock_machine(**parameters: str) -> Machine:
    env = "".join(f"{name}={value}\n" for name, value in parameters.items())
    return Machine({INSTALLER: "#!/bin/sh\nset -eu\n", INSTALL_PARAMETERS: env})


@pytest.mark.parametrize(
    ("distribution", "role", "version", "unit"),
    [
        ("k3s", "server", "v1.35.1+k3s1", "k3s"),
        ("k3s", "agent", "v1.35.1+k3s1", "k3s-agent"),
        ("rke2", "server", "v1.35.7+rke2r1", "rke2-server"),
        ("rke2", "agent", "v1.35.7-rc1+rke2r2", "rke2-agent"),
    ],
)
def test_the_install_script_with_its_parameters_installs_enables_and_starts_the_unit(
    distribution: str, role: str, version: str, unit: str
) -> None:
    machine = paddock_machine(PADDOCK_DISTRIBUTION=distribution, PADDOCK_ROLE=role, PADDOCK_VERSION=version)

    machine.run(("sh", INSTALLER))

    assert machine.started == [unit]
    assert machine.disk.enabled == [unit]
    assert machine.disk.units[unit].version == version


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"PADDOCK_ROLE": "server", "PADDOCK_DISTRIBUTION": "k3s"}, "lacks PADDOCK_VERSION"),
        ({"PADDOCK_ROLE": "boss", "PADDOCK_DISTRIBUTION": "k3s", "PADDOCK_VERSION": "v1.35.1+k3s1"}, "unknown"),
        ({"PADDOCK_ROLE": "server", "PADDOCK_DISTRIBUTION": "k0s", "PADDOCK_VERSION": "v1.35.1"}, "unknown"),
        ({"PADDOCK_ROLE": "server", "PADDOCK_DISTRIBUTION": "k3s", "PADDOCK_VERSION": "v1.35.7+rke2r1"}, "no release"),
    ],
)
def test_wrong_parameters_start_nothing_and_are_told(parameters: dict[str, str], told: str) -> None:
    machine = paddock_machine(**parameters).run(("sh", INSTALLER))

    assert machine.started == []
    assert told in machine.log


def test_a_script_that_was_not_written_cannot_be_opened() -> None:
    machine = Machine({INSTALL_PARAMETERS: "PADDOCK_ROLE=server\n"}).run(f"sh {INSTALLER}")

    assert machine.started == []
    assert "No such file" in machine.log


def test_configuration_without_a_command_starts_nothing() -> None:
    machine = paddock_machine(PADDOCK_DISTRIBUTION="k3s", PADDOCK_ROLE="server", PADDOCK_VERSION="v1.35.1+k3s1")

    machine.run("echo done")

    assert machine.started == []
    assert machine.disk.units == {}


def test_the_k3s_installer_starts_what_it_installs() -> None:
    machine = Machine().run(
        "curl -sfL https://example.test/k3s | "
        "INSTALL_K3S_VERSION=v1.35.1+k3s1 K3S_TOKEN=t sh -s - server --cluster-init --tls-san a"
    )

    assert machine.started == ["k3s"]
    assert machine.disk.units["k3s"].arguments == ["--cluster-init", "--tls-san", "a"]
    assert machine.disk.units["k3s"].environment == {"K3S_TOKEN": "t"}


def test_the_k3s_installer_makes_an_agent_when_it_is_given_a_server() -> None:
    machine = Machine({"/opt/k3s-install.sh": "..."}).run(
        "export INSTALL_K3S_VERSION=v1.35.1+k3s1 K3S_URL=https://127.9.0.1:6443", "sh /opt/k3s-install.sh"
    )

    assert machine.started == ["k3s-agent"]


def test_the_rke2_installer_waits_for_systemctl() -> None:
    install = "curl -sfL https://example.test/rke2 | INSTALL_RKE2_VERSION=v1.35.7+rke2r1 INSTALL_RKE2_TYPE=agent sh -"
    machine = Machine().run(install)
    assert machine.started == []

    machine.run("systemctl enable rke2-agent && systemctl start rke2-agent.service")

    assert machine.started == ["rke2-agent"]
    assert machine.disk.enabled == ["rke2-agent"]


def test_a_unit_that_is_not_installed_cannot_start_and_later_commands_still_run() -> None:
    machine = Machine().run("systemctl enable --now rke2-server", "apt-get install -y qemu-guest-agent")

    assert machine.started == []
    assert "Unit rke2-server.service not found." in machine.log
    assert machine.disk.guest_agent


@pytest.mark.parametrize(
    "command",
    [("systemctl", "enable", "--now", "qemu-guest-agent.service"), "apt-get update && apt install -y qemu-guest-agent"],
)
def test_the_guest_agent_comes_by_package_or_unit(command: Command) -> None:
    assert Machine().run(command).disk.guest_agent


def test_enabling_the_guest_agent_without_starting_it_is_not_running_it() -> None:
    assert not Machine().run("systemctl enable qemu-guest-agent").disk.guest_agent


def test_a_plain_script_of_the_user_is_followed() -> None:
    machine = Machine({"/opt/setup.sh": "#!/bin/sh\n# agent\nsystemctl start qemu-guest-agent\n"})

    assert machine.run("bash /opt/setup.sh").disk.guest_agent


@pytest.mark.parametrize("text", ["if true; then echo; fi", "echo a > /etc/motd", "echo 'a"])
def test_shell_that_is_not_followed_is_said_so(text: str) -> None:
    with pytest.raises(ShellRefused):
        split_command(text)


def test_commands_are_split_with_their_variables_and_pipes() -> None:
    [first, second] = split_command(("sh", "-c", "A=1 sudo B=2 run x 2>&1 >/dev/null; get y | C=3 sh -"))

    assert first == SimpleCommand((("A", "1"), ("B", "2")), ("run", "x"))
    assert second == SimpleCommand((("C", "3"),), ("sh", "-"), SimpleCommand((), ("get", "y")))


def test_an_env_file_is_read_with_its_quoting() -> None:
    assert parse_environment("A='x y'\n# no\nexport B=1\nnonsense\nC=\n'") == {"A": "x y", "B": "1", "C": ""}

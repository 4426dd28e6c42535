"""What the commands of user data do to a simulated machine.

Packages, units and installers change the disk; a command that means nothing to a simulated machine is logged and
passes. Nothing starts by itself: only a unit that a command starts, or that was enabled before the boot. Source: contract
guest-bootstrap §6 and §7. What a started unit does is `service.py`'s part.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence

from simulator.guests.boot_log import BootLog
from simulator.guests.cloud_init import Command
from simulator.guests.disk import Disk, Unit
from simulator.guests.distribution import K3S, RKE2, Distribution, find_unit
from simulator.guests.shell import ShellRefused, SimpleCommand, script_path, split_command, split_script

GUEST_AGENT = "qemu-guest-agent"
INSTALL_PARAMETERS = "/etc/paddock/install.env"
_PACKAGE_TOOLS = frozenset({"apt", "apt-get", "dnf", "yum", "zypper", "apk"})
_DOWNLOADERS = frozenset({"curl", "wget"})


class CommandFailed(Exception):
    """A command would have ended with a non-zero exit code; the ones after it still run."""


class CommandRunner:
    """Runs commands against one disk. `start_unit` is called for each K3s or RKE2 unit that is to run now."""

    def __init__(self, disk: Disk, log: BootLog, start_unit: Callable[[str], None]) -> None:
        self._disk = disk
        self._log = log
        self._start_unit = start_unit
        self._exported: dict[str, str] = {}
        self._stage = "runcmd"

    def run_all(self, commands: Sequence[Command], stage: str = "runcmd") -> None:
        """Runs entries of `runcmd` (or `bootcmd`) in order, as one script without `set -e`: a failing one does not stop
        the rest."""
        self._stage = stage
        for command in commands:
            try:
                self._run_many(split_command(command))
            except (ShellRefused, CommandFailed) as error:
                self._log.write(self._stage, f"failed: {error}")

    def install_package(self, name: str) -> None:
        if name == GUEST_AGENT:
            self._disk.guest_agent = True
        self._log.write("cloud-init", f"package {name} installed")

    def _run_many(self, commands: Sequence[SimpleCommand]) -> None:
        for command in commands:
            self._run(command)

    def _run(self, command: SimpleCommand) -> None:
        program = command.arguments[0].rpartition("/")[2] if command.arguments else ""
        if not program:
            self._exported |= dict(command.environment)
        elif program == "export":
            self._exported |= {name: value for name, _, value in (a.partition("=") for a in command.arguments[1:])}
        elif program in (".", "source"):
            self._exported |= parse_environment(self._text(command.arguments[1]))
        elif program == "systemctl":
            self._systemctl(command.arguments[1:])
        elif program in _PACKAGE_TOOLS:
            self._packages(command.arguments[1:])
        elif command.source is not None and command.source.arguments[0].rpartition("/")[2] in _DOWNLOADERS:
            self._official_installer(command, str(command.source))
        elif (path := script_path(command.arguments)) is not None:
            self._script(path, command)
        else:
            self._log.write(self._stage, f"{program}: not simulated, taken as done")

    def _packages(self, arguments: Sequence[str]) -> None:
        if "install" in arguments or "in" in arguments or "add" in arguments:
            for name in arguments[1:]:
                if not name.startswith("-") and name not in ("install", "in", "add"):
                    self.install_package(name.partition("=")[0])

    def _systemctl(self, arguments: Sequence[str]) -> None:
        words = [argument for argument in arguments if not argument.startswith("-")]
        verb, units = (words[0], words[1:]) if words else ("", [])
        now = verb in ("start", "restart") or "--now" in arguments
        for name in units:
            unit = name.removesuffix(".service")
            if unit == GUEST_AGENT and now:
                self._disk.guest_agent = True
            elif find_unit(unit) is not None:
                self._switch_unit(unit, enable=verb == "enable", start=now and verb != "disable")
            else:
                self._log.write(self._stage, f"systemctl {verb} {unit}: not simulated, taken as done")

    def _switch_unit(self, unit: str, *, enable: bool, start: bool) -> None:
        if unit not in self._disk.units:
            raise CommandFailed(f"Unit {unit}.service not found.")
        if enable and unit not in self._disk.enabled:
            self._disk.enabled.append(unit)
        if start:
            self._start_unit(unit)

    def _script(self, path: str, command: SimpleCommand) -> None:
        text = self._text(path)
        if path.endswith("/install.sh") and INSTALL_PARAMETERS in self._disk.files:
            self._paddock_installer()
        elif _which_official(path, self._environment(command)) is not None:
            self._official_installer(command, path)
        else:
            self._run_many(split_script(text))

    def _text(self, path: str) -> str:
        if path not in self._disk.files:
            raise CommandFailed(f"cannot open {path}: No such file")
        return self._disk.files[path].decode(errors="replace")

    def _environment(self, command: SimpleCommand) -> dict[str, str]:
        return {**self._exported, **dict(command.environment)}

    def _paddock_installer(self) -> None:
        parameters = parse_environment(self._text(INSTALL_PARAMETERS))
        missing = sorted({"PADDOCK_ROLE", "PADDOCK_DISTRIBUTION", "PADDOCK_VERSION"} - set(parameters))
        if missing:
            raise CommandFailed(f"{INSTALL_PARAMETERS} lacks {', '.join(missing)}")
        distribution = {"k3s": K3S, "rke2": RKE2}.get(parameters["PADDOCK_DISTRIBUTION"])
        units = {str(role): unit for role, unit in distribution.units.items()} if distribution else {}
        unit = units.get(parameters["PADDOCK_ROLE"])
        if distribution is None or unit is None:
            raise CommandFailed(f"{INSTALL_PARAMETERS} names an unknown distribution or role")
        self._install(distribution, unit, Unit(parameters["PADDOCK_VERSION"]))
        self._switch_unit(unit, enable=True, start=True)

    def _official_installer(self, command: SimpleCommand, origin: str) -> None:
        environment = self._environment(command)
        distribution = _which_official(origin, environment)
        if distribution is None:
            self._log.write(self._stage, f"{origin}: not simulated, taken as done")
            return
        prefix = f"INSTALL_{distribution.name.upper()}"
        arguments = [*shlex.split(environment.get(f"{prefix}_EXEC", "")), *_script_arguments(command.arguments)]
        role = arguments.pop(0) if arguments and arguments[0] in ("server", "agent") else None
        if distribution is RKE2:
            role = environment.get("INSTALL_RKE2_TYPE") or role
        default = "agent" if environment.get("K3S_URL") and distribution is K3S else "server"
        unit = distribution.units["agent" if (role or default) == "agent" else "server"]
        kept = {name: value for name, value in environment.items() if name.startswith("K3S_")}
        self._install(distribution, unit, Unit(environment.get(f"{prefix}_VERSION", ""), arguments, kept))
        if distribution.installer_starts_service and not _is_true(environment.get(f"{prefix}_SKIP_ENABLE")):
            starts = not _is_true(environment.get(f"{prefix}_SKIP_START"))
            self._switch_unit(unit, enable=True, start=starts)

    def _install(self, distribution: Distribution, name: str, unit: Unit) -> None:
        if not distribution.version_form.fullmatch(unit.version):
            # A channel would be asked of a channel server; here the version must be told.
            raise CommandFailed(f"{distribution.name}: no release {unit.version!r}")
        self._disk.units[name] = unit
        self._log.write("install", f"{distribution.name} {unit.version} installed, unit {name}.service")


def parse_environment(text: str) -> dict[str, str]:
    """An env file's variables: `NAME=value` lines with shell quoting; other lines are left out."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        for word in words:
            name, separator, value = word.partition("=")
            if separator and name.isidentifier():
                variables[name] = value
    return variables


def _which_official(origin: str, environment: Mapping[str, str]) -> Distribution | None:
    for distribution in (K3S, RKE2):
        prefix = f"INSTALL_{distribution.name.upper()}_"
        if distribution.name in origin.lower() or any(name.startswith(prefix) for name in environment):
            return distribution
    return None


def _script_arguments(arguments: Sequence[str]) -> list[str]:
    """What follows the script: after `-` in `sh -s - ARGS`, after the path in `sh PATH ARGS`."""
    rest = list(arguments)
    if "-" in rest:
        return rest[rest.index("-") + 1 :]
    path = script_path(arguments)
    return rest[rest.index(path) + 1 :] if path in rest else []


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in ("true", "1", "yes")

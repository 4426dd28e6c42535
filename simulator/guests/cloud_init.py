"""A machine's own user data, read the way cloud-init reads a `#cloud-config`, only stricter.

Unknown top-level keys, wrong types and bad encodings are refused, because cloud-init merely logs them and the machine
then comes up without what was meant. Source: contract guest-bootstrap §7 and cloud-init's module reference. Running
what is read here is `machine.py`'s part; network data is `network_data.py`'s.
"""

import base64
import binascii
import gzip
import zlib
from dataclasses import dataclass
from typing import Any

from simulator.guests.documents import load_mapping

HEADER = "#cloud-config"
MAX_UNPACKED_BYTES = 64 * 1024 * 1024

# Top-level keys of cloud-init's modules. One that is missing here is a mistake in the user data, or unknown to us.
_KNOWN = """
    allow_public_ssh_keys ansible apk_repos apt apt_pipelining apt_preserve_sources_list apt_reboot_if_required
    apt_update apt_upgrade autoinstall bootcmd byobu_by_default ca-certs ca_certs chef chpasswd cloud_config_modules
    cloud_final_modules cloud_init_modules create_hostname_file datasource debug device_aliases disable_ec2_metadata
    disable_root disable_root_opts disk_setup drivers fan final_message fqdn fs_setup groups growpart grub-dpkg
    grub_dpkg hostname keyboard landscape launch-index locale locale_configfile lxd manage-resolv-conf
    manage_etc_hosts manage_resolv_conf mcollective merge_how merge_type migrate mount_default_fields mounts network
    no_ssh_fingerprints ntp output package_reboot_if_required package_update package_upgrade packages password
    phone_home power_state prefer_fqdn_over_hostname preserve_hostname puppet random_seed reporting resize_rootfs
    resolv_conf rh_subscription rsyslog runcmd salt_minion snap spacewalk ssh ssh_authorized_keys ssh_deletekeys
    ssh_fp_console_blacklist ssh_genkeytypes ssh_import_id ssh_key_console_blacklist ssh_keys ssh_publish_hostkeys
    ssh_pwauth ssh_quiet_keygen swap system_info timezone ubuntu_advantage updates user users vendor_data version
    wireguard write_files yum_repo_dir yum_repos zypper
"""
KNOWN_KEYS = frozenset(_KNOWN.split())
_BOOLEAN_KEYS = ("package_update", "package_upgrade", "package_reboot_if_required", "disable_root", "preserve_hostname")
_FILE_KEYS = frozenset({"path", "content", "encoding", "owner", "permissions", "append", "defer"})
_BASE64 = frozenset({"b64", "base64"})
_GZIP = frozenset({"gz", "gzip"})
_GZIP_BASE64 = frozenset({"gz+b64", "gzip+b64", "gz+base64", "gzip+base64"})

Command = str | tuple[str, ...]


class UserDataRefused(ValueError):
    """The user data is not what cloud-init would carry out whole."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One entry of `write_files`, decoded."""

    path: str
    content: bytes
    mode: int
    append: bool


@dataclass(frozen=True, slots=True)
class UserData:
    """What of a cloud-config the simulated machine acts on. Commands are shell text or an argument list."""

    hostname: str | None
    files: tuple[WrittenFile, ...]
    packages: tuple[str, ...]
    boot_commands: tuple[Command, ...]
    run_commands: tuple[Command, ...]


def parse_user_data(text: str) -> UserData:
    """Reads a cloud-config. Raises UserDataRefused naming the place and the reason."""
    first = text.split("\n", 1)[0].rstrip()
    if first != HEADER:
        raise UserDataRefused(f"user data must start with the line {HEADER}, not {first[:40]!r}")
    try:
        document = load_mapping(text, "user data")
    except ValueError as error:
        raise UserDataRefused(str(error)) from error
    unknown = sorted(set(document) - KNOWN_KEYS)
    if unknown:
        raise UserDataRefused(f"user data: unknown top-level keys {', '.join(unknown)}")
    for key in _BOOLEAN_KEYS:
        if key in document and not isinstance(document[key], bool):
            raise UserDataRefused(f"{key}: must be true or false")
    _check_keys_and_users(document)
    return UserData(
        hostname=_hostname(document),
        files=tuple(_written_file(i, entry) for i, entry in enumerate(_list(document, "write_files"))),
        packages=tuple(_package(i, entry) for i, entry in enumerate(_list(document, "packages"))),
        boot_commands=_commands(document, "bootcmd"),
        run_commands=_commands(document, "runcmd"),
    )


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise UserDataRefused(f"{key}: must be a list, not {type(value).__name__}")
    return value


def _hostname(document: dict[str, Any]) -> str | None:
    for key in ("hostname", "fqdn"):
        if not isinstance(document.get(key, ""), str):
            raise UserDataRefused(f"{key}: must be a string")
    name = document.get("hostname") or document.get("fqdn")
    return str(name).split(".", 1)[0] if name else None


def _check_keys_and_users(document: dict[str, Any]) -> None:
    for i, key in enumerate(_list(document, "ssh_authorized_keys")):
        if not isinstance(key, str) or len(key.split()) < 2:
            raise UserDataRefused(f"ssh_authorized_keys[{i}]: must be a public key in OpenSSH's one-line form")
    users = document.get("users")
    for i, user in enumerate(users if isinstance(users, list) else []):
        if not (isinstance(user, str) or (isinstance(user, dict) and isinstance(user.get("name"), str))):
            raise UserDataRefused(f"users[{i}]: must be a name or a mapping with name")


def _written_file(index: int, entry: Any) -> WrittenFile:
    place = f"write_files[{index}]"
    if not isinstance(entry, dict):
        raise UserDataRefused(f"{place}: must be a mapping")
    unknown = sorted(set(entry) - _FILE_KEYS)
    if unknown:
        raise UserDataRefused(f"{place}: unknown keys {', '.join(map(str, unknown))}")
    path = entry.get("path")
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        raise UserDataRefused(f"{place}.path: must be an absolute path, not {path!r}")
    for key in ("append", "defer"):
        if not isinstance(entry.get(key, False), bool):
            raise UserDataRefused(f"{place}.{key}: must be true or false")
    content = _decoded(place, entry.get("content", ""), entry.get("encoding", "text/plain"))
    return WrittenFile(path, content, _mode(place, entry.get("permissions", "0644")), entry.get("append", False))


def _mode(place: str, permissions: Any) -> int:
    # A bare 0600 is the number 384 for YAML: cloud-init then sets mode 0o384's digits, or fails.
    if not isinstance(permissions, str):
        raise UserDataRefused(f"{place}.permissions: must be a string of octal digits, not {permissions!r}")
    try:
        mode = int(permissions, 8)
    except ValueError:
        raise UserDataRefused(f"{place}.permissions: {permissions!r} is not octal") from None
    if not 0 <= mode <= 0o7777:
        raise UserDataRefused(f"{place}.permissions: {permissions!r} is out of range")
    return mode


def _decoded(place: str, content: Any, encoding: Any) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    if not isinstance(raw, bytes):
        raise UserDataRefused(f"{place}.content: must be a string, not {type(content).__name__}")
    try:
        if encoding in _BASE64:
            return base64.b64decode(raw, validate=True)
        if encoding in _GZIP_BASE64:
            return _unzipped(base64.b64decode("".join(raw.decode().split()), validate=True))
        if encoding in _GZIP:
            return _unzipped(raw)
    except (binascii.Error, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserDataRefused(f"{place}.content: is not {encoding}: {error}") from error
    if encoding != "text/plain":
        raise UserDataRefused(f"{place}.encoding: {encoding!r} is unknown")
    return raw


def _unzipped(raw: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    content = unpacker.decompress(raw, MAX_UNPACKED_BYTES)
    if unpacker.unconsumed_tail:
        raise gzip.BadGzipFile("unpacks to more than 64 MiB")
    if not unpacker.eof:
        raise EOFError("the stream is cut off")
    return content


def _package(index: int, entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry):
        return str(entry[0])
    raise UserDataRefused(f"packages[{index}]: must be a name or a pair of name and version, both strings")


def _commands(document: dict[str, Any], key: str) -> tuple[Command, ...]:
    commands: list[Command] = []
    for i, entry in enumerate(_list(document, key)):
        if isinstance(entry, str):
            commands.append(entry)
        elif isinstance(entry, list) and entry and all(isinstance(part, str) for part in entry):
            commands.append(tuple(entry))
        elif entry is not None:
            raise UserDataRefused(f"{key}[{i}]: must be a string or a list of strings")
    return tuple(commands)

"""The installer of K3s and RKE2: our own script, the same bytes on every node, and the parameters it reads.

The script is static so that it can be read, linted and tested as it is; whatever differs stands in the environment
file, whose values are narrow enough that every reader (the script, systemd, a shell) sees the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.model import NodeBootstrap

SCRIPT_PATH = "/usr/local/lib/paddock/install.sh"
ENVIRONMENT_PATH = "/etc/paddock/install.env"

_SCRIPT = Path(__file__).with_name("install.sh")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
# No blank, quote, dollar, backtick, backslash, semicolon, ampersand or bracket of a shell's: nothing needs quoting.
_PLAIN = re.compile(r"[A-Za-z0-9._~:/?#@+,=%\[\]-]*")


@cache
def install_script() -> str:
    """The script's text."""
    return _SCRIPT.read_text(encoding="utf-8")


def install_parameters(node: NodeBootstrap) -> dict[str, str]:
    """What the script is told on this node; a checksum, or the release's file of checksums, is always among it."""
    artifact = node.artifact
    parameters = {
        "PADDOCK_DISTRIBUTION": node.distribution.name,
        "PADDOCK_VERSION": node.release.version,
        "PADDOCK_ROLE": node.role,
        "PADDOCK_UNIT": node.distribution.unit(node.role),
        "PADDOCK_ARCHITECTURE": node.architecture,
        "PADDOCK_SOURCE": artifact.url,
    }
    if artifact.sha256 is not None:
        return {**parameters, "PADDOCK_SHA256": artifact.sha256}
    if artifact.checksums_url is None:
        raise BootstrapInvalid("/release", "unchecked", f"{node.release.version} has nothing to be checked by")
    return {**parameters, "PADDOCK_SHA256_URL": artifact.checksums_url}


def render_environment(parameters: Mapping[str, str]) -> str:
    """NAME=value lines. Raises BootstrapInvalid for a value that would need quoting: none of ours does."""
    lines: list[str] = []
    for name, value in parameters.items():
        if not _NAME.fullmatch(name) or not _PLAIN.fullmatch(value):
            raise BootstrapInvalid(f"/install/{name}", "format", "the value holds characters that would need quoting")
        lines.append(f"{name}={value}\n")
    return "".join(lines)


def install_files(node: NodeBootstrap) -> list[NodeFile]:
    """The script and its parameters."""
    return [
        NodeFile(ENVIRONMENT_PATH, render_environment(install_parameters(node))),
        NodeFile(SCRIPT_PATH, install_script(), "0755"),
    ]

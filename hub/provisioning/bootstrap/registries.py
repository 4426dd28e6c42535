"""Container registries of a guest cluster: mirrors, credentials and trust, as K3s and RKE2 read them from
registries.yaml.

Certificates are given as PEM text; they become files of their own, because registries.yaml names paths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hub.provisioning.bootstrap.checks import BootstrapInvalid, check_text, check_unique
from hub.provisioning.bootstrap.files import NodeFile

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_PEM = re.compile(r"(?:-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/=\n]+-----END [A-Z ]+-----\n?)+")


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where images of one registry are really pulled from, tried in order; `rewrites` maps regular expressions on
    paths."""

    endpoints: tuple[str, ...]
    rewrites: Mapping[str, str] = field(default_factory=dict)

    def check(self, pointer: str) -> None:
        """Raises BootstrapInvalid."""
        check_unique(self.endpoints, f"{pointer}/endpoints")
        for index, endpoint in enumerate(self.endpoints):
            check_text(endpoint, f"{pointer}/endpoints/{index}", ascii_only=True)
            if not _is_endpoint(endpoint):
                raise BootstrapInvalid(f"{pointer}/endpoints/{index}", "format", "an http or https URL is wanted")
        for pattern, replacement in self.rewrites.items():
            check_text(pattern, f"{pointer}/rewrites", maximum=256)
            check_text(replacement, f"{pointer}/rewrites", maximum=256)

    def document(self) -> dict[str, object]:
        """The mirror as registries.yaml has it."""
        return {"endpoint": list(self.endpoints), **({"rewrite": dict(self.rewrites)} if self.rewrites else {})}


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How one registry is spoken to. User and password, or an identity token; PEM texts for trust and client
    certificate."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)
    ca_pem: str | None = None
    cert_pem: str | None = None
    key_pem: str | None = field(default=None, repr=False)
    insecure_skip_verify: bool = False

    def check(self, pointer: str) -> None:
        """Raises BootstrapInvalid."""
        for name in ("username", "password", "identity_token"):
            value = getattr(self, name)
            if value is not None:
                check_text(value, f"{pointer}/{name}", maximum=8192)
        for name in ("ca_pem", "cert_pem", "key_pem"):
            value = getattr(self, name)
            if value is not None and not _PEM.fullmatch(value):
                raise BootstrapInvalid(f"{pointer}/{name}", "format", "PEM text is wanted")
        for one, other in (("username", "password"), ("cert_pem", "key_pem")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise BootstrapInvalid(f"{pointer}/{other}", "required", f"{one} and {other} go together")

    def document(self, paths: Mapping[str, str]) -> dict[str, object]:
        """The access as registries.yaml has it; `paths` says where each PEM text lies."""
        auth = {"username": self.username, "password": self.password, "identity_token": self.identity_token}
        tls: dict[str, object] = {name.replace("_pem", "_file"): path for name, path in paths.items()}
        if self.insecure_skip_verify:
            tls["insecure_skip_verify"] = True
        known_auth = {key: value for key, value in auth.items() if value is not None}
        return {**({"auth": known_auth} if known_auth else {}), **({"tls": tls} if tls else {})}


@dataclass(frozen=True, slots=True)
class Registries:
    """Mirrors by registry ("docker.io", "*") and access by endpoint ("mirror.example:5000")."""

    mirrors: Mapping[str, Mirror] = field(default_factory=dict)
    access: Mapping[str, RegistryAccess] = field(default_factory=dict)

    def check(self, pointer: str) -> None:
        """Raises BootstrapInvalid."""
        for host, mirror in self.mirrors.items():
            if host != "*":
                _check_host(host, f"{pointer}/mirrors")
            mirror.check(f"{pointer}/mirrors/{_escaped(host)}")
        for host, access in self.access.items():
            _check_host(host, f"{pointer}/access")
            access.check(f"{pointer}/access/{_escaped(host)}")

    def files(self, folder: str) -> list[NodeFile]:
        """registries.yaml (JSON text, which is YAML) and the PEM files it names, all below `folder`."""
        files: list[NodeFile] = []
        configs: dict[str, object] = {}
        for number, (host, access) in enumerate(sorted(self.access.items())):
            paths: dict[str, str] = {}
            for name in ("ca_pem", "cert_pem", "key_pem"):
                pem = getattr(access, name)
                if pem is not None:
                    paths[name] = f"{folder}/registry-{number}-{name.removesuffix('_pem')}.pem"
                    files.append(NodeFile(paths[name], pem))
            configs[host] = access.document(paths)
        mirrors = {host: mirror.document() for host, mirror in self.mirrors.items()}
        document = {**({"mirrors": mirrors} if mirrors else {}), **({"configs": configs} if configs else {})}
        return [NodeFile.of_json(f"{folder}/registries.yaml", document), *files]


def _check_host(host: str, pointer: str) -> None:
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise BootstrapInvalid(pointer, "format", "a registry is named by its host, with a port where it has one")


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and " " not in url


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")

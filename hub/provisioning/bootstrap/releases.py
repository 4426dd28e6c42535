"""The release table: which versions of which distribution can be ordered, where they lie and how they are checked.

Read from `releases.yaml` beside this module and, where the operator gives one, a file of his own. What the node
downloads is checked on the node (install.sh); a release that nothing could check is refused here (SEC-74).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import total_ordering
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kube.strict_yaml import RefusedYaml, load_strict

BUILT_IN = Path(__file__).with_name("releases.yaml")
MAX_BYTES = 256 * 1024
ARCHITECTURES = ("amd64", "arm64")

_VERSION = re.compile(
    r"v(?P<major>[0-9]{1,3})\.(?P<minor>[0-9]{1,3})\.(?P<patch>[0-9]{1,3})\+(?P<build>k3s|rke2r)(?P<revision>[0-9]{1,3})"
)
_BUILD_OF = {"k3s": "k3s", "rke2": "rke2r"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHANNEL = re.compile(r"[a-z][a-z0-9.-]{0,31}")
# What can stand in install.env and on a command line without being quoted: no space, quote, dollar, backslash,
# semicolon.
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@+,=%\[\]-]{1,1000}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class ReleasesInvalid(ValueError):
    """A release table that cannot be taken: `pointer` is a JSON pointer into the file, `path` the file."""

    def __init__(self, path: Path, pointer: str, message: str) -> None:
        super().__init__(f"{path}{pointer and ' at ' + pointer}: {message}")
        self.path = path
        self.pointer = pointer
        self.message = message


class ReleaseUnknown(LookupError):
    """No such release in the table; `known` lists the distribution's versions, newest first."""

    def __init__(self, distribution: str, version: str, known: tuple[str, ...]) -> None:
        super().__init__(f"{distribution} {version} is not in the release table; it has {', '.join(known) or 'none'}")
        self.known = known


@dataclass(frozen=True, slots=True)
class Artifact:
    """One downloadable file: at least one of `sha256` (hex) and `checksums_url` is set."""

    url: str
    sha256: str | None
    checksums_url: str | None


@total_ordering
@dataclass(frozen=True, slots=True)
class Release:
    """A version of a distribution; orders by version within one distribution."""

    distribution: str
    version: str
    channels: tuple[str, ...]
    artifacts: Mapping[str, Artifact] = field(hash=False)

    @property
    def sort_key(self) -> tuple[int, int, int, int]:
        """Major, minor, patch and the distribution's own revision."""
        found = _VERSION.fullmatch(self.version)
        if found is None:
            raise ValueError(f"{self.version} is not a version of {self.distribution}")
        return int(found["major"]), int(found["minor"]), int(found["patch"]), int(found["revision"])

    @property
    def kubernetes_minor(self) -> str:
        """Such as "1.35"."""
        major, minor, *_ = self.sort_key
        return f"{major}.{minor}"

    def in_channel(self, channel: str) -> bool:
        """Whether the channel may point at this release: one it names, or that of its minor ("v1.35")."""
        return channel in self.channels or channel == f"v{self.kubernetes_minor}"

    def __lt__(self, other: Release) -> bool:
        return (self.distribution, self.sort_key) < (other.distribution, other.sort_key)


def load_releases(path: Path | None = None) -> tuple[Release, ...]:
    """The table, newest first within each distribution; `path` is the operator's own file, merged over the built-in
    one.

    Raises ReleasesInvalid naming file and place, and OSError when the file cannot be read.
    """
    built_in = _read(BUILT_IN)
    tables = [(BUILT_IN, built_in)]
    if path is not None:
        own = _read(path)
        if own.get("replace") is True:
            own.setdefault("distributions", built_in["distributions"])
            tables = [(path, own)]
        else:
            tables.append((path, own))
    distributions: dict[str, dict[str, Any]] = {}
    for file, table in tables:
        for name, entry in _mapping(file, "/distributions", table.get("distributions", {})).items():
            distributions[name] = {**distributions.get(name, {}), **_distribution(file, name, entry)}
    releases: dict[tuple[str, str], Release] = {}
    for file, table in tables:
        seen: set[tuple[str, str]] = set()
        for index, entry in enumerate(_sequence(file, "/releases", table.get("releases", []))):
            release = _release(file, f"/releases/{index}", entry, distributions)
            key = (release.distribution, release.version)
            if key in seen:
                raise ReleasesInvalid(file, f"/releases/{index}", f"{release.version} stands twice in this file")
            seen.add(key)
            releases[key] = release
    return tuple(sorted(releases.values(), reverse=True))


def find_release(releases: Iterable[Release], distribution: str, version: str) -> Release | None:
    """The release of exactly this version, or None."""
    return next((r for r in releases if r.distribution == distribution and r.version == version), None)


def get_release(releases: Iterable[Release], distribution: str, version: str) -> Release:
    """The release of exactly this version; raises ReleaseUnknown."""
    table = tuple(releases)
    release = find_release(table, distribution, version)
    if release is None:
        known = tuple(r.version for r in sorted(table, reverse=True) if r.distribution == distribution)
        raise ReleaseUnknown(distribution, version, known)
    return release


def find_latest(releases: Iterable[Release], distribution: str, channel: str) -> Release | None:
    """The newest release of a channel ("stable", "v1.35"), or None."""
    return max((r for r in releases if r.distribution == distribution and r.in_channel(channel)), default=None)


def find_upgrade_refusal(current: Release, target: Release) -> str | None:
    """Why a cluster may not go from one release to the other, as a code, or None when it may.

    Nothing but the hub enforces this: neither distribution refuses to skip a minor, and a downgrade needs a restore.
    """
    if current.distribution != target.distribution:
        return "distribution_changed"
    if target.sort_key == current.sort_key:
        return "same_version"
    if target.sort_key < current.sort_key:
        return "downgrade"
    (major, minor, *_), (target_major, target_minor, *_) = current.sort_key, target.sort_key
    if target_major != major or target_minor > minor + 1:
        return "minor_skipped"
    return None


def upgrade_allowed(current: Release, target: Release) -> bool:
    """Whether `find_upgrade_refusal` has nothing against it."""
    return find_upgrade_refusal(current, target) is None


def is_plain_url(url: str) -> bool:
    """Whether it is an http(s) URL with a host, free of everything a shell could take for its own."""
    try:
        return _PLAIN_URL.fullmatch(url) is not None and bool(urlsplit(url).hostname)
    except ValueError:  # brackets that hold no IPv6 address
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        document = load_strict(path.read_text(encoding="utf-8"), max_bytes=MAX_BYTES)
    except UnicodeDecodeError as error:
        raise ReleasesInvalid(path, "", "not UTF-8 text") from error
    except RefusedYaml as error:
        mark = getattr(error.__cause__, "problem_mark", None)
        raise ReleasesInvalid(path, "", f"{error}{f' (line {mark.line + 1})' if mark else ''}") from error
    table = _mapping(path, "", document)
    _known_keys(path, "", table, {"distributions", "releases", "replace"})
    if table.get("replace", False) not in (True, False):
        raise ReleasesInvalid(path, "/replace", "true or false is wanted")
    return table


def _distribution(path: Path, name: str, entry: object) -> dict[str, Any]:
    pointer = f"/distributions/{name}"
    if name not in _BUILD_OF:
        raise ReleasesInvalid(path, pointer, f"unknown distribution; known are {', '.join(sorted(_BUILD_OF))}")
    values = _mapping(path, pointer, entry)
    _known_keys(path, pointer, values, {"source", "checksums", "files"})
    for key in ("source", "checksums"):
        if values.get(key) is not None and not isinstance(values[key], str):
            raise ReleasesInvalid(path, f"{pointer}/{key}", "a URL is wanted")
    for architecture, file in _mapping(path, f"{pointer}/files", values.get("files", {})).items():
        if architecture not in ARCHITECTURES or not isinstance(file, str) or not _FILE_NAME.fullmatch(file):
            raise ReleasesInvalid(path, f"{pointer}/files/{architecture}", "amd64 or arm64 with a file name is wanted")
    return values


def _release(path: Path, pointer: str, entry: object, distributions: Mapping[str, dict[str, Any]]) -> Release:
    values = _mapping(path, pointer, entry)
    _known_keys(path, pointer, values, {"distribution", "version", "channels", "sha256", "source", "checksums"})
    name, version = values.get("distribution"), values.get("version")
    if not isinstance(name, str) or name not in distributions:
        raise ReleasesInvalid(path, f"{pointer}/distribution", f"one of {', '.join(sorted(distributions))} is wanted")
    found = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if not isinstance(version, str) or found is None or found["build"] != _BUILD_OF[name]:
        raise ReleasesInvalid(path, f"{pointer}/version", f"a version like v1.35.7+{_BUILD_OF[name]}1 is wanted")
    channels = _sequence(path, f"{pointer}/channels", values.get("channels", []))
    if not all(isinstance(channel, str) and _CHANNEL.fullmatch(channel) for channel in channels):
        raise ReleasesInvalid(path, f"{pointer}/channels", "a list of names like stable is wanted")
    where: dict[str, Any] = {
        **distributions[name],
        **{key: values[key] for key in ("source", "checksums") if key in values},
    }
    sums = _mapping(path, f"{pointer}/sha256", values.get("sha256", {}))
    _known_keys(path, f"{pointer}/sha256", sums, set(ARCHITECTURES))
    files = where.get("files", {})
    if not files:
        raise ReleasesInvalid(path, pointer, "the distribution names no files")
    artifacts = {arch: _artifact(path, pointer, version, arch, where, sums.get(arch)) for arch in files}
    return Release(name, version, tuple(channels), artifacts)


def _artifact(
    path: Path, pointer: str, version: str, architecture: str, where: Mapping[str, Any], sha256: object
) -> Artifact:
    url = _expand(path, f"{pointer}/source", where.get("source"), version, architecture, where)
    if url is None:
        raise ReleasesInvalid(path, f"{pointer}/source", "no source is known")
    checksums = _expand(path, f"{pointer}/checksums", where.get("checksums"), version, architecture, where)
    if sha256 is None and checksums is None:
        raise ReleasesInvalid(path, pointer, f"nothing to check {architecture} by: neither sha256 nor checksums")
    if sha256 is not None and (not isinstance(sha256, str) or not _SHA256.fullmatch(sha256)):
        raise ReleasesInvalid(path, f"{pointer}/sha256/{architecture}", "64 small hexadecimal digits are wanted")
    # A sum that travels unprotected beside its artifact proves nothing; a pinned one makes the transport indifferent.
    if sha256 is None and not (url.startswith("https://") and str(checksums).startswith("https://")):
        raise ReleasesInvalid(path, pointer, "without a pinned sha256 both source and checksums must be https")
    return Artifact(url, sha256, checksums)


def _expand(
    path: Path, pointer: str, template: object, version: str, architecture: str, where: Mapping[str, Any]
) -> str | None:
    if template is None:
        return None
    if not isinstance(template, str):
        raise ReleasesInvalid(path, pointer, "a URL is wanted")
    url = template
    fields = {
        "version": version.replace("+", "%2B"),
        "file": where["files"][architecture],
        "architecture": architecture,
    }
    for name, value in fields.items():
        url = url.replace("{" + name + "}", value)
    if not is_plain_url(url):
        raise ReleasesInvalid(path, pointer, f"not a plain http(s) URL: {url[:200]!r}")
    return url


def _mapping(path: Path, pointer: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ReleasesInvalid(path, pointer, "a mapping of names is wanted")
    return value


def _sequence(path: Path, pointer: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ReleasesInvalid(path, pointer, "a list is wanted")
    return value


def _known_keys(path: Path, pointer: str, values: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise ReleasesInvalid(path, f"{pointer}/{unknown[0]}", f"unknown key; known are {', '.join(sorted(known))}")

"""Which real programs the bed runs, of which version, and where they are.

Building them is left to ``build``; running them to ``etcd``, ``apiserver`` and ``controller_manager``. Standard
library only.
"""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from tests.bed.cache import cache_folder

KUBERNETES_VERSION = "v1.34.4"
ETCD_VERSION = "v3.6.8"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")

GO_MODULES = Path(__file__).parent / "go"


@dataclass(frozen=True)
class Recipe:
    """How one program is made: a main package of one of our Go modules, and the linker's ``-X`` values."""

    program: str
    module: str
    package: str
    stamps: tuple[tuple[str, str], ...] = ()


# Without these stamps a Kubernetes program says v0.0.0-master+$Format:%H$, and clients that look at the version
# refuse or take wrong turns. kube-apiserver reads component-base's copy, kubectl's User-Agent client-go's.
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
_STAMPS = tuple(
    (f"{package}.{name}", value)
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (
        ("gitVersion", KUBERNETES_VERSION),
        ("gitMajor", _MAJOR),
        ("gitMinor", _MINOR),
        ("gitTreeState", "clean"),
        # Not a commit: the sources are the published module, which names none.
        ("gitCommit", f"module-{KUBERNETES_VERSION}"),
    )
)

RECIPES = (
    Recipe("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", _STAMPS),
    Recipe("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager", _STAMPS),
    Recipe("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", _STAMPS),
    Recipe("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
)


def built_folder() -> Path:
    """Where a build of exactly these sources for this machine belongs; need not exist.

    The digest covers the Go modules and the recipes, so a changed version or flag never meets an old binary.
    """
    digest = hashlib.sha256(f"{platform.machine()} {RECIPES!r}".encode())
    for module in sorted({recipe.module for recipe in RECIPES}):
        for name in ("go.mod", "go.sum", "tools.go"):
            digest.update((GO_MODULES / module / name).read_bytes())
    return cache_folder() / "bed" / digest.hexdigest()[:16]


@dataclass(frozen=True)
class Binaries:
    """A folder that holds all of ``PROGRAMS`` as executable files."""

    folder: Path

    @classmethod
    def locate(cls) -> Binaries | None:
        """The programs at hand, or None; never builds.

        ``PADDOCK_KUBE_BIN`` goes first. Raises FileNotFoundError when it is set and a program is missing there:
        whoever points somewhere wants to hear that it is wrong.
        """
        given = os.environ.get("PADDOCK_KUBE_BIN")
        folder = Path(given).absolute() if given else built_folder() / "bin"
        missing = [program for program in PROGRAMS if not os.access(folder / program, os.X_OK)]
        if not missing:
            return cls(folder)
        if given:
            raise FileNotFoundError(f"PADDOCK_KUBE_BIN={given} has no executable {', '.join(missing)}")
        return None

    @property
    def etcd(self) -> Path:
        return self.folder / "etcd"

    @property
    def kube_apiserver(self) -> Path:
        return self.folder / "kube-apiserver"

    @property
    def kube_controller_manager(self) -> Path:
        return self.folder / "kube-controller-manager"

    @property
    def kubectl(self) -> Path:
        return self.folder / "kubectl"

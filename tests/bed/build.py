"""Brings the bed's real parts: ``python -m tests.bed.build``.

Builds the Kubernetes programs and etcd from their published Go modules, and fetches cloud-init's schema and Keycloak; what
and where to is said in ``binaries``, ``cloud_init`` and ``keycloak_build``. Needs the standard library, a Go tool chain
(see ``go_toolchain``) and Go modules; no C compiler; for Keycloak a Java runtime and Maven. A cold build takes minutes
and about 4 GB of Go's own caches, a second call nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bed import cloud_init, keycloak_build
from tests.bed.binaries import ETCD_VERSION, GO_MODULES, KUBERNETES_VERSION, RECIPES, Binaries, Recipe, built_folder
from tests.bed.cache import atomic_folder, exclusive
from tests.bed.go_toolchain import GoMissing, ensure_go
from tests.bed.keycloak_build import KeycloakMissing

STEP_DEADLINE = 3600.0
"""Seconds that one program's build may take: a slow proxy on a slow machine, but not for ever."""


class BuildFailed(RuntimeError):
    """A program could not be built; the message carries the tail of what Go said."""


def ensure_binaries() -> Binaries:
    """The bed's programs, built when they are not at hand; a second process waits for the first one's build.

    Raises GoMissing without a Go tool chain and BuildFailed when Go refuses.
    """
    found = Binaries.locate()
    if found is not None:
        return found
    target = built_folder()
    say(f"building Kubernetes {KUBERNETES_VERSION} and etcd {ETCD_VERSION} into {target / 'bin'}")
    with exclusive(target.parent):
        if not target.exists():
            _build(target)
    found = Binaries.locate()
    if found is None:
        raise BuildFailed(f"{target} is there but incomplete: delete it and build again")
    return found


def _build(target: Path) -> None:
    go = ensure_go()
    say(f"tool chain: {go}")
    with atomic_folder(target) as scratch, tempfile.TemporaryDirectory(prefix="paddock-build-") as copy:
        modules = Path(copy) / "go"
        shutil.copytree(GO_MODULES, modules)
        for recipe in RECIPES:
            started = time.monotonic()
            _build_program(go, modules / recipe.module, recipe, scratch / "bin" / recipe.program)
            megabytes = (scratch / "bin" / recipe.program).stat().st_size / 1e6
            say(f"{recipe.program}: {megabytes:.0f} MB in {time.monotonic() - started:.0f} s")


def _build_program(go: Path, module: Path, recipe: Recipe, output: Path) -> None:
    output.parent.mkdir(exist_ok=True)
    stamps = [f"-X {name}={value}" for name, value in recipe.stamps]
    command = [str(go), "build", "-p", "2", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    command += ["-ldflags", " ".join(["-s", "-w", *stamps]), "-o", str(output), recipe.package]
    done = subprocess.run(
        command, cwd=module, env=_environment(), capture_output=True, text=True, timeout=STEP_DEADLINE, check=False
    )
    if done.returncode != 0:
        raise BuildFailed(f"go build {recipe.package} failed:\n{done.stderr[-4000:]}")


def _environment() -> dict[str, str]:
    """The caller's environment (GOFLAGS, GOPROXY, caches), less what would change the result."""
    fixed = {
        "CGO_ENABLED": "0",  # static, so that the programs run in images that hold nothing else
        "GOTOOLCHAIN": "local",  # never fetch another tool chain behind our back
        "GOWORK": "off",
    }
    return {**os.environ, **fixed}


def say(line: str) -> None:
    """One line of progress, at once, for a person who waits."""
    print(f"bed: {line}", flush=True)


def main() -> int:
    """Entry of ``python -m tests.bed.build``; 0 when all parts that this machine can have are at hand."""
    started = time.monotonic()
    try:
        say(f"programs: {ensure_binaries().folder}")
        say(_cloud_init())
        say(_keycloak())
    except (GoMissing, BuildFailed, FileNotFoundError, cloud_init.CloudInitMissing, KeycloakMissing) as error:
        print(f"bed: {error}", file=sys.stderr)
        return 1
    say(f"ready in {time.monotonic() - started:.0f} s")
    return 0


def _cloud_init() -> str:
    if shutil.which("apt-get") is None:
        return "cloud-init's schema: left out, this machine has no apt"
    return f"cloud-init's schema: {cloud_init.ensure()}"


def _keycloak() -> str:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        return "Keycloak: left out, this machine has no Java runtime or no Maven"
    return f"Keycloak: {keycloak_build.ensure()}"


if __name__ == "__main__":
    sys.exit(main())

"""Keycloak's distribution: fetched from Maven Central by its pinned hash, built once, with a database that has its tables.

``python -m tests.bed.build`` brings it; ``keycloak`` runs it. Standard library, a Java runtime and Maven.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.bed.cache import atomic_folder, cache_folder, exclusive

VERSION = "26.4.0"
SHA256 = "1b6a11a2726ac8a8dc9c91d5fafe989a75ce4f1622d7f7b45c21d5bc16629c0a"
ADMINISTRATOR = "bed"
PASSWORD = "bed-password"  # of a server that lives for one test run, on loopback
STEP_DEADLINE = 900.0
FIRST_START_DEADLINE = 180.0

_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
_READY = "Listening on:"
# What the distribution's own start script gives, less what only a big server needs.
_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx512m",
    "-XX:MaxMetaspaceSize=256m",
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
)


class KeycloakMissing(RuntimeError):
    """Keycloak cannot be had here; the message says why."""


def built_folder() -> Path:
    """Where this version belongs; need not exist. ``server`` is the distribution, ``data`` a database to copy."""
    return cache_folder() / "keycloak" / f"{VERSION}-{SHA256[:8]}"


def locate() -> Path | None:
    """The built folder, None when there is none or no Java to run it."""
    folder = built_folder()
    return folder if folder.exists() and shutil.which("java") else None


def ensure() -> Path:
    """The built folder; takes about 40 s when it has to be made. Raises KeycloakMissing."""
    folder = built_folder()
    for program in ("java", "mvn"):
        if shutil.which(program) is None and not (program == "mvn" and folder.exists()):
            raise KeycloakMissing(f"Keycloak needs {program} on the PATH (openjdk-17-jre-headless or newer, maven)")
    with exclusive(folder.parent):
        if not folder.exists():
            with atomic_folder(folder) as scratch:
                _unpack(_fetch(scratch), scratch)
                _build(scratch / "server")
                _make_database(scratch)
                shutil.rmtree(scratch / "maven")
    return folder


def link_home(built: Path, home: Path) -> None:
    """A folder to run in: the shared distribution by links, and data of its own. ``home`` exists."""
    for part in (built / "server").iterdir():
        (home / part.name).symlink_to(part)
    if (built / "data").exists():
        shutil.copytree(built / "data", home / "data")


def start_command(home: Path, *options: str) -> Sequence[str]:
    """Java itself instead of the start script, which would stand between us and the process to stop."""
    return [
        str(shutil.which("java")),
        *_JAVA_OPTIONS,
        f"-Dkc.home.dir={home}",
        f"-Djboss.server.config.dir={home / 'conf'}",
        "-cp",
        str(home / "lib" / "quarkus-run.jar"),
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        "start",
        "--optimized",
        "--cache=local",
        "--hostname-strict=false",
        "--http-host=127.0.0.1",
        *options,
    ]


def _fetch(scratch: Path) -> Path:
    repository = scratch / "maven"
    command = ["mvn", "-q", "-B", f"-Dmaven.repo.local={repository}", "dependency:get", "-Dtransitive=false"]
    _run([*command, f"-Dartifact={_ARTIFACT}"], "Maven did not bring Keycloak")
    (archive,) = repository.glob("org/keycloak/keycloak-quarkus-dist/*/*.zip")
    with archive.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != SHA256:
        raise KeycloakMissing(f"{archive.name} has the hash {found}, not the pinned one")
    return archive


def _unpack(archive: Path, scratch: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        content.extractall(scratch)
    (scratch / f"keycloak-{VERSION}").rename(scratch / "server")


def _build(server: Path) -> None:
    script = server / "bin" / "kc.sh"
    _run(["sh", str(script), "build", "--db=dev-file", "--health-enabled=true"], "Keycloak's own build failed")


def _make_database(scratch: Path) -> None:
    """Runs it once: the tables and the administrator take longer than all other starting."""
    with tempfile.TemporaryDirectory(prefix="paddock-keycloak-") as folder:
        home, log = Path(folder) / "home", Path(folder) / "log"
        home.mkdir()
        link_home(scratch, home)
        environment = {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMINISTRATOR, "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD}
        command = start_command(home, "--http-enabled=true", "--http-port=0", "--http-management-port=0")
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
        try:
            _wait_until_ready(process, log)
        finally:
            process.terminate()
            process.wait(30)
        shutil.copytree(home / "data", scratch / "data")


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + FIRST_START_DEADLINE
    while _READY not in (said := log.read_text(errors="replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise KeycloakMissing(f"Keycloak did not start; its log ends:\n{said[-3000:]}")
        time.sleep(0.1)


def _run(command: Sequence[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_DEADLINE, check=False)
    if done.returncode != 0:
        raise KeycloakMissing(f"{failure}:\n{(done.stdout + done.stderr)[-3000:]}")

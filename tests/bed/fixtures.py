"""pytest fixtures that hand the real parts to tests, and what the run says about parts that were missing.

``tests/conftest.py`` imports the fixtures and the hook by name. A missing part skips the tests that need it,
unless ``PADDOCK_REQUIRE_BED=1`` makes them fail.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.bed import cloud_init, keycloak_build
from tests.bed.binaries import Binaries, built_folder
from tests.bed.crds import project_crds, real_crds
from tests.bed.keycloak import Keycloak
from tests.bed.kubernetes import ApiServer, Bed
from tests.bed.pki import Authority

_MARK = "not at hand: "


def _missing(part: str, why: str) -> NoReturn:
    """Skip the test that asked for ``part``, or fail it where the bed is required."""
    reason = f"{part} {_MARK}{why}"
    if os.environ.get("PADDOCK_REQUIRE_BED") == "1":
        pytest.fail(f"{reason} (PADDOCK_REQUIRE_BED=1)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kube_binaries() -> Binaries:
    """The real programs, built before the run."""
    binaries = Binaries.locate()
    if binaries is None:
        _missing("real kube-apiserver", f"nothing in {built_folder()}, run python -m tests.bed.build")
    return binaries


@pytest.fixture(scope="session")
def kubectl(kube_binaries: Binaries) -> Path:
    """The real kubectl."""
    return kube_binaries.kubectl


@pytest.fixture(scope="session")
def bed(kube_binaries: Binaries) -> Iterator[Bed]:
    """etcd for the session; each test may start API servers of its own over it."""
    with Bed(kube_binaries) as running:
        yield running


@pytest.fixture(scope="session")
def kube_apiserver(bed: Bed) -> ApiServer:
    """A real cluster with controller manager and the project's CRDs, shared by all: bring your own namespace."""
    return bed.start_api_server("shared", project_crds() or (), controller_manager=True)


@pytest.fixture(scope="session")
def kube_apiserver_with_real_crds(bed: Bed) -> ApiServer:
    """As ``kube_apiserver``, with the CRDs that the upstream projects ship, of the groups that the project writes."""
    written = project_crds()
    crds = real_crds(None if written is None else {crd["spec"]["group"] for crd in written})
    if crds is None:
        # Not a part that can be built: a checkout without them passes everywhere.
        pytest.skip(f"real CRDs {_MARK}PADDOCK_CRDS names no folder")
    return bed.start_api_server("real-crds", crds, controller_manager=True)


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """A real Keycloak, shared by all: bring your own realm."""
    built = keycloak_build.locate()
    if built is None:
        _missing("real Keycloak", f"nothing in {keycloak_build.built_folder()}, run python -m tests.bed.build")
    server = Keycloak(built, tmp_path_factory.mktemp("keycloak"), Authority("bed"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser that Debian packages."""
    found = shutil.which("chromium")
    if found is None:
        _missing("chromium", "install Debian's package chromium")
    return Path(found)


@pytest.fixture(scope="session")
def cloud_init_schema() -> Callable[[str], list[str]]:
    """cloud-init's own judge: user data in, its complaints out."""
    if cloud_init.locate() is None:
        _missing("cloud-init's schema", "run python -m tests.bed.build on Debian")
    return cloud_init.validate


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say how many tests were skipped for want of which part; outermost, so that it stands in the run's last lines."""
    yield
    parts = Counter(
        reason.removeprefix("Skipped: ").partition(_MARK)[0].strip()
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and _MARK in (reason := report.longrepr[2])
    )
    for part, count in sorted(parts.items()):
        terminalreporter.write_line(f"NOT TESTED: {count} test(s) skipped, {part} was not at hand", yellow=True)

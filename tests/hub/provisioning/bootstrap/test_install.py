"""The install script, run for real below a temporary root: a loopback HTTP server, stub systemctl, true checksums."""

import hashlib
import io
import os
import platform
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.install import (
    ENVIRONMENT_PATH,
    SCRIPT_PATH,
    install_files,
    install_parameters,
    install_script,
    render_environment,
)
from hub.provisioning.bootstrap.model import NodeBootstrap
from hub.provisioning.bootstrap.releases import Artifact, Release

BuildNode = Callable[..., NodeBootstrap]

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
BINARY = b"#!/bin/sh\necho k3s\n" + bytes(range(256)) * 40

runs_here = pytest.mark.skipif(not ARCHITECTURE, reason="the script knows amd64 and arm64 machines")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Site:
    """What the loopback HTTP server serves, and what was asked of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failures: int = 0
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            content = served.files.get(self.path)
            if served.failures > 0:
                served.failures -= 1
                content = None
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


@dataclass
class Machine:
    """A root folder that plays the machine, with a systemctl that only writes down what it was told."""

    root: Path

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def give(self, path: str, content: bytes) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_bytes(content)

    def install(self, **parameters: str) -> subprocess.CompletedProcess[str]:
        lines = {f"PADDOCK_{name.upper()}": value for name, value in parameters.items()}
        self.give(ENVIRONMENT_PATH, render_environment(lines).encode())
        return self.run()

    def run(self) -> subprocess.CompletedProcess[str]:
        self.give(SCRIPT_PATH, install_script().encode())
        environment = {"PATH": f"{self.root}/stub:{os.environ['PATH']}", "PADDOCK_ROOT": str(self.root), "LC_ALL": "C"}
        return subprocess.run(
            ["sh", str(self.path(SCRIPT_PATH))],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def systemctl_calls(self) -> list[str]:
        calls = self.path("/stub/calls")
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.give("/stub/systemctl", f'#!/bin/sh\necho "$@" >>{tmp_path}/stub/calls\n'.encode())
    made.path("/stub/systemctl").chmod(0o755)
    return made


def k3s(site: Site, **changes: str) -> dict[str, str]:
    return {
        "distribution": "k3s",
        "version": "v1.35.5+k3s1",
        "role": "server",
        "unit": "k3s",
        "architecture": ARCHITECTURE,
        "source": f"{site.url}/v1.35.5%2Bk3s1/k3s",
        "attempts": "3",
        "delay": "0",
        **changes,
    }


STARTED = ["daemon-reload", "enable k3s.service", "restart --no-block k3s.service"]


@runs_here
def test_sec74_k3s_is_fetched_checked_against_its_pin_installed_and_started(machine: Machine, site: Site) -> None:
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY}
    done = machine.install(**k3s(site, sha256=sha256(BINARY)))
    assert (done.returncode, done.stderr) == (0, "")
    binary = machine.path("/usr/local/bin/k3s")
    assert (binary.read_bytes(), binary.stat().st_mode & 0o777) == (BINARY, 0o755)
    assert machine.path("/usr/local/bin/kubectl").readlink() == Path("k3s")
    unit = machine.path("/etc/systemd/system/k3s.service").read_text()
    assert "\nExecStart=/usr/local/bin/k3s server\n" in unit
    assert "\nType=notify\n" in unit
    assert machine.systemctl_calls() == STARTED


@runs_here
def test_an_agent_runs_the_agent(machine: Machine, site: Site) -> None:
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY}
    assert machine.install(**k3s(site, sha256=sha256(BINARY), role="agent", unit="k3s-agent")).returncode == 0
    unit = machine.path("/etc/systemd/system/k3s-agent.service").read_text()
    assert "\nExecStart=/usr/local/bin/k3s agent\n" in unit
    assert "\nType=exec\n" in unit
    assert machine.systemctl_calls()[-1] == "restart --no-block k3s-agent.service"


@runs_here
def test_sec74_the_releases_own_checksums_are_used_where_nothing_is_pinned(machine: Machine, site: Site) -> None:
    sums = f"{sha256(b'other')}  k3s-arm64\n{sha256(BINARY)}  k3s\n{sha256(b'x')}  k3s-airgap-images.tar\n"
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY, "/sums.txt": sums.encode()}
    assert machine.install(**k3s(site, sha256_url=f"{site.url}/sums.txt")).returncode == 0
    assert machine.path("/usr/local/bin/k3s").read_bytes() == BINARY


@runs_here
@pytest.mark.parametrize("pinned", [True, False])
def test_sec74_a_checksum_mismatch_refuses_and_leaves_nothing_to_run(
    machine: Machine, site: Site, pinned: bool
) -> None:
    wanted = sha256(b"what was vetted")
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY, "/sums.txt": f"{wanted}  k3s\n".encode()}
    checksum = {"sha256": wanted} if pinned else {"sha256_url": f"{site.url}/sums.txt"}
    done = machine.install(**k3s(site, **checksum))
    assert done.returncode == 1
    assert "checksum mismatch" in done.stdout
    assert "no checked artifact after 3 attempts" in done.stderr
    assert not machine.path("/usr/local/bin/k3s").exists()
    assert list(machine.path("/var/lib/paddock/artifacts/v1.35.5+k3s1").iterdir()) == []
    assert machine.systemctl_calls() == []


@runs_here
@pytest.mark.parametrize(
    "sums",
    ["", "nothing of use\n", f"{sha256(BINARY)}  other-k3s\n", f"{sha256(BINARY)[:40]}  k3s\n", "$(id)  k3s\n"],
)
def test_sec74_a_file_of_checksums_without_ours_refuses(machine: Machine, site: Site, sums: str) -> None:
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY, "/sums.txt": sums.encode()}
    done = machine.install(**k3s(site, sha256_url=f"{site.url}/sums.txt"))
    assert done.returncode == 1
    assert not machine.path("/usr/local/bin/k3s").exists()
    assert "/v1.35.5%2Bk3s1/k3s" not in site.asked


@runs_here
def test_sec74_without_any_checksum_nothing_is_even_fetched(machine: Machine, site: Site) -> None:
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY}
    done = machine.install(**k3s(site))
    assert done.returncode == 1
    assert "no checksum is given" in done.stderr
    assert site.asked == []


@runs_here
def test_a_download_that_fails_is_tried_again(machine: Machine, site: Site) -> None:
    site.files, site.failures = {"/v1.35.5%2Bk3s1/k3s": BINARY}, 2
    assert machine.install(**k3s(site, sha256=sha256(BINARY))).returncode == 0
    assert site.asked == ["/v1.35.5%2Bk3s1/k3s"] * 3


@runs_here
@pytest.mark.skipif(shutil.which("wget") is None, reason="no wget on this machine")
def test_a_machine_with_wget_and_no_curl_installs_too(
    machine: Machine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = "sh wget uname sha256sum cut awk mkdir rm mv cp chmod ln cat sleep"
    for name in programs.split():
        program = shutil.which(name)
        assert program is not None
        machine.path("/only").mkdir(exist_ok=True)
        machine.path(f"/only/{name}").symlink_to(program)
    monkeypatch.setenv("PATH", f"{machine.root}/only")
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY}
    done = machine.install(**k3s(site, sha256=sha256(BINARY)))
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.path("/usr/local/bin/k3s").read_bytes() == BINARY


@runs_here
def test_a_source_that_stays_away_ends_in_a_clear_failure(machine: Machine, site: Site) -> None:
    done = machine.install(**k3s(site, sha256=sha256(BINARY)))
    assert done.returncode == 1
    assert f"no checked artifact after 3 attempts: {site.url}/v1.35.5%2Bk3s1/k3s" in done.stderr
    assert machine.systemctl_calls() == []


@runs_here
def test_a_second_run_downloads_and_changes_nothing(machine: Machine, site: Site) -> None:
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY}
    machine.install(**k3s(site, sha256=sha256(BINARY)))
    before = machine.path("/usr/local/bin/k3s").stat()
    done = machine.install(**k3s(site, sha256=sha256(BINARY)))
    assert done.returncode == 0
    assert machine.path("/usr/local/bin/k3s").stat() == before
    assert len(site.asked) == 1
    assert machine.systemctl_calls()[3:] == ["daemon-reload", "enable k3s.service", "start --no-block k3s.service"]


@runs_here
def test_another_version_replaces_the_first_and_restarts(machine: Machine, site: Site) -> None:
    newer = BINARY + b"newer"
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY, "/next/k3s": newer}
    machine.install(**k3s(site, sha256=sha256(BINARY)))
    done = machine.install(**k3s(site, version="v1.36.0+k3s1", source=f"{site.url}/next/k3s", sha256=sha256(newer)))
    assert done.returncode == 0
    assert machine.path("/usr/local/bin/k3s").read_bytes() == newer
    assert machine.systemctl_calls() == STARTED * 2


@runs_here
@pytest.mark.parametrize("pinned", [True, False])
def test_offline_the_images_own_artifact_is_checked_and_used(machine: Machine, site: Site, pinned: bool) -> None:
    folder = "/var/lib/paddock/artifacts/v1.35.5+k3s1"
    machine.give(f"{folder}/k3s", BINARY)
    machine.give(f"{folder}/sums.txt", f"{sha256(BINARY)} *k3s\n".encode())
    checksum = {"sha256": sha256(BINARY)} if pinned else {"sha256_url": f"{site.url}/sums.txt"}
    assert machine.install(**k3s(site, **checksum)).returncode == 0
    assert machine.path("/usr/local/bin/k3s").read_bytes() == BINARY
    assert site.asked == []


@runs_here
def test_sec74_a_wrong_artifact_in_the_image_is_not_used(machine: Machine, site: Site) -> None:
    machine.give("/var/lib/paddock/artifacts/v1.35.5+k3s1/k3s", b"something else")
    site.files = {"/v1.35.5%2Bk3s1/k3s": BINARY}
    assert machine.install(**k3s(site, sha256=sha256(BINARY))).returncode == 0
    assert machine.path("/usr/local/bin/k3s").read_bytes() == BINARY


def rke2_archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, mode in (("bin/rke2", 0o755), ("lib/systemd/system/rke2-server.service", 0o644)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = 5, mode
            archive.addfile(member, io.BytesIO(b"hello"))
    return stream.getvalue()


@runs_here
def test_rke2_is_unpacked_with_the_units_it_brings(machine: Machine, site: Site) -> None:
    archive = rke2_archive()
    site.files = {"/rke2.linux-amd64.tar.gz": archive}
    parameters = k3s(
        site,
        distribution="rke2",
        unit="rke2-server",
        version="v1.35.7+rke2r1",
        source=f"{site.url}/rke2.linux-amd64.tar.gz",
        sha256=sha256(archive),
    )
    assert machine.install(**parameters).returncode == 0
    assert machine.path("/usr/local/bin/rke2").stat().st_mode & 0o777 == 0o755
    assert machine.path("/usr/local/lib/systemd/system/rke2-server.service").exists()
    assert not machine.path("/etc/systemd/system").exists()
    assert machine.systemctl_calls()[-1] == "restart --no-block rke2-server.service"


@runs_here
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"distribution": "k0s"}, "unknown distribution 'k0s'"),
        ({"role": "both"}, "unknown role 'both'"),
        ({"version": "latest"}, "unknown version 'latest'"),
        ({"version": "v1/../../x"}, "cannot be used"),
        ({"unit": "../x"}, "cannot be used"),
        ({"source": ""}, "no source is given"),
        ({"architecture": "s390x"}, "this machine is"),
    ],
)
def test_parameters_of_nonsense_are_refused(
    machine: Machine, site: Site, change: dict[str, str], complaint: str
) -> None:
    done = machine.install(**{**k3s(site, sha256=sha256(BINARY)), **change})
    assert done.returncode == 1
    assert complaint in done.stderr
    assert site.asked == []


def test_a_machine_without_parameters_says_so(machine: Machine) -> None:
    done = machine.run()
    assert done.returncode == 1
    assert "install.env cannot be read" in done.stderr


@runs_here
def test_sec66_what_stands_in_the_environment_file_is_never_evaluated(machine: Machine, site: Site) -> None:
    evil = f"v1$(touch {machine.root}/evil)`touch {machine.root}/evil`;touch {machine.root}/evil"
    lines = [f"PADDOCK_{name.upper()}={value}" for name, value in k3s(site, sha256=sha256(BINARY)).items()]
    lines += [f"PADDOCK_VERSION={evil}", "PATH=/nowhere", f"touch {machine.root}/evil", f"$(touch {machine.root}/evil)"]
    machine.give(ENVIRONMENT_PATH, "\n".join(lines).encode())
    done = machine.run()
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert not machine.path("/evil").exists()


def test_the_script_is_valid_for_sh() -> None:
    done = subprocess.run(["sh", "-n"], input=install_script(), text=True, capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_environment_names_the_artifact_of_the_machine(build_node: BuildNode) -> None:
    base = "https://github.com/k3s-io/k3s/releases/download/v1.35.5%2Bk3s1"
    environment, script = install_files(build_node(architecture="arm64"))
    assert environment.content == (
        "PADDOCK_DISTRIBUTION=k3s\nPADDOCK_VERSION=v1.35.5+k3s1\nPADDOCK_ROLE=agent\nPADDOCK_UNIT=k3s-agent\n"
        f"PADDOCK_ARCHITECTURE=arm64\nPADDOCK_SOURCE={base}/k3s-arm64\nPADDOCK_SHA256_URL={base}/sha256sum-arm64.txt\n"
    )
    assert (environment.path, environment.permissions) == ("/etc/paddock/install.env", "0600")
    assert (script.path, script.permissions) == ("/usr/local/lib/paddock/install.sh", "0755")


def test_sec74_a_pin_wins_over_the_published_file_and_without_either_nothing_is_rendered(build_node: BuildNode) -> None:
    pin = "0123456789abcdef" * 4

    def node_of(sha256: str | None, checksums_url: str | None) -> NodeBootstrap:
        artifact = Artifact("https://x.example/k3s", sha256, checksums_url)
        return build_node(release=Release("k3s", "v1.35.5+k3s1", (), {"amd64": artifact}))

    both = install_parameters(node_of(pin, "https://x.example/sums"))
    assert both["PADDOCK_SHA256"] == pin
    assert "PADDOCK_SHA256_URL" not in both
    with pytest.raises(BootstrapInvalid):
        install_parameters(node_of(None, None))


@pytest.mark.parametrize("value", ["a b", "a'b", 'a"b', "a$b", "a`b", "a\\b", "a\nb", "a;b", "a&b", "a|b", "a*b", "ä"])
def test_sec66_a_value_that_would_need_quoting_is_refused(value: str) -> None:
    with pytest.raises(BootstrapInvalid):
        render_environment({"PADDOCK_SOURCE": value})


@pytest.mark.parametrize("name", ["", "path", "A B", "A=B", "A\nB"])
def test_sec66_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BootstrapInvalid):
        render_environment({name: "x"})

"""``manage.py stream`` as a process: it serves, says what keeps it from starting, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.bed.pki import Authority
from tests.hub.stream.conftest import free_port
from tests.hub.stream.raw_client import RawClient

MANAGE = Path(__file__).parents[3] / "manage.py"


def start(database_url: str, files: tuple[Path, Path], port: int, home: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "PADDOCK_HOME": str(home),
        "PADDOCK_LISTEN": f"127.0.0.1:{port}",
        "PADDOCK_TLS_CERT_FILE": str(files[0]),
        "PADDOCK_TLS_KEY_FILE": str(files[1]),
    }
    command = [sys.executable, str(MANAGE), "stream"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_the_command_serves_until_it_is_told_to_end(
    database_url: str, certificate_files: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    port = free_port()
    with start(database_url, certificate_files, port, tmp_path) as process:
        try:
            client = connect(process, port, authority.certificate_pem)
            with client:
                answer = client.request("GET", "/k8s/clusters/01890a5d-ac96-774b-bcce-b302099a8057/api")
                assert (answer.status, answer.json["kind"]) == (401, "Status")
                assert client.request("GET", "/livez").status == 503  # no web process here
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
                assert client.ended() == b""
        finally:
            process.kill()


def connect(process: subprocess.Popen[str], port: int, ca_pem: str) -> RawClient:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, process.communicate()[1]
        try:
            return RawClient(port, ca_pem)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_taken_port_is_named(database_url: str, certificate_files: tuple[Path, Path], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start(database_url, certificate_files, port, tmp_path) as process:
            _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "in use" in complaint
    assert str(port) in complaint
    assert "Traceback" not in complaint


def test_a_certificate_that_is_not_there_is_named(database_url: str, tmp_path: Path) -> None:
    files = (tmp_path / "absent.pem", tmp_path / "absent.pem")
    with start(database_url, files, free_port(), tmp_path) as process:
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "PADDOCK_TLS_CERT_FILE" in complaint
    assert "Traceback" not in complaint

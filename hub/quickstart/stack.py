"""The whole hub on one machine: databases, simulated clusters, and the hub's processes, in the order they need each other.

State lives in one folder (PADDOCK_HOME) that a second start takes up again; one start at a time holds its lock. Given
DATABASE_URL or REDIS_URL the embedded server of that kind is left out.
"""

import fcntl
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TextIO
from urllib.parse import urlsplit

from hub.core.environment import environment, split_listen
from kube.guard import AddressGuard
from kube.kubeconfig import parse_kubeconfig

from .certificates import server_certificate_files
from .embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey
from .processes import ProcessFailed, ProcessGroup, manage

SIMULATED_CLUSTERS = ("harvester-a", "harvester-b")
SIMULATED_NETWORK = "127.80.0.0/16"  # machine addresses of the simulated guests
GUEST_PORTS = (6443, 9345)
READY_DEADLINE = 60.0


class StackError(RuntimeError):
    """The stack cannot start here; the message says what is in the way and what to do."""


@dataclass(frozen=True)
class StackSettings:
    """Where the stack lives and how it is reached; read from PADDOCK_HOME, PADDOCK_URL and PADDOCK_LISTEN."""

    home: Path
    listen: str
    url: str

    @classmethod
    def from_environment(cls) -> "StackSettings":
        settings = environment()
        return cls(settings.home, settings.listen, settings.url)

    @property
    def listen_host(self) -> str:
        return split_listen(self.listen)[0]

    @property
    def listen_port(self) -> int:
        return split_listen(self.listen)[1]


class Stack:
    """A running hub; a context manager that leaves no process behind."""

    def __init__(self, settings: StackSettings, *, simulate: bool) -> None:
        self.settings = settings
        self.simulate = simulate
        self.first_password: str | None = None
        self.postgres = EmbeddedPostgres(settings.home / "postgres")
        self.valkey = EmbeddedValkey(settings.home / "valkey")
        self._exit = ExitStack()
        self.processes: ProcessGroup

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def kubeconfigs(self) -> dict[str, Path]:
        """Admin kubeconfigs of the simulated clusters, by cluster name."""
        return {name: self.home / "simulator" / f"{name}.kubeconfig" for name in SIMULATED_CLUSTERS}

    def __enter__(self) -> "Stack":
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def _start(self) -> None:
        self._claim_home()
        self._check_port()
        self.processes = self._exit.enter_context(ProcessGroup(self.home / "logs", self._environment()))
        if self.simulate:
            self._start_simulator()
        self._start_databases()
        self._exit.callback(self.processes.stop)  # before the databases, which the processes need to end well
        prepared = self.processes.run("prepare", manage("prepare", "--make-files"), timeout=180)
        self.first_password = prepared.strip() or None
        if self.simulate:
            self._await_simulator()
        self._start_hub()

    def _claim_home(self) -> None:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            lock = self._exit.enter_context((self.home / "lock").open("w"))
        except OSError as error:
            raise StackError(
                f"PADDOCK_HOME: cannot write to {self.home} ({error.strerror}). Make it writable, or name another folder."
            ) from error
        self._lock(lock)

    def _lock(self, lock: TextIO) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"PADDOCK_HOME: another start is running on {self.home}. Stop it, or name another folder."
            ) from None

    def _check_port(self) -> None:
        family = socket.AF_INET6 if ":" in self.settings.listen_host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.settings.listen_host, self.settings.listen_port))
            except OSError as error:
                raise StackError(
                    f"PADDOCK_LISTEN: cannot listen on {self.settings.listen} ({error.strerror}). "
                    "Stop what holds the port, or choose another, for example PADDOCK_LISTEN=127.0.0.1:9443."
                ) from error

    def _environment(self) -> dict[str, str]:
        variables = {
            "PADDOCK_HOME": str(self.home),
            "PADDOCK_URL": self.settings.url,
            "PADDOCK_LISTEN": self.settings.listen,
            "PADDOCK_WEB_SOCKET": str(self._run_folder() / "web.sock"),
        }
        if "PADDOCK_KEYS_FILE" not in os.environ:
            variables["PADDOCK_KEYS_FILE"] = str(self.home / "keys.json")
        if "PADDOCK_TLS_CERT_FILE" not in os.environ:
            files = server_certificate_files(self.home / "tls")
            variables["PADDOCK_TLS_CERT_FILE"] = str(files.cert_file)
            variables["PADDOCK_TLS_KEY_FILE"] = str(files.key_file)
            variables["PADDOCK_TLS_CA_FILE"] = str(files.ca_file)
        return variables

    def _run_folder(self) -> Path:
        folder = self.home / "run"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        return folder

    def _start_databases(self) -> None:
        try:
            if "DATABASE_URL" not in os.environ:
                self._exit.callback(self.postgres.stop)
                self.processes.environment["DATABASE_URL"] = self.postgres.start()
            if "REDIS_URL" not in os.environ:
                self._exit.callback(self.valkey.stop)
                self.processes.environment["REDIS_URL"] = self.valkey.start()
        except EmbeddedServerError as error:
            raise StackError(str(error)) from error

    def _start_simulator(self) -> None:
        names = [part for name in SIMULATED_CLUSTERS for part in ("--name", name)]
        folder = self.home / "simulator"
        self._ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "simulator", *names, "--folder", str(folder), "--network", SIMULATED_NETWORK]
        self.processes.start("simulator", [*command, "--ready-file", str(self._ready_file)])

    @property
    def _ready_file(self) -> Path:
        return self.home / "run" / "simulator.ready"

    def _await_simulator(self) -> None:
        self._await("the simulated clusters", self._ready_file.exists)
        allowed = [f"{SIMULATED_NETWORK}:{port}" for port in GUEST_PORTS]
        on_loopback = AddressGuard(["127.0.0.0/8"])
        for kubeconfig in self.kubeconfigs.values():
            credentials = parse_kubeconfig(kubeconfig.read_text(), guard=on_loopback)
            allowed += [urlsplit(server).netloc for server in credentials.servers]
        given = os.environ.get("PADDOCK_ADDRESS_ALLOW", "")
        self.processes.environment["PADDOCK_ADDRESS_ALLOW"] = ",".join([*filter(None, [given]), *allowed])

    def _start_hub(self) -> None:
        socket_path = self.processes.environment["PADDOCK_WEB_SOCKET"]
        gunicorn = [sys.executable, "-m", "gunicorn", "hub.config.wsgi", "--bind", f"unix:{socket_path}"]
        options = ["--worker-class", "gthread", "--threads", "8", "--umask", "0o077", "--no-control-socket"]
        self.processes.start("web", [*gunicorn, *options])
        self.processes.start("worker", manage("worker"))
        self.processes.start("watcher", manage("watcher"))
        self.processes.start("stream", manage("stream"))
        self._await("the hub", self._answers)

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=self.ca_file)
        try:
            with urllib.request.urlopen(f"{self.local_url}/readyz", timeout=5, context=context):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):
            return False

    @property
    def ca_file(self) -> str | None:
        """What a client of this hub trusts; None is the system's store (a given certificate)."""
        return self.processes.environment.get("PADDOCK_TLS_CA_FILE")

    @property
    def local_url(self) -> str:
        """The hub's address on this machine; the public one may not be reachable from here."""
        host = self.settings.listen_host
        if "PADDOCK_TLS_CERT_FILE" in os.environ:
            return self.settings.url
        return f"https://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{self.settings.listen_port}"  # noqa: S104

    def _await(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_DEADLINE
        while not ready():
            self.processes.revive()
            if time.monotonic() > deadline:
                raise ProcessFailed(f"Waited {READY_DEADLINE:.0f} s for {what}. The logs are in {self.processes.logs}.")
            time.sleep(0.1)

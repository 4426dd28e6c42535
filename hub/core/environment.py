"""Every setting of Paddock's processes: typed, documented, read once from the environment, refused at start when
nonsense.

A setting marked secret may come from a file instead: ``NAME_FILE`` holds the path (Docker and Kubernetes secrets).
The descriptions below are the operator's reference: ``docs/settings.md`` is generated from them (``manage.py
settings_reference``).
"""

import ipaddress
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "PADDOCK_"


class InvalidEnvironment(Exception):
    """A setting is nonsense; the message names each variable at fault and never shows a secret one's value."""


def _default_home() -> Path:
    # Root's home is closed to the user that an embedded PostgreSQL runs as.
    return Path("/var/lib/paddock") if os.geteuid() == 0 else Path("~/.local/share/paddock")


def _local_url(listen: str) -> str:
    """Where this machine reaches what listens there; "" when that was refused."""
    host, _, port = listen.rpartition(":")
    return f"https://{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{port}" if host else ""  # noqa: S104


def _secret(description: str, **rest: Any) -> Any:
    return Field(default=None, description=description, json_schema_extra={"secret": True}, **rest)


class Environment(BaseSettings):
    """All settings. Read with ``environment()``; field order is the order of the reference page."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: str | None = _secret(
        "PostgreSQL, as a libpq URL: `postgresql://user:password@host:5432/name?sslmode=verify-full`. "
        "`quickstart` and the tests start an embedded server when it is not set; every other process needs it.",
        validation_alias="DATABASE_URL",
    )
    redis_url: str | None = _secret(
        "Redis or Valkey that carries task hints: `redis://`, `rediss://` or `unix:///path`. "
        "It may lose everything at any time; use the `noeviction` policy.",
        validation_alias="REDIS_URL",
    )
    keys_file: Path | None = Field(
        default=None,
        description="File of master keys, token peppers and the signing key (JSON, mode 0600). "
        "Keep it out of the database's backup: whoever has both reads every stored secret.",
    )
    home: Path = Field(
        default_factory=_default_home,
        description="Folder for state of a single-machine installation: embedded databases, sockets, own certificates.",
    )
    cache: Path = Field(
        default=Path("~/.cache/paddock"),
        description="Folder for what can be made again: downloaded tools, built test servers.",
    )
    listen: str = Field(
        default="127.0.0.1:8443",
        description="`ADDRESS:PORT` on which the one public port listens; `[::]:8443` for all IPv6 and IPv4 addresses.",
    )
    url: str = Field(
        default_factory=lambda known: _local_url(known.get("listen", "")),
        description="The hub's public address. Certificates, kubeconfigs and links follow it. Default: `PADDOCK_LISTEN` on "
        "this machine.",
    )
    web_socket: Path | None = Field(
        default=None,
        description="Unix socket between public port and REST server. Default: `run/web.sock` in `PADDOCK_HOME`.",
    )
    tls_cert_file: Path | None = Field(
        default=None, description="Certificate chain (PEM) of the public port; goes with `PADDOCK_TLS_KEY_FILE`."
    )
    tls_key_file: Path | None = Field(default=None, description="Private key (PEM) of the public port.")
    tls_ca_file: Path | None = Field(
        default=None,
        description="CA certificate (PEM) that clients of the public port need; written into downloaded kubeconfigs. "
        "Not set: clients trust the certificate by their own store.",
    )
    address_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses the hub may connect to although refused by default (loopback, link-local, ...): "
        "comma-separated networks with an optional port, `127.0.0.0/8:6443`.",
    )
    address_deny: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses the hub never connects to, written like `PADDOCK_ADDRESS_ALLOW`. Wins over it.",
    )
    releases_file: Path | None = Field(
        default=None,
        description="Release table of guest Kubernetes versions (YAML). Default: the one that Paddock brings.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["json", "console"] = Field(
        default="json", description="One JSON object a line, or lines for people."
    )
    worker_concurrency: int = Field(default=4, ge=1, le=256, description="Reconciles that one worker runs at a time.")
    step_deadline: int = Field(
        default=30, ge=5, le=600, description="Seconds that one reconcile step may take before it is interrupted."
    )
    lease_seconds: int = Field(
        default=60, ge=10, le=1800, description="Seconds for which a worker owns a row. More than the step deadline."
    )
    poll_interval: float = Field(
        default=1.0, ge=0.1, le=60, description="Seconds between two looks for due rows, for which no message arrived."
    )
    sql_statement_timeout: int = Field(default=30, ge=1, le=3600, description="Seconds an SQL statement may take.")
    sql_lock_timeout: int = Field(default=5, ge=1, le=600, description="Seconds an SQL statement may wait for a lock.")
    infrastructure_deadline: int = Field(
        default=300,
        ge=1,
        description="Seconds for namespace, key and network data to be made before `Stuck` is reported.",
    )
    machine_start_deadline: int = Field(
        default=600, ge=1, description="Seconds from order to a machine's address before `Stuck` is reported."
    )
    machine_join_deadline: int = Field(
        default=900, ge=1, description="Seconds from address to a Ready node before `Stuck` is reported."
    )
    deletion_deadline: int = Field(
        default=900, ge=1, description="Seconds a deletion may take before `Stuck` is reported."
    )
    token_max_days: int = Field(default=366, ge=1, le=3660, description="Longest life of an API token, in days.")
    kubeconfig_max_days: int = Field(
        default=90, ge=1, le=3660, description="Longest life of the token in a downloaded kubeconfig, in days."
    )
    login_token_hours: int = Field(
        default=12,
        ge=1,
        le=168,
        description="Longest life of a token that `paddock-login` gets, in hours; it also ends with the login in the browser.",
    )
    session_hours: int = Field(
        default=12, ge=1, le=720, description="Hours after which a login in a browser ends, however it is used."
    )
    session_idle_minutes: int = Field(
        default=60, ge=1, le=1440, description="Minutes without a request after which a login in a browser ends."
    )
    local_login: Literal["shown", "hidden"] = Field(
        default="shown",
        description="Whether users of this hub log in with name and password. `hidden`: only by an identity provider, or by "
        "the one-time link of `manage.py login_link`.",
    )
    identity_sync_seconds: float = Field(
        default=60,
        ge=1,
        le=3600,
        description="Seconds between two rounds in which identity providers are asked about their users' groups and about who "
        "is disabled there.",
    )
    group_max_age_hours: int = Field(
        default=24,
        ge=1,
        le=720,
        description="Hours for which the groups that an identity provider told of a user count without being confirmed.",
    )
    change_retention_hours: int = Field(default=24, ge=1, description="Hours that change hints are kept.")
    operation_retention_days: int = Field(
        default=90, ge=1, description="Days that finished operations and machine logs are kept."
    )
    audit_retention_days: int = Field(default=400, ge=1, description="Days that audit events are kept.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SecretFiles(settings_cls)

    @field_validator("address_allow", "address_deny", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("address_allow", "address_deny")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            _check_network(entry)
        return value

    @field_validator(
        "home", "cache", "keys_file", "web_socket", "tls_cert_file", "tls_key_file", "tls_ca_file", "releases_file"
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
            raise ValueError("must be https://HOST or https://HOST:PORT")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.port == 0:
            raise ValueError("must have no path, query or fragment")
        return value.rstrip("/")

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        split_listen(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in ("postgres", "postgresql"):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in ("redis", "rediss", "unix"):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("PADDOCK_TLS_CERT_FILE and PADDOCK_TLS_KEY_FILE go together")
        if not self.step_deadline < self.lease_seconds:
            raise ValueError("PADDOCK_STEP_DEADLINE < PADDOCK_LEASE_SECONDS does not hold")
        return self

    @property
    def listen_address(self) -> tuple[str, int]:
        return split_listen(self.listen)

    @property
    def web_socket_path(self) -> Path:
        return self.web_socket or self.home / "run" / "web.sock"


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads secret settings from the files that ``NAME_FILE`` names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = variable_name(field_name, field)
        path = os.environ.get(f"{name}_FILE") if is_secret(field) else None
        if not path:
            return None, name, False
        if os.environ.get(name):
            raise InvalidEnvironment(f"{name} and {name}_FILE are both set; give one of them")
        try:
            return Path(path).read_text().strip(), name, False
        except OSError as error:
            raise InvalidEnvironment(f"{name}_FILE: cannot read {path} ({error.strerror})") from error

    def __call__(self) -> dict[str, Any]:
        found = {}
        for field_name, field in self.settings_cls.model_fields.items():
            value, name, _ = self.get_field_value(field, field_name)
            if value is not None:
                found[name if field.validation_alias else field_name] = value
        return found


def is_secret(field: FieldInfo) -> bool:
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("secret"))


def variable_name(field_name: str, field: FieldInfo) -> str:
    """The environment variable a field is read from."""
    return field.validation_alias if isinstance(field.validation_alias, str) else PREFIX + field_name.upper()


def split_listen(value: str) -> tuple[str, int]:
    """``127.0.0.1:8443`` or ``[::]:8443`` as (address, port). Raises ValueError."""
    host, _, port = value.rpartition(":")
    try:
        address = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError("must be ADDRESS:PORT with an IP address, for example 0.0.0.0:8443") from None
    if (
        not port.isascii()
        or not port.isdigit()
        or not 0 < int(port) < 65536
        or (":" in address) != host.startswith("[")
    ):
        raise ValueError("must be ADDRESS:PORT, for example 0.0.0.0:8443 or [::]:8443")
    return address, int(port)


def _check_network(entry: str) -> None:
    """The shape of one guard entry; what it means is the guard's business (``kube.guard``)."""
    network, port = entry, ""
    if entry.startswith("["):
        network, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        network, _, port = entry.partition(":")
    try:
        ipaddress.ip_network(network)
    except ValueError:
        raise ValueError(f"{entry!r} is not a network such as 10.0.0.0/8 or 127.0.0.1:6443") from None
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{entry!r} has no port between 1 and 65535")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The settings of this process, read once. Raises InvalidEnvironment naming every variable at fault."""
    try:
        return Environment()
    except ValidationError as error:
        raise InvalidEnvironment(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        if problem["type"] == "default_factory_not_called":
            continue  # only follows from another problem, which is told
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(message)
            continue
        location = str(problem["loc"][0])
        field = Environment.model_fields.get(location)
        name = variable_name(location, field) if field is not None else location
        shown = "" if _is_secret_name(name) else f" (is {problem['input']!r})"
        lines.append(f"{name}: {message}{shown}")
    return "Settings that cannot be used:\n" + "\n".join(f"  {line}" for line in lines)


def _is_secret_name(name: str) -> bool:
    return any(
        is_secret(field) and variable_name(key, field) == name for key, field in Environment.model_fields.items()
    )

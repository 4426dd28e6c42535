"""What it takes to reach one Kubernetes API: addresses, trust and identity. Where it is kept is the caller's matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Server:
    """An https URL in its parts: ``host`` without brackets, ``path`` "" or like "/k8s/clusters/x"."""

    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Server:
        """Raises ValueError with what is wrong."""
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise ValueError("The server address may have only plain characters")
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise ValueError("The server address must start with https://")
        if "@" in parts.netloc or parts.query or parts.fragment or "?" in url or "#" in url:
            raise ValueError("The server address may have a host, a port and a path, nothing else")
        host, port = parts.hostname, parts.port  # .port raises ValueError when out of range
        if not host or port == 0:
            raise ValueError("The server address has no host or no valid port")
        if "[" in parts.netloc and IPv6Address(host).scope_id is not None:  # raises ValueError for what is none
            raise ValueError("The server address has a zone")
        path = parts.path.rstrip("/")
        if "%" in path or "//" in path or any(part in (".", "..") for part in path.split("/")):
            raise ValueError("The path of the server address is not plain")
        return cls(host, port or 443, path)

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Credentials:
    """How to reach one Kubernetes API and as whom.

    ``servers`` are https URLs of the same API, tried in order while no connection can be made. ``ca_pem`` None means
    the system's trust store. ``tls_server_name`` is the name expected in the certificate when it is not the host.
    Raises ValueError for no server, a URL that is not plain https, or a certificate without its key.
    """

    servers: tuple[str, ...]
    ca_pem: str | None
    token: str | None = field(default=None, repr=False)
    client_cert_pem: str | None = field(default=None, repr=False)
    client_key_pem: str | None = field(default=None, repr=False)
    tls_server_name: str | None = None

    def __post_init__(self) -> None:
        if not self.servers:
            raise ValueError("Credentials need at least one server")
        for url in self.servers:
            Server.parse(url)
        if (self.client_cert_pem is None) != (self.client_key_pem is None):
            raise ValueError("A client certificate and its key come together")
        if self.token is not None and not (self.token and self.token.isascii() and self.token.isprintable()):
            raise ValueError("A token is printable ASCII and not empty")

    def __repr__(self) -> str:
        identity = [
            kind for kind, value in (("token", self.token), ("client certificate", self.client_cert_pem)) if value
        ]
        return f"Credentials(servers={self.servers!r}, identity={' and '.join(identity) or 'none'})"

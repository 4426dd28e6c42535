"""Kubeconfigs of strangers, read strictly (SEC-61), and kubeconfigs for people, written.

A kubeconfig can run programs and read files on the machine that uses it. Here only the address, the CA, a token and a
client certificate are taken, all of them inline; anything else is refused with a stable code and what to do about it.
Two files that Harvester's users have at hand are recognised because they cannot work as they are: the one of its UI,
which goes through the embedded Rancher, and ``rke2.yaml``, which says 127.0.0.1.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, NoReturn

import yaml
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from kube.credentials import Credentials, Server
from kube.errors import InvalidKubeconfig
from kube.guard import AddressGuard
from kube.strict_yaml import RefusedYaml, load_strict

MAX_BYTES = 256 * 1024

_INLINE = "Make one that carries it inline: kubectl config view --raw --flatten --minify"
_STATIC = "Use a kubeconfig with a token or a client certificate, for example that of a service account"
_DIRECT = (
    "Take /etc/rancher/rke2/rke2.yaml from a Harvester management node and replace 127.0.0.1 in it by the cluster's "
    "virtual IP (https://<VIP>:6443)"
)

PROBLEMS: Mapping[str, tuple[str, str]] = {
    "too_large": (f"The kubeconfig is larger than {MAX_BYTES // 1024} KiB", "Reduce it: kubectl config view --minify"),
    "not_yaml": ("The kubeconfig is not plain YAML ({detail})", "Paste the whole file, unchanged"),
    "not_kubeconfig": ("This is not a kubeconfig ({detail})", "Paste a file with apiVersion v1 and kind Config"),
    "malformed": ("{field} is malformed: {detail}", "Correct the field, or make the kubeconfig anew"),
    "unknown_field": ("{field} is not known", "Remove the field"),
    "no_context": ("The kubeconfig has no current-context", "Choose one: kubectl config use-context NAME"),
    "not_found": (
        "{field} {name!r} is not in the kubeconfig",
        "Make a complete one: kubectl config view --raw --minify",
    ),
    "exec": ("The user runs a program to log in (exec)", _STATIC),
    "auth_provider": ("The user logs in by an auth-provider", _STATIC),
    "basic_auth": ("The user logs in by name and password, which Kubernetes no longer knows", _STATIC),
    "impersonation": ("The user acts as somebody else (as, as-groups, as-uid, as-user-extra)", "Remove these fields"),
    "token_file": ("The token is in another file (tokenFile)", "Put the token itself into the field token"),
    "certificate_authority_file": ("The CA is in another file (certificate-authority)", _INLINE),
    "client_certificate_file": ("The client certificate is in another file (client-certificate)", _INLINE),
    "client_key_file": ("The client key is in another file (client-key)", _INLINE),
    "proxy_url": ("The cluster is reached through a proxy (proxy-url)", "Use an address that is reached directly"),
    "insecure_skip_tls_verify": (
        "The server's certificate would not be verified (insecure-skip-tls-verify)",
        "Remove the field and put the CA into certificate-authority-data",
    ),
    "no_identity": ("The user has neither a token nor a client certificate", _STATIC),
    "client_pair": ("The client certificate and the client key do not belong together", _INLINE),
    "client_certificate_expired": (
        "The client certificate expired on {detail}",
        "Take the file again from the cluster",
    ),
    "http_server": ("The server address is not https", "Use the cluster's https address"),
    "server_invalid": ("The server address cannot be used: {detail}", "Write it as https://HOST:PORT"),
    "server_path": ("The server address has a path", "Use the address of the API server itself: https://HOST:6443"),
    "embedded_rancher": (
        "This kubeconfig goes through a Rancher server (for example the one embedded in Harvester's UI), which refuses "
        "the tokens of service accounts that Paddock works with",
        _DIRECT,
    ),
    "loopback_server": (
        "The server address is {detail}, which is right only on the node that the file is from",
        "Replace it by an address that Paddock reaches, for Harvester https://<VIP>:6443, and check that the server's "
        "certificate names that address (tls-san), or set tls-server-name",
    ),
    "address_refused": (
        "Paddock may not connect to the server address {detail}",
        "Use another address, or let an operator allow this one",
    ),
}
"""Code (after "kubeconfig.") to message and fix: every way to be refused."""

_CLUSTER_FIELDS = frozenset(
    {
        "server",
        "certificate-authority-data",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "disable-compression",
        "extensions",
    }
)
_CLUSTER_REFUSED = {
    "certificate-authority": "certificate_authority_file",
    "proxy-url": "proxy_url",
    "insecure-skip-tls-verify": "insecure_skip_tls_verify",
}
_USER_FIELDS = frozenset({"token", "client-certificate-data", "client-key-data", "extensions"})
_USER_REFUSED = {
    "exec": "exec",
    "auth-provider": "auth_provider",
    "tokenFile": "token_file",
    "client-certificate": "client_certificate_file",
    "client-key": "client_key_file",
    "username": "basic_auth",
    "password": "basic_auth",
    "as": "impersonation",
    "as-uid": "impersonation",
    "as-groups": "impersonation",
    "as-user-extra": "impersonation",
}
_CONTEXT_FIELDS = frozenset({"cluster", "user", "namespace", "extensions"})

_RANCHER_PATH = re.compile(r"/k8s/(clusters|proxy)/[A-Za-z0-9-]+", re.ASCII)


def parse_kubeconfig(text: str, *, guard: AddressGuard | None = None, proxied: bool = False) -> Credentials:
    """The credentials of the current context. Other contexts, clusters and users are not looked at and not kept.

    With ``guard``, an address literal must pass it, and one on loopback is fine when it does. ``proxied`` takes a
    server behind ``/k8s/clusters/<id>``, as in Paddock's own kubeconfigs. Raises InvalidKubeconfig; no message repeats
    a secret.
    """
    document = _load(text)
    name = _text(document, "current-context", "current-context")
    if name is None:
        _refuse("no_context")
    context = _entry(document, "contexts", "context", name)
    _check_fields(context, "context", _CONTEXT_FIELDS, {})
    cluster = _entry(document, "clusters", "cluster", _text(context, "cluster", "context.cluster") or "")
    _check_fields(cluster, "cluster", _CLUSTER_FIELDS, _CLUSTER_REFUSED)
    user = _entry(document, "users", "user", _text(context, "user", "context.user") or "")
    _check_fields(user, "user", _USER_FIELDS, _USER_REFUSED)
    return _credentials(cluster, user, guard, proxied)


def render_kubeconfig(
    *,
    name: str,
    server: str,
    ca_pem: str | None,
    token: str | None = None,
    client_cert_pem: str | None = None,
    client_key_pem: str | None = None,
    namespace: str | None = None,
) -> str:
    """A kubeconfig whose one cluster, user and context are called ``name``; without ``ca_pem`` the system's trust."""
    cluster = {"server": server, "certificate-authority-data": _encoded(ca_pem)}
    user = {
        "token": token,
        "client-certificate-data": _encoded(client_cert_pem),
        "client-key-data": _encoded(client_key_pem),
    }
    context = {"cluster": name, "user": name, "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": _present(cluster)}],
        "users": [{"name": name, "user": _present(user)}],
        "contexts": [{"name": name, "context": _present(context)}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _refuse(problem: str, **details: object) -> NoReturn:
    message, fix = PROBLEMS[problem]
    shown = {key: str(value)[:120] for key, value in details.items()}
    raise InvalidKubeconfig(f"kubeconfig.{problem}", message.format(**shown), fix)


def _load(text: str) -> dict[str, Any]:
    try:
        document = load_strict(text, max_bytes=MAX_BYTES)
    except RefusedYaml as error:
        if error.reason == "size":
            _refuse("too_large")
        _refuse("not_yaml", detail=error.reason)
    if not isinstance(document, dict):
        _refuse("not_kubeconfig", detail="it is not a mapping")
    if document.get("apiVersion") != "v1" or document.get("kind") != "Config":
        _refuse("not_kubeconfig", detail="apiVersion and kind are others")
    return document


def _entry(document: Mapping[str, Any], plural: str, singular: str, name: str) -> dict[str, Any]:
    """The mapping called ``name`` in one of the three lists of named things."""
    entries = document.get(plural)
    if not isinstance(entries, list):
        _refuse("malformed", field=plural, detail="it must be a list")
    found = [entry for entry in entries if isinstance(entry, dict) and entry.get("name") == name]
    if len(found) > 1:
        _refuse("malformed", field=plural, detail="two entries have the same name")
    if not found:
        _refuse("not_found", field=singular, name=name)
    content = found[0].get(singular)
    if not isinstance(content, dict):
        _refuse("malformed", field=singular, detail="it must be a mapping")
    return content


def _check_fields(content: Mapping[str, Any], where: str, known: frozenset[str], refused: Mapping[str, str]) -> None:
    for key, value in content.items():
        if key in refused:
            if value not in (None, "", False):
                _refuse(refused[key])
        elif key not in known:
            _refuse("unknown_field", field=f"{where}.{key}")


def _text(content: Mapping[str, Any], key: str, field: str) -> str | None:
    value = content.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        _refuse("malformed", field=field, detail="it must be text, in quotes if it looks like a number or a date")
    return value


def _credentials(
    cluster: Mapping[str, Any], user: Mapping[str, Any], guard: AddressGuard | None, proxied: bool
) -> Credentials:
    server = _read_server(cluster, guard, proxied)
    ca_pem = _read_pem(cluster, "certificate-authority-data", "cluster", _normal_certificates)
    cert_pem = _read_pem(user, "client-certificate-data", "user", _normal_certificates)
    key_pem = _read_pem(user, "client-key-data", "user", _normal_key)
    token = _text(user, "token", "user.token")
    if token is None and cert_pem is None and key_pem is None:
        _refuse("no_identity")
    _check_pair(cert_pem, key_pem)
    tls_server_name = _text(cluster, "tls-server-name", "cluster.tls-server-name")
    try:
        return Credentials((server,), ca_pem, token, cert_pem, key_pem, tls_server_name)
    except ValueError:
        _refuse("malformed", field="user.token", detail="it may have only printable ASCII characters")


def _read_server(cluster: Mapping[str, Any], guard: AddressGuard | None, proxied: bool) -> str:
    url = _text(cluster, "server", "cluster.server")
    if url is None:
        _refuse("server_invalid", detail="there is none")
    if url.lower().startswith("http://"):
        _refuse("http_server")
    try:
        server = Server.parse(url)
    except ValueError as error:
        _refuse("server_invalid", detail=error)
    if server.path and not (proxied and _RANCHER_PATH.fullmatch(server.path)):
        _refuse("embedded_rancher" if _RANCHER_PATH.fullmatch(server.path) else "server_path")
    _check_address(server, guard)
    return url


def _check_address(server: Server, guard: AddressGuard | None) -> None:
    """Literals only: a name is resolved, and judged, when a connection is made."""
    host = server.host.rstrip(".")
    named_loopback = host == "localhost" or host.endswith(".localhost")
    try:
        address = ip_address("127.0.0.1" if named_loopback else host)
    except ValueError:
        return
    if guard is not None and guard.permits(str(address), server.port):
        return
    if address.is_loopback or address.is_unspecified:
        _refuse("loopback_server", detail=server.authority)
    if guard is not None:
        _refuse("address_refused", detail=server.authority)


def _read_pem(content: Mapping[str, Any], key: str, where: str, normal: Callable[[bytes], str]) -> str | None:
    """The PEM text inside a base64 field, parsed and written anew so that nothing else rides along."""
    encoded = _text(content, key, f"{where}.{key}")
    if encoded is None:
        return None
    try:
        return normal(base64.b64decode("".join(encoded.split()), validate=True))
    except binascii.Error:
        _refuse("malformed", field=f"{where}.{key}", detail="it is not base64")
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key is encrypted
        _refuse("malformed", field=f"{where}.{key}", detail="it is not a PEM that can be read without a password")


def _normal_certificates(pem: bytes) -> str:
    certificates = x509.load_pem_x509_certificates(pem)
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in certificates)


def _normal_key(pem: bytes) -> str:
    key = serialization.load_pem_private_key(pem, password=None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _check_pair(cert_pem: str | None, key_pem: str | None) -> None:
    if cert_pem is None and key_pem is None:
        return
    if cert_pem is None or key_pem is None:
        _refuse("client_pair")
    certificate = x509.load_pem_x509_certificate(cert_pem.encode())
    key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    if certificate.public_key() != key.public_key():
        _refuse("client_pair")
    if certificate.not_valid_after_utc < datetime.now(UTC):
        _refuse("client_certificate_expired", detail=certificate.not_valid_after_utc.date())


def _encoded(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(text.encode()).decode()


def _present(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in fields.items() if value is not None}

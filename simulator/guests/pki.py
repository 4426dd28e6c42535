"""The certificate authorities of a guest cluster: those laid ready by its user data, or new ones.

Files below `/var/lib/rancher/{k3s,rke2}/server/tls` are checked as a server would need them: keys that match, CA
certificates that may sign, a service-account key. Source: contract guest-bootstrap, "Ready-made certificate
authorities".
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

_LIFETIME = datetime.timedelta(days=3650)
_AUTHORITIES = ("server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca")
_SERVICE_KEY = "service.key"


class AuthorityRefused(ValueError):
    """CA files that a server would not start with."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in PEM. The certificate file may hold a chain, its own certificate first."""

    cert_pem: str
    key_pem: str

    def __repr__(self) -> str:
        return "Authority(…)"


@dataclass(frozen=True, slots=True)
class GuestAuthorities:
    """All of a cluster's authorities by file name without ending, and the service-account signing key."""

    by_name: Mapping[str, Authority]
    service_account_key_pem: str

    @property
    def server(self) -> Authority:
        return self.by_name["server-ca"]

    @property
    def client(self) -> Authority:
        return self.by_name["client-ca"]

    def to_json(self) -> dict[str, str]:
        files = {_SERVICE_KEY: self.service_account_key_pem}
        for name, authority in self.by_name.items():
            files |= {f"{name}.crt": authority.cert_pem, f"{name}.key": authority.key_pem}
        return files

    @classmethod
    def from_json(cls, files: Mapping[str, str]) -> "GuestAuthorities":
        by_name = {name: Authority(files[f"{name}.crt"], files[f"{name}.key"]) for name in _AUTHORITIES}
        return cls(by_name, files[_SERVICE_KEY])


def read_or_make_authorities(files: Mapping[str, bytes], folder: str) -> tuple[GuestAuthorities, list[str]]:
    """The authorities below `folder`, each one that is missing made new; also the names of those found.

    Raises AuthorityRefused when a file is there and would not serve.
    """
    by_name: dict[str, Authority] = {}
    found: list[str] = []
    for name in _AUTHORITIES:
        certificate, key = (files.get(f"{folder}/{name}.{ending}") for ending in ("crt", "key"))
        if certificate is None and key is None:
            by_name[name] = make_authority(name)
        elif certificate is None or key is None:
            raise AuthorityRefused(f"{name}: {'certificate' if certificate is None else 'key'} file is missing")
        else:
            by_name[name] = _checked_authority(name, certificate, key)
            found.append(name)
    return GuestAuthorities(by_name, _service_key(files.get(f"{folder}/{_SERVICE_KEY}"))), found


def make_authority(common_name: str) -> Authority:
    """A self-signed authority for ten years, as the distributions make them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{common_name.replace('/', '-')}@simulator")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_signing_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate.public_bytes(Encoding.PEM).decode(), _key_pem(key))


def _signing_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def _checked_authority(name: str, certificate_pem: bytes, key_pem: bytes) -> Authority:
    try:
        chain = x509.load_pem_x509_certificates(certificate_pem)
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise AuthorityRefused(f"{name}: not a PEM certificate and key: {error}") from error
    certificate = chain[0]
    if _public_bytes(key.public_key()) != _public_bytes(certificate.public_key()):
        raise AuthorityRefused(f"{name}: private key does not match the certificate")
    _check_may_sign(name, certificate)
    for issued, issuer in pairwise(chain):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise AuthorityRefused(f"{name}: the chain is broken at {issued.subject.rfc4514_string()}") from error
    return Authority(certificate_pem.decode(), key_pem.decode())


def _check_may_sign(name: str, certificate: x509.Certificate) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise AuthorityRefused(f"{name}: certificate is not valid now")
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise AuthorityRefused(f"{name}: certificate lacks basicConstraints or keyUsage") from error
    if not is_authority:
        raise AuthorityRefused(f"{name}: certificate is not a CA")
    if not (usage.key_cert_sign and usage.digital_signature and usage.key_encipherment):
        raise AuthorityRefused(f"{name}: keyUsage must have digitalSignature, keyEncipherment and keyCertSign")


def _public_bytes(key: object) -> bytes:
    encode = getattr(key, "public_bytes")  # noqa: B009 -- the union of key types has no common base
    return bytes(encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _service_key(pem: bytes | None) -> str:
    if pem is None:
        return _key_pem(ec.generate_private_key(ec.SECP256R1()))
    try:
        load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise AuthorityRefused(f"{_SERVICE_KEY}: not a PEM private key: {error}") from error
    return pem.decode()

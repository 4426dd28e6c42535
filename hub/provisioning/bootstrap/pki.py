"""A guest cluster's certificate authorities, made by the hub before the first machine exists.

K3s and RKE2 use CA files that lie in place before the first server's first start (documented by both;
k3s-io/k3s#1868). So the hub can sign its own client certificate and check the API server from the first call, without
SSH or agent. Sealing the keys at rest is the caller's work (`to_json`), placing them on the node is `distributions`'.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = datetime.timedelta(days=3650)
CLIENT_LIFETIME = datetime.timedelta(hours=24)
# A machine whose clock runs a little behind must not take a fresh certificate for one of the future.
BACK_DATED = datetime.timedelta(minutes=5)

_AUTHORITIES = ("server_ca", "client_ca", "request_header_ca", "etcd_server_ca", "etcd_peer_ca")
_COMMON_NAME_MAX = 64  # X.520 upper bound of a common name


class PkiInvalid(ValueError):
    """A stored PKI that cannot be used; the message never holds key material."""


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A self-signed CA: certificate and private key as PEM text, each ending in a line break."""

    cert_pem: str
    key_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GuestPki:
    """The five authorities of a guest cluster and the key that signs its service-account tokens."""

    server_ca: CertificateAuthority
    client_ca: CertificateAuthority
    request_header_ca: CertificateAuthority
    etcd_server_ca: CertificateAuthority
    etcd_peer_ca: CertificateAuthority
    service_account_key_pem: str = field(repr=False)

    @classmethod
    def generate(cls, cluster_name: str) -> Self:
        """Fresh authorities (ECDSA P-256, ten years) and a service-account key (RSA 2048, what both distributions
        make)."""
        authorities = {
            name: generate_authority(f"{cluster_name[:40]}-{name.replace('_', '-')}") for name in _AUTHORITIES
        }
        account_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return cls(**authorities, service_account_key_pem=_key_pem(account_key))

    @property
    def server_ca_hash(self) -> str:
        """What a join token pins: see `ca_hash`."""
        return ca_hash(self.server_ca.cert_pem)

    def to_json(self) -> str:
        """Everything, private keys too, as JSON text: to be sealed by the caller."""
        document: dict[str, object] = {
            name: {"cert_pem": authority.cert_pem, "key_pem": authority.key_pem}
            for name, authority in self._authorities()
        }
        document["service_account_key_pem"] = self.service_account_key_pem
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`; raises PkiInvalid when a part is missing, strange, or no key fits its
        certificate."""
        try:
            document = json.loads(text)
            if set(document) != {*_AUTHORITIES, "service_account_key_pem"}:
                raise PkiInvalid("the stored PKI lacks a part or has one too many")
            authorities = {name: CertificateAuthority(**document[name]) for name in _AUTHORITIES}
        except (json.JSONDecodeError, TypeError) as error:
            raise PkiInvalid("the stored PKI is not the JSON that was written") from error
        pki = cls(**authorities, service_account_key_pem=document["service_account_key_pem"])
        for name, authority in pki._authorities():
            check_authority(authority, name)
        _load_key(pki.service_account_key_pem, "service_account_key_pem")
        return pki

    def _authorities(self) -> list[tuple[str, CertificateAuthority]]:
        return [(name, getattr(self, name)) for name in _AUTHORITIES]


def ca_hash(ca_pem: str) -> str:
    """SHA-256 (hex) of the PEM bytes as they lie in server-ca.crt, which is what `/cacerts` serves.

    K3s and RKE2 hash the file itself when it holds one self-signed certificate, as ours does; for a bundle of several
    they hash the root's DER instead. So a bundle, and a PEM that lost its last line break on the way, are refused: their
    hash would be another than the node's.
    """
    try:
        written = _cert_pem(x509.load_pem_x509_certificate(ca_pem.encode()))
    except (ValueError, AttributeError) as error:
        raise PkiInvalid("the server CA is not a certificate") from error
    if written != ca_pem:
        raise PkiInvalid("the server CA is one certificate, byte for byte as the hub made it")
    return hashlib.sha256(ca_pem.encode()).hexdigest()


def generate_authority(common_name: str) -> CertificateAuthority:
    """A self-signed CA that may sign leaves and no further CA (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_COMMON_NAME_MAX])])
    builder = _certificate(name, name, key.public_key(), key.public_key(), CA_LIFETIME)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return CertificateAuthority(_cert_pem(certificate), _key_pem(key))


def issue_client_certificate(
    ca: CertificateAuthority,
    common_name: str,
    organizations: Sequence[str] = (),
    lifetime: datetime.timedelta = CLIENT_LIFETIME,
) -> tuple[str, str]:
    """A client certificate and its fresh key, both PEM: Kubernetes reads user and groups from name and
    organizations."""
    if not 0 < len(common_name) <= _COMMON_NAME_MAX:
        raise PkiInvalid(f"a common name has 1 to {_COMMON_NAME_MAX} characters")
    if lifetime <= datetime.timedelta(0):
        raise PkiInvalid("a certificate lives for some time")
    ca_certificate, ca_key = check_authority(ca, "ca")
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = _certificate(subject, ca_certificate.subject, key.public_key(), ca_key.public_key(), lifetime)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return _cert_pem(certificate), _key_pem(key)


def check_authority(ca: CertificateAuthority, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The loaded certificate and key; raises PkiInvalid when it is no CA, is out of date, or the key is another's."""
    try:
        certificate = x509.load_pem_x509_certificate(ca.cert_pem.encode())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, AttributeError, TypeError, x509.ExtensionNotFound) as error:
        raise PkiInvalid(f"{name}: not a CA certificate") from error
    key = _load_key(ca.key_pem, name)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise PkiInvalid(f"{name}: the key does not belong to the certificate")
    if not (constraints.ca and usage.key_cert_sign and usage.digital_signature and usage.key_encipherment):
        raise PkiInvalid(f"{name}: the certificate may not sign what the distribution needs")
    if not certificate.not_valid_before_utc <= _now() < certificate.not_valid_after_utc:
        raise PkiInvalid(
            f"{name}: valid {certificate.not_valid_before_utc} to {certificate.not_valid_after_utc}, not now"
        )
    return certificate, key


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = _now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACK_DATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=ca,
        key_cert_sign=ca,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(pem: str, name: str) -> object:
    try:
        return serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise PkiInvalid(f"{name}: not a private key") from error


def _cert_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    # "EC PRIVATE KEY" / "RSA PRIVATE KEY", the form that K3s and RKE2 write themselves.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

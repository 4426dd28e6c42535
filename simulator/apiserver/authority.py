"""The keys of one simulated cluster: who signs server and client certificates and service-account tokens."""

import ipaddress
import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulator.private_files import write_private

_CA_LIFETIME = timedelta(days=3650)
_LEAF_LIFETIME = timedelta(days=365)
_CLOCK_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """``server_ca`` signs what the server shows, ``client_ca`` what it takes; ``account_key`` (PEM) signs tokens."""

    server_ca: KeyPair
    client_ca: KeyPair
    account_key: str

    @classmethod
    def generate(cls, name: str) -> "Authority":
        """New keys for a cluster called ``name``."""
        return cls(_new_ca(f"{name}-server-ca"), _new_ca(f"{name}-client-ca"), _pem_of(_new_key()))

    @classmethod
    def ensure(cls, folder: Path, name: str) -> "Authority":
        """The keys kept in ``folder``; made there, readable by the owner alone, when they are missing."""
        files = {part: folder / f"{part}.pem" for part in ("server-ca", "server-ca-key", "client-ca", "client-ca-key")}
        account = folder / "account-key.pem"
        if account.exists():
            text = {part: path.read_text() for part, path in files.items()}
            return cls(
                KeyPair(text["server-ca"], text["server-ca-key"]),
                KeyPair(text["client-ca"], text["client-ca-key"]),
                account.read_text(),
            )
        made = cls.generate(name)
        write_private(files["server-ca"], made.server_ca.certificate)
        write_private(files["server-ca-key"], made.server_ca.key)
        write_private(files["client-ca"], made.client_ca.certificate)
        write_private(files["client-ca-key"], made.client_ca.key)
        write_private(account, made.account_key)
        return made

    def issue_client(self, common_name: str, organizations: tuple[str, ...] = ()) -> KeyPair:
        """A client certificate: the common name is the user, the organizations are the groups."""
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        return _issue(self.client_ca, subject, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server_context(self, names: tuple[str, ...]) -> ssl.SSLContext:
        """TLS for a server reachable under ``names`` (DNS names and addresses); client certificates are optional."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        pair = _issue(self.server_ca, subject, ExtendedKeyUsageOID.SERVER_AUTH, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.client_ca.certificate)
        _load_chain(context, pair)
        return context


def _load_chain(context: ssl.SSLContext, pair: KeyPair) -> None:
    """The ssl module reads keys from files alone; this one is gone again at once."""
    handle, path = tempfile.mkstemp(prefix="simulator-", suffix=".pem")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(pair.key + pair.certificate)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _new_ca(common_name: str) -> KeyPair:
    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem_of(key))


def _issue(ca: KeyPair, subject: x509.Name, usage: x509.ObjectIdentifier, names: tuple[str, ...] = ()) -> KeyPair:
    issuer = x509.load_pem_x509_certificate(ca.certificate.encode())
    issuer_key = serialization.load_pem_private_key(ca.key.encode(), None)
    if not isinstance(issuer_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("certificates are signed with RSA or ECDSA keys here")
    key = _new_key()
    builder = (
        _builder(subject, issuer.subject, key.public_key(), _LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
    certificate = builder.sign(issuer_key, hashes.SHA256())
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem_of(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - _CLOCK_SLACK
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

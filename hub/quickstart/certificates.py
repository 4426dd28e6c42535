"""The hub's own certificate authority and server certificate, for installations that were given none.

kubectl sends no token over plain HTTP, so the hub speaks HTTPS from its first start. A given certificate takes the place of
all this (PADDOCK_TLS_CERT_FILE). The authority lives ten years; the server's certificate is made anew when the public names
change or when it has less than thirty days left.
"""

import datetime
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = datetime.timedelta(days=3650)
SERVER_LIFETIME = datetime.timedelta(days=397)  # the longest that browsers accept
RENEW_BEFORE = datetime.timedelta(days=30)
CLOCK_SLACK = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class ServerCertificate:
    """Files in PEM: the authority that clients trust, the server's chain, the server's key (mode 0600)."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def server_certificate_files(folder: Path) -> ServerCertificate:
    """Where ``ensure_server_certificate`` puts its files."""
    return ServerCertificate(folder / "ca.crt", folder / "server.crt", folder / "server.key")


def ensure_server_certificate(folder: Path, names: Iterable[str]) -> ServerCertificate:
    """Makes what is missing or outdated below ``folder``; ``names`` are DNS names and IP addresses of the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    files = server_certificate_files(folder)
    wanted = sorted(set(names))
    ca_cert, ca_key = _ensure_authority(files.ca_file, folder / "ca.key")
    if not _still_good(files.cert_file, ca_cert, wanted):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _issue(ca_cert, ca_key, key.public_key(), wanted)
        _write(files.key_file, _key_pem(key), 0o600)
        _write(files.cert_file, _cert_pem(certificate) + _cert_pem(ca_cert), 0o644)
    return files


def _ensure_authority(cert_file: Path, key_file: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if cert_file.exists() and key_file.exists():
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and certificate.public_key() == key.public_key():
            return certificate, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Paddock hub CA")])
    builder = _builder(name, name, key.public_key(), AUTHORITY_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    _write(key_file, _key_pem(key), 0o600)
    _write(cert_file, _cert_pem(certificate), 0o644)
    return certificate, key


def _still_good(cert_file: Path, ca_cert: x509.Certificate, names: list[str]) -> bool:
    if not cert_file.exists():
        return False
    certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    present = sorted(str(general.value) for general in alternative)
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    try:
        certificate.verify_directly_issued_by(ca_cert)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return present == names and left > RENEW_BEFORE


def _issue(
    ca_cert: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePublicKey, names: list[str]
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Paddock hub")])
    builder = _builder(subject, ca_cert.subject, key, SERVER_LIFETIME)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return builder.add_extension(authority, critical=False).sign(ca_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _cert_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replaces a file in one step, so that a reader or a crash never sees half of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
    partial.replace(path)

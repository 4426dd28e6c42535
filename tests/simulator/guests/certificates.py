"""Certificates that tests need beside authorities."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from simulator.guests.pki import Authority


def issue_leaf(ca: Authority, common_name: str, organizations: tuple[str, ...] = ()) -> Authority:
    """A client certificate for an hour, with its key."""
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.encode())
    issuer_key = load_pem_private_key(ca.key_pem.encode(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    now = datetime.datetime.now(datetime.UTC)
    no_usage = {"crl_sign": False, "content_commitment": False, "data_encipherment": False, "key_agreement": False}
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=False,
        encipher_only=False,
        decipher_only=False,
        **no_usage,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return Authority(certificate.public_bytes(Encoding.PEM).decode(), key_pem.decode())

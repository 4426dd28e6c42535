"""The guest's authorities: their shape, their round trip, and a TLS handshake that their client certificate opens."""

import datetime
import hashlib
import ipaddress
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from hub.provisioning.bootstrap.pki import (
    CertificateAuthority,
    GuestPki,
    PkiInvalid,
    ca_hash,
    check_authority,
    generate_authority,
    issue_client_certificate,
)

NAMES = ("server_ca", "client_ca", "request_header_ca", "etcd_server_ca", "etcd_peer_ca")


@pytest.mark.parametrize("name", NAMES)
def test_every_authority_is_a_p256_ca_of_ten_years_with_the_usages_the_distributions_need(
    pki: GuestPki, name: str
) -> None:
    certificate, key = check_authority(getattr(pki, name), name)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert isinstance(key.curve, ec.SECP256R1)
    assert (usage.critical, constraints.critical) == (True, True)
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert usage.value.key_cert_sign
    assert not usage.value.crl_sign
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime == datetime.timedelta(days=3650, minutes=5)
    # K3s compares a leaf's authority key id with this to know whether its CA was exchanged.
    assert certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)


def test_the_authorities_are_five_different_ones_with_their_own_names_and_keys(pki: GuestPki) -> None:
    loaded = [check_authority(getattr(pki, name), name) for name in NAMES]
    subjects = {certificate.subject.rfc4514_string() for certificate, _ in loaded}
    assert subjects == {f"CN=shop-{name.replace('_', '-')}" for name in NAMES}
    assert len({key.private_numbers().private_value for _, key in loaded}) == 5


def test_the_service_account_key_is_rsa_in_the_traditional_form(pki: GuestPki) -> None:
    key = serialization.load_pem_private_key(pki.service_account_key_pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert pki.service_account_key_pem.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert pki.server_ca.key_pem.startswith("-----BEGIN EC PRIVATE KEY-----\n")


def test_a_very_long_cluster_name_still_makes_certificates() -> None:
    authority = generate_authority("x" * 300)
    certificate, _ = check_authority(authority, "ca")
    assert certificate.subject.rfc4514_string() == "CN=" + "x" * 64


def test_the_pki_survives_json(pki: GuestPki) -> None:
    assert GuestPki.from_json(pki.to_json()) == pki


def test_repr_shows_no_key(pki: GuestPki) -> None:
    assert "PRIVATE KEY" not in repr(pki)
    assert "BEGIN CERTIFICATE" in repr(pki)


def damaged(pki: GuestPki, **changes: object) -> str:
    return json.dumps({**json.loads(pki.to_json()), **changes})


def test_a_damaged_stored_pki_is_refused_and_the_refusal_holds_no_key(pki: GuestPki) -> None:
    other = generate_authority("other")
    swapped = {"cert_pem": other.cert_pem, "key_pem": pki.client_ca.key_pem}
    texts = [
        "",
        "[]",
        "null",
        "{}",
        pki.to_json()[:-30],
        damaged(pki, client_ca=swapped),
        damaged(pki, client_ca={"cert_pem": other.cert_pem}),
        damaged(pki, client_ca={"cert_pem": 3, "key_pem": None}),
        damaged(pki, service_account_key_pem="nothing"),
        damaged(pki, service_account_key_pem=None),
        damaged(pki, another={}),
    ]
    for text in texts:
        with pytest.raises(PkiInvalid) as refused:
            GuestPki.from_json(text)
        assert "PRIVATE" not in str(refused.value)


def test_the_server_ca_hash_is_that_of_the_pem_bytes_in_the_file(pki: GuestPki, tmp_path: Path) -> None:
    file = tmp_path / "server-ca.crt"
    file.write_bytes(pki.server_ca.cert_pem.encode())
    assert pki.server_ca_hash == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_bundle_or_a_pem_of_other_bytes_has_no_hash_because_the_node_would_come_to_another(pki: GuestPki) -> None:
    pem = pki.server_ca.cert_pem
    for text in ("", pem + pki.client_ca.cert_pem, pem.strip(), pem + "\n", pem.replace("\n", "\r\n"), pem[:200]):
        with pytest.raises(PkiInvalid):
            ca_hash(text)


def test_a_client_certificate_names_user_and_groups_and_is_short_and_back_dated(pki: GuestPki) -> None:
    before = datetime.datetime.now(datetime.UTC)
    cert_pem, key_pem = issue_client_certificate(pki.client_ca, "paddock-hub", ["system:masters", "b"])
    certificate = x509.load_pem_x509_certificate(cert_pem.encode())
    subject = certificate.subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["paddock-hub"]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:masters", "b"]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == datetime.timedelta(hours=24, minutes=5)
    assert certificate.not_valid_before_utc <= before - datetime.timedelta(minutes=4)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert key.public_key() == certificate.public_key()


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_common_name_beyond_x509_is_refused(pki: GuestPki, name: str) -> None:
    with pytest.raises(PkiInvalid):
        issue_client_certificate(pki.client_ca, name)


def test_a_certificate_without_lifetime_is_refused(pki: GuestPki) -> None:
    with pytest.raises(PkiInvalid):
        issue_client_certificate(pki.client_ca, "hub", lifetime=datetime.timedelta(0))


def test_an_authority_that_is_no_ca_or_out_of_date_signs_nothing(pki: GuestPki) -> None:
    leaf = CertificateAuthority(*issue_client_certificate(pki.client_ca, "leaf"))
    with pytest.raises(PkiInvalid, match="may not sign"):
        issue_client_certificate(leaf, "below")
    with pytest.raises(PkiInvalid, match="not now"):
        issue_client_certificate(expired(pki.client_ca), "late")


def test_a_server_under_the_server_ca_and_a_client_under_the_client_ca_shake_hands(
    pki: GuestPki, tmp_path: Path
) -> None:
    server, client = contexts(pki, tmp_path, pki.server_ca.cert_pem)
    assert shake_hands(server, client) == "paddock-hub"


def test_a_server_under_any_other_ca_is_not_believed(pki: GuestPki, tmp_path: Path) -> None:
    server, client = contexts(pki, tmp_path, pki.etcd_server_ca.cert_pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client)


def expired(ca: CertificateAuthority) -> CertificateAuthority:
    certificate, key = check_authority(ca, "ca")
    past = certificate.not_valid_before_utc - datetime.timedelta(days=2)
    builder = x509.CertificateBuilder(
        certificate.issuer, certificate.subject, key.public_key(), certificate.serial_number, past, past
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    return CertificateAuthority(pem, ca.key_pem)


def contexts(pki: GuestPki, folder: Path, trusted: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server like the guest's API server, and a client like the hub that trusts `trusted`."""
    certificate, ca_key = check_authority(pki.server_ca, "server_ca")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]))
        .issuer_name(certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("10.0.0.5"))]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "server.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM) + key_pem)
    server.load_cert_chain(folder / "server.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=pki.client_ca.cert_pem)
    client = ssl.create_default_context(cadata=trusted)
    (folder / "client.pem").write_text("".join(issue_client_certificate(pki.client_ca, "paddock-hub")))
    client.load_cert_chain(folder / "client.pem")
    return server, client


def shake_hands(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> str:
    """The client's common name as the server sees it after a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="10.0.0.5")
    waiting = [client, server]
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            break
    assert not waiting
    certificate = server.getpeercert()
    assert certificate is not None
    subject = certificate["subject"]
    return str(dict(pair[0] for pair in subject)["commonName"])  # type: ignore[misc]

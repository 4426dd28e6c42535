"""TLS contexts: always verifying, and without a file that stays behind."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from kube import tls
from kube.credentials import Credentials
from kube.errors import TlsRefused
from tests.bed.pki import Authority


def with_client(authority: Authority, cert_pem: str, key_pem: str) -> Credentials:
    return Credentials(("https://a",), authority.certificate_pem, None, cert_pem, key_pem)


def test_a_context_verifies_certificate_and_name(authority: Authority) -> None:
    context = tls.client_context(Credentials(("https://a",), authority.certificate_pem))
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_without_a_ca_the_systems_trust_is_used() -> None:
    context = tls.client_context(Credentials(("https://a",), None))
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("ca_pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_that_is_none_is_refused(ca_pem: str) -> None:
    with pytest.raises(TlsRefused, match="CA"):
        tls.client_context(Credentials(("https://a",), ca_pem))


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    one, other = authority.issue_client("one"), authority.issue_client("other")
    with pytest.raises(TlsRefused, match="together"):
        tls.client_context(with_client(authority, one.certificate_pem, other.key_pem))


def test_an_encrypted_key_is_refused_and_asks_nobody_for_a_password(authority: Authority) -> None:
    pair = authority.issue_client("one")
    encrypted = serialization.load_pem_private_key(pair.key_pem.encode(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    with pytest.raises(TlsRefused):
        tls.client_context(with_client(authority, pair.certificate_pem, encrypted.decode()))


def test_key_material_leaves_no_file_and_no_descriptor(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pair = authority.issue_client("one")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    tls.client_context(with_client(authority, pair.certificate_pem, pair.key_pem))
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_without_anonymous_memory_the_file_is_private_and_removed(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delattr(os, "memfd_create")
    seen: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def look(context: ssl.SSLContext, path: str, **rest: object) -> None:
        seen.append(Path(path).stat().st_mode & 0o777)
        load(context, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", look)
    pair = authority.issue_client("one")
    tls.client_context(with_client(authority, pair.certificate_pem, pair.key_pem))
    assert seen == [0o600]
    assert list(tmp_path.iterdir()) == []

"""The hub's own authority and certificate: made once, kept, and made anew when the names change or time runs out."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from hub.quickstart import certificates
from hub.quickstart.certificates import ensure_server_certificate

NAMES = ["localhost", "127.0.0.1", "::1", "hub.example"]


def names_in(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(general.value) for general in alternative}


def test_the_certificate_names_what_it_was_asked_for_and_is_of_the_authority(tmp_path: Path) -> None:
    files = ensure_server_certificate(tmp_path / "tls", NAMES)
    assert names_in(files.cert_file) == set(NAMES)
    leaf, authority = x509.load_pem_x509_certificates(files.cert_file.read_bytes())
    leaf.verify_directly_issued_by(authority)
    assert files.ca_file.read_bytes() in files.cert_file.read_bytes()


def test_keys_are_for_their_owner_alone_and_fit_their_certificates(tmp_path: Path) -> None:
    files = ensure_server_certificate(tmp_path / "tls", NAMES)
    for key in (files.key_file, tmp_path / "tls" / "ca.key"):
        assert key.stat().st_mode & 0o777 == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.cert_file, files.key_file)


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    files = ensure_server_certificate(tmp_path, NAMES)
    before = [path.read_bytes() for path in (files.ca_file, files.cert_file, files.key_file)]
    ensure_server_certificate(tmp_path, reversed(NAMES))
    assert before == [path.read_bytes() for path in (files.ca_file, files.cert_file, files.key_file)]


def test_another_name_makes_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    files = ensure_server_certificate(tmp_path, NAMES)
    authority = files.ca_file.read_bytes()
    ensure_server_certificate(tmp_path, [*NAMES, "other.example"])
    assert "other.example" in names_in(files.cert_file)
    assert files.ca_file.read_bytes() == authority


def test_a_certificate_near_its_end_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "SERVER_LIFETIME", datetime.timedelta(days=29))
    files = ensure_server_certificate(tmp_path, NAMES)
    first = files.cert_file.read_bytes()
    monkeypatch.undo()
    ensure_server_certificate(tmp_path, NAMES)
    assert files.cert_file.read_bytes() != first


def test_a_certificate_of_a_lost_authority_is_replaced_with_it(tmp_path: Path) -> None:
    files = ensure_server_certificate(tmp_path, NAMES)
    first = files.cert_file.read_bytes()
    (tmp_path / "ca.key").unlink()
    ensure_server_certificate(tmp_path, NAMES)
    assert files.cert_file.read_bytes() != first

"""Credentials: which server addresses they take, and that they keep their secrets."""

from __future__ import annotations

import pytest

from kube.credentials import Credentials, Server


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://10.0.0.1:6443", Server("10.0.0.1", 6443)),
        ("https://10.0.0.1", Server("10.0.0.1", 443)),
        ("https://kube.example:6443/", Server("kube.example", 6443)),
        ("https://[fd00::1]:6443", Server("fd00::1", 6443)),
        ("https://hub.example/k8s/clusters/x", Server("hub.example", 443, "/k8s/clusters/x")),
        ("HTTPS://Kube.Example", Server("kube.example", 443)),
    ],
)
def test_an_https_url_is_read_into_its_parts(url: str, server: Server) -> None:
    assert Server.parse(url) == server


def test_the_authority_is_written_as_a_host_header_needs_it() -> None:
    assert Server("fd00::1", 6443).authority == "[fd00::1]:6443"
    assert Server("kube.example", 443).authority == "kube.example:443"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kube.example",
        "http://kube.example",
        "file:///etc/passwd",
        "gopher://kube.example",
        "https://",
        "https://:6443",
        "https:///path",
        "https://user@kube.example",
        "https://user:pw@kube.example",
        "https://good.example@127.0.0.1",
        "https://kube.example?x=1",
        "https://kube.example?",
        "https://kube.example#f",
        "https://kube.example/#",
        "https://kube.example:0",
        "https://kube.example:65536",
        "https://kube.example:x",
        "https://kube.example:-1",
        "https://kube.example\\@127.0.0.1",
        "https://kube.example/a/../b",
        "https://kube.example/a//b",
        "https://kube.example/%2e%2e",
        "https://kube.example/\r\nHost: x",
        "https://kube example",
        " https://kube.example",
        "https://kube.example\n",
        "https://münchen.example",
        "https://[::1",
        "https://[v1.x]/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[127.0.0.1]/",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Credentials((url,), None, token="x")


def test_credentials_without_a_server_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Credentials((), None, token="x")


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ValueError, match="together"):
        Credentials(("https://a",), None, client_cert_pem="PEM")
    with pytest.raises(ValueError, match="together"):
        Credentials(("https://a",), None, client_key_pem="PEM")


@pytest.mark.parametrize("token", ["", "a\r\nX-Evil: 1", "tökén", "a\x00b"])
def test_a_token_that_cannot_stand_in_a_header_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Credentials(("https://a",), None, token=token)


def test_the_repr_of_credentials_hides_what_is_secret() -> None:
    text = repr(Credentials(("https://a",), "CA", "sesame", "CERT", "THE-KEY"))
    assert "token and client certificate" in text
    assert not any(secret in text for secret in ("sesame", "CERT", "THE-KEY"))

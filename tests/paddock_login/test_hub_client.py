"""Calls of the hub: only to the hub, only with a certificate that is to be trusted, and failures in plain words."""

import socket

import pytest

from paddock_login.hub_client import Hub, LoginError, Unreachable, parse_hub_url
from tests.bed.https_server import HttpsServer, Reply
from tests.bed.pki import Authority
from tests.paddock_login.scripted_hub import ScriptedHub


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://hub.example", "https://hub.example"),
        ("https://HUB.example/", "https://hub.example"),
        ("hub.example", "https://hub.example"),
        ("hub.example:8443", "https://hub.example:8443"),
        ("https://hub.example:443/account", "https://hub.example"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_hub_has_one_address(text: str, url: str) -> None:
    assert parse_hub_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://hub.example",
        "ftp://hub.example",
        "https://",
        "https://user:password@hub.example",
        "https://hub.example?x=1",
        "https://hub.example#x",
        "https://hub.example:0",
        "https://hub.example:99999",
        "https://hub.example:x",
        "",
    ],
)
def test_what_is_no_address_of_a_hub_is_refused(text: str) -> None:
    with pytest.raises(LoginError):
        parse_hub_url(text)


def test_a_certificate_of_another_authority_is_refused_before_anything_is_sent(hub: ScriptedHub) -> None:
    for ca_pem in (None, Authority("other").certificate_pem):
        with pytest.raises(LoginError, match="--ca-file") as refused:
            Hub(hub.url, ca_pem).get("whoami", "pdk_secret")
        assert not isinstance(refused.value, Unreachable)
    assert hub.server.asked == []


def test_a_certificate_for_another_name_is_refused() -> None:
    with HttpsServer(lambda asked: Reply({}), "other.example") as server, pytest.raises(LoginError, match="trusted"):
        Hub(server.url, server.ca_pem).get("whoami", "pdk_secret")


def test_a_ca_that_is_none_is_told() -> None:
    with pytest.raises(LoginError, match="PEM"):
        Hub("https://hub.example", "no certificate")


def test_a_redirect_is_not_followed_and_carries_no_token_away(hub: ScriptedHub) -> None:
    with HttpsServer(lambda asked: Reply({}), authority=hub.server.authority) as elsewhere:
        hub.before_answer = lambda asked: Reply({}, 307, {"Location": f"{elsewhere.url}/api/v1/whoami"})
        with pytest.raises(LoginError, match="307"):
            Hub(hub.url, hub.server.ca_pem).get("whoami", "pdk_secret")
        assert elsewhere.asked == []


def test_the_hubs_own_words_are_shown_with_its_code(hub: ScriptedHub) -> None:
    with pytest.raises(LoginError, match=r"words for request\.unauthenticated") as refused:
        Hub(hub.url, hub.server.ca_pem).get("whoami", "pdk_wrong")
    assert (refused.value.code, refused.value.status) == ("request.unauthenticated", 401)


@pytest.mark.parametrize(("status", "body"), [(404, b"<html>"), (500, b""), (404, b"[]"), (200, b"<html>")])
def test_something_else_than_a_hub_is_recognised(hub: ScriptedHub, status: int, body: bytes) -> None:
    hub.before_answer = lambda asked: Reply(body, status)
    with pytest.raises(LoginError, match="is this the address of a Paddock hub"):
        Hub(hub.url, hub.server.ca_pem).get("whoami")


def test_a_hub_that_is_away_is_told_from_one_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="cannot be reached"):
        Hub(f"https://127.0.0.1:{port}").get("whoami")
    with pytest.raises(Unreachable, match="no host of the name"):
        Hub("https://nowhere.invalid").get("whoami")


def test_a_hub_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unreachable, match="does not answer"):
            Hub(f"https://127.0.0.1:{port}", timeout=0.1).get("whoami")

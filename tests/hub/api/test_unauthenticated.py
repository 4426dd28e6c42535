"""What anybody can ask of the web process without an account costs the hub a bounded number of rows, and others nothing.

Endless and slow bodies, and many sockets, end at the stream server (``tests/hub/stream/test_bounds.py``); what the trail keeps
of such attempts is tested in ``tests/hub/audit/test_strangers.py``.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from hub.identity import cli_logins, login_limits
from hub.identity.models import CliLogin, LoginFailures
from tests.hub.api.callers import Answer, Caller, make_caller
from tests.hub.api.world import make_provider

pytestmark = pytest.mark.django_db
DEVICE = {"flow": "device", "host": "a"}


def rows() -> dict[str, int]:
    return {model._meta.label: model._base_manager.count() for model in apps.get_models() if model._meta.managed}


def basic_login(client: Client, name: str) -> Answer:
    caller = Caller(client=client)
    return caller.call("POST", "tokens", {"name": "t"}, headers={"Authorization": f"Basic {_basic(name)}"})


def _basic(name: str) -> str:
    return base64.b64encode(f"{name}:wrong".encode()).decode()


def test_sec72_logins_of_programs_that_nobody_confirms_are_bounded_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_logins, "LIMIT_OF_PEER", 5)
    stranger = Caller()
    statuses = [stranger.post("cli-logins", DEVICE).status for _ in range(12)]
    assert statuses == [201] * 5 + [429] * 7
    assert CliLogin.objects.count() == 5
    assert make_caller("hub-admin").get("whoami").status == 200


def test_sec72_polling_for_a_login_that_is_none_leaves_nothing() -> None:
    stranger, before = Caller(), rows()
    for number in range(20):
        assert stranger.post("cli-logins/token", {"device_code": f"x{number}"}).status == 400
    assert rows() == before


def test_sec72_guesses_of_random_names_by_one_peer_end_at_its_limit() -> None:
    client = Client()
    statuses = [basic_login(client, f"name-{number}").status for number in range(login_limits.PEER_LIMIT + 20)]
    assert statuses[0] == 401
    assert set(statuses[login_limits.PEER_LIMIT :]) == {429}
    # A bucket of the pair, one of the account, and one of the peer.
    assert LoginFailures.objects.count() <= 2 * (login_limits.PEER_LIMIT + 1) + 1


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 100_000])
def test_sec72_a_provider_s_word_that_is_none_leaves_nothing(token: str) -> None:
    provider, _, _ = make_provider()
    client, before = Client(), rows()
    for _ in range(5):
        answer: Any = client.post(f"/logout/{provider.name}/backchannel", {"logout_token": token}, secure=True)
        assert 400 <= answer.status_code < 600
        assert answer.status_code != 500
    assert rows() == before


@pytest.mark.parametrize("path", ["/login", "/device", "/cli-login", "/login/second-factor", "/invitations/x"])
def test_sec72_a_form_of_a_megabyte_or_without_proof_leaves_nothing(path: str) -> None:
    client, before = Client(), rows()
    for fields in ({}, {"csrf": "x", "username": "a", "password": "b" * 2_000_000}):
        answer: Any = client.post(path, fields, secure=True)
        assert 400 <= answer.status_code < 500
    assert rows() == before

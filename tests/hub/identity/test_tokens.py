"""API tokens: issued once, checked, narrowed, ended."""

import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, TokenScope
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.identity import tokens
from hub.identity.actors import actor_of
from hub.identity.models import ApiToken, User
from hub.identity.token_format import parse_token
from hub.identity.tokens import authenticate_token, issue_token, mark_used, revoke_token
from tests.hub.builders import make_user

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def maria(db: None) -> User:
    return make_user("maria")


def test_a_fresh_token_is_its_user(maria: User) -> None:
    token, text = issue_token(actor_of(maria), maria, name="ci")
    actor = authenticate_token(text)
    assert actor is not None
    assert (actor.kind, actor.id, actor.name, actor.token_id) == ("user", maria.pk, maria.username, token.pk)


def test_sec01_nothing_that_is_stored_contains_the_secret(maria: User) -> None:
    token, text = issue_token(actor_of(maria), maria, name="ci")
    parsed = parse_token(text)
    assert parsed is not None
    stored = ApiToken.objects.filter(pk=token.pk).values().get()
    assert parsed.secret not in str(stored)
    assert parsed.secret not in str(AuditEvent.objects.filter(object_id=token.pk).values().get())


def test_sec04_a_token_is_not_logged(maria: User, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        _, text = issue_token(actor_of(maria), maria, name="ci")
        authenticate_token(text)
        authenticate_token(text[:-1] + "x")
    secret = text.rpartition("_")[2]
    assert secret not in caplog.text


@pytest.mark.parametrize("change", ["secret", "key", "cut", "empty", "other scheme"])
def test_a_token_that_is_nearly_right_is_nobody(maria: User, change: str) -> None:
    _, text = issue_token(actor_of(maria), maria, name="ci")
    prefix, key_id, secret = text.split("_")
    other = "a" if secret[0] != "a" else "b"
    wrong = {
        "secret": f"{prefix}_{key_id}_{other}{secret[1:]}",
        "key": f"{prefix}_{key_id[::-1]}_{secret}",
        "cut": text[:-1],
        "empty": "",
        "other scheme": f"xyz_{key_id}_{secret}",
    }[change]
    assert authenticate_token(wrong) is None


def test_an_expired_token_is_nobody(maria: User) -> None:
    token, text = issue_token(actor_of(maria), maria, name="ci", lifetime=timedelta(hours=1))
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert authenticate_token(text) is None


def test_a_revoked_token_is_nobody_and_stays_revoked(maria: User) -> None:
    token, text = issue_token(actor_of(maria), maria, name="ci")
    revoke_token(actor_of(maria), token)
    first = ApiToken.objects.get(pk=token.pk).revoked_at
    revoke_token(actor_of(maria), token)
    assert authenticate_token(text) is None
    assert ApiToken.objects.get(pk=token.pk).revoked_at == first
    assert AuditEvent.objects.filter(object_id=token.pk, verb="delete").count() == 1


def test_revoking_a_token_that_changed_meanwhile_is_refused(maria: User) -> None:
    token, _ = issue_token(actor_of(maria), maria, name="ci")
    with pytest.raises(StaleVersion):
        revoke_token(actor_of(maria), token, expected_version=token.version + 1)


def test_sec46_a_disabled_users_tokens_are_nobody(maria: User) -> None:
    _, text = issue_token(actor_of(maria), maria, name="ci")
    User.objects.filter(pk=maria.pk).update(is_active=False)
    assert authenticate_token(text) is None


def test_a_token_under_a_retired_pepper_is_nobody(maria: User) -> None:
    token, text = issue_token(actor_of(maria), maria, name="ci")
    ApiToken.objects.filter(pk=token.pk).update(pepper_id="retired")
    assert authenticate_token(text) is None


@pytest.mark.parametrize("name", ["", "   ", "n" * 101])
def test_a_token_needs_a_name(maria: User, name: str) -> None:
    with pytest.raises(HubError) as refused:
        issue_token(actor_of(maria), maria, name=name)
    assert refused.value.pointer == "/name"


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(days=367)])
def test_a_token_without_an_end_is_not_issued(maria: User, lifetime: timedelta) -> None:
    with pytest.raises(HubError) as refused:
        issue_token(actor_of(maria), maria, name="ci", lifetime=lifetime)
    assert refused.value.code == "token.lifetime_invalid"
    assert not ApiToken.objects.exists()


def test_the_scope_comes_back_with_the_actor(maria: User) -> None:
    scope = TokenScope(read_only=True, projects=frozenset({uuid4()}))
    _, text = issue_token(actor_of(maria), maria, name="ci", scope=scope)
    actor = authenticate_token(text)
    assert actor is not None
    assert actor.token_scope == scope


def test_sec32_a_narrow_token_cannot_issue_a_wider_one(maria: User) -> None:
    narrow = TokenScope(clusters=frozenset({uuid4()}))
    _, text = issue_token(actor_of(maria), maria, name="narrow", scope=narrow)
    actor = authenticate_token(text)
    assert actor is not None
    with pytest.raises(HubError) as refused:
        issue_token(actor, maria, name="wide")
    assert refused.value.code == "token.scope_too_wide"
    issue_token(actor, maria, name="as narrow", scope=narrow)


def test_issuing_is_in_the_audit_trail_with_the_token_it_was_done_with(maria: User) -> None:
    first, text = issue_token(SYSTEM, maria, name="first")
    actor = authenticate_token(text)
    assert actor is not None
    second, _ = issue_token(actor, maria, name="second")
    event = AuditEvent.objects.get(object_id=second.pk)
    assert event.detail == {"user": maria.username, "key_id": second.key_id, "purpose": "api"}
    assert event.token_id == first.pk


def test_last_use_is_noted_once_in_a_while_and_is_no_change_of_the_token(
    maria: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    token, text = issue_token(actor_of(maria), maria, name="ci")
    authenticate_token(text)
    noted = ApiToken.objects.get(pk=token.pk)
    assert noted.last_used_at is not None
    assert noted.version == token.version
    authenticate_token(text)
    assert ApiToken.objects.get(pk=token.pk).last_used_at == noted.last_used_at
    later = timezone.now() + tokens.LAST_USED_INTERVAL + timedelta(seconds=1)
    with django_assert_num_queries(2):  # the tokens, and the logins that they came of
        mark_used([token.pk, uuid4()], later)
    assert ApiToken.objects.get(pk=token.pk).last_used_at == later

"""How tokens end: by caps, by rotation, with their login."""

import datetime

import pytest
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.access import TokenScope
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.identity import tokens
from hub.identity.actors import actor_of
from hub.identity.models import ApiToken, Session, TokenPurpose, User
from hub.identity.sessions import end_session, start_session
from hub.identity.tokens import (
    LONGEST_OVERLAP,
    authenticate_token,
    default_lifetime,
    issue_token,
    longest_lifetime,
    mark_used,
    revoke_token,
    rotate_token,
)
from tests.hub.builders import make_user
from tests.hub.racing import race

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def maria(db: None) -> User:
    return make_user("maria")


@pytest.fixture
def session(maria: User) -> Session:
    return start_session(maria, peer="192.0.2.1", user_agent="test")[0]


def issue(user: User, **options: object) -> tuple[ApiToken, str]:
    return issue_token(actor_of(user), user, name="ci", **options)  # type: ignore[arg-type]


def cap(monkeypatch: pytest.MonkeyPatch, **settings: int) -> None:
    changed = environment().model_copy(update=settings)
    monkeypatch.setattr(tokens, "environment", lambda: changed)


@pytest.mark.parametrize("purpose", list(TokenPurpose))
def test_no_token_lives_longer_than_the_hub_allows(maria: User, purpose: TokenPurpose) -> None:
    longest = longest_lifetime(purpose)
    token, _ = issue(maria, purpose=purpose, lifetime=longest)
    assert abs(token.expires_at - timezone.now() - longest) < datetime.timedelta(minutes=1)
    with pytest.raises(HubError) as refused:
        issue(maria, purpose=purpose, lifetime=longest + datetime.timedelta(seconds=1))
    assert refused.value.code == "token.lifetime_invalid"
    assert refused.value.params["maximum_seconds"] == int(longest.total_seconds())


def test_a_lower_cap_shortens_what_nobody_asked_for(monkeypatch: pytest.MonkeyPatch, maria: User) -> None:
    cap(monkeypatch, token_max_days=2, kubeconfig_max_days=90)
    assert default_lifetime(TokenPurpose.API) == datetime.timedelta(days=2)
    assert default_lifetime(TokenPurpose.KUBECONFIG) == datetime.timedelta(days=2)  # the hub's cap holds for all
    assert issue(maria)[0].expires_at - timezone.now() <= datetime.timedelta(days=2)


def test_sec10_three_rotations_give_different_tokens(maria: User) -> None:
    token, text = issue(maria)
    texts = {text}
    for _ in range(3):
        token, text = rotate_token(actor_of(maria), token, HOUR)
        texts.add(text)
    assert len(texts) == 4
    assert all(authenticate_token(text) for text in texts)


def test_a_rotated_token_is_good_until_the_overlap_ends(maria: User) -> None:
    scope = TokenScope(read_only=True, verbs=frozenset({"get"}))
    old, old_text = issue(maria, scope=scope, lifetime=datetime.timedelta(days=10))
    new, new_text = rotate_token(actor_of(maria), old, HOUR)
    stored = ApiToken.objects.get(pk=old.pk)
    assert stored.replaced_by == new
    assert abs(stored.expires_at - timezone.now() - HOUR) < datetime.timedelta(minutes=1)
    assert abs(new.expires_at - timezone.now() - datetime.timedelta(days=10)) < datetime.timedelta(minutes=1)
    assert (new.name, new.scope, new.user_id) == (stored.name, stored.scope, stored.user_id)
    assert authenticate_token(old_text) is not None
    ApiToken.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    assert authenticate_token(old_text) is None
    assert authenticate_token(new_text) is not None


def test_without_overlap_the_old_token_ends_at_once(maria: User) -> None:
    old, text = issue(maria)
    rotate_token(actor_of(maria), old, datetime.timedelta(0))
    assert authenticate_token(text) is None


def test_an_overlap_does_not_prolong_the_old_token(maria: User) -> None:
    old, _ = issue(maria, lifetime=datetime.timedelta(minutes=5))
    rotate_token(actor_of(maria), old, HOUR)
    assert ApiToken.objects.get(pk=old.pk).expires_at == old.expires_at


@pytest.mark.parametrize("overlap", [datetime.timedelta(seconds=-1), LONGEST_OVERLAP + datetime.timedelta(seconds=1)])
def test_an_overlap_has_bounds(maria: User, overlap: datetime.timedelta) -> None:
    token, _ = issue(maria)
    with pytest.raises(HubError) as refused:
        rotate_token(actor_of(maria), token, overlap)
    assert refused.value.code == "token.overlap_invalid"
    assert ApiToken.objects.count() == 1


def test_a_token_is_rotated_once(maria: User) -> None:
    token, _ = issue(maria)
    new, _ = rotate_token(actor_of(maria), token, HOUR)
    with pytest.raises(HubError) as refused:
        rotate_token(actor_of(maria), token, HOUR)
    assert (refused.value.code, refused.value.params["replaced_by"]) == ("token.rotated", str(new.pk))


@pytest.mark.parametrize("end", ["revoked", "expired", "user"])
def test_what_has_ended_is_not_rotated(maria: User, end: str) -> None:
    token, _ = issue(maria)
    if end == "revoked":
        revoke_token(actor_of(maria), token)
    elif end == "expired":
        ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    else:
        User.objects.filter(pk=maria.pk).update(is_active=False)
    with pytest.raises(HubError) as refused:
        rotate_token(actor_of(maria), token, HOUR)
    assert refused.value.code == "token.ended"


@pytest.mark.parametrize("purpose", [TokenPurpose.KUBECONFIG, TokenPurpose.LOGIN])
def test_only_api_tokens_are_rotated(maria: User, purpose: TokenPurpose) -> None:
    token, _ = issue(maria, purpose=purpose)
    with pytest.raises(HubError) as refused:
        rotate_token(actor_of(maria), token, HOUR)
    assert refused.value.code == "token.not_rotatable"


def test_sec32_a_narrow_token_rotates_no_wider_one(maria: User) -> None:
    wide, _ = issue(maria)
    _, text = issue(maria, scope=TokenScope(verbs=frozenset({"create"})))
    actor = authenticate_token(text)
    assert actor is not None
    with pytest.raises(HubError) as refused:
        rotate_token(actor, wide, HOUR)
    assert refused.value.code == "token.scope_too_wide"
    assert ApiToken.objects.get(pk=wide.pk).replaced_by is None


def test_sec03_a_rotation_is_recorded_without_the_texts(maria: User) -> None:
    old, old_text = issue(maria)
    new, new_text = rotate_token(actor_of(maria), old, HOUR)
    event = AuditEvent.objects.get(object_id=old.pk, verb="rotate")
    assert (event.detail["key_id"], event.detail["replaced_by"]) == (old.key_id, new.key_id)
    trail = str(list(AuditEvent.objects.values()))
    assert not any(text.rpartition("_")[2] in trail for text in (old_text, new_text))


@pytest.mark.usefixtures("transactional_db")
def test_of_two_rotations_at_once_one_is_refused() -> None:
    maria = make_user("maria")
    token, _ = issue(maria)
    got, refused = race(lambda: rotate_token(actor_of(maria), token, HOUR))
    assert (len(got), refused) == (1, ["token.rotated"])
    assert ApiToken.objects.count() == 2


def test_sec47_a_token_of_a_session_ends_with_it(maria: User, session: Session) -> None:
    _, text = issue(maria, session=session)
    assert authenticate_token(text) is not None
    end_session(actor_of(maria), session, "logout")
    assert authenticate_token(text) is None


def test_a_token_of_a_session_ends_no_later_than_it(maria: User, session: Session) -> None:
    token, _ = issue(maria, session=session, lifetime=datetime.timedelta(days=30))
    assert token.expires_at == session.expires_at


def test_what_a_login_token_issues_ends_with_the_login_too(maria: User, session: Session) -> None:
    _, text = issue(maria, session=session, purpose=TokenPurpose.LOGIN)
    actor = authenticate_token(text)
    assert actor is not None
    issued, _ = issue_token(actor, maria, name="for good", lifetime=datetime.timedelta(days=300))
    assert (issued.session, issued.expires_at) == (session, session.expires_at)


def test_what_is_issued_for_somebody_else_does_not_end_with_my_login(maria: User, session: Session) -> None:
    _, text = issue(maria, session=session, purpose=TokenPurpose.LOGIN)
    actor = authenticate_token(text)
    assert actor is not None
    assert issue_token(actor, make_user("robot"), name="robot")[0].session is None


def test_using_a_token_is_using_its_login(maria: User, session: Session) -> None:
    token, _ = issue(maria, session=session)
    before = timezone.now() - HOUR
    Session.objects.filter(pk=session.pk).update(last_seen_at=before)
    now = timezone.now()
    mark_used([token.pk], now)
    assert Session.objects.get(pk=session.pk).last_seen_at == now
    Session.objects.filter(pk=session.pk).update(last_seen_at=before, ended_at=now)
    mark_used([token.pk], now + HOUR)
    assert Session.objects.get(pk=session.pk).last_seen_at == before  # an ended one stays as it was


def test_sec17_the_token_of_a_kubeconfig_does_not_open_the_hub(maria: User) -> None:
    assert authenticate_token(issue(maria, purpose=TokenPurpose.KUBECONFIG)[1]) is None

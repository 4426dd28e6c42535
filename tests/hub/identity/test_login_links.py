"""Login links: the way in that the server's own shell gives."""

import datetime
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.identity import login_limits
from hub.identity.login_links import make_login_link, use_login_link
from hub.identity.models import LoginLink, Session, User, UserKind
from hub.identity.sessions import authenticate_session
from tests.hub.builders import make_user

PEER = "192.0.2.7"


@pytest.fixture
def maria(transactional_db: None) -> User:
    return make_user("maria")


def use(text: str, peer: str = PEER) -> str:
    """Logs in by the link: the cookie."""
    return use_login_link(text, peer=peer, user_agent="").cookie


def test_a_link_logs_its_user_in_once(maria: User) -> None:
    text = make_login_link(SYSTEM, maria)
    found = authenticate_session(use(text))
    assert found is not None
    assert (found[0].id, found[1].method) == (maria.pk, "link")
    with pytest.raises(HubError, match=r"login_link\.invalid"):
        use(text)
    assert Session.objects.count() == 1


def test_sec54_of_two_who_use_it_at_once_one_gets_in(maria: User) -> None:
    text = make_login_link(SYSTEM, maria)

    def try_it(number: int) -> bool:
        try:
            use(text, f"198.51.100.{number}")
        except HubError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(try_it, range(4))) == 1
    assert Session.objects.count() == 1


def test_it_is_good_for_fifteen_minutes(maria: User) -> None:
    text = make_login_link(SYSTEM, maria)
    link = LoginLink.objects.get()
    assert link.expires_at - link.created_at <= datetime.timedelta(minutes=15, seconds=1)
    LoginLink.objects.update(expires_at=timezone.now())
    with pytest.raises(HubError, match=r"login_link\.invalid"):
        use(text)


def test_a_link_of_a_user_who_was_disabled_since_opens_nothing(maria: User) -> None:
    text = make_login_link(SYSTEM, maria)
    User.objects.filter(pk=maria.pk).update(is_active=False)
    with pytest.raises(HubError, match=r"login_link\.invalid"):
        use(text)


@pytest.mark.parametrize("column", [{"is_active": False}, {"kind": UserKind.SERVICE_ACCOUNT}])
def test_there_is_no_link_for_who_cannot_log_in(maria: User, column: dict[str, object]) -> None:
    User.objects.filter(pk=maria.pk).update(**column)
    with pytest.raises(CommandError, match="disabled, or a service account"):
        call_command("login_link", maria.username)
    assert not LoginLink.objects.exists()


def test_sec56_guessing_is_braked_for_the_peer_alone(maria: User) -> None:
    text = make_login_link(SYSTEM, maria)
    for _ in range(login_limits.PAIR_LIMIT):
        with pytest.raises(HubError, match=r"login_link\.invalid"):
            use("pdl_aaaaaaaaaaaa_" + "a" * 43)
    with pytest.raises(HubError, match=r"login\.throttled"):
        use(text)
    assert use(text, "203.0.113.9")


def test_the_command_prints_an_address_and_sec03_the_trail_knows_of_it_without_it(maria: User) -> None:
    out, hints = StringIO(), StringIO()
    call_command("login_link", maria.username, stdout=out, stderr=hints)
    address = out.getvalue().strip()
    start, _, text = address.rpartition("/")
    assert start == f"{environment().url}/login/link"
    assert "15 minutes" in hints.getvalue()
    use(text)
    events = AuditEvent.objects.filter(resource__in=("login-links", "users")).exclude(verb="create", resource="users")
    assert [(event.verb, event.object_name) for event in events.order_by("at")] == [
        ("create", maria.username),
        ("login", maria.username),
    ]
    assert text not in str([vars(event) for event in events])
    assert text.rpartition("_")[2].encode() not in bytes(LoginLink.objects.get().secret_hash)


def test_the_command_knows_nobody_of_another_name(maria: User) -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("login_link", "nobody")

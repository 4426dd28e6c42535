"""Commands of the server's own shell that let somebody in."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from hub.access.models import RoleBinding
from hub.access.services import ensure_first_admin
from hub.core.access import SYSTEM
from hub.identity.models import ApiToken, User
from hub.identity.services import create_user
from hub.identity.tokens import authenticate_token


def issue_token(*arguments: str) -> str:
    out = StringIO()
    call_command("issue_token", *arguments, stdout=out)
    return out.getvalue().strip()


def test_a_program_gets_a_token_of_a_user_of_its_own(db: None) -> None:
    for _ in range(2):
        actor = authenticate_token(issue_token("demo", "--administrator"))
        assert actor is not None
        assert actor.name == "demo"
    user = User.objects.get()
    assert (user.password_hash, user.must_change_password) == ("", False)
    assert RoleBinding.objects.get().role == "hub-admin"


def test_a_user_who_is_there_is_not_made_an_administrator(db: None) -> None:
    create_user(SYSTEM, "maria")
    assert authenticate_token(issue_token("maria", "--administrator")) is not None
    assert not RoleBinding.objects.exists()


def test_nobody_is_made_without_being_asked_for(db: None) -> None:
    with pytest.raises(CommandError, match="There is no user 'maria'"):
        issue_token("maria")
    assert not User.objects.exists()


def test_sec12_there_is_no_token_of_who_has_to_change_his_password(db: None) -> None:
    admin, _ = ensure_first_admin()
    with pytest.raises(CommandError, match="has to change the password first"):
        issue_token(admin.username)
    assert not ApiToken.objects.exists()

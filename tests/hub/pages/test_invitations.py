"""/invitations/<text>"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.access.invitations import accept_invitation, create_invitation
from hub.access.models import Invitation, RoleBinding
from hub.access.services import unbind_role
from hub.core.access import SYSTEM, Actor
from hub.identity.actors import actor_of
from hub.identity.models import User
from hub.tenancy.models import Tenant
from tests.hub.builders import make_actor, make_tenant, make_user, user_of
from tests.hub.pages.browser import Browser


@pytest.fixture
def tenant(transactional_db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def owner(tenant: Tenant) -> Actor:
    return make_actor("tenant-owner", tenant)


@pytest.fixture
def path(owner: Actor, tenant: Tenant) -> str:
    """The address of a new invitation, below the hub's own."""
    _, link = create_invitation(owner, tenant, "project-viewer", note="for the summer")
    return urlsplit(link).path


def accept(browser: Browser, path: str) -> Any:
    return browser.submit(browser.get(path), path)


def test_the_page_says_what_is_offered_and_by_whom_before_anything_is_given(
    logged_in: Browser, anna: User, owner: Actor, tenant: Tenant, path: str
) -> None:
    page = logged_in.get(path)
    for words in (tenant.name, "project-viewer", owner.name, "for the summer", anna.username):
        assert words in page.text
    assert not RoleBinding.objects.filter(user=anna).exists()
    assert logged_in.submit(page, path).target == path
    assert RoleBinding.objects.get(user=anna).tenant == tenant
    assert "You have accepted this invitation" in logged_in.get(path).text


def test_who_is_not_logged_in_comes_back_after_the_login(browser: Browser, path: str) -> None:
    target = urlsplit(browser.get(path).target)
    assert (target.path, parse_qs(target.query)) == ("/login", {"return_to": [path]})


def test_the_second_one_is_told_so_and_not_by_whom(logged_in: Browser, path: str) -> None:
    first = make_user("first")
    accept_invitation(actor_of(first), first, path.rpartition("/")[2])
    page = logged_in.get(path)
    assert page.status == 409
    assert "accepted by somebody else" in page.text
    assert first.username not in page.text


def test_accepting_what_was_taken_meanwhile_gives_nothing(logged_in: Browser, anna: User, path: str) -> None:
    page = logged_in.get(path)
    first = make_user("first")
    accept_invitation(actor_of(first), first, path.rpartition("/")[2])
    assert logged_in.submit(page, path).status == 409
    assert not RoleBinding.objects.filter(user=anna).exists()


def test_an_invitation_whose_maker_has_lost_the_right_explains_itself(
    logged_in: Browser, owner: Actor, path: str
) -> None:
    unbind_role(SYSTEM, RoleBinding.objects.get(user=user_of(owner)))
    page = accept(logged_in, path)
    assert page.status == 409
    assert "Ask for a new invitation" in page.text


@pytest.mark.parametrize("text", ["x", "pdi_" + "a" * 12 + "_" + "b" * 43])
def test_a_link_that_is_none_is_unknown(logged_in: Browser, text: str) -> None:
    page = logged_in.get(f"/invitations/{text}")
    assert page.status == 404
    assert "no such invitation" in page.text


def test_sec71_another_site_accepts_nothing(logged_in: Browser, path: str) -> None:
    page = logged_in.get(path)
    assert logged_in.post(path, page.form(path).fields, Origin="https://evil.example").status == 403
    assert logged_in.post(path, {}).status == 403
    assert Invitation.objects.get().accepted_at is None


def test_sec11_the_link_leaks_by_no_referer_and_no_cache(logged_in: Browser, path: str) -> None:
    response = logged_in.get(path).response
    assert response["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert response["Cache-Control"] == "no-store"


def test_the_page_speaks_chinese(logged_in: Browser, path: str) -> None:
    logged_in.headers["Accept-Language"] = "zh-CN"
    assert "你被邀请加入" in logged_in.get(path).text

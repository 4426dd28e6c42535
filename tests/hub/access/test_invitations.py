"""Invitations: one link, one acceptor, and no right that its maker does not have."""

import datetime
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from hub.access.invitations import (
    LONGEST_LIFETIME,
    accept_invitation,
    create_invitation,
    find_invitation,
    revoke_invitation,
)
from hub.access.models import Invitation, RoleBinding
from hub.access.services import bind_role, unbind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, Actor, TokenScope
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.identity.actors import actor_of
from hub.identity.models import User
from hub.identity.services import delete_user
from hub.tenancy.models import Project, Tenant
from hub.tenancy.service_accounts import create_service_account
from tests.hub.builders import make_actor, make_project, make_tenant, make_user, user_of
from tests.hub.racing import race

DAY = datetime.timedelta(days=1)


@pytest.fixture
def tenant(db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def owner(tenant: Tenant) -> Actor:
    return make_actor("tenant-owner", tenant)


@pytest.fixture
def guest(db: None) -> User:
    return make_user("guest")


def invite(actor: Actor, scope: Tenant | Project, role: str = "project-viewer", **options: object) -> str:
    """The text of a new link."""
    _, link = create_invitation(actor, scope, role, **options)  # type: ignore[arg-type]
    return link.rpartition("/")[2]


def accept(user: User, text: str) -> Invitation:
    return accept_invitation(actor_of(user), user, text)


def refusal(act: object, *arguments: object) -> str:
    with pytest.raises(HubError) as refused:
        act(*arguments)  # type: ignore[operator]
    return refused.value.code


def test_the_first_to_accept_gets_the_role(owner: Actor, tenant: Tenant, guest: User) -> None:
    ends = timezone.now() + DAY
    text = invite(owner, tenant, note="welcome", binding_expires_at=ends)
    assert find_invitation(guest, text).note == "welcome"
    assert not RoleBinding.objects.filter(user=guest).exists()  # looking gives nothing
    accepted = accept(guest, text)
    assert accepted.accepted_by == guest
    binding = RoleBinding.objects.get(user=guest)
    assert (binding.role, binding.tenant, binding.expires_at) == ("project-viewer", tenant, ends)


def test_a_projects_invitation_gives_the_role_there(owner: Actor, tenant: Tenant, guest: User) -> None:
    project = make_project(tenant)
    accept(guest, invite(owner, project, "project-owner"))
    assert RoleBinding.objects.get(user=guest).project == project


def test_accepting_again_changes_nothing(owner: Actor, tenant: Tenant, guest: User) -> None:
    text = invite(owner, tenant)
    first, again = accept(guest, text), accept(guest, text)
    assert first.accepted_at == again.accepted_at
    assert RoleBinding.objects.filter(user=guest).count() == 1


def test_the_second_to_open_it_is_told_so_and_not_by_whom(owner: Actor, tenant: Tenant, guest: User) -> None:
    text = invite(owner, tenant)
    accept(guest, text)
    other = make_user("other")
    for act in (partial(find_invitation, other, text), partial(accept, other, text)):
        with pytest.raises(HubError) as refused:
            act()
        assert refused.value.code == "invitation.taken"
        assert guest.username not in str(refused.value)
        assert not refused.value.params
    assert not RoleBinding.objects.filter(user=other).exists()
    denied = AuditEvent.objects.get(verb="accept", outcome="denied")
    assert (denied.actor_name, denied.code) == (other.username, "invitation.taken")


@pytest.mark.usefixtures("transactional_db")
def test_of_two_who_accept_at_once_one_gets_it() -> None:
    tenant = make_tenant()
    text = invite(make_actor("tenant-owner", tenant), tenant)
    guests = iter([make_user("a"), make_user("b")])
    got, refused = race(lambda: accept(next(guests), text))
    assert (len(got), refused) == (1, ["invitation.taken"])
    assert RoleBinding.objects.filter(role="project-viewer").count() == 1


@pytest.mark.parametrize("end", ["revoked", "expired", "role ended"])
def test_a_link_that_has_ended_is_unknown(owner: Actor, tenant: Tenant, guest: User, end: str) -> None:
    text = invite(owner, tenant, binding_expires_at=timezone.now() + DAY)
    invitation = Invitation.objects.get()
    if end == "revoked":
        revoke_invitation(owner, invitation)
    else:
        column = "expires_at" if end == "expired" else "binding_expires_at"
        Invitation.objects.update(**{column: timezone.now()})
    assert refusal(find_invitation, guest, text) == "invitation.unknown"
    assert refusal(accept, guest, text) == "invitation.unknown"
    assert not RoleBinding.objects.filter(user=guest).exists()


@pytest.mark.parametrize("change", ["secret", "key", "prefix", "empty"])
def test_a_link_that_is_nearly_right_is_unknown(owner: Actor, tenant: Tenant, guest: User, change: str) -> None:
    text = invite(owner, tenant)
    prefix, key_id, secret = text.split("_")
    wrong = {
        "secret": f"{prefix}_{key_id}_{secret[::-1]}",
        "key": f"{prefix}_{key_id[::-1]}_{secret}",
        "prefix": f"pdk_{key_id}_{secret}",
        "empty": "",
    }[change]
    assert refusal(find_invitation, guest, wrong) == "invitation.unknown"


def test_sec32_nobody_invites_to_what_he_does_not_have(tenant: Tenant) -> None:
    project = make_project(tenant)
    project_owner = make_actor("project-owner", project)
    assert refusal(invite, project_owner, tenant, "tenant-owner") == "role_binding.escalates"
    assert refusal(invite, project_owner, tenant, "project-viewer") == "role_binding.escalates"
    narrow = Actor(kind="user", id=project_owner.id, name=project_owner.name, token_scope=TokenScope(read_only=True))
    assert refusal(invite, narrow, project, "project-owner") == "role_binding.escalates"
    assert not Invitation.objects.exists()


def test_sec32_nobody_invites_for_longer_than_he_has_the_right_himself(tenant: Tenant) -> None:
    lent = make_user("lent")
    bind_role(SYSTEM, "tenant-owner", lent, tenant, expires_at=timezone.now() + DAY)
    assert refusal(invite, actor_of(lent), tenant) == "role_binding.escalates"
    invite(actor_of(lent), tenant, binding_expires_at=timezone.now() + DAY / 2)


@pytest.mark.parametrize("loss", ["role", "account", "removed"])
def test_sec32_a_link_does_not_outlive_its_makers_rights(tenant: Tenant, guest: User, loss: str) -> None:
    maker = make_actor("tenant-owner", tenant)
    text = invite(maker, tenant)
    if loss == "role":
        unbind_role(SYSTEM, RoleBinding.objects.get(user=user_of(maker)))
    elif loss == "account":
        User.objects.filter(pk=user_of(maker).pk).update(is_active=False)
    else:
        delete_user(SYSTEM, user_of(maker))
    assert refusal(accept, guest, text) == "invitation.void"
    assert not RoleBinding.objects.filter(user=guest).exists()
    assert Invitation.objects.get().accepted_at is None


def test_who_has_the_role_already_accepts_all_the_same(owner: Actor, tenant: Tenant, guest: User) -> None:
    bind_role(SYSTEM, "project-viewer", guest, tenant)
    assert accept(guest, invite(owner, tenant)).accepted_by == guest
    assert RoleBinding.objects.filter(user=guest).count() == 1


def test_a_service_account_accepts_nothing(owner: Actor, tenant: Tenant) -> None:
    account = create_service_account(SYSTEM, make_project(tenant), "ci")
    assert refusal(accept, account.user, invite(owner, tenant)) == "invitation.unknown"


@pytest.mark.parametrize(
    ("role", "code"), [("no-such", "role.unknown"), ("hub-admin", "role.scope_unfit"), ("", "role.unknown")]
)
def test_a_role_that_cannot_be_given_there_is_refused(owner: Actor, tenant: Tenant, role: str, code: str) -> None:
    assert refusal(invite, owner, tenant, role) == code


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"lifetime": datetime.timedelta(0)}, "invitation.lifetime_invalid"),
        ({"lifetime": LONGEST_LIFETIME + DAY}, "invitation.lifetime_invalid"),
        ({"note": "x" * 201}, "invitation.note_invalid"),
        ({"note": "a\nb"}, "invitation.note_invalid"),
        ({"binding_expires_at": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)}, "role_binding.ended"),
    ],
)
def test_an_invitation_that_is_wrong_is_refused(
    owner: Actor, tenant: Tenant, options: dict[str, Any], code: str
) -> None:
    assert refusal(lambda: invite(owner, tenant, **options)) == code


def test_the_hub_itself_invites_nobody(tenant: Tenant) -> None:
    assert refusal(invite, SYSTEM, tenant) == "request.denied"


def test_what_was_accepted_is_not_revoked(owner: Actor, tenant: Tenant, guest: User) -> None:
    text = invite(owner, tenant)
    invitation = Invitation.objects.get()
    accept(guest, text)
    assert refusal(revoke_invitation, owner, Invitation.objects.get()) == "invitation.accepted"
    with pytest.raises(StaleVersion):
        revoke_invitation(owner, invitation)  # read before it was accepted


def test_revoking_again_changes_nothing(owner: Actor, tenant: Tenant) -> None:
    invite(owner, tenant)
    revoke_invitation(owner, Invitation.objects.get())
    revoke_invitation(owner, Invitation.objects.get())
    assert AuditEvent.objects.filter(resource="invitations", verb="delete").count() == 1


def test_sec01_the_secret_is_stored_and_recorded_nowhere(owner: Actor, tenant: Tenant, guest: User) -> None:
    text = invite(owner, tenant)
    accept(guest, text)
    kept = str(list(Invitation.objects.values())) + str(list(AuditEvent.objects.values()))
    assert text.rpartition("_")[2] not in kept
    verbs = AuditEvent.objects.filter(resource="invitations").order_by("at", "id").values_list("verb", "actor_id")
    assert list(verbs) == [("create", owner.id), ("accept", guest.pk)]

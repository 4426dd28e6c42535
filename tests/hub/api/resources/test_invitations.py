"""/api/v1/invitations"""

from typing import Any

import pytest

from hub.access.invitations import accept_invitation
from hub.access.models import Invitation
from hub.core.environment import environment
from hub.core.ids import uuid7
from hub.identity.actors import actor_of
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_project, make_user


def test_an_owner_invites_lists_and_revokes(owner: Caller, tenant: Tenant) -> None:
    made = owner.post("invitations", {"tenant": str(tenant.pk), "role": "project-viewer", "note": "welcome"})
    assert made.status == 201
    assert made.body["link"].startswith(f"{environment().url}/invitations/pdi_")
    assert (made.body["created_by"], made.body["accepted_at"]) == (str(owner.user_id), None)
    assert "link" not in owner.get(made.location).body
    secret = made.body["link"].rpartition("_")[2]
    assert secret not in owner.get("invitations").response.content.decode()
    assert owner.ids(f"invitations?tenant={tenant.pk}") == {made.body["id"]}
    assert owner.delete(made.location, etag='"9"').status == 412
    assert owner.delete(made.location).status == 204
    assert owner.get(made.location).body["revoked_at"] is not None


def test_it_says_who_has_accepted(owner: Caller, tenant: Tenant) -> None:
    made = owner.post("invitations", {"tenant": str(tenant.pk), "role": "project-viewer"})
    guest = make_user("guest")
    accept_invitation(actor_of(guest), guest, made.body["link"].rpartition("/")[2])
    assert owner.get(made.location).body["accepted_by"] == str(guest.pk)
    assert owner.delete(made.location).code == "invitation.accepted"


def test_the_owner_of_a_project_invites_to_it_alone(tenant: Tenant) -> None:
    project = make_project(tenant)
    project_owner = make_caller("project-owner", project)
    made = project_owner.post("invitations", {"project": str(project.pk), "role": "project-owner"})
    assert (made.status, made.body["tenant"], made.body["project"]) == (201, str(tenant.pk), str(project.pk))
    assert project_owner.post("invitations", {"tenant": str(tenant.pk), "role": "project-owner"}).status == 403
    assert project_owner.ids("invitations") == {made.body["id"]}


def test_sec32_nobody_invites_to_more_than_he_has(tenant: Tenant) -> None:
    project = make_project(tenant)
    viewer = make_caller("project-viewer", project)
    assert viewer.post("invitations", {"project": str(project.pk), "role": "project-viewer"}).code == "request.denied"
    operator = make_caller("project-operator", project)
    assert operator.post("invitations", {"project": str(project.pk), "role": "project-owner"}).code == "request.denied"
    assert not Invitation.objects.exists()


def test_sec40_another_tenants_invitation_is_as_good_as_missing(
    owner: Caller, foreigner: Caller, tenant: Tenant
) -> None:
    made = owner.post("invitations", {"tenant": str(tenant.pk), "role": "project-viewer"})
    assert foreigner.items("invitations") == []
    assert foreigner.get(made.location).problem == foreigner.get(f"invitations/{uuid7()}").problem
    assert foreigner.delete(made.location).status == 404
    body = {"tenant": str(tenant.pk), "role": "project-viewer"}
    assert foreigner.post("invitations", body).faults == {"/tenant": "reference.not_found"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "request.invalid"),
        ({"role": "nothing"}, "role.unknown"),
        ({"role": "hub-admin"}, "role.scope_unfit"),
        ({"role": "project-viewer", "expires_in_seconds": 31 * 86400}, "request.invalid"),
        ({"role": "project-viewer", "role_expires_in_seconds": 0}, "request.invalid"),
        ({"role": "project-viewer", "accepted_by": str(uuid7())}, "request.invalid"),
        ({"role": "project-viewer", "note": "x" * 201}, "request.invalid"),
    ],
)
def test_an_invitation_that_is_wrong_is_refused(owner: Caller, tenant: Tenant, body: dict[str, Any], code: str) -> None:
    assert owner.post("invitations", {"tenant": str(tenant.pk), **body}).code == code


def test_it_is_for_one_place(owner: Caller, admin: Caller, tenant: Tenant) -> None:
    both = {"tenant": str(tenant.pk), "project": str(make_project(tenant).pk), "role": "project-viewer"}
    assert owner.post("invitations", both).code == "invitation.scope_missing"
    assert admin.post("invitations", {"role": "project-viewer"}).code == "invitation.scope_missing"


def test_repeating_with_a_key_makes_one_link(owner: Caller, tenant: Tenant) -> None:
    body = {"tenant": str(tenant.pk), "role": "project-viewer"}
    first, again = (owner.post("invitations", body, key="once") for _ in range(2))
    assert first.body["link"] == again.body["link"]
    assert Invitation.objects.count() == 1

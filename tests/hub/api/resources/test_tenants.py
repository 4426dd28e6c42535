"""/api/v1/tenants"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from hub.core.ids import uuid7
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Answer, Caller, make_caller
from tests.hub.builders import make_project, make_tenant


def test_a_tenant_is_made_read_changed_and_deleted(admin: Caller) -> None:
    made = admin.post("tenants", {"name": "acme", "display_name": "Acme AG"})
    assert made.status == 201
    assert (made.body["name"], made.body["display_name"], made.body["version"]) == ("acme", "Acme AG", 1)
    assert made.location == f"/api/v1/tenants/{made.body['id']}"

    read = admin.get(made.location)
    assert read.etag == made.etag
    nothing_else: dict[str, object] = {"grants": [], "quota": None, "role_binding": None, "invitation": None}
    assert made.body == {**read.body, **nothing_else}

    changed = admin.patch(made.location, {"display_name": "Acme SE"}, etag=read.etag)
    assert (changed.status, changed.body["display_name"], changed.etag) == (200, "Acme SE", '"2"')
    assert changed.body["updated_at"] > changed.body["created_at"]

    assert admin.delete(made.location, etag=changed.etag).status == 204
    assert admin.get(made.location).status == 404
    assert admin.delete(made.location).status == 404


@pytest.mark.parametrize("name", ["Acme", "a_b", "-a", "a-", "a.b", "ä", "a b", "x" * 64, "a/b", "a\nb"])
def test_a_name_beyond_dns_rules_is_refused_with_its_place_and_the_rule(admin: Caller, name: str) -> None:
    answer = admin.post("tenants", {"name": name})
    assert (answer.status, answer.faults) == (400, {"/name": "name.invalid"})
    assert answer.body["params"]["rule"]
    assert not Tenant.objects.exists()


def test_a_name_is_taken_once(admin: Caller) -> None:
    tenant = make_tenant()
    answer = admin.post("tenants", {"name": tenant.name})
    assert (answer.status, answer.faults) == (409, {"/name": "tenant.name_taken"})


def test_a_change_to_a_taken_name_is_refused(admin: Caller) -> None:
    tenant, other = make_tenant(), make_tenant()
    answer = admin.patch(f"tenants/{tenant.pk}", {"name": other.name})
    assert (answer.status, answer.faults) == (409, {"/name": "tenant.name_taken"})
    tenant.refresh_from_db()
    assert tenant.name != other.name


@pytest.mark.django_db(transaction=True)
def test_of_two_creations_at_once_one_wins() -> None:
    caller = make_caller("hub-admin")

    def create(_: int) -> Answer:
        try:
            return Caller(token=caller.token).post("tenants", {"name": "raced"})
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer.status for answer in pool.map(create, range(4)))
    assert statuses == [201, 409, 409, 409]


def test_a_patch_leaves_out_what_it_does_not_name_and_null_takes_away(admin: Caller, tenant: Tenant) -> None:
    admin.patch(f"tenants/{tenant.pk}", {"display_name": "A"})
    assert admin.patch(f"tenants/{tenant.pk}", {}).body["display_name"] == "A"
    assert admin.patch(f"tenants/{tenant.pk}", {"display_name": None}).body["display_name"] == ""
    assert admin.patch(f"tenants/{tenant.pk}", {"name": None}).faults == {"/name": "field.required"}


@pytest.mark.parametrize(
    ("patch", "faults"),
    [
        ({"display_name": 5}, {"/display_name": "field.type"}),
        ({"id": "x"}, {"/id": "field.unknown"}),
        ({"version": None}, {"/version": "field.unknown"}),
        ([], {"": "field.type"}),
        ("acme", {"": "field.type"}),
        (None, {}),
    ],
)
def test_a_patch_that_is_not_understood_changes_nothing(
    admin: Caller, tenant: Tenant, patch: object, faults: dict[str, str]
) -> None:
    answer = admin.patch(f"tenants/{tenant.pk}", patch)
    if patch is None:  # no body at all: nothing is asked for
        assert answer.status == 200
    else:
        assert (answer.status, answer.faults) == (400, faults)


def test_plain_json_is_taken_for_a_merge_patch(admin: Caller, tenant: Tenant) -> None:
    path = f"tenants/{tenant.pk}"
    answer = admin.call("PATCH", path, {"display_name": "B"}, headers={"If-Match": "*"})
    assert (answer.status, answer.body["display_name"]) == (200, "B")


def test_a_change_needs_the_version_that_was_read(admin: Caller, tenant: Tenant) -> None:
    path = f"tenants/{tenant.pk}"
    for etag, status, code in (
        (None, 428, "request.if_match_missing"),
        ('"7"', 412, "object.stale"),
        ("seven", 400, "request.if_match_invalid"),
    ):
        for answer in (admin.patch(path, {"display_name": "C"}, etag=etag), admin.delete(path, etag=etag)):
            assert (answer.status, answer.code) == (status, code)
    assert admin.get(path).body["display_name"] == tenant.display_name


def test_of_two_changes_of_one_version_the_second_is_stale(admin: Caller, tenant: Tenant) -> None:
    path = f"tenants/{tenant.pk}"
    etag = admin.get(path).etag
    assert admin.patch(path, {"display_name": "first"}, etag=etag).status == 200
    assert admin.patch(path, {"display_name": "second"}, etag=etag).status == 412
    assert admin.get(path).body["display_name"] == "first"


@pytest.mark.django_db(transaction=True)
def test_of_many_changes_of_one_version_at_once_one_wins() -> None:
    caller, tenant = make_caller("hub-admin"), make_tenant()

    def change(number: int) -> Answer:
        try:
            return Caller(token=caller.token).patch(f"tenants/{tenant.pk}", {"display_name": str(number)}, etag='"1"')
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer.status for answer in pool.map(change, range(4)))
    assert statuses == [200, 412, 412, 412]


def test_a_tenant_with_projects_stays_and_says_what_is_inside(admin: Caller) -> None:
    project = make_project()
    answer = admin.delete(f"tenants/{project.tenant_id}")
    assert (answer.status, answer.code) == (409, "object.in_use")
    assert answer.body["params"] == {"inside": {"projects": 1}}


def test_an_owner_renames_his_tenant_and_no_other(owner: Caller, tenant: Tenant) -> None:
    assert owner.patch(f"tenants/{tenant.pk}", {"display_name": "Ours"}).status == 200
    other = make_tenant()
    assert owner.patch(f"tenants/{other.pk}", {"display_name": "Ours"}).status == 404
    assert owner.patch(f"tenants/{uuid7()}", {"display_name": "Ours"}).status == 404

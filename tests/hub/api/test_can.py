"""TEN14: every object is shown with what its caller may do with it, and a page costs as much as a row."""

from typing import Any

import pytest

from hub.api.documents import CAN
from hub.api.openapi import openapi_of_process
from hub.api.urls import VIEWSETS
from hub.api.viewsets import ResourceViewSet
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import bind, make_cluster, make_namespace, make_project, make_user


def test_ten14_it_follows_from_the_callers_roles(admin: Caller, owner: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    viewer = make_caller("project-viewer", project)
    path = f"projects/{project.pk}"
    assert admin.get(path).body[CAN] == owner.get(path).body[CAN] == ["create", "delete", "get", "list", "update"]
    assert viewer.get(path).body[CAN] == ["get", "list"]
    assert viewer.get(f"tenants/{tenant.pk}").body[CAN] == ["get", "list"]
    assert owner.get(f"tenants/{tenant.pk}").body[CAN] == ["get", "list", "update"]


def test_ten14_each_row_of_a_list_has_its_own(owner: Caller, tenant: Tenant) -> None:
    mine, other = make_project(tenant), make_project()
    bind(owner.user, "vm-operator", other)
    told = {item["id"]: item[CAN] for item in owner.items("projects")}
    assert told == {str(mine.pk): ["create", "delete", "get", "list", "update"], str(other.pk): ["get", "list"]}


def test_ten14_a_token_narrows_it(owner: Caller, tenant: Tenant) -> None:
    path = f"projects/{make_project(tenant).pk}"
    assert owner.narrowed(read_only=True).get(path).body[CAN] == ["get", "list"]
    assert owner.narrowed(verbs=frozenset({"get", "update"})).get(path).body[CAN] == ["get", "update"]


def test_ten14_what_is_ones_own_is_told_so(nobody: Caller) -> None:
    assert nobody.get(f"users/{nobody.user_id}").body[CAN] == ["get", "list"]
    assert [item[CAN] for item in nobody.items("tokens")] == [["create", "delete", "get", "list"]]


def test_ten14_a_written_object_has_it_too(owner: Caller, tenant: Tenant) -> None:
    made = owner.post("projects", {"name": "shop", "tenant": str(tenant.pk)})
    assert made.body[CAN] == ["create", "delete", "get", "list", "update"]
    changed = owner.patch(made.location, {"display_name": "Shop"}, etag=made.etag)
    assert changed.body[CAN] == made.body[CAN]


def test_ten14_what_it_says_is_what_happens(owner: Caller, tenant: Tenant) -> None:
    """The member and the wall are one reading of the table."""
    project = make_project(tenant)
    for role in ("project-owner", "project-viewer", "vm-operator"):
        caller = make_caller(role, project)
        shown = caller.get(f"projects/{project.pk}")
        patched = caller.patch(f"projects/{project.pk}", {"display_name": role})
        assert (patched.status == 200) == ("update" in shown.body[CAN]), role
    assert owner.delete(f"projects/{make_project(tenant).pk}").status == 204


def test_ten14_it_cannot_be_sent(owner: Caller, tenant: Tenant) -> None:
    made = owner.post("projects", {"name": "shop", "tenant": str(tenant.pk), CAN: ["delete"]})
    assert made.faults == {f"/{CAN}": "field.unknown"}
    path = f"projects/{make_project(tenant).pk}"
    assert owner.patch(path, {CAN: ["delete"]}).faults == {f"/{CAN}": "field.unknown"}


@pytest.mark.parametrize("rows", [1, 6])
def test_ten14_a_page_asks_the_database_as_often_as_a_row(
    rows: int, owner: Caller, tenant: Tenant, django_assert_max_num_queries: Any
) -> None:
    project = make_project(tenant)
    for _ in range(rows):
        make_namespace(project, make_cluster())
        bind(make_caller().user, "project-viewer", project)
        make_user()
    owner.get("whoami")
    for path, most in (("clusters", 6), ("project-namespaces", 5), ("role-bindings", 5)):
        with django_assert_max_num_queries(most):
            assert len(owner.items(path)) >= rows


def test_ten14_it_is_described_for_every_kind_of_rows() -> None:
    schemas = openapi_of_process()["components"]["schemas"]
    shown = [getattr(view, "shown") for view in VIEWSETS if issubclass(view, ResourceViewSet)]  # noqa: B009
    assert len(shown) > 10
    for document in shown:
        member = schemas[document.__name__.removesuffix("Shown")]["properties"][CAN]
        assert member["type"] == "array"
        assert "What the caller may do" in member["description"]


def test_ten14_no_leaf_declares_it() -> None:
    """It is the wall's, so none can forget it."""
    for view in VIEWSETS:
        document = getattr(view, "shown", None)
        assert document is None or CAN not in document.model_fields, document

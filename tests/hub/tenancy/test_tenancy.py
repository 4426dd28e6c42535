"""Tenants and projects: names, renames, and deletion only when nothing is inside."""

import pytest
from django.db import connection

from hub.access.models import RoleBinding
from hub.access.services import bind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.core.models import Change
from hub.tenancy.contents import contents_of
from hub.tenancy.models import Project, Tenant
from hub.tenancy.services import (
    create_project,
    create_tenant,
    delete_project,
    delete_tenant,
    rename_project,
    rename_tenant,
)
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant, make_user

pytestmark = pytest.mark.usefixtures("db")


def test_a_tenant_and_its_project_are_made_with_hints_and_audit() -> None:
    tenant = create_tenant(SYSTEM, "acme", display_name="ACME 公司")
    project = create_project(SYSTEM, tenant, "web")
    assert (tenant.version, project.version, project.tenant) == (1, 1, tenant)
    assert set(AuditEvent.objects.values_list("resource", "verb")) == {("tenants", "create"), ("projects", "create")}
    assert set(Change.objects.values_list("object_id", "tenant_id")) == {
        (tenant.pk, tenant.pk),
        (project.pk, tenant.pk),
    }


@pytest.mark.parametrize("name", ["", "Acme", "a_b", "-a", "a-", "a.b", "a" * 64, "a b", "ä", "a\n", "../x"])
def test_a_name_is_a_dns_label(name: str) -> None:
    with pytest.raises(HubError) as refused:
        create_tenant(SYSTEM, name)
    assert (refused.value.code, refused.value.pointer) == ("name.invalid", "/name")
    tenant = make_tenant()
    with pytest.raises(HubError) as refused:
        create_project(SYSTEM, tenant, name)
    assert refused.value.pointer == "/name"
    assert not Project.objects.exists()


@pytest.mark.parametrize("display_name", ["x" * 201, "bell\a", "line\nbreak", "\x1b[31mred"])
def test_sec70_a_display_name_is_short_and_printable(display_name: str) -> None:
    with pytest.raises(HubError) as refused:
        create_tenant(SYSTEM, "acme", display_name=display_name)
    assert refused.value.pointer == "/display_name"


def test_a_tenants_name_is_given_once_and_a_projects_once_in_its_tenant() -> None:
    first, second = create_tenant(SYSTEM, "first"), create_tenant(SYSTEM, "second")
    create_project(SYSTEM, first, "web")
    create_project(SYSTEM, second, "web")
    with pytest.raises(HubError) as refused:
        create_tenant(SYSTEM, "first")
    assert refused.value.code == "tenant.name_taken"
    with pytest.raises(HubError) as refused:
        create_project(SYSTEM, first, "web")
    assert refused.value.code == "project.name_taken"
    assert (Tenant.objects.count(), Project.objects.count()) == (2, 2)


def test_a_rename_changes_what_is_given_and_says_so() -> None:
    project = make_project()
    was = project.name
    rename_project(SYSTEM, project, name="new", expected_version=1)
    stored = Project.objects.get(pk=project.pk)
    assert (stored.name, stored.display_name, stored.version) == ("new", "", 2)
    event = AuditEvent.objects.get(verb="update")
    assert event.changes == {"name": [was, "new"]}


def test_a_rename_of_a_version_that_has_passed_is_refused() -> None:
    tenant = make_tenant()
    rename_tenant(SYSTEM, tenant, display_name="One", expected_version=1)
    with pytest.raises(StaleVersion):
        rename_tenant(SYSTEM, tenant, display_name="Two", expected_version=1)
    assert Tenant.objects.get(pk=tenant.pk).display_name == "One"


def test_a_rename_to_a_taken_name_is_refused_and_leaves_no_audit_event() -> None:
    first, second = make_tenant(), make_tenant()
    with pytest.raises(HubError, match=r"tenant\.name_taken"):
        rename_tenant(SYSTEM, second, name=first.name)
    assert not AuditEvent.objects.filter(verb="update").exists()


def test_a_tenant_with_projects_is_not_deleted_and_says_what_is_inside() -> None:
    project = make_project()
    with pytest.raises(HubError) as refused:
        delete_tenant(SYSTEM, project.tenant)
    assert (refused.value.code, refused.value.params["inside"]) == ("object.in_use", {"projects": 1})
    assert Tenant.objects.filter(pk=project.tenant_id).exists()


def test_a_project_with_a_namespace_or_a_cluster_is_not_deleted() -> None:
    project = make_project()
    make_namespace(project, make_cluster())
    make_cluster(project=project)
    with pytest.raises(HubError) as refused:
        delete_project(SYSTEM, project)
    assert refused.value.params["inside"] == {"clusters": 1, "project namespaces": 1}


def test_empty_ones_go_and_take_their_role_bindings_along() -> None:
    project = make_project()
    tenant, user = project.tenant, make_user()
    bind_role(SYSTEM, "project-viewer", user, project)
    bind_role(SYSTEM, "tenant-owner", user, tenant)
    delete_project(SYSTEM, project)
    delete_tenant(SYSTEM, tenant)
    assert not Tenant.objects.exists()
    assert not RoleBinding.objects.exists()
    assert AuditEvent.objects.filter(verb="delete").count() == 2


def test_deleting_a_version_that_has_passed_is_refused() -> None:
    tenant = make_tenant()
    with pytest.raises(StaleVersion):
        delete_tenant(SYSTEM, tenant, expected_version=7)
    assert not AuditEvent.objects.filter(verb="delete").exists()


@pytest.mark.usefixtures("transactional_db")
def test_what_moves_in_after_the_check_still_keeps_the_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = make_tenant()
    monkeypatch.setattr("hub.tenancy.services.check_empty", lambda row: make_project(tenant))
    with pytest.raises(HubError) as refused:
        delete_tenant(SYSTEM, tenant)
    assert refused.value.code == "object.in_use"
    assert Project.objects.get().tenant == tenant
    connection.check_constraints()


def test_only_what_protects_a_row_counts_as_its_contents() -> None:
    tenant = make_tenant()
    bind_role(SYSTEM, "tenant-owner", make_user(), tenant)
    assert contents_of(tenant) == {}

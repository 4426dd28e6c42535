"""Writes of tenancy: tenants and projects are made, renamed, and deleted only while nothing is inside."""

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.models import Record

from .contents import check_empty
from .models import Project, Tenant
from .names import checked_name

DISPLAY_NAME_LIMIT = 200

define("display_name.invalid", 400, "The display name is not valid")
define("tenant.name_taken", 409, "There is a tenant of this name already")
define("project.name_taken", 409, "The tenant has a project of this name already")


def create_tenant(actor: Actor, name: str, *, display_name: str = "") -> Tenant:
    """Raises HubError ``name.invalid``, ``display_name.invalid`` or ``tenant.name_taken``."""
    tenant = Tenant(name=checked_name(name), display_name=_checked_display_name(display_name))
    _insert(actor, "tenants", tenant, HubError("tenant.name_taken", pointer="/name", name=name))
    return tenant


def create_project(actor: Actor, tenant: Tenant, name: str, *, display_name: str = "") -> Project:
    """Raises HubError ``name.invalid``, ``display_name.invalid`` or ``project.name_taken``."""
    project = Project(tenant=tenant, name=checked_name(name), display_name=_checked_display_name(display_name))
    _insert(actor, "projects", project, HubError("project.name_taken", pointer="/name", name=name))
    return project


def rename_tenant(
    actor: Actor,
    tenant: Tenant,
    *,
    name: str | None = None,
    display_name: str | None = None,
    expected_version: int | None = None,
) -> Tenant:
    """Changes what is given. Names of namespaces that exist stay as they are. Raises as ``create_tenant``, StaleVersion."""
    taken = HubError("tenant.name_taken", pointer="/name", name=name)
    _rename(actor, "tenants", tenant, name, display_name, expected_version, taken)
    return tenant


def rename_project(
    actor: Actor,
    project: Project,
    *,
    name: str | None = None,
    display_name: str | None = None,
    expected_version: int | None = None,
) -> Project:
    """Changes what is given. Names of namespaces that exist stay as they are. Raises as ``create_project``, StaleVersion."""
    taken = HubError("project.name_taken", pointer="/name", name=name)
    _rename(actor, "projects", project, name, display_name, expected_version, taken)
    return project


def delete_tenant(actor: Actor, tenant: Tenant, *, expected_version: int | None = None) -> None:
    """Deletes a tenant without projects; its role bindings go with it. Raises HubError ``object.in_use``, StaleVersion."""
    _delete(actor, "tenants", tenant, expected_version)


def delete_project(actor: Actor, project: Project, *, expected_version: int | None = None) -> None:
    """Deletes a project without clusters and namespaces. Raises HubError ``object.in_use``, StaleVersion."""
    _delete(actor, "projects", project, expected_version)


def _checked_display_name(display_name: str) -> str:
    if len(display_name) > DISPLAY_NAME_LIMIT or not all(letter.isprintable() for letter in display_name):
        raise HubError("display_name.invalid", pointer="/display_name", limit=DISPLAY_NAME_LIMIT)
    return display_name


def _insert(actor: Actor, resource: str, row: Tenant | Project, taken: HubError) -> None:
    try:
        with transaction.atomic():
            record_insert(row)
            record(actor, "create", resource, row)
    except IntegrityError as error:
        raise taken from error


def _rename(
    actor: Actor,
    resource: str,
    row: Tenant | Project,
    name: str | None,
    display_name: str | None,
    expected_version: int | None,
    taken: HubError,
) -> None:
    changes = {}
    if name is not None:
        changes["name"] = checked_name(name)
    if display_name is not None:
        changes["display_name"] = _checked_display_name(display_name)
    before = {field: getattr(row, field) for field in changes}
    for field, value in changes.items():
        setattr(row, field, value)
    try:
        with transaction.atomic():
            record_update(row, changes, expected_version=expected_version)
            record(actor, "update", resource, row, changes=diff(before, changes))
    except IntegrityError as error:
        raise taken from error


def _delete(actor: Actor, resource: str, row: Record, expected_version: int | None) -> None:
    check_empty(row)
    try:
        with transaction.atomic():
            record(actor, "delete", resource, row)
            record_delete(row, expected_version=expected_version)
    except (ProtectedError, IntegrityError) as error:  # something moved in after the check
        raise HubError("object.in_use", inside={}) from error

"""The permission table: complete, consistent, and true of the models it names."""

import pytest
from django.apps import apps
from django.core.exceptions import FieldError
from django.db.models import ForeignKey, UUIDField

from hub.access.built_in_roles import ROLES
from hub.access.permissions import CRUD, MACHINE_VERBS, READ_VERBS, RESOURCES, SCOPE_KINDS, WRITE_VERBS
from hub.access.role_book import BUILT_IN
from hub.core.ids import uuid7

MODELS = [resource for resource in RESOURCES.values() if resource.model is not None]
# What belongs to no tenant, project, cluster or user: for roles on the whole hub only.
OF_THE_HUB = {"identity-providers", "provider-tests", "groups", "audit-forwarders"}


def permissions(role: str) -> frozenset[tuple[str, str]]:
    resolved = BUILT_IN.find(role)
    assert resolved is not None
    return resolved.permissions


def test_there_are_exactly_these_built_in_roles() -> None:
    assert set(ROLES) == {
        *("hub-admin", "hub-auditor", "cluster-provisioner", "network-admin"),
        *("cluster-admin", "cluster-member", "cluster-viewer", "cluster-network-admin"),
        *("tenant-owner", "project-owner", "project-operator", "project-member", "project-viewer"),
        *("vm-operator", "vm-console-user"),
    }


@pytest.mark.parametrize("resource", MODELS, ids=lambda resource: resource.name)
def test_every_path_of_the_table_leads_to_an_id_on_its_model(resource) -> None:  # type: ignore[no-untyped-def]
    model = apps.get_model(resource.model)
    paths = [*resource.tenant, *resource.project, *resource.cluster, *filter(None, [resource.owner])]
    assert bool(paths) != (resource.name in OF_THE_HUB), "nobody but an administrator could ever see it"
    for path in paths:
        try:
            model._base_manager.filter(**{f"{path}__in": [uuid7()]})
        except FieldError as error:
            pytest.fail(f"{resource.name}: {error}")


def test_every_row_of_a_tenant_is_in_the_table() -> None:
    """A new model with a tenant, project or cluster is forgotten by nobody: it is listed here or there."""
    # Use of quotas is shown as sums, and what a guest uses with the guest.
    sums_and_parts = {"allowances.QuotaUse", "provisioning.GuestCredential"}
    without_a_route = {"operations.LogLine", "core.Change", *sums_and_parts}
    named = {resource.model for resource in MODELS}
    for model in apps.get_models():
        fields = {field.attname for field in model._meta.concrete_fields if isinstance(field, UUIDField | ForeignKey)}
        if fields & {"tenant_id", "project_id", "cluster_id"} and not model.__module__.startswith("tests."):
            assert model._meta.label in named | without_a_route


def test_rules_name_only_what_the_table_has() -> None:
    for role in ROLES.values():
        assert role.scopes <= set(SCOPE_KINDS)
        for rule in role.rules:
            assert rule.resources <= {*RESOURCES, "*"}
            for resource in rule.resources - {"*"}:
                assert rule.verbs <= RESOURCES[resource].verbs | {"*"}, (role.name, resource)


@pytest.mark.parametrize("role", ["project-viewer", "cluster-viewer", "hub-auditor"])
def test_sec39_a_viewer_has_no_verb_that_changes_anything(role: str) -> None:
    verbs = {verb for verb, _ in permissions(role)}
    assert verbs == READ_VERBS | {"proxy"}
    assert not verbs & WRITE_VERBS


def test_an_administrator_has_every_verb_of_the_table() -> None:
    wanted = {(verb, resource.name) for resource in RESOURCES.values() for verb in resource.verbs}
    assert permissions("hub-admin") == wanted


def test_an_auditor_reads_everything() -> None:
    wanted = {(verb, resource.name) for resource in RESOURCES.values() for verb in READ_VERBS}
    assert permissions("hub-auditor") == wanted | {("proxy", "clusters")}


@pytest.mark.parametrize("role", ["tenant-owner", "project-owner"])
def test_an_owner_changes_nothing_of_the_platform(role: str) -> None:
    writes = {resource for verb, resource in permissions(role) if verb in WRITE_VERBS}
    assert not writes & {"clusters", "users", "audit-events", "grants", "identity-providers", "groups"}
    assert ("create", "tenants") not in permissions(role)


def test_an_operator_of_machines_makes_and_deletes_none() -> None:
    assert {verb for verb, resource in permissions("vm-operator") if resource == "virtual-machines"} == {
        *("get", "list", "start", "stop", "restart", "pause", "migrate", "snapshot")
    }
    assert {verb for verb, resource in permissions("vm-console-user") if resource == "virtual-machines"} == {
        *("get", "list", "console")
    }


def test_only_known_verbs_are_used() -> None:
    known = CRUD | MACHINE_VERBS | {"use", "proxy", "test"}
    assert {verb for resource in RESOURCES.values() for verb in resource.verbs} <= known

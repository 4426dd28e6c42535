"""The permission table: complete, consistent, and true of the models it names."""

import pytest
from django.apps import apps
from django.core.exceptions import FieldError
from django.db.models import ForeignKey, UUIDField

from hub.access.permissions import CRUD, READ_VERBS, RESOURCES, ROLES, SCOPE_KINDS, WRITE_VERBS
from hub.core.ids import uuid7

MODELS = [resource for resource in RESOURCES.values() if resource.model is not None]


def test_there_are_exactly_these_built_in_roles() -> None:
    assert set(ROLES) == {"hub-admin", "tenant-owner", "project-viewer"}


@pytest.mark.parametrize("resource", MODELS, ids=lambda resource: resource.name)
def test_every_path_of_the_table_leads_to_an_id_on_its_model(resource) -> None:  # type: ignore[no-untyped-def]
    model = apps.get_model(resource.model)
    paths = [*resource.tenant, *resource.project, *resource.cluster, *filter(None, [resource.owner])]
    assert paths, "nobody but an administrator could ever see it"
    for path in paths:
        try:
            model._base_manager.filter(**{f"{path}__in": [uuid7()]})
        except FieldError as error:
            pytest.fail(f"{resource.name}: {error}")


def test_every_row_of_a_tenant_is_in_the_table() -> None:
    """A new model with a tenant, project or cluster is forgotten by nobody: it is listed here or there."""
    without_a_route = {"operations.LogLine", "core.Change"}
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


def test_sec39_a_viewer_has_no_verb_that_changes_anything() -> None:
    verbs = {verb for verb, _ in ROLES["project-viewer"].permissions()}
    assert verbs == READ_VERBS | {"proxy"}
    assert not verbs & WRITE_VERBS


def test_an_administrator_has_every_verb_of_the_table() -> None:
    wanted = {(verb, resource.name) for resource in RESOURCES.values() for verb in resource.verbs}
    assert ROLES["hub-admin"].permissions() == wanted


def test_a_tenants_owner_changes_nothing_of_the_platform() -> None:
    writes = {resource for verb, resource in ROLES["tenant-owner"].permissions() if verb in WRITE_VERBS}
    assert not writes & {"clusters", "users", "audit-events", "project-namespaces"}
    assert ("create", "tenants") not in ROLES["tenant-owner"].permissions()


def test_only_known_verbs_are_used() -> None:
    assert {verb for resource in RESOURCES.values() for verb in resource.verbs} == CRUD | {"use", "proxy"}

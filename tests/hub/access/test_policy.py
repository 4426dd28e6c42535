"""The one wall: what is visible, what is decided and why, and what a token takes away."""

from dataclasses import replace

import pytest
from django.apps import apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from hub.access.grants import BindingFact, Holdings
from hub.access.permissions import RESOURCES, WRITE_VERBS
from hub.core.access import HUB_SCOPE, SYSTEM, AccessScope, Actor, TokenScope, can, visible_to
from hub.core.ids import uuid7
from hub.core.models import Change
from hub.federation.models import Cluster, ProjectNamespace
from hub.identity.models import ApiToken, User
from hub.tenancy.models import Project, Tenant
from tests.hub.access.world import World
from tests.hub.builders import bind, make_actor, make_cluster, make_namespace, make_project, make_tenant

pytestmark = pytest.mark.usefixtures("db")

ALL_VERBS = sorted({verb for resource in RESOURCES.values() for verb in resource.verbs})


class TestVisibility:
    def test_a_stranger_sees_nothing_but_himself(self) -> None:
        World()
        actor = make_actor()
        for resource in RESOURCES.values():
            if resource.model is not None:
                seen = visible_to(apps.get_model(resource.model)._base_manager.all(), actor, "list")
                assert list(seen.values_list("pk", flat=True)) == ([actor.id] if resource.name == "users" else [])

    def test_the_system_sees_everything(self) -> None:
        make_tenant()
        assert visible_to(Tenant.objects.all(), SYSTEM).count() == Tenant.objects.count() == 1

    def test_sec40_a_foreign_and_a_missing_id_are_the_same(self) -> None:
        foreign = make_project()
        actor = make_actor("tenant-owner", make_tenant())
        for id in (foreign.pk, uuid7()):
            assert visible_to(Project.objects.filter(pk=id), actor, "get").first() is None

    def test_a_shared_cluster_shows_once_however_many_namespaces_one_has_in_it(self) -> None:
        tenant, cluster = make_tenant(), make_cluster()
        for _ in range(3):
            make_namespace(make_project(tenant), cluster)
        owner = make_actor("tenant-owner", tenant)
        assert visible_to(Cluster.objects.all(), owner).count() == 1
        assert visible_to(Cluster.objects.order_by("name")[:5].model.objects.all(), owner).get() == cluster

    def test_a_cluster_that_the_tenant_is_not_on_is_not_there_for_him(self) -> None:
        tenant = make_tenant()
        make_cluster()
        make_namespace(make_project(), make_cluster())
        assert not visible_to(Cluster.objects.all(), make_actor("tenant-owner", tenant), "use").exists()

    def test_a_model_that_the_table_does_not_have_is_an_error_and_not_open(self) -> None:
        with pytest.raises(LookupError, match=r"core\.change is not in the permission table"):
            visible_to(Change.objects.all(), make_actor("hub-admin"))

    def test_it_costs_one_query_for_the_bindings_and_one_for_the_rows(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        world = World()
        actor = make_actor("tenant-owner", world.tenants[0])
        bind(actor, "project-viewer", world.projects[2])
        with django_assert_num_queries(2):
            assert len(visible_to(ProjectNamespace.objects.all(), actor)) == 2


class TestDecisions:
    def test_the_reason_names_the_binding(self) -> None:
        tenant = make_tenant()
        owner = make_actor("tenant-owner", tenant)
        decision = can(owner, "create", "guest-clusters", AccessScope(tenant.pk, uuid7()))
        assert decision.allowed
        assert decision.reason == f"tenant-owner on tenant {tenant.pk} allows create guest-clusters"

    def test_a_refusal_says_what_is_missing(self) -> None:
        decision = can(make_actor(), "create", "tenants", HUB_SCOPE)
        assert (decision.allowed, decision.reason) == (False, "no role binding allows create tenants here")

    def test_an_unknown_verb_is_refused_also_for_an_administrator(self) -> None:
        assert not can(make_actor("hub-admin"), "explode", "tenants").allowed
        assert not can(SYSTEM, "explode", "tenants").allowed
        assert not visible_to(Tenant.objects.all(), make_actor("hub-admin"), "explode").exists()

    def test_an_unknown_resource_is_an_error_and_not_open(self) -> None:
        with pytest.raises(KeyError):
            can(make_actor("hub-admin"), "get", "gadgets")

    def test_catalogues_are_for_everybody_who_is_somebody(self) -> None:
        assert can(make_actor(), "list", "node-drivers").allowed
        narrow = replace(make_actor(), token_scope=TokenScope(projects=frozenset()))
        assert can(narrow, "list", "releases").allowed

    def test_a_binding_on_nothing_matches_nothing(self) -> None:
        """A scope without an id must not be covered by a binding that has lost its id."""
        assert not BindingFact("tenant-owner", "tenant", None).covers(HUB_SCOPE)

    def test_a_role_at_a_scope_it_is_not_made_for_gives_nothing(self) -> None:
        misplaced = [BindingFact("hub-admin", "tenant", uuid7()), BindingFact("no-such-role", "hub")]
        assert list(Holdings(misplaced)) == []


class TestTokens:
    def test_sec06_a_kubeconfig_token_opens_its_cluster_and_nothing_else(self) -> None:
        world = World()
        admin = replace(make_actor("hub-admin"), token_scope=TokenScope(clusters=frozenset({world.shared.pk})))
        assert visible_to(Cluster.objects.all(), admin).get() == world.shared
        assert not visible_to(Tenant.objects.all(), admin).exists()
        assert not visible_to(ApiToken.objects.all(), admin).exists()
        assert not visible_to(User.objects.all(), admin).exists()
        assert not can(admin, "create", "tokens").allowed

    def test_sec39_a_read_only_token_writes_nothing(self) -> None:
        admin = replace(make_actor("hub-admin"), token_scope=TokenScope(read_only=True))
        for resource in RESOURCES.values():
            for verb in resource.verbs & WRITE_VERBS:
                assert not can(admin, verb, resource.name).allowed
        assert can(admin, "list", "tenants").allowed

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.booleans(), st.sets(st.sampled_from(ALL_VERBS)))
    def test_a_token_never_adds_a_right(self, read_only: bool, verbs: set[str]) -> None:
        nobody = Actor("user", uuid7(), "nobody", token_scope=TokenScope(read_only, frozenset(verbs)))
        assert not can(nobody, "delete", "tenants").allowed
        assert not visible_to(Tenant.objects.all(), nobody, "get").exists()

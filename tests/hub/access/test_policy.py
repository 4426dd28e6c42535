"""The one wall: SQL filters and decisions, held against an independent oracle over random worlds."""

import random
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from django.apps import apps
from django.db.models import Model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from hub.access.grants import BindingFact, Holdings
from hub.access.models import RoleBinding
from hub.access.permissions import RESOURCES, WRITE_VERBS
from hub.access.services import Scope, bind_role
from hub.core.access import HUB_SCOPE, SYSTEM, AccessScope, Actor, TokenScope, can, visible_to
from hub.core.ids import uuid7
from hub.core.models import Change
from hub.federation.models import Cluster, ProjectNamespace
from hub.identity.actors import actor_of
from hub.identity.models import ApiToken, User
from hub.identity.tokens import issue_token
from hub.tenancy.models import Project, Tenant
from tests.hub.access.oracle import Thing, may
from tests.hub.builders import bind, make_actor, make_cluster, make_namespace, make_project, make_tenant, make_user

pytestmark = pytest.mark.usefixtures("db")

ALL_VERBS = sorted({verb for resource in RESOURCES.values() for verb in resource.verbs})


class World:
    """Two tenants with two projects each, a shared cluster that only some are on, and a guest of one project."""

    def __init__(self) -> None:
        self.tenants = [make_tenant("a"), make_tenant("b")]
        self.projects = [make_project(tenant) for tenant in self.tenants for _ in range(2)]
        self.shared, self.lonely = make_cluster(), make_cluster()
        self.guest = make_cluster(project=self.projects[0])
        self.namespaces = [make_namespace(project, self.shared) for project in (self.projects[0], self.projects[2])]
        self.users = [make_user() for _ in range(3)]
        for user in self.users:
            issue_token(SYSTEM, user, name="t")
        self.things: list[tuple[Model, Thing]] = [*self._describe()]

    def _describe(self) -> Iterator[tuple[Model, Thing]]:
        for tenant in self.tenants:
            own = frozenset(p.pk for p in self.projects if p.tenant_id == tenant.pk)
            yield tenant, Thing("tenants", frozenset({tenant.pk}), own)
        for project in self.projects:
            yield project, Thing("projects", frozenset({project.tenant_id}), frozenset({project.pk}))
        on_shared = self.namespaces
        yield (
            self.shared,
            Thing(
                "clusters",
                frozenset(n.tenant_id for n in on_shared),
                frozenset(n.project_id for n in on_shared),
                frozenset({self.shared.pk}),
            ),
        )
        yield self.lonely, Thing("clusters", clusters=frozenset({self.lonely.pk}))
        home = self.projects[0]
        yield (
            self.guest,
            Thing("clusters", frozenset({home.tenant_id}), frozenset({home.pk}), frozenset({self.guest.pk})),
        )
        for namespace in self.namespaces:
            yield (
                namespace,
                Thing(
                    "project-namespaces",
                    frozenset({namespace.tenant_id}),
                    frozenset({namespace.project_id}),
                    frozenset({namespace.cluster_id}),
                ),
            )
        for user in self.users:
            yield user, Thing("users", owner=user.pk)
        for token in ApiToken.objects.filter(user__in=self.users):
            yield token, Thing("tokens", owner=token.user_id)

    def random_scope(self, dice: random.Random) -> TokenScope:
        def pick(ids: list[UUID]) -> frozenset[UUID] | None:
            return None if dice.random() < 0.6 else frozenset(dice.sample(ids, dice.randint(0, 2)))

        verbs = None if dice.random() < 0.7 else frozenset(dice.sample(ALL_VERBS, 3))
        projects = pick([project.pk for project in self.projects])
        clusters = pick([self.shared.pk, self.guest.pk, self.lonely.pk])
        return TokenScope(dice.random() < 0.2, verbs, projects, clusters)

    def random_roles(self, dice: random.Random) -> list[tuple[str, Scope]]:
        places: list[tuple[str, Scope]] = [("tenant-owner", tenant) for tenant in self.tenants]
        places += [("project-viewer", tenant) for tenant in self.tenants]
        places += [("project-viewer", project) for project in self.projects]
        places += [("hub-admin", None)] if dice.random() < 0.1 else []
        return dice.sample(places, dice.randint(0, 3))


@pytest.mark.parametrize("seed", range(8))
def test_sql_filter_and_decision_agree_with_the_oracle_on_random_worlds(seed: int) -> None:
    dice = random.Random(seed)
    world = World()
    for _ in range(4):
        me = dice.choice(world.users)
        RoleBinding.objects.filter(user=me).delete()
        bindings = [bind_role(SYSTEM, role, me, place) for role, place in world.random_roles(dice)]
        roles = [(binding.role, binding.scope_kind, binding.scope_id) for binding in bindings]
        token = world.random_scope(dice)
        actor = replace(actor_of(me), token_scope=token)
        for verb in ALL_VERBS:
            _compare(world, actor, roles, token, verb, me.pk)


def _compare(
    world: World, actor: Actor, roles: list[tuple[str, str, UUID | None]], token: TokenScope, verb: str, me: UUID
) -> None:
    for name in {thing.kind for _, thing in world.things}:
        resource = RESOURCES[name]
        rows = [(row, thing) for row, thing in world.things if thing.kind == name]
        wanted = {row.pk for row, thing in rows if may(me, roles, token, verb, thing, resource.verbs)}
        model = apps.get_model(str(resource.model))
        known = model._base_manager.filter(pk__in=[row.pk for row, _ in rows])
        seen = list(visible_to(known, actor, verb).values_list("pk", flat=True))
        assert len(seen) == len(set(seen)), "a row came twice"
        assert set(seen) == wanted, (name, verb, roles, token)
        for _row, thing in rows:
            if max(len(thing.tenants), len(thing.projects), len(thing.clusters)) > 1 or thing.owner:
                continue  # a decision is about one place
            scope = AccessScope(*(next(iter(ids), None) for ids in (thing.tenants, thing.projects, thing.clusters)))
            decision = can(actor, verb, name, scope)
            assert decision.allowed == may(me, roles, token, verb, thing, resource.verbs), (
                decision,
                verb,
                roles,
                token,
            )


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

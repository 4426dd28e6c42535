"""What counts for somebody now: bindings of his groups while they are confirmed, and bindings that end."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hub.access.models import RoleBinding
from hub.access.services import bind_role, project_roles_in_use, set_binding_end
from hub.core.access import SYSTEM, AccessScope, Actor, can, explain, verbs_on, visible_to
from hub.core.errors import HubError
from hub.federation.models import ProjectNamespace
from hub.identity.models import ExternalIdentity, Group, GroupMembership, User
from hub.identity.tokens import issue_token
from hub.tenancy.models import Project, Tenant
from hub.tenancy.service_accounts import create_service_account
from tests.hub.access.groups import join, make_group
from tests.hub.builders import (
    bind,
    make_actor,
    make_cluster,
    make_namespace,
    make_project,
    make_tenant,
    make_user,
    user_of,
)

pytestmark = pytest.mark.usefixtures("db")

DAY = timedelta(hours=24)
MINUTE = timedelta(minutes=1)


def sees(actor: Actor, tenant: Tenant) -> bool:
    decided = can(actor, "get", "tenants", AccessScope(tenant_id=tenant.pk)).allowed
    listed = visible_to(Tenant.objects.all(), actor).filter(pk=tenant.pk).exists()
    assert decided == listed == ("get" in verbs_on([tenant], actor)[tenant.pk])
    return decided


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


@pytest.fixture
def group(tenant: Tenant) -> Group:
    """A group that views the tenant."""
    found = make_group()
    bind_role(SYSTEM, "project-viewer", found, tenant)
    return found


class TestGroups:
    def test_who_is_in_the_group_has_its_roles(self, group: Group, tenant: Tenant) -> None:
        member, other = make_actor(), make_actor()
        identity = join(user_of(member), group)
        assert (sees(member, tenant), sees(other, tenant)) == (True, False)
        told = explain(member, "get", "tenants", AccessScope(tenant_id=tenant.pk))
        assert (told.group_id, told.binding_id) == (group.pk, RoleBinding.objects.get().pk)
        GroupMembership.objects.filter(identity=identity).delete()
        assert not sees(member, tenant)

    @pytest.mark.parametrize(("ago", "counts"), [(timedelta(), True), (DAY - MINUTE, True), (DAY, False)])
    def test_sec49_what_was_not_confirmed_within_the_limit_does_not_count(
        self, group: Group, tenant: Tenant, ago: timedelta, counts: bool
    ) -> None:
        member = make_actor()
        join(user_of(member), group, ago=ago)
        assert sees(member, tenant) == counts

    def test_sec49_what_was_never_confirmed_does_not_count(self, group: Group, tenant: Tenant) -> None:
        member = make_actor()
        identity = join(user_of(member), group)
        ExternalIdentity.objects.filter(pk=identity.pk).update(groups_confirmed_at=None)
        assert not sees(member, tenant)

    def test_sec46_groups_of_an_identity_that_was_disabled_do_not_count(self, group: Group, tenant: Tenant) -> None:
        member = make_actor()
        identity = join(user_of(member), group)
        ExternalIdentity.objects.filter(pk=identity.pk).update(disabled_at=timezone.now())
        assert not sees(member, tenant)

    def test_sec50_a_group_of_the_same_key_at_another_provider_is_another_group(
        self, group: Group, tenant: Tenant
    ) -> None:
        member = make_actor()
        join(user_of(member), make_group(group.key))
        assert not sees(member, tenant)

    def test_groups_and_own_bindings_cost_one_query(
        self, group: Group, tenant: Tenant, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        member = make_actor("vm-operator", make_project(tenant))
        join(user_of(member), group)
        with django_assert_num_queries(2):
            assert len(visible_to(Project.objects.all(), member)) == 1
        with django_assert_num_queries(1):
            assert can(member, "list", "machines", AccessScope(tenant_id=tenant.pk)).allowed

    def test_a_groups_role_is_in_use_in_members_whoever_is_in_it(self, group: Group, tenant: Tenant) -> None:
        assert set(project_roles_in_use(make_project(tenant).pk, tenant.pk)) == {"project-viewer"}

    def test_a_group_that_goes_takes_its_bindings_along(self, group: Group) -> None:
        group.delete()
        assert not RoleBinding.objects.exists()


class TestEnds:
    def test_sec36_a_binding_counts_until_its_end(self, tenant: Tenant) -> None:
        actor = make_actor()
        binding = bind_role(SYSTEM, "project-viewer", user_of(actor), tenant, expires_at=timezone.now() + DAY)
        assert sees(actor, tenant)
        RoleBinding.objects.filter(pk=binding.pk).update(expires_at=timezone.now())
        assert not sees(actor, tenant)
        assert project_roles_in_use(make_project(tenant).pk, tenant.pk) == {}

    @pytest.mark.parametrize("ago", [timedelta(), MINUTE, 9999 * DAY])
    def test_an_end_lies_ahead(self, tenant: Tenant, ago: timedelta) -> None:
        with pytest.raises(HubError, match=r"role_binding\.ended"):
            bind_role(SYSTEM, "project-viewer", make_user(), tenant, expires_at=timezone.now() - ago)
        binding = bind_role(SYSTEM, "project-viewer", make_user(), tenant)
        with pytest.raises(HubError, match=r"role_binding\.ended"):
            set_binding_end(SYSTEM, binding, timezone.now() - ago)

    def test_a_longer_life_wakes_the_members(self, tenant: Tenant) -> None:
        namespace = make_namespace(make_project(tenant), make_cluster())
        binding = bind_role(SYSTEM, "project-viewer", make_user(), tenant, expires_at=timezone.now() + DAY)
        ProjectNamespace.objects.update(next_run_at=None)
        set_binding_end(SYSTEM, binding, None)
        assert ProjectNamespace.objects.filter(next_run_at__isnull=False).get() == namespace


class TestServiceAccounts:
    def test_one_acts_by_its_own_bindings(self, tenant: Tenant) -> None:
        account = create_service_account(SYSTEM, make_project(tenant), "ci")
        bind_role(SYSTEM, "project-viewer", account.user, tenant)
        actor = Actor("service_account", account.user_id, account.user.username)
        assert sees(actor, tenant)

    def test_sec33_it_is_bound_in_its_own_tenant_only(self, tenant: Tenant) -> None:
        account = create_service_account(SYSTEM, make_project(tenant), "ci")
        elsewhere = (make_tenant(), make_project(), make_cluster(), make_cluster(project=make_project()))
        for scope in elsewhere:
            role = "cluster-viewer" if "cluster" in type(scope).__name__.lower() else "project-viewer"
            with pytest.raises(HubError, match=r"role_binding\.foreign"):
                bind_role(SYSTEM, role, account.user, scope)
        with pytest.raises(HubError, match=r"role_binding\.foreign"):
            bind_role(SYSTEM, "hub-auditor", account.user)
        bind_role(SYSTEM, "project-viewer", account.user, make_project(tenant))
        bind_role(SYSTEM, "cluster-viewer", account.user, make_cluster(project=make_project(tenant)))

    def test_sec33_a_user_of_that_kind_without_an_account_is_bound_nowhere(self, tenant: Tenant) -> None:
        user = User.objects.create(username="lost", kind="service_account")
        with pytest.raises(HubError, match=r"role_binding\.foreign"):
            bind_role(SYSTEM, "project-viewer", user, tenant)

    def test_an_owner_sees_and_ends_its_tokens(self, tenant: Tenant) -> None:
        account = create_service_account(SYSTEM, make_project(tenant), "ci")
        token, _ = issue_token(SYSTEM, account.user, name="t")
        owner, other = make_actor("tenant-owner", tenant), make_actor("tenant-owner", make_tenant())
        assert "delete" in verbs_on([token], owner)[token.pk]
        assert verbs_on([token], other)[token.pk] == frozenset()


class TestVerbsOnRows:
    def test_they_are_those_of_every_way_to_the_row(self, tenant: Tenant) -> None:
        project, cluster = make_project(tenant), make_cluster()
        make_namespace(project, cluster)
        actor = make_actor("project-viewer", project)
        bind(actor, "cluster-admin", cluster)
        assert verbs_on([cluster], actor)[cluster.pk] == {"get", "list", "proxy", "use", "update"}
        assert verbs_on([project], actor)[project.pk] == {"get", "list"}

    def test_nothing_is_asked_for_nothing(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(0):
            assert verbs_on([], SYSTEM) == {}

    def test_the_system_may_do_all_that_there_is(self, tenant: Tenant) -> None:
        assert verbs_on([tenant], SYSTEM)[tenant.pk] == {"create", "delete", "get", "list", "update"}

    def test_a_page_costs_as_much_as_a_row(
        self, tenant: Tenant, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        owner = make_actor("tenant-owner", tenant)
        projects = [make_project(tenant) for _ in range(5)]
        clusters = [make_cluster() for _ in range(5)]
        for cluster in clusters:
            make_namespace(projects[0], cluster)
        with django_assert_num_queries(1):
            assert len(verbs_on(projects, owner)) == 5
        with django_assert_num_queries(2):
            told = verbs_on(clusters, owner)
        assert [told[cluster.pk] for cluster in clusters] == [frozenset({"get", "list", "use", "proxy"})] * 5

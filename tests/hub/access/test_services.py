"""Giving and taking roles: nobody gives what he lacks, the last administrator stays, the first one comes once."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from hub.access.built_in_roles import ROLES
from hub.access.custom_roles import RoleText, create_role
from hub.access.models import RoleBinding
from hub.access.services import (
    bind_role,
    ensure_first_admin,
    groups_wanted,
    project_roles_in_use,
    refuse_stronger_user,
    set_binding_end,
    set_user_active,
    unbind_role,
)
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, AccessScope, Actor, TokenScope, can
from hub.core.errors import HubError
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.rights import cluster_group, project_group, shared_group
from hub.identity.logins import authenticate_password
from hub.identity.models import ExternalIdentity, User
from hub.tenancy.models import Tenant
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


@pytest.mark.usefixtures("db")
class TestBinding:
    def test_an_administrator_gives_any_role(self) -> None:
        admin, tenant, user = make_actor("hub-admin"), make_tenant(), make_user()
        binding = bind_role(admin, "tenant-owner", user, tenant)
        assert (binding.scope_kind, binding.scope_id, binding.tenant) == ("tenant", tenant.pk, tenant)
        event = AuditEvent.objects.get(object_id=binding.pk)
        assert (event.tenant_id, event.detail["role"], event.actor_id) == (tenant.pk, "tenant-owner", admin.id)

    def test_a_projects_binding_carries_its_tenant(self) -> None:
        project = make_project()
        assert bind_role(SYSTEM, "project-viewer", make_user(), project).tenant == project.tenant

    def test_an_unknown_role_is_refused(self) -> None:
        with pytest.raises(HubError, match=r"role\.unknown"):
            bind_role(SYSTEM, "cluster-emperor", make_user())

    @pytest.mark.parametrize("role", ["tenant-owner", "project-viewer"])
    def test_a_role_is_bound_only_where_it_makes_sense(self, role: str) -> None:
        for scope in (None, make_cluster()):
            with pytest.raises(HubError) as refused:
                bind_role(SYSTEM, role, make_user(), scope)
            assert refused.value.code == "role.scope_unfit"
        assert not RoleBinding.objects.exists()

    def test_the_same_binding_twice_is_one(self) -> None:
        tenant, user = make_tenant(), make_user()
        bind_role(SYSTEM, "tenant-owner", user, tenant)
        with pytest.raises(HubError, match=r"role_binding\.exists"):
            bind_role(SYSTEM, "tenant-owner", user, tenant)
        bind_role(SYSTEM, "hub-admin", user)
        with pytest.raises(HubError, match=r"role_binding\.exists"):
            bind_role(SYSTEM, "hub-admin", user)
        assert RoleBinding.objects.filter(user=user).count() == 2

    def test_the_database_itself_refuses_a_binding_whose_scope_is_half_named(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            RoleBinding.objects.create(role="hub-admin", user=make_user(), scope_kind="hub", tenant=make_tenant())
        with pytest.raises(IntegrityError), transaction.atomic():
            RoleBinding.objects.create(role="tenant-owner", user=make_user(), scope_kind="tenant")


@pytest.mark.usefixtures("db")
class TestEscalation:
    def test_sec32_an_owner_cannot_make_an_administrator(self) -> None:
        owner = make_actor("tenant-owner", make_tenant())
        with pytest.raises(HubError) as refused:
            bind_role(owner, "hub-admin", make_user())
        assert refused.value.code == "role_binding.escalates"
        assert not RoleBinding.objects.filter(role="hub-admin").exists()

    def test_an_owner_shares_what_he_has_in_his_tenant(self) -> None:
        tenant = make_tenant()
        owner = make_actor("tenant-owner", tenant)
        bind_role(owner, "tenant-owner", make_user(), tenant)
        bind_role(owner, "project-viewer", make_user(), tenant)
        bind_role(owner, "project-viewer", make_user(), make_project(tenant))

    def test_sec33_an_owner_gives_nothing_in_another_tenant(self) -> None:
        owner, foreign = make_actor("tenant-owner", make_tenant()), make_project()
        for role, scope in (("tenant-owner", foreign.tenant), ("project-viewer", foreign)):
            with pytest.raises(HubError, match=r"role_binding\.escalates"):
                bind_role(owner, role, make_user(), scope)

    def test_sec32_a_viewer_gives_nothing_he_does_not_have(self) -> None:
        tenant = make_tenant()
        viewer = make_actor("project-viewer", tenant)
        with pytest.raises(HubError, match=r"role_binding\.escalates"):
            bind_role(viewer, "tenant-owner", make_user(), tenant)

    def test_sec32_a_narrow_token_of_an_administrator_does_not_give_his_role(self) -> None:
        admin = replace(make_actor("hub-admin"), token_scope=TokenScope(projects=frozenset()))
        with pytest.raises(HubError, match=r"role_binding\.escalates"):
            bind_role(admin, "hub-admin", make_user())

    def test_sec37_an_owner_does_not_take_an_administrators_role(self) -> None:
        owner = make_actor("tenant-owner", make_tenant())
        make_actor("hub-admin")
        binding = bind_role(SYSTEM, "hub-admin", make_user())
        with pytest.raises(HubError, match=r"role_binding\.escalates"):
            unbind_role(owner, binding)
        assert RoleBinding.objects.filter(pk=binding.pk).exists()

    def test_sec36_a_role_that_was_taken_is_gone_at_once(self) -> None:
        tenant = make_tenant()
        owner = make_actor("tenant-owner", tenant)
        assert can(owner, "create", "projects", _scope(tenant)).allowed
        unbind_role(SYSTEM, RoleBinding.objects.get(user=user_of(owner)))
        assert not can(owner, "create", "projects", _scope(tenant)).allowed

    def test_sec32_an_owner_gives_each_role_below_his_own(self) -> None:
        for kind in ("tenant", "project"):
            project = make_project()
            owner = make_actor(f"{kind}-owner", project.tenant if kind == "tenant" else project)
            scope = project.tenant if kind == "tenant" else project
            for name, role in ROLES.items():
                if kind in role.scopes:
                    bind_role(owner, name, make_user(), scope)

    def test_sec32_who_holds_a_role_by_a_group_gives_it_like_any_other(self) -> None:
        tenant, group, actor = make_tenant(), make_group(), make_actor()
        join(user_of(actor), group)
        bind_role(SYSTEM, "tenant-owner", group, tenant)
        bind_role(actor, "project-viewer", make_user(), tenant)
        ExternalIdentity.objects.update(groups_confirmed_at=timezone.now() - timedelta(days=2))
        with pytest.raises(HubError, match=r"role_binding\.escalates"):
            bind_role(actor, "project-viewer", make_user(), tenant)

    def test_sec32_a_cluster_admin_gives_roles_of_his_cluster_and_of_no_other(self) -> None:
        cluster = make_cluster()
        admin = make_actor("cluster-admin", cluster)
        for role in ("cluster-admin", "cluster-member", "cluster-viewer", "network-admin"):
            bind_role(admin, role, make_user(), cluster)
        with pytest.raises(HubError, match=r"role_binding\.escalates"):
            bind_role(admin, "cluster-viewer", make_user(), make_cluster())


@pytest.mark.usefixtures("db")
class TestStrongerUsers:
    """SEC-37: no write on a user with any right that the writer lacks."""

    def manager(self) -> Actor:
        """Who may manage users of the hub and nothing else."""
        rules = [{"resources": ["users"], "verbs": ["*"]}]
        role = create_role(SYSTEM, None, RoleText("user manager", "", ["hub"], rules, [], []))
        actor = make_actor()
        bind(actor, role.key)
        return actor

    def refuses(self, actor: Actor, user: User) -> bool:
        code = ""
        try:
            set_user_active(actor, user, False)
        except HubError as error:
            code = error.code
        assert code in ("", "user.outranks")
        assert User.objects.get(pk=user.pk).is_active == bool(code)
        return bool(code)

    def test_sec37_who_has_rights_that_he_lacks_is_not_locked_by_him(self) -> None:
        manager = self.manager()
        make_actor("hub-admin")
        for role, scope in (("hub-admin", None), ("tenant-owner", make_tenant()), ("cluster-viewer", make_cluster())):
            assert self.refuses(manager, user_of(make_actor(role, scope)))
        assert not self.refuses(manager, make_user())

    def test_sec37_nor_who_has_them_by_a_group_that_was_not_confirmed_lately(self) -> None:
        manager, user, group = self.manager(), make_user(), make_group()
        bind_role(SYSTEM, "hub-admin", group)
        join(user, group, ago=timedelta(days=30))
        assert self.refuses(manager, user)

    def test_sec37_a_right_that_has_ended_protects_nobody(self) -> None:
        make_actor("hub-admin")
        manager, user = self.manager(), make_user()
        binding = bind_role(SYSTEM, "hub-admin", user, expires_at=timezone.now() + timedelta(hours=1))
        assert self.refuses(manager, user)
        RoleBinding.objects.filter(pk=binding.pk).update(expires_at=timezone.now())
        assert not self.refuses(manager, user)

    def test_sec37_an_owner_of_one_tenant_is_weaker_than_one_of_two(self) -> None:
        one, two = make_tenant(), make_tenant()
        owner, other = make_actor("tenant-owner", one), make_actor("tenant-owner", one)
        refuse_stronger_user(owner, user_of(other))
        bind(other, "project-viewer", two)
        with pytest.raises(HubError, match=r"user\.outranks"):
            refuse_stronger_user(owner, user_of(other))

    def test_an_administrator_outranks_nobody_and_nobody_outranks_the_hub(self) -> None:
        admins = [make_actor("hub-admin") for _ in range(2)]
        refuse_stronger_user(admins[0], user_of(admins[1]))
        refuse_stronger_user(SYSTEM, user_of(admins[1]))

    def test_everybody_is_as_strong_as_himself_but_not_with_a_narrow_token(self) -> None:
        owner = make_actor("tenant-owner", make_tenant())
        refuse_stronger_user(owner, user_of(owner))
        with pytest.raises(HubError, match=r"user\.outranks"):
            refuse_stronger_user(replace(owner, token_scope=TokenScope(read_only=True)), user_of(owner))


def _scope(tenant: Tenant) -> AccessScope:
    return AccessScope(tenant_id=tenant.pk)


@pytest.mark.usefixtures("db")
class TestTheLastAdministrator:
    def test_sec37_his_role_cannot_be_taken(self) -> None:
        binding = bind_role(SYSTEM, "hub-admin", make_user())
        with pytest.raises(HubError, match=r"role_binding\.last_admin"):
            unbind_role(SYSTEM, binding)
        assert RoleBinding.objects.filter(pk=binding.pk).exists()

    def test_sec37_he_cannot_be_disabled(self) -> None:
        user = make_user()
        bind_role(SYSTEM, "hub-admin", user)
        with pytest.raises(HubError, match=r"role_binding\.last_admin"):
            set_user_active(SYSTEM, user, False)
        assert User.objects.get(pk=user.pk).is_active

    def test_a_disabled_administrator_does_not_count_as_one(self) -> None:
        first, second = make_user(), make_user()
        bind_role(SYSTEM, "hub-admin", first)
        binding = bind_role(SYSTEM, "hub-admin", second)
        set_user_active(SYSTEM, first, False)
        with pytest.raises(HubError, match=r"role_binding\.last_admin"):
            unbind_role(SYSTEM, binding)

    def test_sec37_who_is_one_for_a_time_by_a_group_or_as_a_program_does_not_count(self) -> None:
        binding = bind_role(SYSTEM, "hub-admin", make_user())
        bind_role(SYSTEM, "hub-admin", make_user(), expires_at=timezone.now() + timedelta(days=1))
        group = make_group()
        bind_role(SYSTEM, "hub-admin", group)
        join(make_user(), group)
        program = User.objects.create(username="program", kind="service_account")
        RoleBinding.objects.create(role="hub-admin", scope_kind="hub", user=program)
        with pytest.raises(HubError, match=r"role_binding\.last_admin"):
            unbind_role(SYSTEM, binding)

    def test_sec37_his_role_does_not_come_to_an_end(self) -> None:
        binding = bind_role(SYSTEM, "hub-admin", make_user())
        with pytest.raises(HubError, match=r"role_binding\.last_admin"):
            set_binding_end(SYSTEM, binding, timezone.now() + timedelta(days=1))
        assert RoleBinding.objects.get(pk=binding.pk).expires_at is None

    def test_one_of_two_may_go(self) -> None:
        bind_role(SYSTEM, "hub-admin", make_user())
        unbind_role(SYSTEM, bind_role(SYSTEM, "hub-admin", make_user()))
        assert RoleBinding.objects.count() == 1


@pytest.mark.usefixtures("transactional_db")
def test_sec37_two_administrators_who_remove_each_other_at_once_leave_one() -> None:
    bindings = [bind_role(SYSTEM, "hub-admin", make_user()) for _ in range(2)]
    start = threading.Barrier(2)
    refused: list[str] = []

    def remove(binding: RoleBinding) -> None:
        try:
            start.wait(10)
            unbind_role(SYSTEM, binding)
        except HubError as error:
            refused.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=remove, args=(binding,)) for binding in bindings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert refused == ["role_binding.last_admin"]
    assert RoleBinding.objects.count() == 1


@pytest.mark.usefixtures("transactional_db")
class TestTheFirstAdministrator:
    def test_sec12_he_gets_a_one_time_password_that_works_and_must_be_changed(self) -> None:
        user, password = ensure_first_admin()
        assert password is not None
        assert authenticate_password(user.username, password, peer="192.0.2.1") == user
        assert user.must_change_password
        assert RoleBinding.objects.get(user=user).role == "hub-admin"

    def test_sec12_no_two_hubs_have_the_same_password_and_none_is_shown_twice(self) -> None:
        _, first = ensure_first_admin()
        _, again = ensure_first_admin()
        assert again is None
        User.objects.all().delete()
        _, second = ensure_first_admin()
        assert first != second

    def test_sec12_one_that_was_removed_does_not_come_back(self) -> None:
        first, _ = ensure_first_admin()
        bind_role(SYSTEM, "hub-admin", make_user())
        first.delete()
        _, password = ensure_first_admin()
        assert password is None
        assert not User.objects.filter(username="admin").exists()


@pytest.mark.usefixtures("db")
class TestRolesInUse:
    def test_a_project_nobody_is_in_has_none(self) -> None:
        project = make_project()
        make_actor("hub-admin")
        assert project_roles_in_use(project.pk, project.tenant_id) == {}

    def test_a_viewer_brings_the_viewers_and_an_owner_both(self) -> None:
        project = make_project()
        make_actor("project-viewer", project)
        assert set(project_roles_in_use(project.pk, project.tenant_id)) == {"project-viewer"}
        make_actor("tenant-owner", project.tenant)
        assert set(project_roles_in_use(project.pk, project.tenant_id)) == {"project-viewer", "tenant-owner"}

    def test_another_projects_people_do_not_count(self) -> None:
        project = make_project()
        make_actor("project-viewer", make_project(project.tenant))
        make_actor("tenant-owner", make_tenant())
        assert project_roles_in_use(project.pk, project.tenant_id) == {}

    def test_the_groups_of_a_cluster_are_its_own_and_those_of_its_projects(self) -> None:
        cluster, project, other = make_cluster(), make_project(), make_project()
        make_namespace(project, cluster)
        make_namespace(other, cluster)
        make_actor("project-viewer", project)
        assert groups_wanted(cluster) == sorted(
            [
                cluster_group(cluster.pk, "cluster-admin"),
                cluster_group(cluster.pk, "cluster-viewer"),
                project_group(project.pk, "project-viewer"),
                shared_group(cluster.pk),
            ]
        )

    def test_ben_stored_groups_grow_with_projects_and_roles_and_not_with_users(self) -> None:
        cluster, project = make_cluster(), make_project()
        make_namespace(project, cluster)
        viewer = make_actor("project-viewer", project)
        before = groups_wanted(cluster)
        for _ in range(5):
            make_actor("project-viewer", project)
        bind(viewer, "project-viewer", project.tenant)
        assert groups_wanted(cluster) == before

    def test_a_role_that_comes_into_use_wakes_the_namespaces_and_clusters_it_is_for(self) -> None:
        cluster, project = make_cluster(), make_project()
        namespace = make_namespace(project, cluster)
        elsewhere = make_namespace(make_project(), make_cluster())
        ProjectNamespace.objects.update(next_run_at=None)
        Cluster.objects.update(next_run_at=None)
        make_actor("project-viewer", project)
        assert ProjectNamespace.objects.filter(next_run_at__isnull=False).get() == namespace
        assert Cluster.objects.filter(next_run_at__isnull=False).get() == cluster
        assert elsewhere.pk != namespace.pk

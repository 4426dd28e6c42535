"""Custom roles: nobody writes one with rights that he lacks, however it comes by them, and what is used stays."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from hub.access.custom_roles import RoleText, create_role, delete_role, update_role
from hub.access.models import Role, RoleBinding
from hub.access.services import bind_role, unbind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, AccessScope, Actor, TokenScope, can, visible_to
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.federation.models import Cluster
from hub.tenancy.models import Tenant
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

START_VMS: dict[str, Any] = {"rules": [{"resources": ["virtual-machines"], "verbs": ["get", "start"]}]}
MAKE_TENANTS: dict[str, Any] = {"rules": [{"resources": ["tenants"], "verbs": ["create"]}]}
PROXY: dict[str, Any] = {"resources": ["clusters"], "verbs": ["get", "proxy"]}


def text(name: str = "starter", **given: Any) -> RoleText:
    fields = {"description": "", "scopes": ["tenant", "project"], "rules": [], "kubernetes_rules": [], "inherits": []}
    return RoleText(name, **{**fields, **given})


def kubernetes(*verbs: str, resource: str = "secrets", group: str = "") -> dict[str, Any]:
    return {
        "rules": [PROXY],
        "kubernetes_rules": [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}],
    }


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(HubError) as error:
        call()
    return error.value.code


@pytest.fixture
def tenant(db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def owner(tenant: Tenant) -> Actor:
    return make_actor("tenant-owner", tenant)


class TestWriting:
    def test_an_owner_makes_a_role_of_his_tenant_that_gives_just_what_it_says(
        self, owner: Actor, tenant: Tenant
    ) -> None:
        role = create_role(owner, tenant, text(**START_VMS))
        user = make_user()
        bind_role(owner, role.key, user, tenant)
        actor = replace(owner, id=user.pk, name=user.username)
        here = AccessScope(tenant_id=tenant.pk)
        assert can(actor, "start", "virtual-machines", here).allowed
        assert not can(actor, "stop", "virtual-machines", here).allowed
        assert not can(actor, "start", "virtual-machines", AccessScope(make_tenant().pk)).allowed
        event = AuditEvent.objects.get(object_id=role.pk)
        assert (event.verb, event.resource, event.tenant_id) == ("create", "roles", tenant.pk)
        assert event.changes["rules"][1] == [{"resources": ["virtual-machines"], "verbs": ["get", "start"]}]

    def test_what_is_inherited_counts_also_when_it_changes_later(self, owner: Actor, tenant: Tenant) -> None:
        base = create_role(owner, tenant, text("base", **START_VMS))
        heir = create_role(owner, tenant, text("heir", inherits=[base.key]))
        actor = make_actor()
        bind(actor, heir.key, tenant)
        here = AccessScope(tenant_id=tenant.pk)
        assert can(actor, "start", "virtual-machines", here).allowed
        update_role(owner, base, text("base", inherits=["vm-console-user"]))
        assert not can(actor, "start", "virtual-machines", here).allowed
        assert can(actor, "console", "virtual-machines", here).allowed

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"name": ""}, "role.name_invalid"),
            ({"name": "  "}, "role.name_invalid"),
            ({"name": "hub-admin"}, "role.name_invalid"),
            ({"name": "a\nb"}, "role.name_invalid"),
            ({"name": "x" * 64}, "role.name_invalid"),
            ({"scopes": []}, "role.scopes_invalid"),
            ({"scopes": ["galaxy"]}, "role.scopes_invalid"),
            ({"scopes": ["hub"]}, "role.scopes_invalid"),
            ({"rules": [{"resources": ["gadgets"], "verbs": ["get"]}]}, "role.rule_invalid"),
            ({"rules": [{"resources": ["tenants"], "verbs": ["explode"]}]}, "role.rule_invalid"),
            ({"rules": [{"resources": [], "verbs": ["get"]}]}, "role.rule_invalid"),
            ({"rules": [{"resources": ["tenants"], "verbs": []}]}, "role.rule_invalid"),
            (kubernetes("get", group="Not A Group"), "role.rule_invalid"),
            (kubernetes("get", resource="pods/*"), "role.rule_invalid"),
            (kubernetes("get", resource="/etc/passwd"), "role.rule_invalid"),
            (kubernetes("explode"), "role.rule_invalid"),
            ({"inherits": ["no-such-role"]}, "role.parent_unknown"),
            ({"inherits": ["project-viewer"] * 21}, "role.parent_unknown"),
        ],
    )
    def test_what_is_no_role_is_refused(self, tenant: Tenant, change: dict[str, Any], code: str) -> None:
        wanted = text(**{key: value for key, value in change.items() if key != "name"})
        wanted = replace(wanted, name=change.get("name", wanted.name))
        assert refused(lambda: create_role(SYSTEM, tenant, wanted)) == code
        assert not Role.objects.exists()

    def test_a_name_is_taken_once_in_a_tenant(self, tenant: Tenant) -> None:
        create_role(SYSTEM, tenant, text())
        assert refused(lambda: create_role(SYSTEM, tenant, text())) == "role.name_taken"
        create_role(SYSTEM, make_tenant(), text())
        create_role(SYSTEM, None, text())
        assert refused(lambda: create_role(SYSTEM, None, text())) == "role.name_taken"

    def test_a_stale_change_is_refused(self, tenant: Tenant) -> None:
        role = create_role(SYSTEM, tenant, text())
        with pytest.raises(StaleVersion):
            update_role(SYSTEM, role, text("other"), expected_version=role.version + 1)
        assert Role.objects.get(pk=role.pk).name == "starter"

    def test_a_locked_role_keeps_its_bindings_and_takes_no_new_ones(self, owner: Actor, tenant: Tenant) -> None:
        role = create_role(owner, tenant, text(**START_VMS))
        actor = make_actor()
        binding = bind(actor, role.key, tenant)
        update_role(owner, role, text(**START_VMS, is_locked=True))
        assert can(actor, "start", "virtual-machines", AccessScope(tenant_id=tenant.pk)).allowed
        assert refused(lambda: bind_role(owner, role.key, make_user(), tenant)) == "role.locked"
        unbind_role(owner, binding)
        assert not RoleBinding.objects.filter(role=role.key).exists()

    def test_a_role_in_use_stays(self, owner: Actor, tenant: Tenant) -> None:
        base = create_role(owner, tenant, text("base"))
        heir = create_role(owner, tenant, text("heir", inherits=[base.key]))
        binding = bind_role(owner, heir.key, make_user(), tenant)
        assert refused(lambda: delete_role(owner, base)) == "role.in_use"
        assert refused(lambda: delete_role(owner, heir)) == "role.in_use"
        unbind_role(owner, binding)
        delete_role(owner, heir)
        delete_role(owner, base)
        assert not Role.objects.exists()

    def test_a_change_wakes_the_clusters_where_the_role_or_an_heir_is_in_use(self, tenant: Tenant) -> None:
        cluster, elsewhere = make_cluster(), make_cluster()
        make_namespace(make_project(tenant), cluster)
        make_namespace(make_project(), elsewhere)
        base = create_role(SYSTEM, tenant, text("base"))
        heir = create_role(SYSTEM, tenant, text("heir", inherits=[base.key]))
        bind_role(SYSTEM, heir.key, make_user(), tenant)
        Cluster.objects.update(next_run_at=None)
        update_role(SYSTEM, base, text("base", **kubernetes("get")))
        assert set(Cluster.objects.filter(next_run_at__isnull=False)) == {cluster}


class TestEscalation:
    def test_sec32_a_role_is_not_made_with_a_right_that_its_maker_lacks(self, owner: Actor, tenant: Tenant) -> None:
        assert refused(lambda: create_role(owner, tenant, text(**MAKE_TENANTS))) == "role.escalates"
        wildcard: dict[str, Any] = {"rules": [{"resources": ["*"], "verbs": ["get"]}]}
        assert refused(lambda: create_role(owner, tenant, text(**wildcard))) == "role.escalates"

    def test_sec32_nor_by_inheriting_it(self, owner: Actor, tenant: Tenant) -> None:
        assert refused(lambda: create_role(owner, tenant, text(inherits=["hub-admin"]))) == "role.escalates"
        strong = create_role(SYSTEM, tenant, text("strong", **MAKE_TENANTS))
        between = create_role(SYSTEM, tenant, text("between", inherits=[strong.key]))
        assert refused(lambda: create_role(owner, tenant, text(inherits=[between.key]))) == "role.escalates"

    def test_sec32_a_role_that_is_bound_already_gains_nothing_that_its_writer_lacks(
        self, owner: Actor, tenant: Tenant
    ) -> None:
        role = create_role(owner, tenant, text(**START_VMS))
        bind(owner, role.key, tenant)
        assert refused(lambda: update_role(owner, role, text(**MAKE_TENANTS))) == "role.escalates"
        assert refused(lambda: update_role(owner, role, text(inherits=["hub-admin"]))) == "role.escalates"
        assert not can(owner, "create", "tenants", AccessScope(tenant_id=tenant.pk)).allowed
        assert Role.objects.get(pk=role.pk).inherits == []

    def test_sec32_what_everybody_has_of_his_own_is_nobodys_to_give(self, tenant: Tenant) -> None:
        manager = create_role(
            SYSTEM, None, text("manager", scopes=["hub"], rules=[{"resources": ["roles"], "verbs": ["create"]}])
        )
        actor = make_actor()
        bind(actor, manager.key)
        for resource, verb in (("users", "get"), ("tokens", "create"), ("sessions", "delete")):
            rules = [{"resources": [resource], "verbs": [verb]}]
            wanted = text("spy", scopes=["hub"], rules=rules)
            assert can(actor, verb, resource).allowed
            assert refused(partial(create_role, actor, None, wanted)) == "role.escalates"

    def test_sec32_inside_members_he_gives_only_what_his_own_roles_give_there(
        self, owner: Actor, tenant: Tenant
    ) -> None:
        create_role(owner, tenant, text("good", **kubernetes("get", "delete")))
        for wrong in (
            kubernetes("*"),
            kubernetes("get", resource="*"),
            kubernetes("get", group="*"),
            kubernetes("create", resource="rolebindings", group="rbac.authorization.k8s.io"),
            kubernetes("create", resource="network-attachment-definitions", group="k8s.cni.cncf.io"),
            kubernetes("get", resource="nodes"),
        ):
            assert refused(partial(create_role, owner, tenant, text(**wrong))) == "role.escalates"

    def test_sec34_the_same_resource_of_another_group_is_another_right(self, owner: Actor, tenant: Tenant) -> None:
        create_role(owner, tenant, text("good", **kubernetes("get", resource="deployments", group="apps")))
        wrong = text("wrong", **kubernetes("get", resource="deployments", group="extensions"))
        assert refused(lambda: create_role(owner, tenant, wrong)) == "role.escalates"

    def test_sec32_a_viewer_in_members_gives_no_secrets_there(self, tenant: Tenant) -> None:
        viewer = make_actor("project-viewer", tenant)
        manager = create_role(
            SYSTEM, tenant, text("manager", rules=[{"resources": ["roles"], "verbs": ["create", "update"]}])
        )
        bind(viewer, manager.key, tenant)
        assert refused(lambda: create_role(viewer, tenant, text(**kubernetes("get")))) == "role.escalates"
        create_role(viewer, tenant, text(**kubernetes("get", resource="pods")))

    def test_sec33_an_owner_writes_no_role_of_the_hub_or_of_another_tenant(self, owner: Actor, tenant: Tenant) -> None:
        for other in (None, make_tenant()):
            assert refused(partial(create_role, owner, other, text(**START_VMS))) == "role.escalates"
        role = create_role(SYSTEM, make_tenant(), text(**START_VMS))
        assert refused(lambda: update_role(owner, role, text())) == "role.escalates"
        assert not visible_to(Role.objects.all(), owner, "get").filter(pk=role.pk).exists()

    def test_sec33_a_tenants_role_is_bound_in_that_tenant_only(self, tenant: Tenant) -> None:
        role = create_role(SYSTEM, tenant, text(**START_VMS, scopes=["tenant", "project", "cluster"]))
        admin = make_actor("hub-admin")
        for scope in (make_tenant(), make_project(), make_cluster()):
            assert refused(partial(bind_role, admin, role.key, make_user(), scope)) == "role_binding.foreign"
        bind_role(admin, role.key, make_user(), make_project(tenant))
        bind_role(admin, role.key, make_user(), make_cluster(project=make_project(tenant)))

    def test_sec33_nor_does_a_binding_by_hand_make_it_count_elsewhere(self, tenant: Tenant) -> None:
        role = create_role(SYSTEM, tenant, text(**START_VMS))
        other, user = make_tenant(), make_user()
        actor = make_actor()
        bind(actor, role.key, tenant)
        RoleBinding.objects.create(role=role.key, custom_role=role, user=user, scope_kind="tenant", tenant=other)
        planted = replace(actor, id=user.pk)
        assert can(actor, "start", "virtual-machines", AccessScope(tenant.pk)).allowed
        assert not can(planted, "start", "virtual-machines", AccessScope(other.pk)).allowed

    def test_sec33_a_role_does_not_inherit_from_another_tenants(self, tenant: Tenant) -> None:
        foreign = create_role(SYSTEM, make_tenant(), text(**START_VMS))
        missing = text(inherits=["00000000-0000-7000-8000-000000000000"])
        assert refused(lambda: create_role(SYSTEM, tenant, text(inherits=[foreign.key]))) == "role.parent_unknown"
        assert refused(lambda: create_role(SYSTEM, tenant, missing)) == "role.parent_unknown"
        assert refused(lambda: create_role(SYSTEM, None, text(inherits=[foreign.key]))) == "role.parent_unknown"

    def test_sec35_a_role_does_not_come_to_inherit_from_itself(self, tenant: Tenant) -> None:
        first = create_role(SYSTEM, tenant, text("first"))
        second = create_role(SYSTEM, tenant, text("second", inherits=[first.key]))
        for inherits in ([first.key], [second.key]):
            wanted = text("first", inherits=inherits)
            assert refused(partial(update_role, SYSTEM, first, wanted)) == "role.inherits_itself"
            first.refresh_from_db()

    def test_sec35_a_chain_does_not_grow_beyond_what_is_read(self, tenant: Tenant) -> None:
        top = create_role(SYSTEM, tenant, text("r0"))
        for number in range(1, 8):
            top = create_role(SYSTEM, tenant, text(f"r{number}", inherits=[top.key]))
        assert refused(lambda: create_role(SYSTEM, tenant, text("r8", inherits=[top.key]))) == "role.inherits_itself"
        bottom = Role.objects.get(name="r0")
        wanted = text("r0", inherits=["project-viewer"])
        assert refused(lambda: update_role(SYSTEM, bottom, wanted)) == "role.inherits_itself"

    def test_sec35_a_role_that_cannot_be_resolved_gives_nothing_and_is_not_given(self, tenant: Tenant) -> None:
        role = create_role(SYSTEM, tenant, text(**START_VMS))
        actor = make_actor()
        binding = bind(actor, role.key, tenant)
        Role.objects.filter(pk=role.pk).update(inherits=["a-role-that-was-there-once"])
        assert not can(actor, "start", "virtual-machines", AccessScope(tenant.pk)).allowed
        assert refused(lambda: bind_role(SYSTEM, role.key, make_user(), tenant)) == "role.unresolvable"
        unbind_role(make_actor("tenant-owner", tenant), binding)

    def test_sec37_who_lacks_its_rights_does_not_weaken_a_role_either(self, tenant: Tenant) -> None:
        strong = create_role(SYSTEM, tenant, text("strong", **MAKE_TENANTS))
        owner = make_actor("tenant-owner", tenant)
        assert refused(lambda: update_role(owner, strong, text("strong"))) == "role.escalates"
        assert refused(lambda: delete_role(owner, strong)) == "role.escalates"

    def test_sec32_a_right_that_ends_makes_no_role_that_does_not(self, tenant: Tenant) -> None:
        actor = make_actor()
        bind_role(SYSTEM, "tenant-owner", user_of(actor), tenant, expires_at=timezone.now() + timedelta(hours=1))
        assert refused(lambda: create_role(actor, tenant, text(**START_VMS))) == "role.escalates"

    def test_sec32_a_narrow_token_writes_no_role_that_is_wider(self, owner: Actor, tenant: Tenant) -> None:
        narrow = replace(owner, token_scope=TokenScope(verbs=frozenset({"create", "get", "list", "proxy"})))
        assert refused(lambda: create_role(narrow, tenant, text(**START_VMS))) == "role.escalates"
        assert refused(lambda: create_role(narrow, tenant, text(**kubernetes("get")))) == "role.escalates"
        create_role(narrow, tenant, text(rules=[{"resources": ["projects"], "verbs": ["get", "create"]}]))


@pytest.mark.usefixtures("transactional_db")
def test_sec35_two_changes_at_once_do_not_make_two_roles_inherit_from_each_other() -> None:
    tenant = make_tenant()
    roles = [create_role(SYSTEM, tenant, text(name)) for name in ("a", "b")]
    start = threading.Barrier(2)
    codes: list[str] = []

    def inherit(role: Role, other: Role) -> None:
        try:
            start.wait(10)
            update_role(SYSTEM, role, text(role.name, inherits=[other.key]))
        except HubError as error:
            codes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=inherit, args=pair) for pair in (roles, reversed(roles))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert codes == ["role.inherits_itself"]
    assert sorted(len(role.inherits) for role in Role.objects.all()) == [0, 1]

"""/api/v1/access/explain and /api/v1/access/review"""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hub.access.custom_roles import RoleText, create_role
from hub.access.models import Role, RoleBinding
from hub.access.services import bind_role
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.identity.models import ExternalIdentity, User
from hub.tenancy.models import Tenant
from tests.hub.access.groups import join, make_group
from tests.hub.api.callers import Caller, make_caller, with_token
from tests.hub.builders import (
    bind,
    make_cluster,
    make_namespace,
    make_project,
    make_tenant,
    make_user,
    user_of,
)

NO_ID = "01a21074-0000-7000-8000-000000000000"  # fixed, because tests are named after it


def explain(caller: Caller, verb: str, resource: str, **where: object) -> Any:
    query = "&".join(f"{name}={value}" for name, value in {"verb": verb, "resource": resource, **where}.items())
    answer = caller.get(f"access/explain?{query}")
    return answer.body if answer.status == 200 else answer.code


class TestOwnQuestions:
    def test_it_names_binding_role_and_rule(self, owner: Caller, tenant: Tenant) -> None:
        told = explain(owner, "create", "projects", tenant=tenant.pk)
        binding = RoleBinding.objects.get(user=owner.user_id)
        assert (told["allowed"], told["source"], told["binding"]["id"]) == (True, "binding", str(binding.pk))
        assert (told["binding"]["role"], told["binding"]["scope"]) == ("tenant-owner", "tenant")
        assert "create" in told["rule"]
        assert told["lapsed"] == []

    def test_it_says_what_is_missing_and_which_roles_would_do(self, nobody: Caller, tenant: Tenant) -> None:
        bind(nobody.user, "vm-console-user", tenant)
        told = explain(nobody, "start", "virtual-machines", tenant=tenant.pk)
        assert (told["allowed"], told["source"], told["binding"]) == (False, "nothing", None)
        assert told["reason"] == "no role binding allows start virtual-machines here"
        assert {"vm-operator", "tenant-owner", "hub-admin"} <= set(told["roles"])
        assert "vm-console-user" not in told["roles"]
        assert explain(nobody, "explode", "tenants") == "query.invalid"
        assert explain(nobody, "start", "tenants")["source"] == "table"

    def test_it_names_the_role_that_a_rule_is_inherited_from(self, nobody: Caller, tenant: Tenant) -> None:
        text = RoleText("heir", "", ["tenant"], [], [], ["vm-operator"])
        role = create_role(SYSTEM, tenant, text)
        bind(nobody.user, role.key, tenant)
        told = explain(nobody, "start", "virtual-machines", tenant=tenant.pk)
        assert told["allowed"]
        assert told["binding"]["role_name"] == "heir"
        assert told["rule"].endswith("on virtual-machines (inherited from vm-operator)")

    def test_a_token_that_is_narrower_than_its_owner_is_named(self, owner: Caller, tenant: Tenant) -> None:
        narrow = owner.narrowed(read_only=True)
        told = explain(narrow, "create", "projects", tenant=tenant.pk)
        assert (told["allowed"], told["source"]) == (False, "token")
        assert told["reason"] == "the token's scope leaves out create"
        elsewhere = owner.narrowed(projects=frozenset({make_project(tenant).pk}))
        told = explain(elsewhere, "get", "projects", project=make_project(tenant).pk)
        assert told == "reference.not_found"

    def test_what_everybody_may_do_is_told_so(self, nobody: Caller) -> None:
        assert explain(nobody, "list", "releases")["source"] == "everybody"
        assert explain(nobody, "create", "tokens")["source"] == "owner"

    def test_a_binding_that_has_ended_is_told(self, nobody: Caller, tenant: Tenant) -> None:
        binding = bind(nobody.user, "project-viewer", tenant)
        bind(nobody.user, "vm-console-user", tenant)
        RoleBinding.objects.filter(pk=binding.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
        told = explain(nobody, "list", "machines", tenant=tenant.pk)
        assert not told["allowed"]
        assert [(one["id"], one["why"]) for one in told["lapsed"]] == [(str(binding.pk), "ended")]

    def test_sec49_a_group_that_was_not_confirmed_lately_is_told(self, nobody: Caller, tenant: Tenant) -> None:
        group = make_group()
        identity = join(user_of(nobody.user), group)
        bind_role(SYSTEM, "project-viewer", group, tenant)
        told = explain(nobody, "list", "projects", tenant=tenant.pk)
        assert (told["allowed"], told["binding"]["group_name"]) == (True, "/group")
        ExternalIdentity.objects.filter(pk=identity.pk).update(groups_confirmed_at=timezone.now() - timedelta(days=2))
        bind(nobody.user, "vm-console-user", tenant)
        told = explain(nobody, "list", "machines", tenant=tenant.pk)
        assert (told["allowed"], told["lapsed"][0]["why"]) == (False, "group_not_confirmed")

    def test_sec35_a_role_that_cannot_be_resolved_is_told(self, nobody: Caller, tenant: Tenant) -> None:
        role = create_role(SYSTEM, tenant, RoleText("broken", "", ["tenant"], [], [], ["vm-operator"]))
        bind(nobody.user, role.key, tenant)
        bind(nobody.user, "vm-console-user", tenant)
        Role.objects.filter(pk=role.pk).update(inherits=["gone"])
        told = explain(nobody, "start", "virtual-machines", tenant=tenant.pk)
        assert (told["allowed"], told["lapsed"][0]["why"]) == (False, "role_unresolvable")

    def test_a_shared_cluster_is_reached_through_a_project_on_it(self, nobody: Caller) -> None:
        project, cluster = make_project(), make_cluster()
        make_namespace(project, cluster)
        bind(nobody.user, "project-viewer", project)
        assert explain(nobody, "proxy", "clusters", cluster=cluster.pk)["allowed"]
        assert explain(nobody, "get", "tenants", tenant=project.tenant_id)["allowed"]
        assert not explain(nobody, "update", "clusters", cluster=cluster.pk)["allowed"]

    def test_sec40_a_foreign_place_and_a_missing_one_answer_alike(self, owner: Caller) -> None:
        foreign = make_project()
        for name, ids in (("project", (foreign.pk, uuid7())), ("tenant", (foreign.tenant_id, uuid7()))):
            path = "access/explain?verb=get&resource=projects"
            answers = [owner.get(f"{path}&{name}={id}") for id in ids]
            assert [answer.code for answer in answers] == ["reference.not_found"] * 2
            assert answers[0].problem == answers[1].problem

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("verb=get", "query.missing"),
            ("resource=tenants", "query.missing"),
            ("verb=get&resource=gadgets", "query.invalid"),
            ("verb=get&resource=tenants&tenant=x", "query.invalid"),
            ("verb=get&resource=tenants&user=x", "query.invalid"),
            ("verb=get&verb=list&resource=tenants", "query.repeated"),
            ("verb=get&resource=tenants&colour=red", "query.unknown"),
            (f"verb=get&resource=tenants&tenant={NO_ID}&project={NO_ID}", "query.too_many"),
            (f"verb=get&resource=tenants&user={NO_ID}&group={NO_ID}", "query.too_many"),
        ],
    )
    def test_a_malformed_question_is_refused(self, admin: Caller, query: str, code: str) -> None:
        assert admin.get(f"access/explain?{query}").code == code

    def test_who_is_nobody_asks_nothing(self, stranger: Caller, db: None) -> None:
        assert stranger.get("access/explain?verb=get&resource=tenants").status == 401
        assert stranger.get("access/review?resource=tenants").status == 401


class TestQuestionsAboutOthers:
    def test_an_owner_asks_about_who_is_in_his_tenant(self, owner: Caller, nobody: Caller, tenant: Tenant) -> None:
        bind(nobody.user, "project-viewer", tenant)
        told = explain(owner, "get", "projects", tenant=tenant.pk, user=nobody.user_id)
        assert (told["allowed"], told["binding"]["username"]) == (True, nobody.user.name)
        assert not explain(owner, "delete", "projects", tenant=tenant.pk, user=nobody.user_id)["allowed"]

    def test_he_is_asked_about_without_the_askers_token(self, admin: Caller, nobody: Caller, tenant: Tenant) -> None:
        bind(nobody.user, "tenant-owner", tenant)
        narrow = admin.narrowed(verbs=frozenset({"get", "list"}))
        assert explain(narrow, "delete", "projects", tenant=tenant.pk, user=nobody.user_id)["allowed"]

    def test_who_may_not_list_bindings_there_asks_about_himself_only(self, nobody: Caller, tenant: Tenant) -> None:
        bind(nobody.user, "project-viewer", tenant)
        for id in (make_user().pk, uuid7()):
            assert explain(nobody, "get", "projects", tenant=tenant.pk, user=id) == "request.denied"
        assert explain(nobody, "get", "projects", tenant=tenant.pk, user=nobody.user_id)["allowed"]

    def test_sec40_somebody_unknown_to_him_and_nobody_at_all_answer_alike(self, owner: Caller, tenant: Tenant) -> None:
        for name, ids in (("user", (make_user().pk, uuid7())), ("group", (make_group().pk, uuid7()))):
            path = f"access/explain?verb=get&resource=projects&tenant={tenant.pk}"
            answers = [owner.get(f"{path}&{name}={id}") for id in ids]
            assert [answer.code for answer in answers] == ["reference.not_found"] * 2
            assert answers[0].problem == answers[1].problem

    def test_sec41_of_a_binding_that_he_may_not_list_he_is_told_only_that_it_is_there(
        self, owner: Caller, admin: Caller, tenant: Tenant
    ) -> None:
        bind(admin.user, "project-viewer", tenant)
        told = explain(owner, "delete", "projects", tenant=tenant.pk, user=admin.user_id)
        assert (told["allowed"], told["binding"], told["rule"]) == (True, None, "")
        assert told["reason"] == "a role binding that you may not see allows it"

    def test_a_group_is_asked_about(self, admin: Caller, tenant: Tenant) -> None:
        group = make_group()
        bind_role(SYSTEM, "vm-operator", group, tenant)
        assert explain(admin, "start", "virtual-machines", tenant=tenant.pk, group=group.pk)["allowed"]
        assert not explain(admin, "console", "virtual-machines", tenant=tenant.pk, group=group.pk)["allowed"]

    def test_who_is_locked_may_do_nothing(self, admin: Caller, nobody: Caller, tenant: Tenant) -> None:
        bind(nobody.user, "tenant-owner", tenant)
        User.objects.filter(pk=nobody.user_id).update(is_active=False)
        told = explain(admin, "get", "projects", tenant=tenant.pk, user=nobody.user_id)
        assert (told["allowed"], told["reason"]) == (False, f"{nobody.user.name} is locked")


class TestReview:
    def test_it_lists_who_reaches_an_object_and_how(self, admin: Caller, owner: Caller, tenant: Tenant) -> None:
        project = make_project(tenant)
        viewer = make_caller("project-viewer", project)
        group = make_group()
        bind_role(SYSTEM, "project-member", group, tenant)
        make_caller("project-viewer", make_project(tenant))
        make_caller("tenant-owner", make_tenant())
        ended = bind_role(SYSTEM, "project-member", user_of(viewer.user), tenant)
        RoleBinding.objects.filter(pk=ended.pk).update(expires_at=timezone.now())
        told = admin.items(f"access/review?resource=projects&id={project.pk}&sort=role")
        assert [(one["role"], one["username"] or one["group_name"], one["verbs"]) for one in told] == [
            ("hub-admin", admin.user.name, ["create", "delete", "get", "list", "update"]),
            ("project-member", "/group", ["get", "list"]),
            ("project-viewer", viewer.user.name, ["get", "list"]),
            ("tenant-owner", owner.user.name, ["create", "delete", "get", "list", "update"]),
        ]

    def test_sec41_an_owner_is_told_of_the_bindings_of_his_tenant(
        self, admin: Caller, owner: Caller, tenant: Tenant
    ) -> None:
        cluster = make_cluster()
        make_namespace(make_project(tenant), cluster)
        make_namespace(make_project(), cluster)
        make_caller("tenant-owner", make_tenant())
        told = owner.items(f"access/review?resource=clusters&id={cluster.pk}")
        assert [one["username"] for one in told] == [owner.user.name]
        assert "proxy" in told[0]["verbs"]
        assert len(admin.items(f"access/review?resource=clusters&id={cluster.pk}")) == 2

    def test_a_role_without_a_right_to_it_is_left_out(self, admin: Caller, tenant: Tenant) -> None:
        make_caller("vm-console-user", tenant)
        role = create_role(SYSTEM, tenant, RoleText("auditor", "", ["tenant"], [], [], ["project-viewer"]))
        bind(make_caller().user, role.key, tenant)
        told = admin.items(f"access/review?resource=tenants&id={tenant.pk}&sort=-role")
        assert {one["role_name"] for one in told} == {"hub-admin", "vm-console-user", "auditor"}
        binding = RoleBinding.objects.get(role=role.key)
        told = admin.items(f"access/review?resource=role-bindings&id={binding.pk}")
        assert {one["role_name"] for one in told} == {"hub-admin"}

    def test_it_is_paged(self, admin: Caller, tenant: Tenant) -> None:
        for _ in range(4):
            make_caller("project-viewer", tenant)
        path = f"access/review?resource=tenants&id={tenant.pk}&limit=3"
        first = admin.get(path).body
        second = admin.get(f"{path}&continue={first['continue']}").body
        assert (len(first["items"]), len(second["items"]), second["continue"]) == (3, 2, None)
        other = f"access/review?resource=tenants&id={make_tenant().pk}&limit=3&continue={first['continue']}"
        assert admin.get(other).code == "list.continue_invalid"

    def test_who_may_not_list_bindings_there_reviews_nothing(self, nobody: Caller, tenant: Tenant) -> None:
        bind(nobody.user, "project-viewer", tenant)
        answer = nobody.get(f"access/review?resource=tenants&id={tenant.pk}")
        assert (answer.status, answer.code) == (403, "request.denied")
        own = nobody.get(f"access/review?resource=users&id={nobody.user_id}")
        assert own.code == "request.denied"

    def test_a_token_narrows_it(self, owner: Caller, tenant: Tenant) -> None:
        project = make_project(tenant)
        narrow = owner.narrowed(verbs=frozenset({"get"}))
        assert narrow.get(f"access/review?resource=projects&id={project.pk}").code == "request.denied"

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("resource=projects", "query.missing"),
            (f"id={NO_ID}", "query.missing"),
            (f"resource=releases&id={NO_ID}", "query.invalid"),
            ("resource=projects&id=5", "query.invalid"),
            (f"resource=projects&id={NO_ID}", "reference.not_found"),
        ],
    )
    def test_a_malformed_question_is_refused(self, admin: Caller, query: str, code: str) -> None:
        assert admin.get(f"access/review?{query}").code == code

    def test_sec40_a_foreign_and_a_missing_object_answer_alike(self, owner: Caller) -> None:
        ids = (make_project().pk, uuid7())
        answers = [owner.get(f"access/review?resource=projects&id={id}") for id in ids]
        assert answers[0].problem == answers[1].problem

    def test_another_caller_of_the_same_rights_is_answered_the_same(self, owner: Caller, tenant: Tenant) -> None:
        again = with_token(owner.user)
        path = f"access/review?resource=tenants&id={tenant.pk}"
        assert again.items(path) == owner.items(path) != []

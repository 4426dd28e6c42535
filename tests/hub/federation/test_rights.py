"""The written list of rights, as pure builders: what is in it, and what must never be."""

from itertools import chain
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from hub.core.ids import uuid7
from hub.federation import rights
from hub.federation.management.commands.rights_reference import render_reference
from hub.federation.models import ClusterKind
from hub.federation.registration import RESOURCE_OF_KIND
from hub.federation.rights import HubMark, PolicyRule, build_registration, impersonation_rules, required_reviews

MARK = HubMark(uuid7(), 3)
CLUSTER = uuid7()
KINDS = [kind.value for kind in ClusterKind]
READING = {"get", "list", "watch"}


def registration(kind: str, groups: tuple[str, ...] = ()) -> list[rights.Object]:
    return build_registration(MARK, kind, CLUSTER, groups, "namespace-uid")


def grants(rules: tuple[PolicyRule, ...]) -> set[tuple[str, str, str]]:
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


@pytest.mark.parametrize("kind", KINDS)
class TestRegistration:
    def test_every_object_is_of_a_kind_that_is_written_and_carries_the_hubs_mark(self, kind: str) -> None:
        for obj in registration(kind):
            assert obj["kind"] in RESOURCE_OF_KIND
            assert obj["metadata"]["labels"] == {
                "paddock.io/hub-id": str(MARK.hub_id),
                "paddock.io/hub-epoch": "3",
            }

    def test_what_is_cluster_scoped_goes_with_the_namespace_and_the_rest_lies_in_it(self, kind: str) -> None:
        for obj in registration(kind):
            metadata = obj["metadata"]
            if obj["kind"] in ("ClusterRole", "ClusterRoleBinding"):
                assert [owner["uid"] for owner in metadata["ownerReferences"]] == ["namespace-uid"]
            else:
                assert metadata["namespace"] == rights.HUB_NAMESPACE

    def test_no_two_objects_are_the_same(self, kind: str) -> None:
        names = [(obj["kind"], obj["metadata"]["name"]) for obj in registration(kind)]
        assert len(names) == len(set(names))

    def test_sec34_no_rule_is_a_wildcard_over_groups_or_verbs(self, kind: str) -> None:
        rules = chain.from_iterable(obj.get("rules", ()) for obj in registration(kind))
        for rule in rules:
            assert "*" not in rule["apiGroups"]
            assert "*" not in rule["verbs"]
            assert rule["resources"] != ["*"] or rule["apiGroups"] != [""]

    def test_no_subject_and_no_group_is_kubernetes_own(self, kind: str) -> None:
        for obj in registration(kind, (rights.cluster_group(CLUSTER, "admin"),)):
            for subject in obj.get("subjects", ()):
                assert not subject["name"].startswith("system:")

    def test_the_hub_never_binds_itself_to_cluster_admin(self, kind: str) -> None:
        for obj in registration(kind):
            if obj.get("roleRef", {}).get("name") == "cluster-admin":
                assert [subject["kind"] for subject in obj["subjects"]] == ["Group"]

    def test_dangerous_verbs_are_limited_to_names(self, kind: str) -> None:
        for rule in rights.hub_rules(kind):
            if {"escalate", "bind", "impersonate"} & set(rule.verbs):
                assert rule.names
            if rule.resources in (("clusterroles",), ("clusterrolebindings",)):
                assert rule.names
                assert "create" not in rule.verbs

    def test_each_right_of_the_list_is_asked_about(self, kind: str) -> None:
        asked = {(review.group, review.resource, review.verb) for review in required_reviews(kind)}
        assert asked == grants((*rights.hub_rules(kind), PolicyRule("", ("users",), ("impersonate",))))


def test_the_hub_reads_no_secret_outside_the_namespaces_of_projects() -> None:
    for kind in KINDS:
        assert not [right for right in grants(rights.hub_rules(kind)) if right[1] == "secrets"]
    assert ("", "secrets", "create") in grants(rights.MACHINE_RULES)


def test_a_plain_cluster_gets_nothing_about_machines() -> None:
    groups = {rule.group for rule in rights.hub_rules("kubernetes")}
    assert groups == {"", "rbac.authorization.k8s.io"}
    assert not [obj for obj in registration("kubernetes") if obj["metadata"]["name"] == rights.MACHINE_ROLE]


@pytest.mark.parametrize("rules", [rights.PROJECT_VIEWER_RULES, rights.CLUSTER_VIEWER_RULES])
def test_sec39_viewers_read_and_open_no_session(rules: tuple[PolicyRule, ...]) -> None:
    for group, resource, verb in grants(rules):
        assert verb in READING
        assert resource != "secrets"
        assert group != "subresources.kubevirt.io", "its GETs open consoles"
        assert not (group == "" and resource == "*"), "that would be Secrets and exec too"
        assert resource not in ("pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token")


def test_sec32_a_projects_admin_cannot_give_rights_nor_change_his_quota() -> None:
    for group, resource, verb in grants(rights.PROJECT_ADMIN_RULES):
        assert group != "rbac.authorization.k8s.io"
        if resource in ("resourcequotas", "limitranges", "namespaces", "network-attachment-definitions"):
            assert verb in READING
        assert resource != "serviceaccounts/token"


def test_what_is_said_twice_is_the_same() -> None:
    assert grants(rights.PROJECT_VIEWER_RULES) <= grants(rights.PROJECT_ADMIN_RULES)
    assert grants(rights.PROJECT_VIEWER_RULES) <= grants(rights.CLUSTER_VIEWER_RULES)


def test_no_group_at_all_is_no_rule_and_not_any_group() -> None:
    assert [rule.resources for rule in impersonation_rules(())] == [("users",)]


@given(st.lists(st.sampled_from(["paddock:a", "paddock:b", "paddock:c"])))
def test_groups_are_listed_by_name_each_once(groups: list[str]) -> None:
    listed = [rule.names for rule in impersonation_rules(groups) if rule.resources == ("groups",)]
    assert listed == ([tuple(sorted(set(groups)))] if groups else [])


def test_a_rule_without_names_renders_without_an_empty_list() -> None:
    assert "resourceNames" not in PolicyRule("", ("pods",), ("get",)).render()
    assert PolicyRule("", ("pods",), ("get",), ("a",)).render()["resourceNames"] == ["a"]


def test_the_names_of_groups_say_what_they_are_for() -> None:
    id = uuid4()
    assert rights.cluster_group(id, "admin") == f"paddock:cluster:{id}:admin"
    assert rights.project_group(id, "viewer") == f"paddock:project:{id}:viewer"


def test_a_review_reads_like_a_right() -> None:
    assert str(rights.Review("create", "", "serviceaccounts", "token")) == "create serviceaccounts/token"
    assert str(rights.Review("get", "apps", "deployments")) == "get deployments.apps"


def test_the_page_for_people_is_the_list_itself() -> None:
    page = Path(settings.BASE_DIR) / "docs" / "member-rights.md"
    assert page.read_text() == render_reference(), "run: python manage.py rights_reference"
    for rule in (*rights.HUB_RULES, *rights.MACHINE_RULES):
        assert ", ".join(rule.resources) in page.read_text()

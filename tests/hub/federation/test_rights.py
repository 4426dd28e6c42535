"""The written list of rights, as pure builders: what is in it, and what must never be."""

from copy import deepcopy
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
from hub.federation.member_objects import (
    build_member_role,
    build_registration,
    is_as_wanted,
    must_be_replaced,
)
from hub.federation.models import ClusterKind
from hub.federation.registration import RESOURCE_OF_KIND
from hub.federation.rights import HubMark, PolicyRule, reconciled_rules, required_reviews

MARK = HubMark(uuid7(), 3)
CLUSTER = uuid7()
KINDS = [kind.value for kind in ClusterKind]
READING = {"get", "list", "watch"}


def registration(kind: str, groups: tuple[str, ...] = ()) -> list[rights.Object]:
    return build_registration(MARK, kind, groups, "namespace-uid")


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

    def test_the_hub_binds_nobody_to_a_role_that_is_not_its_own(self, kind: str) -> None:
        for obj in registration(kind):
            if "roleRef" in obj:
                assert obj["roleRef"]["name"].startswith("paddock-")
                assert [subject["kind"] for subject in obj["subjects"]] == ["ServiceAccount"]

    def test_dangerous_verbs_are_limited_to_names(self, kind: str) -> None:
        for rule in rights.hub_rules(kind):
            if {"escalate", "bind", "impersonate"} & set(rule.verbs):
                assert rule.names
            if set(rule.resources) & {"clusterroles", "clusterrolebindings"}:
                assert rule.names or rule.verbs == ("list",)
                assert "create" not in rule.verbs

    def test_each_right_of_the_list_is_asked_about(self, kind: str) -> None:
        asked = {(review.group, review.resource, review.verb) for review in required_reviews(kind)}
        assert asked == grants((*rights.hub_rules(kind), PolicyRule("", ("users",), ("impersonate",))))
        bound = {review.name for review in required_reviews(kind) if review.verb == "bind"}
        assert bound == {rights.NAMESPACE_ROLE, rights.MACHINE_ROLE, rights.SHARED_ROLE}, "each name by itself"


def test_the_hub_reads_no_secret_outside_the_namespaces_of_projects() -> None:
    for kind in KINDS:
        assert not [right for right in grants(rights.hub_rules(kind)) if right[1] == "secrets"]
    assert ("", "secrets", "create") in grants(rights.MACHINE_RULES)


def test_a_plain_cluster_gets_nothing_about_machines() -> None:
    groups = {rule.group for rule in rights.hub_rules("kubernetes")}
    assert groups == {"", "rbac.authorization.k8s.io"}
    assert not [obj for obj in registration("kubernetes") if obj["metadata"]["name"] == rights.MACHINE_ROLE]


def test_tenants_share_no_secret_and_open_no_session_in_the_shared_namespace() -> None:
    for _group, resource, verb in grants(rights.SHARED_RULES):
        assert verb in READING
        assert resource in {
            "namespaces",
            "configmaps",
            "virtualmachineimages",
            "virtualmachinetemplates",
            "virtualmachinetemplateversions",
            "network-attachment-definitions",
        }


def test_the_hubs_account_makes_no_machine_but_asks_for_the_account_that_does() -> None:
    hub = grants((*rights.hub_rules("harvester"), *rights.NAMESPACE_RULES))
    assert not {right for right in hub & grants(rights.MACHINE_RULES) if right[2] not in READING}
    assert ("", "serviceaccounts/token", "create") in hub
    for rule in rights.NAMESPACE_RULES:
        if set(rule.verbs) & {"create", "patch"}:
            assert rule.names, "create and patch by name, so that nothing else of the project can be made"


def test_nothing_at_all_is_no_rule_and_not_any_name() -> None:
    assert [rule.resources for rule in reconciled_rules((), (), ())] == [("users",)]


def test_roles_in_use_are_held_by_name_and_strays_can_only_be_deleted() -> None:
    rules = reconciled_rules(("paddock:a",), ("project-viewer", "vm-operator"), {"planted"})
    names = ("paddock-role-project-viewer", "paddock-role-vm-operator")
    on_roles = {(rule.resources, rule.verbs): rule.names for rule in rules if rule.group == rights.RBAC}
    assert on_roles == {
        (("clusterroles",), ("get", "create", "patch", "delete", "bind", "escalate")): names,
        (("clusterrolebindings",), ("get", "create", "patch", "delete")): names,
        (("clusterroles", "clusterrolebindings"), ("delete",)): ("planted",),
    }


@given(st.lists(st.sampled_from(["paddock:a", "paddock:b", "paddock:c"])))
def test_groups_are_listed_by_name_each_once(groups: list[str]) -> None:
    listed = [rule.names for rule in reconciled_rules(groups) if rule.resources == ("groups",)]
    assert listed == ([tuple(sorted(set(groups)))] if groups else [])


def test_a_rule_without_names_renders_without_an_empty_list() -> None:
    assert "resourceNames" not in PolicyRule("", ("pods",), ("get",)).render()
    assert PolicyRule("", ("pods",), ("get",), ("a",)).render()["resourceNames"] == ["a"]


def test_a_rule_on_urls_names_no_resources() -> None:
    assert PolicyRule("", (), ("get",), urls=("/metrics",)).render() == {
        "nonResourceURLs": ["/metrics"],
        "verbs": ["get"],
    }


class TestComparing:
    RULE = PolicyRule("", ("pods",), ("get",))
    WANTED = build_member_role(MARK, "project-viewer", (RULE,), "namespace-uid")

    def changed(self, **parts: object) -> rights.Object:
        return {**deepcopy(self.WANTED), **parts}

    def test_what_others_add_to_the_metadata_is_theirs(self) -> None:
        found = self.changed()
        found["metadata"]["labels"]["team"] = "b"
        found["metadata"]["resourceVersion"] = "7"
        assert is_as_wanted(found, self.WANTED)

    def test_narrower_and_wider_rules_are_both_put_right(self) -> None:
        for rule in (PolicyRule("", ("pods",), ("get",), ("one",)), PolicyRule("", ("pods",), ("get", "list"))):
            found = self.changed(rules=[rule.render()])
            assert not is_as_wanted(found, self.WANTED)
            assert not must_be_replaced(found, self.WANTED)

    def test_a_lost_label_or_owner_is_put_right(self) -> None:
        for part in ("labels", "ownerReferences"):
            found = self.changed()
            del found["metadata"][part]
            assert not is_as_wanted(found, self.WANTED)

    def test_an_aggregation_is_replaced_because_it_would_overwrite_the_rules(self) -> None:
        found = self.changed(aggregationRule={"clusterRoleSelectors": [{}]})
        assert not is_as_wanted(found, self.WANTED)
        assert must_be_replaced(found, self.WANTED)


def test_the_names_of_groups_say_what_they_are_for() -> None:
    id = uuid4()
    assert rights.cluster_group(id, "admin") == f"paddock:cluster:{id}:admin"
    assert rights.project_group(id, "viewer") == f"paddock:project:{id}:viewer"


def test_a_review_reads_like_a_right() -> None:
    assert str(rights.Review("create", "", "serviceaccounts", "token")) == "create serviceaccounts/token"
    assert str(rights.Review("get", "apps", "deployments")) == "get deployments.apps"
    assert str(rights.Review("bind", rights.RBAC, "clusterroles", name="a")) == (
        "bind clusterroles.rbac.authorization.k8s.io a"
    )


def test_the_page_for_people_is_the_list_itself() -> None:
    page = Path(settings.BASE_DIR) / "docs" / "member-rights.md"
    assert page.read_text() == render_reference(), "run: python manage.py rights_reference"
    for rule in (*rights.HUB_RULES, *rights.NAMESPACE_RULES, *rights.MACHINE_RULES, *rights.SHARED_RULES):
        assert ", ".join(rule.resources) in page.read_text()

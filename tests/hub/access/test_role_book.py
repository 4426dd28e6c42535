"""Roles resolved: what they give with all that they inherit, and that what does not come to an end gives nothing."""

from hub.access.built_in_roles import ROLES
from hub.access.permissions import Role, Rule
from hub.access.policy_rules import holds
from hub.access.role_book import BUILT_IN, LONGEST_CHAIN, ResolvedRole, RoleBook
from hub.core.ids import uuid7
from hub.federation.rights import PolicyRule

SECRETS = (PolicyRule("", ("secrets",), ("get",)),)


def role(name: str, *inherits: str, tenant_id: object = None, **given: object) -> Role:
    fields = {"title": name, "scopes": frozenset({"tenant"}), "rules": (), "inherits": inherits, **given}
    return Role(name=name, tenant_id=tenant_id, **fields)  # type: ignore[arg-type]


def rule(verb: str, resource: str) -> tuple[Rule, ...]:
    return (Rule(frozenset({resource}), frozenset({verb})),)


def resolved(book: RoleBook, key: str) -> ResolvedRole:
    found = book.find(key)
    assert found is not None
    return found


def test_a_role_gives_what_it_inherits_over_several_others() -> None:
    book = RoleBook(
        [
            role("a", "b", rules=rule("get", "quotas")),
            role("b", "c", rules=rule("list", "quotas")),
            role("c", "vm-operator"),
        ]
    )
    assert resolved(book, "a").permissions >= {("get", "quotas"), ("list", "quotas"), ("start", "virtual-machines")}
    assert ("get", "quotas") not in resolved(book, "b").permissions
    assert resolved(book, "a").rule_for("list", "quotas") == "list on quotas (inherited from b)"
    assert resolved(book, "a").rule_for("get", "quotas") == "get on quotas"
    assert resolved(book, "a").rule_for("delete", "quotas") == ""


def test_inside_members_it_stands_for_the_groups_of_all_that_it_inherits() -> None:
    book = RoleBook([role("a", "project-member", kubernetes=SECRETS), role("b", "a")])
    assert resolved(book, "a").in_projects.keys == {"a", "project-member"}
    assert resolved(book, "a").in_clusters.keys == {"a", "cluster-member"}
    assert resolved(book, "b").in_projects.keys == {"a", "project-member"}, "without own rules it needs no object"
    assert book.own_rules("a") == SECRETS
    assert book.own_rules("b") == book.own_rules("no such role") == ()


def test_a_token_that_only_reads_stands_for_what_of_it_reads() -> None:
    book = RoleBook([role("a", kubernetes=SECRETS), role("b", "a", "project-member"), role("c", "vm-operator")])
    assert resolved(book, "a").in_projects.reading_keys == {"a"}
    assert resolved(book, "b").in_projects.reading_keys == {"a", "project-viewer"}
    assert resolved(book, "c").in_projects.reading_keys == frozenset()


def test_sec35_what_inherits_from_itself_gives_nothing() -> None:
    book = RoleBook([role("a", "b"), role("b", "a"), role("c", "b", "tenant-owner"), role("d", "d"), role("e")])
    assert [book.find(key) for key in "abcd"] == [None] * 4
    assert book.find("e") is not None


def test_sec35_what_inherits_from_an_unknown_role_gives_nothing() -> None:
    book = RoleBook([role("a", "gone"), role("b", "a", "tenant-owner")])
    assert book.find("a") is book.find("b") is book.find("gone") is None


def test_sec35_a_chain_that_is_too_long_gives_nothing_and_its_end_still_does() -> None:
    names = [f"r{number}" for number in range(LONGEST_CHAIN + 1)]
    book = RoleBook([role(name, *names[number + 1 : number + 2]) for number, name in enumerate(names)])
    assert book.find(names[0]) is None
    assert book.find(names[1]) is not None


def test_sec33_a_role_does_not_inherit_from_another_tenants() -> None:
    mine, theirs = uuid7(), uuid7()
    book = RoleBook(
        [
            role("theirs", tenant_id=theirs),
            role("hubs"),
            role("mine", "theirs", tenant_id=mine),
            role("hub over tenant", "theirs"),
            role("good", "hubs", "tenant-owner", tenant_id=theirs),
        ]
    )
    assert book.find("mine") is book.find("hub over tenant") is None
    assert book.find("good") is not None


def test_a_diamond_is_no_cycle() -> None:
    book = RoleBook([role("a", "b", "c"), role("b", "d"), role("c", "d"), role("d", rules=rule("get", "quotas"))])
    assert ("get", "quotas") in resolved(book, "a").permissions
    assert book.heirs_of("d") == {"a", "b", "c"}
    assert book.heirs_of("a") == frozenset()


def test_a_custom_role_does_not_take_the_place_of_a_built_in_one() -> None:
    book = RoleBook([role("project-viewer", "hub-admin")])
    assert resolved(book, "project-viewer").permissions == resolved(BUILT_IN, "project-viewer").permissions


def test_no_owner_has_less_than_those_below_him() -> None:
    """Else he could not give their roles away."""
    for place in ("project", "tenant"):
        below = [name for name, one in ROLES.items() if place in one.scopes]
        owner = resolved(BUILT_IN, f"{place}-owner")
        for name in below:
            lower = resolved(BUILT_IN, name)
            assert lower.permissions <= owner.permissions, (place, name)
            assert holds(owner.in_projects.rules, lower.in_projects.rules), (place, name)
            assert holds(owner.in_clusters.rules, lower.in_clusters.rules), (place, name)


def test_who_may_do_more_sees_more() -> None:
    for narrow, wide in (("viewer", "member"), ("member", "admin")):
        lower, upper = resolved(BUILT_IN, f"cluster-{narrow}"), resolved(BUILT_IN, f"cluster-{wide}")
        assert holds(upper.in_clusters.rules, lower.in_clusters.rules)
    for narrow, wide in (("viewer", "member"), ("member", "operator"), ("operator", "owner")):
        lower, upper = resolved(BUILT_IN, f"project-{narrow}"), resolved(BUILT_IN, f"project-{wide}")
        assert lower.permissions <= upper.permissions
        assert holds(upper.in_projects.rules, lower.in_projects.rules)
        assert holds(upper.in_clusters.rules, lower.in_clusters.rules)

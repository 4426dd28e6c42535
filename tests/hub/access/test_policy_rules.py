"""Comparing rules of Kubernetes' RBAC: held by somebody, wanted by somebody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.access.policy_rules import holds, missing, only_reads
from hub.federation.rights import PolicyRule as R
from tests.hub.access.rbac import rbac_allows

EVERYTHING = R("*", ("*",), ("*",))


@pytest.mark.parametrize(
    ("held", "wanted", "answer"),
    [
        (R("", ("pods",), ("get", "list")), R("", ("pods",), ("get",)), True),
        (R("", ("pods",), ("get",)), R("", ("pods",), ("get", "delete")), False),
        (R("", ("pods",), ("get",)), R("", ("pods", "secrets"), ("get",)), False),
        (EVERYTHING, R("apps", ("deployments/scale",), ("patch",), ("web",)), True),
        (R("", ("*",), ("get",)), R("", ("pods/log",), ("get",)), True),
        (R("", ("pods",), ("get",)), R("", ("pods/exec",), ("get",)), False),
        (R("apps", ("*/scale",), ("get",)), R("apps", ("deployments/scale",), ("get",)), True),
        (R("apps", ("*/scale",), ("get",)), R("apps", ("deployments",), ("get",)), False),
        (R("", ("secrets",), ("get",), ("a", "b")), R("", ("secrets",), ("get",), ("a",)), True),
        (R("", ("secrets",), ("get",), ("a",)), R("", ("secrets",), ("get",), ("a", "b")), False),
        (R("", ("secrets",), ("get",), ("a",)), R("", ("secrets",), ("get",)), False),
        (R("", ("secrets",), ("get",)), R("", ("secrets",), ("get",), ("a",)), True),
        (R("", (), ("get",), urls=("/metrics",)), R("", (), ("get",), urls=("/metrics",)), True),
        (R("", (), ("get",), urls=("/metrics",)), R("", (), ("get",), urls=("*",)), False),
        (R("", (), ("get",), urls=("/healthz/*",)), R("", (), ("get",), urls=("/healthz/ready",)), True),
        (EVERYTHING, R("", (), ("get",), urls=("/metrics",)), False),
    ],
)
def test_what_is_held(held: R, wanted: R, answer: bool) -> None:
    assert holds([held], [wanted]) is answer


def test_sec34_the_api_group_counts() -> None:
    assert not holds([R("networking.k8s.io", ("ingresses",), ("get",))], [R("extensions", ("ingresses",), ("get",))])
    assert not holds([R("", ("*",), ("*",))], [R("apps", ("deployments",), ("get",))])
    assert not holds([R("apps", ("*",), ("*",))], [R("*", ("*",), ("*",))])


@pytest.mark.parametrize("wanted", [R("*", ("pods",), ("get",)), R("", ("*",), ("get",)), R("", ("pods",), ("*",))])
def test_sec34_a_wildcard_is_held_by_a_wildcard_only(wanted: R) -> None:
    listed = R("", ("pods", "secrets", "configmaps"), ("get", "list", "watch", "create", "update", "patch", "delete"))
    assert not holds([listed], [wanted])
    assert holds([EVERYTHING], [wanted])


def test_rules_add_up_right_by_right() -> None:
    held = [R("", ("pods",), ("get",)), R("", ("pods",), ("list",)), R("", ("secrets",), ("get",))]
    assert holds(held, [R("", ("pods",), ("get", "list"))])
    assert list(missing(held, [R("", ("pods", "secrets"), ("list",))])) == [R("", ("secrets",), ("list",))]


def test_nothing_is_held_by_all_and_holds_nothing() -> None:
    assert holds([], [])
    assert not holds([], [R("", ("pods",), ("get",))])


def test_sec39_a_get_that_opens_a_session_is_no_reading() -> None:
    assert only_reads([R("", ("pods", "pods/log"), ("get", "watch"))])
    assert only_reads([R("apps", ("*",), ("list",))])
    for group, resource in (("", "pods/exec"), ("subresources.kubevirt.io", "*"), ("", "*"), ("*", "*")):
        assert not only_reads([R(group, (resource,), ("get",))])
    assert not only_reads([R("", ("pods",), ("delete",))])
    assert not only_reads([R("", ("pods",), ("*",))])


rules = st.builds(
    R,
    group=st.sampled_from(["", "apps", "*"]),
    resources=st.lists(st.sampled_from(["pods", "pods/log", "deployments", "*", "*/log"]), min_size=1).map(tuple),
    verbs=st.lists(st.sampled_from(["get", "delete", "*"]), min_size=1).map(tuple),
    names=st.sampled_from([(), ("a",), ("a", "b")]),
)
rights = st.tuples(
    st.sampled_from(["", "apps", "batch"]),
    st.sampled_from(["pods", "pods/log", "deployments", "secrets"]),
    st.sampled_from(["get", "delete", "patch"]),
    st.sampled_from(["a", "b", "c"]),
)


@given(st.lists(rules, max_size=3), st.lists(rules, max_size=2), rights)
def test_sec32_who_holds_it_all_could_do_it_all_himself(
    held: list[R], wanted: list[R], right: tuple[str, str, str, str]
) -> None:
    if holds(held, wanted) and rbac_allows(wanted, *right):
        assert rbac_allows(held, *right)


@given(st.lists(rules, max_size=3))
def test_everybody_holds_what_he_holds(held: list[R]) -> None:
    assert holds(held, held)

"""Rules: what they allow, and when one covers another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.apiserver.rbac import Rule
from simulator.apiserver.requests import RequestInfo, parse_request


def rule(**fields: list[str]) -> Rule:
    return Rule.parse(fields)


def request(verb: str = "get", resource: str = "pods", **more: str) -> RequestInfo:
    about = {"group": "", "version": "v1", "namespace": "one", "name": "", "subresource": ""} | more
    return RequestInfo(
        verb,
        "",
        True,
        about["group"],
        about["version"],
        about["namespace"],
        resource,
        about["name"],
        about["subresource"],
    )


@pytest.mark.parametrize(
    ("resources", "subresource", "allowed"),
    [
        (["pods"], "", True),
        (["pods"], "log", False),
        (["pods/log"], "log", True),
        (["*/log"], "log", True),
        (["*/log"], "", False),
        (["*"], "log", True),
        (["secrets"], "", False),
    ],
)
def test_resources_and_subresources(resources: list[str], subresource: str, allowed: bool) -> None:
    found = rule(verbs=["get"], apiGroups=[""], resources=resources)
    assert found.allows(request(subresource=subresource)) is allowed


def test_names_exclude_requests_without_a_name() -> None:
    found = rule(verbs=["*"], apiGroups=["*"], resources=["*"], resourceNames=["a"])
    assert found.allows(request(name="a"))
    assert not found.allows(request(name="b"))
    assert not found.allows(request(verb="create"))


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [("/healthz", "/healthz", True), ("/healthz", "/healthz/x", False), ("/api/*", "/api/v1", True), ("*", "/x", True)],
)
def test_paths(pattern: str, path: str, allowed: bool) -> None:
    assert rule(verbs=["get"], nonResourceURLs=[pattern]).allows(RequestInfo("get", path)) is allowed


words = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=2)
rules = st.builds(
    lambda verbs, groups, resources, names: rule(
        verbs=verbs, apiGroups=groups, resources=resources, resourceNames=names
    ),
    words,
    words,
    words,
    st.lists(st.sampled_from(["a", "b"]), max_size=2),
)
requests = st.builds(
    lambda verb, group, resource, name: request(verb, resource, group=group, name=name),
    *[st.sampled_from(["a", "b", "c"])] * 3,
    st.sampled_from(["", "a", "b"]),
)


@given(rules, rules, requests)
def test_a_rule_that_covers_another_allows_all_that_it_allows(mine: Rule, other: Rule, asked: RequestInfo) -> None:
    if all(mine.covers(right) for right in other.breakdown()) and other.allows(asked):
        assert mine.allows(asked)


@given(rules)
def test_a_rule_covers_itself(mine: Rule) -> None:
    assert all(mine.covers(right) for right in mine.breakdown())


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/namespaces/one/pods", {}, ("list", "", "one", "pods", "", "")),
        ("GET", "/api/v1/namespaces/one/pods/a", {}, ("get", "", "one", "pods", "a", "")),
        ("GET", "/api/v1/pods", {"watch": "1"}, ("watch", "", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces/one", {}, ("get", "", "one", "namespaces", "one", "")),
        ("PUT", "/api/v1/namespaces/one/status", {}, ("update", "", "one", "namespaces", "one", "status")),
        ("PUT", "/api/v1/namespaces/one/finalize", {}, ("update", "", "one", "namespaces", "one", "finalize")),
        (
            "DELETE",
            "/apis/kubevirt.io/v1/namespaces/one/vms",
            {},
            ("deletecollection", "kubevirt.io", "one", "vms", "", ""),
        ),
        ("PATCH", "/apis/g/v1/things/a/b/c", {}, ("patch", "g", "", "things", "a", "b/c")),
        ("GET", "/api/v1/pods", {"fieldSelector": "metadata.name=a"}, ("list", "", "", "pods", "a", "")),
        ("GET", "/api/v1/pods", {"fieldSelector": "metadata.name!=a"}, ("list", "", "", "pods", "", "")),
    ],
)
def test_requests_are_taken_apart(method: str, path: str, query: dict[str, str], expected: tuple[str, ...]) -> None:
    info = parse_request(method, path, query)
    assert info.is_resource
    assert (info.verb, info.group, info.namespace, info.resource, info.name, info.subresource) == expected


@pytest.mark.parametrize("path", ["/", "/version", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1"])
def test_discovery_is_about_no_resource(path: str) -> None:
    assert not parse_request("GET", path, {}).is_resource


def test_names_in_a_path_keep_their_escaped_characters_apart() -> None:
    info = parse_request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:admin", {})
    assert info.name == "system:admin"

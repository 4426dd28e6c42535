"""Generated input: whatever is sent, the answer is one that the OpenAPI file describes, and never a 5xx."""

import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hub.api.openapi import openapi_of_process
from hub.provisioning import orders
from kube.kubeconfig import render_kubeconfig
from node_driver.fake.driver import FakeDriver
from tests.hub.api.callers import Answer, Caller, make_caller
from tests.hub.api.orders import Place, order
from tests.hub.api.world import Estate, make_estate
from tests.workers.stage import Stage

EXAMPLES = 120
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,  # the same cases in every run: a finding is not lost
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_TEXT = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["", "a", "web", "fake/image", "\x00", "\ud800", "../..", "'; --", "%s", "{{x}}", "10.0.0.0/8", "2001:db8::/64", "x" * 300]
)  # fmt: skip
_LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | _TEXT
    | st.sampled_from([0, 1, 3, -1, 2**31, 2**63, 1e308])
)
JSON = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=10,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything inside a document, itself first."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*path, name))


@st.composite
def mutations(draw: st.DrawFn, good: Any) -> Any:
    """A good body with up to three places replaced, taken away, or added to."""
    document = copy.deepcopy(good)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(places(document))))
        value = draw(JSON)
        if not path:
            document = draw(st.sampled_from([document, value]))
            continue
        holder = document
        for part in path[:-1]:
            holder = holder[part]
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "replace":
                holder[path[-1]] = value
            case "remove":
                del holder[path[-1]]
            case "add" if isinstance(holder, dict):
                holder[draw(_TEXT)] = value
            case "add":
                holder.append(value)
    return document


def check(method: str, route: str, answer: Answer) -> None:
    """The answer is one that the description has, and its body is what it says."""
    assert answer.status < 500, answer.body
    document = openapi_of_process()
    described = document["paths"][route][method.lower()]["responses"]
    assert str(answer.status) in described, (answer.status, answer.body)
    found = described[str(answer.status)]
    if "$ref" in found:
        assert answer.code
        found = document["components"]["responses"][found["$ref"].rpartition("/")[2]]
    for media in found.get("content", {}).values():
        schema = {**media["schema"], "components": document["components"]}
        errors = list(Draft202012Validator(schema).iter_errors(answer.body))
        assert not errors, errors[0].message


def send(caller: Caller, method: str, path: str, route: str, body: Any) -> None:
    """Sends it and undoes what it did."""
    raw = json.dumps(body).encode()
    with transaction.atomic():
        answer = caller.call(method, path, raw=raw, headers={"If-Match": "*"})
        transaction.set_rollback(True)
    check(method, route, answer)


@pytest.fixture
def estate(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Estate:
    """Orders may name any driver; the fake infrastructure answers for all of them."""
    monkeypatch.setattr(orders, "open_driver", lambda name, cluster: FakeDriver(stage.infrastructure))
    return make_estate()


@pytest.fixture
def root(estate: Estate) -> Caller:
    return make_caller("hub-admin")


KUBECONFIG = render_kubeconfig(name="a", server="https://harvester.example.org:6443", ca_pem=None, token="x" * 40)


def test_the_bodies_that_are_changed_at_random_are_good_ones(root: Caller, estate: Estate) -> None:
    """Else everything below would be refused for the same reason."""
    for path, body in (
        ("tenants", TENANT),
        ("tokens", TOKEN),
        ("clusters", CLUSTER),
        ("projects", {"name": "p", "tenant": str(estate.tenant.pk)}),
        ("guest-clusters", full_order(estate)),
        ("project-namespaces", {"project": str(estate.project.pk), "cluster": str(estate.cluster.pk)}),
        ("users", USER),
        ("role-bindings", binding(estate)),
        (f"clusters/{estate.cluster.pk}/kubeconfig", {"expires_in_seconds": 60}),
    ):
        answer = root.post(path, body)
        assert answer.status in (201, 202), answer.body


TENANT = {"name": "acme", "display_name": "Acme"}
TOKEN = {
    "name": "t",
    "expires_in_seconds": 60,
    "scope": {"read_only": True, "verbs": ["get"], "projects": [], "clusters": []},
}
USER = {"username": "maria", "display_name": "Maria", "password": "correct horse battery staple"}
CLUSTER = {"name": "berlin", "kind": "harvester", "kubeconfig": KUBECONFIG, "labels": {"site": "berlin"}}


def binding(estate: Estate) -> dict[str, Any]:
    return {"user": str(estate.user.pk), "role": "project-viewer", "tenant": str(estate.tenant.pk), "project": None}


def full_order(estate: Estate) -> dict[str, Any]:
    """An order that uses every member that there is."""
    place = Place(estate.project, estate.cluster, estate.guest.namespace)
    body = order(
        place,
        name="fuzzed",
        kubernetes_version=None,
        network={
            "cluster_cidrs": ["10.80.0.0/16"],
            "service_cidrs": ["10.81.0.0/16"],
            "cluster_domain": "cluster.local",
        },
        options={
            "tls_sans": ["a.example.org"],
            "distribution_options": {"debug": True},
            "component_args": {"kubelet": ["v=2"]},
        },
    )
    address = {"addresses": ["192.168.7.5/24"], "gateways": ["192.168.7.1"], "search_domains": ["example.org"]}
    taint = {"key": "gpu", "effect": "NoSchedule", "value": "yes"}
    body["pools"][1] |= {"count": 1, "labels": {"a": "b"}, "taints": [taint], "static_addresses": [address]}
    return body


@fuzzed
@given(data=st.data())
def test_fuzzed_tenants(root: Caller, data: st.DataObject) -> None:
    send(root, "POST", "tenants", "/api/v1/tenants", data.draw(mutations(TENANT)))


@fuzzed
@given(data=st.data())
def test_fuzzed_projects(root: Caller, estate: Estate, data: st.DataObject) -> None:
    good = {"name": "p", "tenant": str(estate.tenant.pk), "display_name": "P"}
    send(root, "POST", "projects", "/api/v1/projects", data.draw(mutations(good)))


@fuzzed
@given(data=st.data())
def test_fuzzed_project_namespaces(root: Caller, estate: Estate, data: st.DataObject) -> None:
    good = {"project": str(estate.project.pk), "cluster": str(estate.cluster.pk)}
    send(root, "POST", "project-namespaces", "/api/v1/project-namespaces", data.draw(mutations(good)))


@fuzzed
@given(data=st.data())
def test_fuzzed_users(root: Caller, data: st.DataObject) -> None:
    send(root, "POST", "users", "/api/v1/users", data.draw(mutations(USER)))


@fuzzed
@given(data=st.data())
def test_fuzzed_role_bindings(root: Caller, estate: Estate, data: st.DataObject) -> None:
    send(root, "POST", "role-bindings", "/api/v1/role-bindings", data.draw(mutations(binding(estate))))


@fuzzed
@given(data=st.data())
def test_fuzzed_tokens(root: Caller, data: st.DataObject) -> None:
    send(root, "POST", "tokens", "/api/v1/tokens", data.draw(mutations(TOKEN)))


@fuzzed
@given(data=st.data())
def test_fuzzed_imports(root: Caller, data: st.DataObject) -> None:
    send(root, "POST", "clusters", "/api/v1/clusters", data.draw(mutations(CLUSTER)))


@fuzzed
@given(data=st.data())
def test_fuzzed_orders(root: Caller, estate: Estate, data: st.DataObject) -> None:
    send(root, "POST", "guest-clusters", "/api/v1/guest-clusters", data.draw(mutations(full_order(estate))))


@fuzzed
@given(data=st.data())
def test_fuzzed_kubeconfigs(root: Caller, estate: Estate, data: st.DataObject) -> None:
    path = f"clusters/{estate.cluster.pk}/kubeconfig"
    send(root, "POST", path, "/api/v1/clusters/{id}/kubeconfig", data.draw(mutations({"expires_in_seconds": 60})))


@pytest.mark.parametrize(
    ("resource", "good"),
    [
        ("tenants", TENANT),
        ("projects", {"name": "p", "display_name": None}),
        ("clusters", {"labels": {"a": "b", "c": None}}),
        ("node-pools", {"count": 3}),
        ("users", {"display_name": None, "is_active": False, "password": USER["password"]}),
    ],
)
@fuzzed
@given(data=st.data())
def test_fuzzed_patches(root: Caller, estate: Estate, data: st.DataObject, resource: str, good: Any) -> None:
    path = f"{resource}/{estate.id_of(resource)}"
    send(root, "PATCH", path, f"/api/v1/{resource}/{{id}}", data.draw(mutations(good)))


LISTS = (
    "audit-events",
    "clusters",
    "guest-clusters",
    "machines",
    "node-pools",
    "operations",
    "project-namespaces",
    "projects",
    "role-bindings",
    "tenants",
    "tokens",
    "users",
)


@pytest.mark.parametrize("resource", LISTS)
@settings(fuzzed, max_examples=EXAMPLES // 3)
@given(data=st.data())
def test_fuzzed_lists(root: Caller, data: st.DataObject, resource: str) -> None:
    described = openapi_of_process()["paths"][f"/api/v1/{resource}"]["get"]["parameters"]
    names = st.sampled_from([parameter["name"] for parameter in described]) | _TEXT
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
        ["1", "name", "-created_at", "a=b"]
    )
    query = data.draw(st.lists(st.tuples(names.filter(lambda name: name.isprintable()), text), max_size=3))
    url = f"{resource}?" + "&".join(f"{quote(name, errors='replace')}={quote(value)}" for name, value in query)
    check("GET", f"/api/v1/{resource}", root.get(url))


@pytest.mark.parametrize("resource", LISTS)
@settings(fuzzed, max_examples=EXAMPLES // 3)
@given(id=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=40))
def test_fuzzed_ids(root: Caller, resource: str, id: str) -> None:
    answer = root.get(f"{resource}/{quote(id)}")
    assert (answer.status, answer.code) == (404, "object.not_found") or id in {".", ".."}


@fuzzed
@given(raw=st.binary(max_size=400))
def test_fuzzed_bytes(root: Caller, raw: bytes) -> None:
    answer = root.call("POST", "guest-clusters", raw=raw)
    assert answer.status == 400


@fuzzed
@given(name=st.sampled_from(["If-Match", "Idempotency-Key", "Authorization", "X-Request-Id", "Accept"]), value=_TEXT)
def test_fuzzed_headers(root: Caller, estate: Estate, name: str, value: str) -> None:
    header = value.encode(errors="replace").decode("latin-1")
    with transaction.atomic():
        answer = root.call("PATCH", f"tenants/{estate.tenant.pk}", {}, headers={"If-Match": "*", name: header})
        transaction.set_rollback(True)
    assert answer.status in (200, 400, 401, 412)

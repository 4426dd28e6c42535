"""Every route by every role on one's own, a foreign and a missing object: the wall as a whole.

A route that is not in the table fails the build, and so does a line of the table without a route.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import models, transaction
from django.urls import URLPattern, URLResolver, get_resolver

from hub.access.services import bind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.core.models import Change
from hub.core.sealed import SealedText
from hub.identity.actors import actor_of
from kube.kubeconfig import render_kubeconfig
from tests.hub.api.callers import Answer, Caller, with_token
from tests.hub.api.world import Estate, make_estate
from tests.hub.builders import make_project, make_user, unique
from tests.workers.stage import Stage

ROLES = ("hub-admin", "tenant-owner", "project-viewer", "nobody", "stranger")
OPEN = (200, 200, 200, 200, 200)
ALL = (200, 200, 200, 200, 401)
SEEN = (200, 200, 200, 404, 401)
HIDDEN = (200, 404, 404, 404, 401)
GONE = (404, 404, 404, 404, 401)

# Method and path: the status for each role on one's own, a foreign and a missing object; one line where there is no object.
TABLE: dict[str, tuple[tuple[int, ...], ...]] = {
    "GET /livez": (OPEN,),
    "GET /readyz": (OPEN,),
    "GET /metrics": ((200, 403, 403, 403, 401),),
    "GET /api/v1/openapi.json": (OPEN,),
    "GET /api/v1/whoami": (ALL,),
    "GET /api/v1/releases": (ALL,),
    "GET /api/v1/node-drivers": (ALL,),
    "GET /api/v1/tenants": (ALL,),
    "POST /api/v1/tenants": ((201, 403, 403, 403, 401),),
    "GET /api/v1/tenants/<pk>": (SEEN, HIDDEN, GONE),
    "PATCH /api/v1/tenants/<pk>": ((200, 200, 403, 404, 401), HIDDEN, GONE),
    "DELETE /api/v1/tenants/<pk>": ((409, 403, 403, 404, 401), (409, 404, 404, 404, 401), GONE),
    "GET /api/v1/projects": (ALL,),
    "POST /api/v1/projects": ((201, 201, 403, 400, 401), (201, 400, 400, 400, 401), (400, 400, 400, 400, 401)),
    "GET /api/v1/projects/<pk>": (SEEN, HIDDEN, GONE),
    "PATCH /api/v1/projects/<pk>": ((200, 200, 403, 404, 401), HIDDEN, GONE),
    "DELETE /api/v1/projects/<pk>": ((409, 409, 403, 404, 401), (409, 404, 404, 404, 401), GONE),
    "GET /api/v1/clusters": (ALL,),
    "POST /api/v1/clusters": ((202, 403, 403, 403, 401),),
    "GET /api/v1/clusters/<pk>": (SEEN, HIDDEN, GONE),
    "PATCH /api/v1/clusters/<pk>": ((200, 403, 403, 404, 401), HIDDEN, GONE),
    "DELETE /api/v1/clusters/<pk>": ((409, 403, 403, 404, 401), (409, 404, 404, 404, 401), GONE),
    "POST /api/v1/clusters/<pk>/kubeconfig": ((201, 201, 201, 404, 401), (201, 404, 404, 404, 401), GONE),
    "GET /api/v1/project-namespaces": (ALL,),
    "POST /api/v1/project-namespaces": (
        (201, 403, 403, 400, 401),
        (201, 400, 400, 400, 401),
        (400, 400, 400, 400, 401),
    ),
    "GET /api/v1/project-namespaces/<pk>": (SEEN, HIDDEN, GONE),
    "DELETE /api/v1/project-namespaces/<pk>": ((409, 403, 403, 404, 401), (409, 404, 404, 404, 401), GONE),
    "GET /api/v1/guest-clusters": (ALL,),
    "POST /api/v1/guest-clusters": ((202, 202, 403, 400, 401), (202, 400, 400, 400, 401), (400, 400, 400, 400, 401)),
    "GET /api/v1/guest-clusters/<pk>": (SEEN, HIDDEN, GONE),
    "DELETE /api/v1/guest-clusters/<pk>": ((202, 202, 403, 404, 401), (202, 404, 404, 404, 401), GONE),
    "GET /api/v1/node-pools": (ALL,),
    "GET /api/v1/node-pools/<pk>": (SEEN, HIDDEN, GONE),
    "PATCH /api/v1/node-pools/<pk>": ((202, 202, 403, 404, 401), (202, 404, 404, 404, 401), GONE),
    "GET /api/v1/machines": (ALL,),
    "GET /api/v1/machines/<pk>": (SEEN, HIDDEN, GONE),
    "GET /api/v1/machines/<pk>/log": (SEEN, HIDDEN, GONE),
    "GET /api/v1/operations": (ALL,),
    "GET /api/v1/operations/<pk>": (SEEN, HIDDEN, GONE),
    "GET /api/v1/audit-events": (ALL,),
    "GET /api/v1/audit-events/<pk>": ((200, 200, 404, 404, 401), HIDDEN, GONE),
    "GET /api/v1/tokens": (ALL,),
    "POST /api/v1/tokens": ((201, 201, 201, 201, 401),),
    "GET /api/v1/tokens/<pk>": (ALL, HIDDEN, GONE),
    "DELETE /api/v1/tokens/<pk>": ((204, 204, 204, 204, 401), (204, 404, 404, 404, 401), GONE),
    "GET /api/v1/users": (ALL,),
    "POST /api/v1/users": ((201, 403, 403, 403, 401),),
    "GET /api/v1/users/<pk>": (ALL, HIDDEN, GONE),
    "PATCH /api/v1/users/<pk>": ((200, 403, 403, 403, 401), HIDDEN, GONE),
    "GET /api/v1/role-bindings": (ALL,),
    "POST /api/v1/role-bindings": ((201, 201, 403, 400, 401), (201, 400, 400, 400, 401), (400, 400, 400, 400, 401)),
    "GET /api/v1/role-bindings/<pk>": ((200, 200, 404, 404, 401), HIDDEN, GONE),
    "DELETE /api/v1/role-bindings/<pk>": ((204, 204, 404, 404, 401), (204, 404, 404, 404, 401), GONE),
}
# What a list holds, of one's own and of the other tenant.
LISTED: dict[str, tuple[tuple[bool, bool], ...]] = {
    "audit-events": ((True, True), (True, False), (False, False), (False, False)),
    "tokens": ((True, True), (True, False), (True, False), (True, False)),
    "users": ((True, True), (True, False), (True, False), (True, False)),
    "role-bindings": ((True, True), (True, False), (False, False), (False, False)),
}
SEES_OWN = ((True, True), (True, False), (True, False), (False, False))
OF_A_TENANT = (
    "POST /api/v1/projects",
    "POST /api/v1/project-namespaces",
    "POST /api/v1/guest-clusters",
    "POST /api/v1/role-bindings",
)
OWNERSHIPS = ("own", "foreign", "missing")


def routes() -> Iterator[tuple[str, str]]:
    """(method, path) of everything that the URL root leads to."""
    yield from _walk(get_resolver().url_patterns, "/")


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}".replace("<str:pk>", "<pk>")
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
            continue
        for method in getattr(pattern.callback, "actions", {"get": ""}):
            if method != "head":  # comes with GET
                yield method.upper(), path


def test_every_route_is_in_the_table_and_every_line_has_a_route() -> None:
    assert {f"{method} {path}" for method, path in routes()} == set(TABLE)


def test_every_line_speaks_of_every_role_and_ownership() -> None:
    assert {len(statuses) for lines in TABLE.values() for statuses in lines} == {len(ROLES)}
    for line, lines in TABLE.items():
        assert len(lines) == (3 if "<pk>" in line or line in OF_A_TENANT else 1), line


@pytest.fixture
def estates(stage: Stage, pumps: None) -> tuple[Estate, Estate]:
    """``pumps``: some routes and tests look at every kind of row that is loaded."""
    return make_estate(), make_estate()


def caller_as(role: str, estate: Estate) -> Caller:
    """The estate's user with this role there, so that its token is his own."""
    if role == "stranger":
        return Caller()
    scopes: dict[str, Any] = {"tenant-owner": estate.tenant, "project-viewer": estate.project}
    if role != "nobody":
        bind_role(SYSTEM, role, estate.user, scopes.get(role))
    return with_token(actor_of(estate.user))


def send(caller: Caller, line: str, own: Estate, other: Estate, ownership: str) -> Answer:
    """The request of a line of the table; its effect is undone."""
    method, path = line.split(" ")
    target = {"own": own, "foreign": other}.get(ownership)
    resource = path.removeprefix("/api/v1/").partition("/")[0]
    id = str(uuid7()) if target is None else str(target.id_of(resource)) if "<pk>" in path else ""
    body = _body(method, resource, path, target)
    with transaction.atomic():
        answer = caller.call(method, path.replace("<pk>", id), body, headers={"If-Match": "*"})
        transaction.set_rollback(True)
    return answer


def _body(method: str, resource: str, path: str, target: Estate | None) -> Any:
    if method == "PATCH":
        return {"count": 1} if resource == "node-pools" else {}
    if method != "POST" or path.endswith("/kubeconfig"):
        return {} if method == "POST" else None
    settings = {"image": "fake/image", "network": "fake/network"}
    kubeconfig = render_kubeconfig(name="a", server="https://harvester.example.org:6443", ca_pem=None, token="x" * 40)
    bodies: dict[str, Any] = {
        "tenants": {"name": unique("t")},
        "tokens": {"name": "t"},
        "clusters": {"name": unique("c"), "kind": "harvester", "kubeconfig": kubeconfig},
        "projects": {"name": unique("p"), "tenant": str(target.tenant.pk if target else uuid7())},
        "project-namespaces": {
            "project": str(target.project.pk if target else uuid7()),
            "cluster": str(target.cluster.pk if target else uuid7()),
        },
        "users": {"username": unique("u")},
        "role-bindings": {
            "user": str(target.user.pk if target else uuid7()),
            "role": "project-viewer",
            "project": str(target.project.pk if target else uuid7()),
        },
        "guest-clusters": {
            "name": unique("g"),
            "project": str(target.project.pk if target else uuid7()),
            "infrastructure": str(target.cluster.pk if target else uuid7()),
            "distribution": "k3s",
            "driver": "fake",
            "pools": [{"name": "servers", "role": "server", "count": 1, "settings": settings}],
        },
    }
    return bodies[resource]


@pytest.mark.parametrize("role", ROLES)
def test_sec40_every_route_answers_this_role_as_the_table_says(role: str, estates: tuple[Estate, Estate]) -> None:
    own, other = estates
    caller = caller_as(role, own)
    wanted, found = {}, {}
    for line, lines in TABLE.items():
        for ownership, statuses in zip(OWNERSHIPS, lines, strict=False):
            wanted[line, ownership] = statuses[ROLES.index(role)]
            found[line, ownership] = send(caller, line, own, other, ownership).status
    assert found == wanted


@pytest.mark.parametrize("role", ROLES[:4])
def test_sec41_a_list_holds_what_this_role_may_see(role: str, estates: tuple[Estate, Estate]) -> None:
    own, other = estates
    caller = caller_as(role, own)
    for line in TABLE:
        resource = line.removeprefix("GET /api/v1/")
        if not line.startswith("GET") or f"GET /api/v1/{resource}/<pk>" not in TABLE:
            continue
        ids = caller.ids(f"{resource}?limit=500")
        seen = tuple(str(estate.id_of(resource)) in ids for estate in (own, other))
        assert seen == LISTED.get(resource, SEES_OWN)[ROLES.index(role)], resource


@pytest.mark.parametrize("role", ROLES[:4])
def test_a_project_is_the_border_inside_a_tenant(role: str, estates: tuple[Estate, Estate]) -> None:
    """A viewer of one project sees nothing of the tenant's other ones."""
    own, _ = estates
    sibling = make_project(own.tenant)
    status = caller_as(role, own).get(f"projects/{sibling.pk}").status
    assert status == {"hub-admin": 200, "tenant-owner": 200}.get(role, 404)


def test_sec39_a_role_that_reads_reaches_no_method_that_changes(estates: tuple[Estate, Estate]) -> None:
    """What a viewer can POST or DELETE are his own tokens, kubeconfigs among them."""
    viewer = ROLES.index("project-viewer")
    changed = {
        line
        for line, lines in TABLE.items()
        if not line.startswith("GET") and any(statuses[viewer] < 400 for statuses in lines)
    }
    assert changed == {
        "POST /api/v1/tokens",
        "DELETE /api/v1/tokens/<pk>",
        "POST /api/v1/clusters/<pk>/kubeconfig",
    }


@pytest.mark.parametrize("role", ["hub-admin", "project-viewer"])
def test_sec39_reading_changes_nothing(role: str, estates: tuple[Estate, Estate]) -> None:
    own, other = estates
    caller = caller_as(role, own)
    caller.get("whoami")  # the token's first use is noted
    before = (Change.objects.count(), AuditEvent.objects.count())
    for line in TABLE:
        if line.startswith("GET"):
            send(caller, line, own, other, "own")
    assert (Change.objects.count(), AuditEvent.objects.count()) == before


def test_sec01_no_stored_secret_is_in_any_answer(estates: tuple[Estate, Estate]) -> None:
    own, other = estates
    canary = "canary-canary-canary"
    for secret in ("pasted_kubeconfig", "client_certificate", "access_token", "renewal_token"):
        setattr(own.cluster, secret, f"{canary}-{secret}")
    own.cluster.save()
    secrets = stored_secrets()
    assert len(secrets) >= 10
    admin = caller_as("hub-admin", own)
    for line in TABLE:
        if line.startswith("GET"):
            content = send(admin, line, own, other, "own").response.content.decode()
            assert not [name for name, text in secrets.items() if text[:200] in content], line


def stored_secrets() -> dict[str, str]:
    """Every sealed value there is, in clear, by where it is."""
    return {
        f"{model.__name__}.{field.name} {row.pk}": getattr(row, field.attname).reveal()
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, SealedText)
        for row in model._base_manager.all()
        if getattr(row, field.attname)
    }


def test_sec42_no_field_of_a_row_can_be_set_but_those_that_are_offered(estates: tuple[Estate, Estate]) -> None:
    """Each column of each model, posted and patched by the one who may do most, is refused as unknown."""
    own, _ = estates
    admin = caller_as("hub-admin", own)
    offered = {
        "tenants": {"name", "display_name"},
        "projects": {"name", "display_name", "tenant"},
        "clusters": {"name", "kind", "kubeconfig", "labels"},
        "guest-clusters": set(_body("POST", "guest-clusters", "", own)) | {"kubernetes_version", "network", "options"},
        "tokens": {"name", "scope", "expires_in_seconds"},
        "project-namespaces": {"project", "cluster"},
        "users": {"username", "display_name", "is_active", "password"},
        "role-bindings": {"user", "role", "tenant", "project", "cluster"},
    }
    rows: dict[str, models.Model] = {
        "tenants": own.tenant,
        "projects": own.project,
        "clusters": own.cluster,
        "guest-clusters": own.guest,
        "tokens": own.token,
        "project-namespaces": own.guest.namespace,
        "users": own.user,
        "role-bindings": own.binding,
    }
    for resource, known in offered.items():
        columns = {field.attname for field in rows[resource]._meta.concrete_fields}
        columns |= {field.name for field in rows[resource]._meta.concrete_fields}
        for column in columns - known:
            body = {**_body("POST", resource, "", own), column: None}
            answer = admin.post(resource, body)
            assert answer.faults == {f"/{column}": "field.unknown"}, (resource, column)
            if f"PATCH /api/v1/{resource}/<pk>" in TABLE:
                answer = admin.patch(f"{resource}/{own.id_of(resource)}", {column: None})
                assert answer.faults == {f"/{column}": "field.unknown"}, (resource, column)


def test_a_user_without_any_role_is_told_nothing_by_any_error(estates: tuple[Estate, Estate]) -> None:
    """Foreign and missing: the same status and the same body, for every route with an id."""
    own, other = estates
    nobody = with_token(actor_of(make_user()))
    for line in TABLE:
        if "<pk>" in line:
            foreign, missing = (send(nobody, line, own, other, ownership) for ownership in ("foreign", "missing"))
            assert foreign.problem == missing.problem, line

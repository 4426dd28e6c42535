"""Every route by every role on one's own, a foreign and a missing object: the wall as a whole.

The table is ``matrix_table``. A route that is not in it fails the build, and so does a line of it without a route. All tests
share one world, which each leaves as it was: a request's effect is undone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db.models import Count, Max, Sum
from django.urls import URLPattern, URLResolver, get_resolver

from hub.access.built_in_roles import ROLES as BUILT_IN_ROLES
from hub.api.openapi import openapi_of_process
from hub.core.ids import uuid7
from hub.core.models import Record
from hub.core.sealed import SealedText
from tests.hub.api.callers import Answer
from tests.hub.api.matrix_bodies import OFFERED, body_for
from tests.hub.api.matrix_table import (
    ADMIN,
    CALLERS,
    EVERYBODYS,
    FOREIGN,
    MISSING,
    NOBODY,
    OF_HUB,
    OF_NO_TENANT,
    OF_TENANT,
    OWN,
    READING,
    ROLES,
    SEES,
    TABLE,
    TENANT_OWNER,
    expected,
)
from tests.hub.api.matrix_world import World, undone
from tests.hub.builders import make_project

# ``django_db``: else pytest-django makes no database for this module alone. One process has the world, and all that is asked.
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("matrix")]


@dataclass(frozen=True)
class Told:
    """Answers by route and ownership, and what the reading ones have changed (nothing, one hopes)."""

    answers: Mapping[tuple[str, str], Answer]
    changed_by_reading: Mapping[str, Any]


@pytest.fixture(scope="module")
def told_to(world: World) -> Callable[[str], Told]:
    """What every route answers a caller; asked once for all tests."""

    @functools.cache
    def ask(caller: str) -> Told:
        send(world, caller, "GET /api/v1/whoami", OWN)  # a token's first use is noted
        before = state()
        answers = {key: send(world, caller, *key) for key in questions() if key[0].startswith("GET")}
        changed = {name: figures for name, figures in state().items() if before[name] != figures}
        return Told(answers | {key: send(world, caller, *key) for key in questions() if key not in answers}, changed)

    return ask


def questions() -> Iterator[tuple[str, str]]:
    for route, line in TABLE.items():
        for ownership in line.ownerships:
            yield route, ownership


def routes() -> Iterator[tuple[str, str]]:
    """(method, path) of everything that the URL root leads to."""
    yield from _walk(get_resolver().url_patterns, "/")


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}".replace("<str:", "<").replace("<uuid:", "<")
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
            continue
        methods = getattr(pattern.callback, "actions", None) or getattr(pattern.callback, "methods", ["get"])
        for method in methods:
            if method.lower() != "head":  # comes with GET
                yield method.upper(), path


def send(world: World, caller: str, route: str, ownership: str) -> Answer:
    """The request of a line of the table. What a change does is undone; reading has nothing to undo."""
    method, path = route.split(" ")
    resource = path.removeprefix("/api/v1/").partition("/")[0]
    path = path.replace("<pk>", world.id_of(caller, resource, ownership) if "<pk>" in path else "")
    path = path.replace("<text>", "nothing").replace("<name>", "nowhere").replace("<id>", str(uuid7()))
    people = world.callers if path.startswith("/api/") or path == "/metrics" else world.browsers
    body = body_for(route, world.target(ownership))
    with undone() if method != "GET" else nullcontext():
        answer = people[caller].call(method, path, body, headers={"If-Match": "*"})
    if answer.response.streaming:  # an export holds a place until it is read
        answer.response.content_read = b"".join(answer.response.streaming_content)
    return answer


class TestTheTable:
    def test_it_has_every_route_and_every_line_is_a_route(self) -> None:
        assert {f"{method} {path}" for method, path in routes()} == set(TABLE)

    def test_it_has_every_built_in_role(self) -> None:
        assert set(ROLES) == set(BUILT_IN_ROLES)

    def test_it_makes_3000_checks(self) -> None:
        assert sum(len(line.ownerships) for line in TABLE.values()) * len(CALLERS) >= 3000


@pytest.mark.parametrize("caller", CALLERS)
def test_sec40_every_route_answers_this_caller_as_the_table_says(told_to: Callable[[str], Told], caller: str) -> None:
    different = [
        f"{route} of {ownership}: {answer.status}, not {wanted}"
        for (route, ownership), answer in told_to(caller).answers.items()
        if answer.status != (wanted := expected(TABLE[route], caller, ownership))
    ]
    assert not different, "\n".join([caller, *different])


@pytest.mark.parametrize("caller", [*sorted(set(ROLES) - OF_HUB), NOBODY])
def test_sec40_a_foreign_and_a_missing_object_are_one_answer(told_to: Callable[[str], Told], caller: str) -> None:
    answers = told_to(caller).answers
    for route, line in TABLE.items():
        if FOREIGN in line.ownerships and line.sees not in OF_NO_TENANT:
            foreign, missing = answers[route, FOREIGN], answers[route, MISSING]
            assert foreign.problem == missing.problem, route
            headers = [set(answer.response.items()) for answer in (foreign, missing)]
            assert {name for name, _ in headers[0] ^ headers[1]} <= {"X-Request-Id"}, route


@pytest.mark.parametrize("caller", CALLERS)
def test_sec39_reading_changes_nothing(told_to: Callable[[str], Told], caller: str) -> None:
    """No row appears, goes or gets another version, whoever reads whatever."""
    assert told_to(caller).changed_by_reading == {}


def listed() -> Iterator[str]:
    """The resources that have a list and single objects."""
    for route in TABLE:
        resource = route.removeprefix("GET /api/v1/")
        if f"GET /api/v1/{resource}/<pk>" in TABLE:
            yield resource


@pytest.mark.parametrize("caller", [*ROLES, NOBODY])
def test_sec41_a_list_holds_what_this_caller_may_see_and_no_more(world: World, caller: str) -> None:
    for resource in listed():
        ids = world.callers[caller].ids(f"{resource}?limit=500")
        found = {ownership: world.id_of(caller, resource, ownership) in ids for ownership in (OWN, FOREIGN)}
        sees_own = resource in EVERYBODYS or caller in SEES[resource]
        assert found == {OWN: sees_own, FOREIGN: caller in OF_HUB and sees_own}, resource


@pytest.mark.parametrize("caller", ["tenant-owner", "project-viewer", "cluster-viewer", NOBODY])
def test_sec41_no_filter_tells_a_foreign_object_from_none(world: World, caller: str) -> None:
    """Each filter of each list, by what the other tenant's objects have."""
    document = openapi_of_process()
    for resource in listed():
        shown = world.callers["hub-admin"].get(f"{resource}/{world.id_of(caller, resource, FOREIGN)}").body
        for parameter in document["paths"][f"/api/v1/{resource}"]["get"]["parameters"]:
            name = parameter["name"]
            if name in {"limit", "continue", "sort", "fields"} or not isinstance(shown.get(name), str):
                continue
            answer = world.callers[caller].get(f"{resource}?{urlencode({name: shown[name], 'limit': 500})}")
            if answer.status == 200:
                assert world.id_of(caller, resource, FOREIGN) not in {item["id"] for item in answer.body["items"]}


@pytest.mark.parametrize("caller", [*ROLES, NOBODY])
def test_a_project_is_the_border_inside_a_tenant(world: World, caller: str) -> None:
    with undone():
        sibling = make_project(world.own.tenant)
        status = world.callers[caller].get(f"projects/{sibling.pk}").status
    assert (status == 200) == (caller in OF_HUB | OF_TENANT)


# Everybody's own: tokens, and what ends them.
OF_ONESELF = frozenset(
    {
        "POST /api/v1/tokens",
        "DELETE /api/v1/tokens/<pk>",
        "POST /api/v1/tokens/<pk>/rotate",
        "POST /api/v1/kubeconfigs",
        "DELETE /api/v1/kubeconfigs/<pk>",
        "POST /api/v1/clusters/<pk>/kubeconfig",
        "DELETE /api/v1/sessions/<pk>",
        "POST /api/v1/cli-logins/logout",
    }
)


def test_sec39_a_role_that_reads_reaches_no_method_that_changes() -> None:
    """What readers can change is their own, and what kubeconfigs they get says no more than they are."""
    for role in READING:
        changed = {
            route
            for route, line in TABLE.items()
            for ownership in line.ownerships
            if not route.startswith("GET") and line.without_login == 401 and expected(line, role, ownership) < 400
        }
        assert changed == OF_ONESELF, role


# Guesses at secrets are counted, whatever the method.
COUNTED = frozenset({"identity.LoginFailures"})


def state() -> dict[str, Any]:
    """How many rows of each kind there are, and of which versions."""
    found: dict[str, Any] = {}
    for model in apps.get_models():
        figures: list[Any] = [Count("pk")]
        if issubclass(model, Record):
            figures += [Sum("version"), Max("updated_at")]
        if model._meta.managed and model._meta.label not in COUNTED:
            found[model._meta.label] = model._base_manager.aggregate(*figures)
    return found


def written() -> Iterator[str]:
    """The routes that write the row that they name."""
    for route in TABLE:
        method, _, path = route.partition(" /api/v1/")
        if (method == "POST" and f"GET /api/v1/{path}/<pk>" in TABLE) or method == "PATCH":
            yield f"{method} {path}"


def test_sec42_no_field_of_a_row_can_be_set_but_those_that_are_offered(world: World) -> None:
    """Each column of each model, sent by the one who may do most, is refused as unknown."""
    assert set(OFFERED) == set(written())
    for route, offered in OFFERED.items():
        method, path = route.split(" ")
        resource = path.partition("/")[0]
        columns = type(world.own.row_of(resource))._meta.concrete_fields
        body = body_for(f"{method} /api/v1/{path}", world.own)
        path = path.replace("<pk>", world.id_of(ADMIN, resource, OWN))
        for name in {name for column in columns for name in (column.name, column.attname)} - offered:
            answer = world.callers[ADMIN].call(method, path, {**(body or {}), name: None}, headers={"If-Match": "*"})
            assert answer.faults == {f"/{name}": "field.unknown"}, (route, name)


@pytest.mark.parametrize("caller", ["cluster-admin", "tenant-owner", "project-viewer", NOBODY])
def test_sec40_a_body_that_names_one_s_own_and_a_foreign_object_tells_nothing(world: World, caller: str) -> None:
    """Beside the own cluster, a foreign project and none are one answer; and the other way round."""
    for path in ("project-namespaces", "guest-clusters", "quotas"):
        good = body_for(f"POST /api/v1/{path}", world.own)
        for named, resource in (("project", "projects"), ("cluster", "clusters"), ("infrastructure", "clusters")):
            if named in good:
                foreign, missing = (
                    world.callers[caller].post(path, {**good, named: id})
                    for id in (str(world.other.id_of(resource)), str(uuid7()))
                )
                assert foreign.problem == missing.problem, (path, named)


def test_sec01_no_stored_secret_is_in_any_answer(told_to: Callable[[str], Told]) -> None:
    secrets = stored_secrets()
    assert len(secrets) >= 10
    for caller in (ADMIN, TENANT_OWNER):
        for (route, ownership), answer in told_to(caller).answers.items():
            if route.startswith("GET"):
                content = read(answer)
                assert not [name for name, text in secrets.items() if text[:200] in content], (route, ownership)


def read(answer: Answer) -> str:
    response = answer.response
    content: bytes = response.content_read if response.streaming else response.content
    return content.decode()


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

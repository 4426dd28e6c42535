"""Every route by every role on one's own, a foreign and a missing object: the wall as a whole.

The table is ``matrix_table``. A route that is not in it fails the build, and so does a line of it without a route. All tests
share one world, which each leaves as it was: a request's effect is undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db import transaction
from django.db.models import Count, Max, Sum
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoDbBlocker

from hub.access.built_in_roles import ROLES as BUILT_IN_ROLES
from hub.access.services import Scope, bind_role
from hub.api.openapi import openapi_of_process
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.core.models import Record, hub_identity
from hub.core.sealed import SealedText
from hub.identity.actors import actor_of
from hub.identity.models import TokenPurpose
from hub.identity.sessions import COOKIE, start_session
from hub.identity.tokens import issue_token
from tests.hub.api.callers import Answer, Caller, with_token
from tests.hub.api.matrix_bodies import OFFERED, body_for
from tests.hub.api.matrix_table import (
    ADMIN,
    CALLERS,
    EVERYBODYS,
    FOREIGN,
    MISSING,
    NOBODY,
    OF_CLUSTER,
    OF_HUB,
    OF_NO_TENANT,
    OF_PROJECT,
    OF_TENANT,
    OWN,
    READING,
    ROLES,
    SEES,
    STRANGER,
    TABLE,
    TENANT_OWNER,
    expected,
)
from tests.hub.api.world import Estate, make_estate
from tests.hub.builders import make_project, make_user
from tests.workers.stage import set_stage

# ``django_db``: else pytest-django makes no database for this module alone. One process has the world, and all that is asked.
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("matrix")]


@dataclass(frozen=True)
class World:
    """Two tenants, and for each role somebody who has it in the first one's place."""

    own: Estate
    other: Estate
    callers: Mapping[str, Caller]
    browsers: Mapping[str, Caller]  # the same people with a session's cookie
    own_rows: Mapping[str, Mapping[str, Any]]  # by caller: ids of what everybody has of his own
    told: dict[str, Told] = field(default_factory=dict)

    def id_of(self, caller: str, resource: str, ownership: str) -> str:
        if ownership == MISSING:
            return str(uuid7())
        if ownership == OWN and resource in EVERYBODYS and caller in self.own_rows:
            return str(self.own_rows[caller][resource])
        return str({OWN: self.own, FOREIGN: self.other}[ownership].id_of(resource))

    def target(self, ownership: str) -> Estate | None:
        return {OWN: self.own, FOREIGN: self.other}.get(ownership)

    def told_to(self, caller: str) -> Told:
        """What every route answers him; asked once for all tests."""
        if caller not in self.told:
            send(self, caller, "GET /api/v1/whoami", OWN)  # a token's first use is noted
            before = state()
            answers = {key: send(self, caller, *key) for key in questions() if key[0].startswith("GET")}
            changed = {name: figures for name, figures in state().items() if before[name] != figures}
            answers |= {key: send(self, caller, *key) for key in questions() if key not in answers}
            self.told[caller] = Told(answers, changed)
        return self.told[caller]


@dataclass(frozen=True)
class Told:
    """Answers by route and ownership, and what the reading ones have changed (nothing, one hopes)."""

    answers: Mapping[tuple[str, str], Answer]
    changed_by_reading: Mapping[str, Any]


def questions() -> Iterator[tuple[str, str]]:
    for route, line in TABLE.items():
        for ownership in line.ownerships:
            yield route, ownership


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker, pumps: None) -> Iterator[World]:
    """``pumps``: some tests look at every kind of row that is loaded."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch, undone():
        set_stage(patch)
        hub_identity()  # made when it is first asked for
        own, other = make_estate(), make_estate()
        for name in ("pasted_kubeconfig", "client_certificate", "access_token", "renewal_token"):
            setattr(own.cluster, name, f"canary-canary-canary-{name}")
        own.cluster.save()
        callers, pages, rows = {STRANGER: Caller()}, {STRANGER: Caller()}, {}
        for role in (*ROLES, NOBODY):
            user = make_user(role)
            if role != NOBODY:
                bind_role(SYSTEM, role, user, place_of(role, own))
            callers[role] = with_token(actor_of(user))
            session, text = start_session(user, peer="127.0.0.1", user_agent="browser")
            pages[role] = Caller(client=Client(headers={"Cookie": f"{COOKIE}={text}"}))
            rows[role] = {
                "users": user.pk,
                "tokens": user.tokens.get().pk,
                "sessions": session.pk,
                "kubeconfigs": issue_token(SYSTEM, user, name="file", purpose=TokenPurpose.KUBECONFIG)[0].pk,
            }
        yield World(own, other, callers, pages, rows)


@contextmanager
def undone() -> Iterator[None]:
    """Takes back what happens inside, like Django's TestCase does; also what would commit by itself."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


def place_of(role: str, estate: Estate) -> Scope:
    places: dict[frozenset[str], Scope] = {
        OF_HUB: None,
        OF_CLUSTER: estate.cluster,
        OF_TENANT: estate.tenant,
        OF_PROJECT: estate.project,
    }
    return next(place for roles, place in places.items() if role in roles)


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
def test_sec40_every_route_answers_this_caller_as_the_table_says(world: World, caller: str) -> None:
    different = [
        f"{route} of {ownership}: {answer.status}, not {wanted}"
        for (route, ownership), answer in world.told_to(caller).answers.items()
        if answer.status != (wanted := expected(TABLE[route], caller, ownership))
    ]
    assert not different, "\n".join([caller, *different])


@pytest.mark.parametrize("caller", [*sorted(set(ROLES) - OF_HUB), NOBODY])
def test_sec40_a_foreign_and_a_missing_object_are_one_answer(world: World, caller: str) -> None:
    answers = world.told_to(caller).answers
    for route, line in TABLE.items():
        if FOREIGN in line.ownerships and line.sees not in OF_NO_TENANT:
            foreign, missing = answers[route, FOREIGN], answers[route, MISSING]
            assert foreign.problem == missing.problem, route
            headers = [set(answer.response.items()) for answer in (foreign, missing)]
            assert {name for name, _ in headers[0] ^ headers[1]} <= {"X-Request-Id"}, route


@pytest.mark.parametrize("caller", CALLERS)
def test_sec39_reading_changes_nothing(world: World, caller: str) -> None:
    """No row appears, goes or gets another version, whoever reads whatever."""
    assert world.told_to(caller).changed_by_reading == {}


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


def test_sec01_no_stored_secret_is_in_any_answer(world: World) -> None:
    secrets = stored_secrets()
    assert len(secrets) >= 10
    for caller in (ADMIN, TENANT_OWNER):
        for (route, ownership), answer in world.told_to(caller).answers.items():
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

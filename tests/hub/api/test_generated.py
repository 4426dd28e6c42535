"""Whatever the OpenAPI file lets one send, sent by everybody: no 5xx, no answer that the file does not describe, and no word
of another tenant.

schemathesis makes the requests from the file. In two of three the ids are exchanged for ids of one's own tenant or of the
other, because random ones only meet 404; those are sent by every caller, the third by a few. ``PADDOCK_FUZZ_EXAMPLES`` says
how many requests each operation gets.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import Case
from schemathesis.core.result import Ok

from hub.api.openapi import openapi_of_process
from tests.hub.api.callers import Answer, Caller
from tests.hub.api.matrix_table import ADMIN, CALLERS, FOREIGN, NOBODY, OF_HUB, OWN, STRANGER, TENANT_OWNER, VIEWER
from tests.hub.api.matrix_world import World, undone

EXAMPLES = int(os.environ.get("PADDOCK_FUZZ_EXAMPLES", "3"))
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("generated")]
generated = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,  # the same requests in every run: a finding is not lost
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
# Members of bodies and queries that name an object, and of which kind.
NAMED = {
    "cluster": "clusters",
    "clusters": "clusters",
    "infrastructure": "clusters",
    "project": "projects",
    "tenant": "tenants",
    "user": "users",
    "service_account": "service-accounts",
}
SOME_CALLERS = (ADMIN, TENANT_OWNER, VIEWER, NOBODY, STRANGER)
# A 5xx that is no defect: the cluster of the test cannot be asked.
AWAY = frozenset({"cluster.unavailable"})
# Leave these headers to the caller: who he is, and what he has seen.
SENT_BY_CALLERS = frozenset({"authorization", "cookie", "if-match", "x-csrf-token"})


@functools.cache
def operations() -> dict[str, Any]:
    schema = schemathesis.openapi.from_dict(openapi_of_process())
    found: list[Any] = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(found) == sum(len(path) for path in openapi_of_process()["paths"].values())
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


def place(value: Any, world: World, ownership: str, name: str = "") -> Any:
    """The body with the ids of objects that exist in it."""
    if isinstance(value, dict):
        return {key: place(inner, world, ownership, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [place(inner, world, ownership, name) for inner in value]
    return world.id_of("", NAMED[name], ownership) if name in NAMED and isinstance(value, str) else value


class Request:
    """One generated request, about objects of this ownership or about what chance has named."""

    def __init__(self, case: Case[Any], world: World, ownership: str | None) -> None:
        resource = case.path.removeprefix("/api/v1/").partition("/")[0]
        ids = dict(case.path_parameters or {})
        self.method = case.method.upper()
        self.query = {name: value for name, value in (case.query or {}).items() if isinstance(value, str | int | bool)}
        self.body = case.body if isinstance(case.body, dict | list | str | int | float | None) else None
        if ownership is not None:
            self.body = place(self.body, world, ownership)
            self.query = place(self.query, world, ownership)
            ids = {name: world.id_of("", resource, ownership) for name in ids}
        self.path = case.path.format(**{name: quote(str(value), safe="") for name, value in ids.items()})
        self.headers = {
            name: value
            for name, value in (case.headers or {}).items()
            if name.lower() not in SENT_BY_CALLERS and value.isascii() and value.isprintable()
        }

    def sent_by(self, caller: Caller) -> Answer:
        """Its effect is undone."""
        query = urlencode({name: str(value).encode(errors="replace") for name, value in self.query.items()})
        body = self.body if self.method in {"POST", "PATCH"} else None
        with undone():
            return caller.call(
                self.method,
                f"{self.path}?{query}" if query else self.path,
                body,
                headers={"If-Match": "*", **self.headers},
            )

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.query} {self.body}"


@functools.cache
def validators(method: str, route: str) -> dict[str, list[Draft202012Validator] | None]:
    """By status: what the body has to satisfy; None for a problem document."""
    document = openapi_of_process()
    found: dict[str, list[Draft202012Validator] | None] = {}
    for status, response in document["paths"][route][method.lower()]["responses"].items():
        content = response.get("content", {})
        schemas = [media["schema"] for kind, media in content.items() if kind == "application/json"]
        components = {"components": document["components"]}
        found[status] = (
            None if "$ref" in response else [Draft202012Validator({**schema, **components}) for schema in schemas]
        )
    return found


def check_described(method: str, route: str, answer: Answer) -> None:
    assert answer.status < 500 or answer.code in AWAY, answer.body
    described = validators(method, route)
    assert str(answer.status) in described, (answer.status, answer.body)
    schemas = described[str(answer.status)]
    if schemas is None:
        assert answer.code
    for schema in schemas or ():
        errors = list(schema.iter_errors(answer.body))
        assert not errors, errors[0].message


def words_of(world: World, ownership: str) -> frozenset[str]:
    """What only the people of this tenant, and of the hub, may hear: ids, names, and what is secret."""
    estate = {OWN: world.own, FOREIGN: world.other}[ownership]
    rows = [getattr(estate, name) for name in vars(estate) if name not in {"forwarder"}]
    names = [row.name for row in (estate.tenant, estate.project, estate.cluster)]
    return frozenset([*(str(row.pk) for row in rows), *names, estate.user.username])


@pytest.fixture(scope="module")
def secrets(world: World) -> dict[str, frozenset[str]]:
    """By caller: the words that no answer to him may hold, unless he has sent them himself."""
    others = words_of(world, FOREIGN)
    everything = others | words_of(world, OWN)
    by_caller = dict.fromkeys(CALLERS, others)
    return {**by_caller, **dict.fromkeys(OF_HUB, frozenset()), NOBODY: everything, STRANGER: everything}


def read(answer: Answer) -> str:
    response = answer.response
    content: bytes = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode()


@pytest.mark.parametrize("name", sorted(operations()))
def test_sec41_generated_requests_meet_no_defect_and_learn_nothing_of_another_tenant(
    name: str, world: World, secrets: dict[str, frozenset[str]]
) -> None:
    operation = operations()[name]
    turns: Iterator[str | None] = iter((OWN, FOREIGN, None) * EXAMPLES)

    @generated
    @given(case=operation.as_strategy())
    def send_by_everybody(case: Case[Any]) -> None:
        ownership = next(turns, None)
        request = Request(case, world, ownership)
        sent = str(request)
        for caller in CALLERS if ownership is not None else SOME_CALLERS:
            answer = request.sent_by(world.callers[caller])
            if answer.response.streaming:
                assert answer.status == 200
            else:
                check_described(request.method, case.path, answer)
            heard = read(answer)
            assert not [word for word in secrets[caller] if word in heard and word not in sent], (caller, sent)

    send_by_everybody()

"""Bodies are read strictly: nothing unknown, nothing coerced, each fault with its place and without the value."""

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field

from hub.api.documents import FAULTS_LIMIT, Body, Id, Labels, Text, read_body
from hub.core.errors import ERROR_CODES, HubError

ID = "018f3c8e-0000-7000-8000-000000000001"


class Wheel(Body):
    size: Annotated[int, Field(ge=1, le=30)]


class Cart(Body):
    name: Annotated[str, Field(min_length=1, max_length=5)]
    owner: Id
    kind: Literal["hand", "horse"] = "hand"
    covered: bool = False
    load: float = 0.0
    note: Text | None = None
    labels: Labels = Field(default_factory=dict)
    wheels: Annotated[list[Wheel], Field(max_length=4)] = []


def cart(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "owner": ID, **changes}


def faults(document: Any) -> dict[str | None, str]:
    with pytest.raises(HubError) as caught:
        read_body(Cart, document)
    assert (caught.value.status, caught.value.code) == (400, "request.invalid")
    return {cause.pointer: cause.code for cause in caught.value.causes}


def test_a_good_body_becomes_typed_values() -> None:
    body = read_body(Cart, cart(wheels=[{"size": 2}], labels={"a": "b"}, note=None))
    assert (body.owner, body.wheels[0].size, body.kind) == (UUID(ID), 2, "hand")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"name": 5}, "/name", "field.type"),
        ({"name": None}, "/name", "field.type"),
        ({"name": ["a"]}, "/name", "field.type"),
        ({"name": ""}, "/name", "field.length"),
        ({"name": "abcdef"}, "/name", "field.length"),
        ({"owner": 5}, "/owner", "field.format"),
        ({"owner": "me"}, "/owner", "field.format"),
        ({"kind": "ox"}, "/kind", "field.choice"),
        ({"kind": 1}, "/kind", "field.choice"),
        ({"covered": "true"}, "/covered", "field.type"),
        ({"covered": 1}, "/covered", "field.type"),
        ({"load": "1.5"}, "/load", "field.type"),
        ({"load": True}, "/load", "field.type"),
        ({"note": 1}, "/note", "field.type"),
        ({"labels": [["a", "b"]]}, "/labels", "field.type"),
        ({"labels": {"a": 1}}, "/labels/a", "field.type"),
        ({"labels": {"x/y": 1}}, "/labels/x~1y", "field.type"),
        ({"labels": {str(n): "" for n in range(65)}}, "/labels", "field.length"),
        ({"wheels": {"size": 2}}, "/wheels", "field.type"),
        ({"wheels": [{"size": "2"}]}, "/wheels/0/size", "field.type"),
        ({"wheels": [{"size": 2.0}]}, "/wheels/0/size", "field.type"),
        ({"wheels": [{"size": True}]}, "/wheels/0/size", "field.type"),
        ({"wheels": [{"size": 1}, {"size": 31}]}, "/wheels/1/size", "field.range"),
        ({"wheels": [{"size": 0}]}, "/wheels/0/size", "field.range"),
        ({"wheels": [{}]}, "/wheels/0/size", "field.required"),
        ({"wheels": ["round"]}, "/wheels/0", "field.type"),
        ({"wheels": [{"size": 1}] * 5}, "/wheels", "field.length"),
        ({"wheels": [{"size": 1, "spokes": 9}]}, "/wheels/0/spokes", "field.unknown"),
        ({"speed": 1}, "/speed", "field.unknown"),
        ({"a/b~c": None}, "/a~1b~0c", "field.unknown"),
    ],
)
def test_sec42_a_fault_is_told_with_pointer_and_code(changes: dict[str, Any], pointer: str, code: str) -> None:
    assert faults(cart(**changes)) == {pointer: code}


@pytest.mark.parametrize("document", [None, [], "text", 5, True])
def test_a_body_that_is_no_object_is_refused(document: Any) -> None:
    assert faults(document) == {"": "field.type"}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert faults({"kind": "ox", "more": 1}) == {
        "/name": "field.required",
        "/owner": "field.required",
        "/kind": "field.choice",
        "/more": "field.unknown",
    }


def test_sec72_a_body_of_many_faults_is_answered_with_some_of_them() -> None:
    assert len(faults(cart(**{f"x{n}": n for n in range(5000)}))) == FAULTS_LIMIT


def test_limits_are_parameters_so_that_a_client_can_say_them_in_its_language() -> None:
    with pytest.raises(HubError) as caught:
        read_body(Cart, cart(name="abcdef", wheels=[{"size": 31}]))
    assert [dict(cause.params) for cause in caught.value.causes] == [{"max_length": 5}, {"le": 30}]


def test_sec04_what_was_sent_is_never_repeated() -> None:
    secret = "hunter2-hunter2"
    with pytest.raises(HubError) as caught:
        read_body(Cart, {"name": secret, "owner": secret, "kind": secret, "covered": secret, "wheels": [secret]})
    told = [f"{cause} {cause.pointer} {dict(cause.params)}" for cause in caught.value.causes]
    assert len(told) == 5
    assert secret not in "".join(told)
    assert caught.value.__cause__ is None


def test_every_code_is_in_the_registry_with_a_client_error() -> None:
    assert {ERROR_CODES[code].status for code in ERROR_CODES if code.startswith("field.")} == {400}

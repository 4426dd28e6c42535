"""Selectors of labels by comparison, identities that are played, and bodies in protobuf."""

from collections.abc import Iterable

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from kube.resources import CONFIG_MAPS
from simulator.apiserver.identity import User, service_account_of
from simulator.apiserver.impersonation import impersonate
from simulator.apiserver.protobuf import decode_object
from simulator.apiserver.requests import RequestInfo
from simulator.apiserver.selectors import match_fields, match_labels
from simulator.apiserver.status import ApiError
from tests.simulator.apiserver.conftest import KINDS


def played(*headers: tuple[str, str]) -> tuple[User, list[str]]:
    """Whom these headers make of a sender who may all, and what he needed the right for."""
    needed: list[str] = []

    def authorize(user: User, request: RequestInfo) -> None:
        assert (user.name, request.verb) == ("sender", "impersonate")
        needed.append("/".join(filter(None, [request.resource, request.subresource, request.namespace, request.name])))

    return impersonate(User("sender"), CIMultiDictProxy(CIMultiDict(headers)), authorize), needed


def test_without_headers_one_is_oneself() -> None:
    assert played() == (User("sender"), [])


def test_each_part_of_an_identity_needs_a_right() -> None:
    user, needed = played(
        ("Impersonate-User", "ann"),
        ("Impersonate-Group", "one"),
        ("Impersonate-Group", "two"),
        ("Impersonate-Uid", "u-1"),
        ("Impersonate-Extra-Scopes", "view"),
        ("Impersonate-Extra-example.com%2Fteam", "red"),
    )
    assert needed == [
        "users/ann",
        "groups/one",
        "groups/two",
        "uids/u-1",
        "userextras/scopes/view",
        "userextras/example.com/team/red",
    ]
    assert (user.uid, user.groups) == ("u-1", ("one", "two", "system:authenticated"))
    assert user.extra == {"scopes": ["view"], "example.com/team": ["red"]}


def test_an_account_is_named_by_its_namespace() -> None:
    user, needed = played(("Impersonate-User", "system:serviceaccount:one:robot"))
    assert needed == ["serviceaccounts/one/robot"]
    assert "system:serviceaccounts:one" in user.groups


def test_the_anonymous_one_is_not_authenticated() -> None:
    user, _ = played(("Impersonate-User", "system:anonymous"))
    assert user.groups == ("system:unauthenticated",)


def test_a_group_of_the_authenticated_is_not_added_twice() -> None:
    user, _ = played(("Impersonate-User", "ann"), ("Impersonate-Group", "system:authenticated"))
    assert user.groups == ("system:authenticated",)


@pytest.mark.parametrize("header", ["Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-x"])
def test_half_an_identity_is_none(header: str) -> None:
    with pytest.raises(ApiError) as refused:
        played((header, "x"))
    assert refused.value.code == 500


@pytest.mark.parametrize(
    "name", ["ann", "system:serviceaccount:", "system:serviceaccount:one", "system:serviceaccount::a"]
)
def test_other_names_are_no_accounts(name: str) -> None:
    assert service_account_of(name) is None


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ("size>3", {"size": "4"}, True),
        ("size>3", {"size": "3"}, False),
        ("size<3", {"size": "2"}, True),
        ("size>3", {"size": "big"}, False),
        ("size>3", {}, False),
        ("a in (x,y),b notin (z)", {"a": "y"}, True),
        ("a in (x,y),b notin (z)", {"a": "y", "b": "z"}, False),
        ("example.com/a=x", {"example.com/a": "x"}, True),
        ("a=", {"a": ""}, True),
        ("a=", {}, False),
    ],
)
def test_label_selectors(selector: str, labels: dict[str, str], matches: bool) -> None:
    matcher = match_labels(selector)
    assert matcher is not None
    assert matcher({"metadata": {"labels": labels}}) is matches


@pytest.mark.parametrize("selector", ["size>big", "a in x", "a=b=c", "(a)", "a in (x y)"])
def test_label_selectors_that_do_not_parse(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        match_labels(selector)
    assert refused.value.code == 400


@pytest.mark.parametrize("selector", ["metadata.name", "=x", "metadata.uid=x"])
def test_field_selectors_that_do_not_parse(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        match_fields(selector, KINDS[CONFIG_MAPS])
    assert refused.value.code == 400


def test_an_empty_selector_selects_without_a_test() -> None:
    assert match_labels("") is None
    assert match_fields("", KINDS[CONFIG_MAPS]) is None


def field(number: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([number << 3 | 2, len(content)]) + content


def envelope(kind: bytes, *message: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, b"v1"), field(2, kind)) + field(2, *message)


def test_a_protobuf_body_is_read() -> None:
    labels = [field(11, field(1, b"a"), field(2, b"x")), field(11, field(1, b"b"), field(2, b""))]
    metadata = field(1, field(1, b"name"), field(2, b""), *labels, field(14, b"one/x"), field(14, b"two/x"))
    body = envelope(b"Secret", metadata, field(2, field(1, b"k"), field(2, b"v")), field(3, b"Opaque"), b"\x28\x01")
    assert decode_object(body) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "name", "labels": {"a": "x", "b": ""}, "finalizers": ["one/x", "two/x"]},
        "data": {"k": "dg=="},
        "type": "Opaque",
        "immutable": True,
    }


def _broken() -> Iterable[bytes]:
    whole = envelope(b"Namespace", field(1, field(1, b"name")))
    yield b""
    yield b"k8s\x00"
    yield whole[4:]
    yield from (whole[:length] for length in range(5, len(whole)))
    yield b"k8s\x00" + b"\xff" * 20
    yield envelope(b"Namespace", b"\x09" + b"\x00" * 8)


@pytest.mark.parametrize("body", list(_broken()))
def test_a_body_that_is_no_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode_object(body)
    assert refused.value.code == 400


def test_a_kind_that_is_not_known_in_protobuf_is_named() -> None:
    with pytest.raises(ApiError) as refused:
        decode_object(envelope(b"Deployment"))
    assert refused.value.code == 501
    assert "Deployment" in refused.value.message

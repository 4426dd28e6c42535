"""A token's scope: its JSON, what is refused, and when one is within another."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.access import TokenScope
from hub.core.errors import HubError
from hub.identity.token_scope import is_within, parse_scope, scope_to_json

IDS = [uuid4() for _ in range(3)]
VERBS = ["get", "list", "create"]


def subsets(values: list[object]) -> st.SearchStrategy[frozenset[object] | None]:
    return st.none() | st.frozensets(st.sampled_from(values))


scopes = st.builds(
    TokenScope,
    read_only=st.booleans(),
    verbs=subsets(list(VERBS)),
    projects=subsets(list(IDS)),
    clusters=subsets(list(IDS)),
)


@given(scopes)
def test_a_scope_reads_back_as_it_was_written(scope: TokenScope) -> None:
    assert parse_scope(scope_to_json(scope)) == scope


def test_nothing_said_is_not_narrowed() -> None:
    assert parse_scope({}) == TokenScope()


def test_an_empty_list_is_nothing_and_not_everything() -> None:
    assert parse_scope({"projects": []}).projects == frozenset()


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], "/scope"),
        ("read_only", "/scope"),
        ({"read_only": "true"}, "/scope/read_only"),
        ({"read_only": None}, "/scope/read_only"),
        ({"verbs": "get"}, "/scope/verbs"),
        ({"verbs": [1]}, "/scope/verbs"),
        ({"projects": ["not-an-id"]}, "/scope/projects"),
        ({"clusters": {"a": 1}}, "/scope/clusters"),
        ({"clusters": [str(UUID(int=n)) for n in range(201)]}, "/scope/clusters"),
        ({"tenants": []}, "/scope/tenants"),
    ],
)
def test_a_malformed_scope_is_refused_where_it_is_wrong(document: object, pointer: str) -> None:
    with pytest.raises(HubError) as refused:
        parse_scope(document)
    assert (refused.value.code, refused.value.pointer) == ("token.scope_invalid", pointer)


@given(scopes)
def test_every_scope_is_within_itself_and_within_the_full_one(scope: TokenScope) -> None:
    assert is_within(scope, scope)
    assert is_within(scope, TokenScope())


@given(scopes, scopes, scopes)
def test_being_within_is_transitive(a: TokenScope, b: TokenScope, c: TokenScope) -> None:
    if is_within(a, b) and is_within(b, c):
        assert is_within(a, c)


@pytest.mark.parametrize(
    ("narrower", "wider"),
    [
        (TokenScope(), TokenScope(read_only=True)),
        (TokenScope(verbs=frozenset({"get", "list"})), TokenScope(verbs=frozenset({"get"}))),
        (TokenScope(), TokenScope(projects=frozenset())),
        (TokenScope(clusters=frozenset(IDS)), TokenScope(clusters=frozenset(IDS[:1]))),
        (TokenScope(read_only=True, projects=frozenset(IDS[1:])), TokenScope(projects=frozenset(IDS[:1]))),
    ],
)
def test_sec32_a_scope_that_permits_more_is_not_within(narrower: TokenScope, wider: TokenScope) -> None:
    assert not is_within(narrower, wider)

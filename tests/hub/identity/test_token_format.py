"""The text of a token: what is one, what is kept of it, and that it cannot be guessed."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.identity import token_format
from hub.identity.token_format import TokenText, generate_token, parse_token

PEPPER = b"p" * 32


def test_a_token_reads_back_as_it_was_rendered() -> None:
    token = generate_token()
    assert parse_token(token.render()) == token


def test_sec10_the_secret_has_at_least_192_bits_and_never_comes_twice() -> None:
    tokens = {generate_token().render() for _ in range(200)}
    assert len(tokens) == 200
    assert 62**token_format.SECRET_LENGTH > 2**192


def test_sec10_only_the_systems_random_source_is_used_in_identity() -> None:
    sources = Path(token_format.__file__).parent.glob("*.py")
    imported = {
        alias.name
        for source in sources
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert "secrets" in imported
    assert not imported & {"random", "randint", "choice"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pdk_",
        "pdk_abcdefghijkl",
        "pdk_abcdefghijkl_short",
        "pdk_ABCDEFGHIJKL_" + "a" * 43,
        "pdk_abcdefghijkl_" + "a" * 44,
        "pdk_abcdefghijkl_" + "a" * 42 + "é",
        "pdk_abcdefghijkl_" + "a" * 43 + "\n",
        " pdk_abcdefghijkl_" + "a" * 43,
        "PDK_abcdefghijkl_" + "a" * 43,
    ],
)
def test_anything_else_is_no_token(text: str) -> None:
    assert parse_token(text) is None


@given(st.text(max_size=80))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    parsed = parse_token(text)
    assert parsed is None or parsed.render() == text


def test_the_secret_does_not_show_in_the_repr_nor_in_the_hash() -> None:
    token = generate_token()
    assert token.secret not in repr(token)
    assert token.secret.encode() not in token.hash(PEPPER)


def test_only_the_same_secret_under_the_same_pepper_matches() -> None:
    token, other = generate_token(), generate_token()
    stored = token.hash(PEPPER)
    assert token.matches(stored, PEPPER)
    assert not token.matches(stored, b"q" * 32)
    assert not TokenText(token.key_id, other.secret).matches(stored, PEPPER)


def test_a_hash_belongs_to_its_key_id() -> None:
    token = generate_token()
    assert not TokenText("abcdefghijkl", token.secret).matches(token.hash(PEPPER), PEPPER)
